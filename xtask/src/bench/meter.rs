//! Measuring: what commands cost that are run to their end, and what servers cost meanwhile.

use std::{process::Command, time::Duration};

use anyhow::Result;

use super::figures::Sample;
use crate::{
    process::{self, Finished},
    procfs,
    wait::{self, Look},
};

/// No run takes this long, unless it hangs: the slowest contestant needs minutes for the whole series on a slow link.
const RUN_LIMIT: Duration = Duration::from_secs(30 * 60);

/// At every so many looks, a millisecond apart, the memory is looked at too, which costs more than the look itself.
const LOOKS_PER_MEMORY: u32 = 10;

/// How long the processes may take to end that a server has started for one client.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Runs commands one after the other, each of which must end with exit code 0. Returns what all of them cost together,
/// and what the last one printed.
pub fn run(what: &str, commands: Vec<Command>, servers: &[u32]) -> Result<(Sample, Option<Finished>)> {
    let own_before = own_children();
    let servers_before = ServerTimes::read(servers);
    let (mut wall, mut peak, mut last) = (Duration::ZERO, Peak::default(), None);
    for command in commands {
        let mut looks = 0_u32;
        let (finished, took) = process::run_watched(what, command, RUN_LIMIT, |id| {
            if looks.is_multiple_of(LOOKS_PER_MEMORY) {
                peak.look(id);
            }
            looks = looks.wrapping_add(1);
        })?;
        wall += took;
        last = Some(finished.expect_code(what, 0)?);
    }
    let client_cpu = own_children().saturating_sub(own_before);
    let server_cpu = servers_before.since()?;
    let sample = Sample {
        wall,
        client_cpu: Some(client_cpu),
        server_cpu,
        peak_memory: peak.bytes,
        ..Sample::default()
    };
    Ok((sample, last))
}

/// The processor time of all children of this program that have ended and been waited for. Servers run on meanwhile,
/// so that they do not count.
pub fn own_children() -> Duration {
    procfs::times(std::process::id()).unwrap_or_default().waited_for
}

/// The processor time that servers had used at some moment.
#[derive(Debug)]
pub struct ServerTimes {
    roots: Vec<u32>,
    processes: usize,
    total: Duration,
}

impl ServerTimes {
    /// Reads it. What a server has started counts with it, whether it still runs or has ended.
    pub fn read(servers: &[u32]) -> Self {
        let trees = trees(servers);
        Self {
            roots: servers.to_vec(),
            processes: trees.len(),
            total: total(&trees),
        }
    }

    /// What they have used since, once the processes have ended that they started for a client; none without servers.
    pub fn since(&self) -> Result<Option<Duration>> {
        if self.roots.is_empty() {
            return Ok(None);
        }
        let ended = wait::until("a server to be done with its client", SETTLE_LIMIT, || {
            let trees = trees(&self.roots);
            Ok(if trees.len() <= self.processes {
                Look::Done(trees)
            } else {
                Look::NotYet(format!("it has {} processes", trees.len()))
            })
        });
        ended.map(|(trees, _)| Some(total(&trees).saturating_sub(self.total)))
    }
}

fn trees(roots: &[u32]) -> Vec<u32> {
    roots.iter().flat_map(|&root| procfs::tree(root)).collect()
}

fn total(processes: &[u32]) -> Duration {
    let times = processes.iter().filter_map(|&process| procfs::times(process));
    times.map(|times| times.own + times.waited_for).sum()
}

/// The most memory that a process and its children have had at a time, each counted by its own most. It is sampled, so
/// that what a process takes in its last ten milliseconds may be missed.
#[derive(Debug, Default)]
struct Peak {
    bytes: Option<u64>,
}

impl Peak {
    fn look(&mut self, root: u32) {
        let each = procfs::tree(root).into_iter().filter_map(procfs::peak_memory);
        // One that is just ending has no memory any more, and no processes have less than some.
        let now = each.reduce(u64::saturating_add);
        self.bytes = self.bytes.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_costs_what_it_does_and_a_failure_is_one() {
        let mut busy = Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
        let (sample, _) = run("counting", vec![busy], &[]).unwrap();
        assert!(sample.wall > Duration::ZERO && sample.client_cpu > Some(Duration::ZERO));
        assert!(sample.peak_memory > Some(0) && sample.server_cpu.is_none());
        let error = run("false", vec![Command::new("false")], &[]).unwrap_err();
        assert!(error.to_string().contains("`false` should end"), "{error}");
    }
}
