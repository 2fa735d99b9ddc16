//! redis, which answers the same questions about sets in memory: what lookups are compared with.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{figures::Sample, host::Host, server::retry};
use crate::{
    cluster::SOON,
    process::{self, Process},
    wait::{self, Look},
};

/// The sets that are asked: as many members as a lookup returns holders, and as many as there are sessions.
const SETS: [(&str, usize); 2] = [("few", 8), ("many", 10_000)];

/// Requests whose time is told, so that it can be compared with that of as many lookups.
pub const REQUESTS: u32 = 100_000;

/// No measurement takes this long, unless it hangs: a million requests at a third of the slowest rate that was seen.
const MEASURING: Duration = Duration::from_secs(60);

/// A server with those sets in it.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
}

impl Redis {
    /// Starts a server that stores nothing, and fills it.
    pub fn start(work: &Path) -> Result<Self> {
        retry(|| Self::start_once(work))
    }

    fn start_once(work: &Path) -> Result<Self> {
        let port = Host::free_port()?;
        let mut command = Host::this().tool("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(work);
        let mut redis = Self {
            process: Process::spawn("redis", command, work)?,
            port,
        };
        wait::until_dear("redis to answer", SOON, || {
            redis.process.check_runs()?;
            let answer = redis.ask("PING\n");
            Ok(match answer {
                Ok(text) if text.trim() == "PONG" => Look::Done(()),
                Ok(text) => Look::NotYet(text),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })?;
        for (name, members) in SETS {
            let fill: String = (0..members)
                .map(|member| format!("SADD {name} peer-{member}\n"))
                .collect();
            redis.ask(&fill)?;
            let count = redis.ask(&format!("SCARD {name}\n"))?;
            ensure!(count.trim() == members.to_string(), "a set has {count} members");
        }
        Ok(redis)
    }

    fn ask(&self, lines: &str) -> Result<String> {
        let mut command = Host::this().tool("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        let what = "redis-cli";
        Ok(process::run_with_input(what, command, lines, SOON)?
            .expect_code(what, 0)?
            .stdout)
    }

    /// Has a command answered on so many connections, with so many requests unanswered on each.
    pub fn measure(&self, command: &[&str], connections: usize, outstanding: usize, requests: u32) -> Result<Sample> {
        let mut benchmark = Host::this().tool("redis-benchmark");
        benchmark
            .args(["-p", &self.port.to_string(), "--csv"])
            .args(["-c", &connections.to_string(), "-P", &outstanding.to_string()])
            .args(["-n", &requests.to_string()])
            .args(command);
        let what = "redis-benchmark";
        let printed = process::run(what, benchmark, MEASURING)?.expect_code(what, 0)?;
        parse(&printed.stdout).with_context(|| format!("cannot read what redis-benchmark printed: {}", printed.stdout))
    }
}

/// Reads a line of names and a line of values, each in quotes.
fn parse(csv: &str) -> Option<Sample> {
    let mut lines = csv.lines().skip_while(|line| !line.starts_with("\"test\""));
    let row = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('"');
        inner.split("\",\"").map(str::to_owned).collect()
    };
    let (names, values) = (row(lines.next()?), row(lines.next()?));
    let value = |name: &str| -> Option<f64> {
        let place = names.iter().position(|found| found == name)?;
        values.get(place)?.parse().ok()
    };
    let per_second = value("rps").filter(|rate| *rate > 0.0)?;
    Some(Sample {
        wall: Duration::from_secs_f64(f64::from(REQUESTS) / per_second),
        per_second: Some(per_second),
        answer_ms: Some((value("p50_latency_ms")?, value("p99_latency_ms")?)),
        ..Sample::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_by_their_names() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
                   \"p99_latency_ms\",\"max_latency_ms\"\n\
                   \"SMEMBERS few\",\"50000.00\",\"0.148\",\"0.040\",\"0.143\",\"0.199\",\"0.279\",\"2.335\"\n";
        let sample = parse(csv).unwrap();
        assert_eq!(sample.per_second, Some(50_000.0));
        assert_eq!(sample.answer_ms, Some((0.143, 0.279)));
        assert_eq!(sample.wall, std::time::Duration::from_secs(2));
        assert_eq!(parse("garbage"), None);
    }
}
