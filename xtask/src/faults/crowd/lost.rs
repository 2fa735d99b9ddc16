//! Half of all peers gone at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{COMMAND_LIMIT, Stage};
use crate::{
    ci::Outcome,
    console,
    faults::{Amount, Bench},
    json, wait,
};

/// Peers in each of two processes.
const HALF: Amount = Amount {
    full: 2_500,
    short: 100,
};

/// How soon peers must be gone whose process was killed, and how soon those whose process stands still.
const KILLED_LIMIT: Duration = Duration::from_secs(1);
const SILENT_LIMIT: Duration = Duration::from_secs(20);

/// How soon everybody must be there.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Lookups a second, meanwhile.
const RATE: u32 = 100;

/// Kills a process with half of all peers, then stops one.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let stage = Stage::new(bench)?;
    let half = bench.pick(HALF);
    let staying = stage.gather("staying", 0, half)?;
    let mut asking = stage.crowd("asking", 0)?;
    let mut figures = Vec::new();
    for (how, limit) in [(Signal::KILL, KILLED_LIMIT), (Signal::STOP, SILENT_LIMIT)] {
        let mut going = stage.gather("going", half, half)?;
        stage.wait_for_exact(2 * half, READY_LIMIT)?;
        asking.tell(&format!("lookup {RATE} {}", limit.as_secs()))?;
        let start = wait::now();
        if how == Signal::KILL {
            going.process().kill()?;
        } else {
            going.process().signal(how)?;
        }
        stage.wait_for_exact(half, limit.saturating_sub(start.elapsed()))?;
        let took = start.elapsed();
        let looked_up = asking.answer(COMMAND_LIMIT)?;
        let failed = json::number(&looked_up, "/failed")? + json::number(&looked_up, "/not_found")?;
        ensure!(failed == 0, "lookups failed: {looked_up}");
        figures.push(format!(
            "{} in {} (lookups p99 {} ms, longest {} ms)",
            if how == Signal::KILL {
                "killed, gone"
            } else {
                "silent, gone"
            },
            console::seconds(took),
            json::number(&looked_up, "/p99_ms")?,
            json::number(&looked_up, "/max_ms")?
        ));
        drop(going);
    }
    stage.finish(vec![(staying, half), (asking, 0)])?;
    Ok(Outcome::Passed(format!(
        "{half} of {} peers at once: {}; index exact each time",
        2 * half,
        figures.join("; ")
    )))
}
