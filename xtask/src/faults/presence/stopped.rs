//! SIGSTOP: the host answers no more, but its connections stay open, as with a computer that hangs.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::faults::{Amount, Bench, finish, slowest, write_document};
use crate::{
    ci::Outcome,
    cluster::SOON,
    procfs,
    wait::{self, Look},
};

/// How many peers are stopped at a time.
const STOPPED_PEERS: Amount = Amount { full: 4, short: 1 };

/// How often some peers are stopped.
const STOPS: Amount = Amount { full: 3, short: 1 };

/// How soon a peer must be gone that answers no more.
const GONE_LIMIT: Duration = Duration::from_secs(20);

/// How soon it must be back when it goes on.
const BACK_LIMIT: Duration = Duration::from_secs(30);

const FIRST: u32 = 20_001;

/// Stops peers, and lets them go on.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let names: Vec<String> = (1..=bench.pick(STOPPED_PEERS))
        .map(|index| format!("sleeper-{index}"))
        .collect();
    for (name, number) in names.iter().zip(FIRST..) {
        write_document(&cluster.make_folder(name)?, number, "only one")?;
        cluster.join(name, name)?;
    }
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for _ in 0..bench.pick(STOPS) {
        for (name, number) in names.iter().zip(FIRST..) {
            cluster.wait_for_holders(number, &[name], SOON)?;
        }
        let start = wait::now();
        for name in &names {
            cluster.peer(name)?.signal(Signal::STOP)?;
        }
        for name in &names {
            let process = cluster.peer(name)?.id();
            wait::until(&format!("{name} to stand still"), SOON, || {
                Ok(if procfs::is_stopped(process)? {
                    Look::Done(())
                } else {
                    Look::NotYet("it still runs".to_owned())
                })
            })?;
        }
        cluster.wait_for_peers("the stopped peers to be gone", GONE_LIMIT, <[_]>::is_empty)?;
        gone.push(start.elapsed());
        for number in (FIRST..).take(names.len()) {
            let holders = cluster.holders(number)?;
            ensure!(holders.is_empty(), "{holders:?} are handed out, but not listed");
        }
        let start = wait::now();
        for name in &names {
            cluster.peer(name)?.signal(Signal::CONT)?;
        }
        for (name, number) in names.iter().zip(FIRST..) {
            cluster.wait_for_holders(number, &[name], BACK_LIMIT.saturating_sub(start.elapsed()))?;
        }
        back.push(start.elapsed());
    }
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "SIGSTOP: {} times {} peers gone within {} s, slowest {}; after SIGCONT back within {} s, slowest {}",
        gone.len(),
        names.len(),
        GONE_LIMIT.as_secs(),
        slowest(&gone),
        BACK_LIMIT.as_secs(),
        slowest(&back)
    )))
}
