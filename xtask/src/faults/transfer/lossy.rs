//! Links that lose packets, and links that are slow.

use std::{process::Command, thread, time::Duration};

use anyhow::{Result, anyhow, ensure};

use super::{Digests, check_folder, fill};
use crate::faults::{Amount, Bench, lan::Lan, slowest};
use crate::{
    ci::Outcome,
    process::{self, Finished},
    tools, wait,
};

/// Downloads at each rate of loss.
const GETS: Amount = Amount { full: 60, short: 4 };

/// Downloads at once over the slow link.
const AT_ONCE: Amount = Amount { full: 10, short: 3 };

/// How many of a hundred packets are lost, and how many of a hundred downloads must succeed nevertheless.
const LOSSES: [(u32, usize); 3] = [(1, 100), (5, 100), (10, 95)];

/// Half a chunk, which is a hundred packets.
const SIZE: usize = 120_000;

/// Together a minute of the slow link, in full.
const SLOW_SIZE: Amount = Amount {
    full: 1_000_000,
    short: 250_000,
};

/// The slow link, in the words of `tc`.
const SLOW: &str = "1mbit";

/// How many times as long as the fastest the slowest download may take. Without a cap TCP shares the link among the
/// connections, and does so evenly only in the long run.
const FAIR: u32 = 3;

/// How often it may be tried that the link is shared so: which connection TCP lets have more of a queue that is full is luck,
/// and a matter of the system's.
const FAIR_ATTEMPTS: u32 = 3;

/// How long a download may take here.
const LIMIT: Duration = Duration::from_secs(240);

/// Loses packets both ways at the host of the holder.
pub fn loss(bench: &Bench) -> Result<Outcome> {
    if !tools::has("iptables") {
        return Ok(Outcome::Skipped("`iptables` is not installed".to_owned()));
    }
    let mut lan = match Lan::with_hosts(bench, &["holder", "desk"])? {
        Ok(lan) => lan,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let wanted = bench.pick(GETS);
    let digests = fill(&lan.make_folder("shared")?, &vec![SIZE; wanted], &mut bench.dice(0))?;
    lan.join("holder", "holder", "shared")?;
    lan.wait_for_reachable("desk", &["holder"])?;
    let (mut figures, mut earlier) = (Vec::new(), None);
    for (percent, enough) in LOSSES {
        for chain in ["INPUT", "OUTPUT"] {
            if let Some(earlier) = earlier {
                lan.host("desk")?.run("iptables", &rule("-D", chain, &share(earlier)))?;
            }
            if let Err(error) = lan.host("desk")?.run("iptables", &rule("-A", chain, &share(percent))) {
                wait::check_interrupt()?;
                return Ok(Outcome::Skipped(format!(
                    "the system loses no packets by chance: {error:#}"
                )));
            }
        }
        earlier = Some(percent);
        let (came, took) = one_by_one(&lan, &digests, percent)?;
        let text = format!("{percent} %: {came} of {wanted}, slowest {}", slowest(&took));
        ensure!(100 * came >= enough * wanted, "too few downloads succeeded at {text}");
        figures.push(text);
    }
    lan.finish()?;
    Ok(Outcome::Passed(format!(
        "packets lost each way: {}",
        figures.join("; ")
    )))
}

fn share(percent: u32) -> String {
    format!("0.{percent:02}")
}

fn rule<'a>(action: &'a str, chain: &'a str, share: &'a str) -> [&'a str; 10] {
    [
        action,
        chain,
        "-m",
        "statistic",
        "--mode",
        "random",
        "--probability",
        share,
        "-j",
        "DROP",
    ]
}

/// Downloads everything, one document by each command; returns how many came, and how long each took.
fn one_by_one(lan: &Lan, digests: &Digests, percent: u32) -> Result<(usize, Vec<Duration>)> {
    let target = lan.make_folder(&format!("lossy-{percent}"))?;
    let mut took = Vec::new();
    for number in digests.keys() {
        let start = wait::now();
        let done = lan.run("desk", &["get", &number.to_string(), "--to", &target.to_string_lossy()])?;
        ensure!(
            matches!(done.code(), 0 | 4),
            "exit code {}: {}",
            done.code(),
            done.stderr
        );
        took.push(start.elapsed());
    }
    Ok((check_folder(&target, digests)?.len(), took))
}

/// Downloads several documents at once from a holder behind a slow link.
pub fn slow(bench: &Bench) -> Result<Outcome> {
    if !tools::has("tc") {
        return Ok(Outcome::Skipped("`tc` is not installed".to_owned()));
    }
    let mut lan = match Lan::with_hosts(bench, &["holder", "desk"])? {
        Ok(lan) => lan,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let count = bench.pick(AT_ONCE);
    let size = bench.pick(SLOW_SIZE);
    let digests = fill(&lan.make_folder("shared")?, &vec![size; count], &mut bench.dice(0))?;
    lan.join("holder", "holder", "shared")?;
    lan.wait_for_reachable("desk", &["holder"])?;
    let shaped = [
        "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", SLOW, "burst", "16k", "latency", "400ms",
    ];
    if let Err(error) = lan.host("holder")?.run("tc", &shaped) {
        wait::check_interrupt()?;
        return Ok(Outcome::Skipped(format!("the system grants no slow link: {error:#}")));
    }
    let mut unfair = 0;
    let (fast, slow) = loop {
        let (fast, slow) = fastest_and_slowest(&lan, &digests, unfair)?;
        if slow <= FAIR * fast {
            break (fast, slow);
        }
        unfair += 1;
        ensure!(
            unfair < FAIR_ATTEMPTS,
            "unfair {unfair} times, the last time from {fast:.1?} to {slow:.1?}"
        );
    };
    lan.finish()?;
    Ok(Outcome::Passed(format!(
        "{count} downloads of {size} bytes at once from a holder behind 1 Mbit/s: all came, the fastest after {}, the slowest after {} \
         (limit {FAIR} times that); {unfair} times before, one had more of the link than that",
        slowest(&[fast]),
        slowest(&[slow])
    )))
}

/// Downloads each document with a command of its own, all at once; all must come. Returns how long the fastest and the slowest
/// one took.
fn fastest_and_slowest(lan: &Lan, digests: &Digests, attempt: u32) -> Result<(Duration, Duration)> {
    let target = lan.make_folder(&format!("slow-{attempt}"))?;
    let downloads: Vec<Command> = digests
        .keys()
        .map(|number| lan.prepare("desk", &["get", &number.to_string(), "--to", &target.to_string_lossy()]))
        .collect::<Result<_>>()?;
    let took = all_at_once(downloads)?;
    let (found, count) = (check_folder(&target, digests)?.len(), digests.len());
    ensure!(found == count, "{found} of {count} downloads came");
    let (fast, slow) = (took.iter().min().copied(), took.iter().max().copied());
    Ok((fast.unwrap_or_default(), slow.unwrap_or_default()))
}

fn all_at_once(commands: Vec<Command>) -> Result<Vec<Duration>> {
    let run = |command: Command| -> Result<Duration> {
        let start = wait::now();
        let _done: Finished = process::run("peer get", command, LIMIT)?.expect_code("peer get", 0)?;
        Ok(start.elapsed())
    };
    thread::scope(|scope| {
        let running: Vec<_> = commands
            .into_iter()
            .map(|command| scope.spawn(move || run(command)))
            .collect();
        let panicked = |_| Err(anyhow!("a thread panicked"));
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(panicked))
            .collect()
    })
}
