//! Disks that fail at each step by which a document gets to them: strace has the very system call fail.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::commit::{Asked, STEPS, Step, check_all, observe, prepare, refusal, trace};
use crate::cluster::Cluster;
use crate::{
    ci::Outcome,
    faults::{Amount, Bench, finish, proxy::Dice, transfer::Digests},
    process::Finished,
    wait,
};

/// How often each step fails in each way.
const ROUNDS: Amount = Amount { full: 5, short: 1 };

/// How often a call is aimed at for one failure: threads share the work differently in each run.
const TRIES: usize = 40;

/// How often it is missed before it is looked again where the step is: one look may have found it where it rarely is.
const TRIES_PER_LOOK: usize = 10;

/// What a call ends with.
#[derive(Debug, Clone, Copy)]
struct Failure {
    /// As strace names it.
    error: &'static str,
    /// What people are told of it, as the C library puts it; nothing, where it means to try again.
    told: Option<&'static str>,
    /// Which steps it can meet.
    meets: fn(&str) -> bool,
}

/// What `EINTR` does to writing is left out: as many calls of that kind go to connections, where it never happens.
const FAILURES: [Failure; 3] = [
    Failure {
        error: "EIO",
        told: Some("Input/output error"),
        meets: |_| true,
    },
    Failure {
        error: "EROFS",
        told: Some("Read-only file system"),
        meets: |step| ["create", "name"].contains(&step),
    },
    Failure {
        error: "EINTR",
        told: None,
        meets: |step| step == "create" || step.starts_with("force"),
    },
];

/// Has every step fail, again and again.
pub fn run(bench: &Bench) -> Result<Outcome> {
    if let Some(reason) = refusal()? {
        return Ok(Outcome::Skipped(reason));
    }
    let (cluster, digests) = prepare(bench)?;
    let (mut told, mut struck) = (BTreeMap::new(), 0);
    // What is found only after a document has its name makes no difference to it.
    let steps = STEPS.iter().filter(|step| step.name != "take note").enumerate();
    for (index, step) in steps {
        for asked in step.commands {
            let mut aims = take_aim(&cluster, step, *asked, &digests)?;
            for failure in FAILURES.iter().filter(|failure| (failure.meets)(step.name)) {
                for round in 0..bench.pick(ROUNDS) {
                    let mut dice = bench.dice(1 + index + STEPS.len() * round);
                    let what = || {
                        format!(
                            "{asked:?}, `{}` ends with {}, round {round} of seed {}",
                            step.name, failure.error, bench.seed
                        )
                    };
                    strike(&cluster, step, *asked, &digests, failure, &mut aims, &mut dice).with_context(what)?;
                    *told.entry(failure.error).or_insert(0) += 1;
                    struck += 1;
                }
            }
        }
    }
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "{struck} failures of single calls {told:?}: each told with its reason, or met by trying again where it is EINTR; 0 wrong \
         files under a final name, the next run complete and nothing left over; seed {}",
        bench.seed
    )))
}

/// Which calls of its threads the step is. Threads that do other things make fewer calls, so that only those that store come to
/// the last ones.
fn take_aim(cluster: &Cluster, step: &Step, asked: Asked, digests: &Digests) -> Result<Vec<u64>> {
    let mut aims = observe(cluster, step, asked, digests)?;
    aims.drain(..aims.len() / 4 * 3);
    Ok(aims)
}

/// Has one call of the step fail, looks at what is told and at what is there, and runs the command again.
fn strike(
    cluster: &Cluster,
    step: &Step,
    asked: Asked,
    digests: &Digests,
    failure: &Failure,
    aims: &mut Vec<u64>,
    dice: &mut Dice,
) -> Result<()> {
    let target = cluster.folder().join("target");
    let how = format!("error={}", failure.error);
    for missed in 0..TRIES {
        wait::check_interrupt()?;
        if missed % TRIES_PER_LOOK == TRIES_PER_LOOK - 1 {
            *aims = take_aim(cluster, step, asked, digests)?;
        }
        let aim = dice.pick(aims).copied().unwrap_or(1);
        let (done, seen) = trace(cluster, step, asked, digests, Some((&how, aim)))?;
        let injected: Vec<&str> = seen.lines().filter(|line| line.ends_with("(INJECTED)")).collect();
        // Other threads may be struck at a connection; a disk that has failed must be told of all the same.
        let meets_step = injected.iter().any(|line| (step.is_it)(line));
        if meets_step {
            check_told(&done, failure)?;
        }
        check_all(cluster, asked, digests, &target)?;
        if meets_step {
            return Ok(());
        }
    }
    bail!("the failure never met this step")
}

fn check_told(done: &Finished, failure: &Failure) -> Result<()> {
    ensure!(!done.stderr.contains("panicked"), "a panic: {}", done.stderr);
    match failure.told {
        None => {
            ensure!(done.code() == 0, "it was not tried again: {}", done.stderr);
            Ok(())
        }
        Some(told) => {
            ensure!(done.code() != 0, "it ended well: {}", done.stderr);
            ensure!(done.stderr.contains(told), "the reason is not told: {}", done.stderr);
            Ok(())
        }
    }
}
