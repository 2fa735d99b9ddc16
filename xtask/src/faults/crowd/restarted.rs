//! A registry that dies, dies again and again, or stands still, with everybody registered.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{COMMAND_LIMIT, Stage, decimal, milliseconds, wait_for_registered};
use crate::{
    ci::Outcome,
    console,
    faults::{Amount, Bench},
    json, procfs, wait,
};

/// Peers of a registry that is killed once.
const PEERS: Amount = Amount {
    full: 5_000,
    short: 200,
};

/// How soon all of them must be back.
const BACK_LIMIT: Duration = Duration::from_secs(60);

/// Connections that each of them may take for that, on average.
const CONNECTS: f64 = 1.5;

/// Peers of a registry that dies again and again.
const LOOPED_PEERS: Amount = Amount {
    full: 2_000,
    short: 200,
};

/// How often it dies.
const DEATHS: Amount = Amount { full: 20, short: 4 };

/// From one death to the next.
const PERIOD: Duration = Duration::from_secs(7);

/// For how long nobody starts it again: each of these in turn, in milliseconds.
const DEAD: [u64; 4] = [0, 200, 1_000, 3_000];

/// Connections of a peer in any ten seconds: one a second.
const MOST_IN_10_S: u64 = 10;

/// Connections of a peer for each death, on average and at most. It may try in vain while the registry is dead.
const MEAN_EACH: f64 = 3.0;
const MOST_EACH: u64 = 4;

/// Peers of a registry that stands still.
const HELD_PEERS: Amount = Amount { full: 500, short: 100 };

/// For how many seconds it does. After fifteen, peers take it for dead.
const HELD_SECONDS: Amount = Amount { full: 30, short: 20 };

/// How soon the index must be exact afterwards.
const EXACT_LIMIT: Duration = Duration::from_secs(30);

/// Kills the registry under everybody, and starts it again.
pub fn killed(bench: &Bench) -> Result<Outcome> {
    let mut stage = Stage::new(bench)?;
    let count = bench.pick(PEERS);
    let mut crowd = stage.gather("crowd", 0, count)?;
    stage.wait_for_exact(count, BACK_LIMIT)?;
    let overflows = procfs::listen_overflows()?;
    crowd.ask("mark", COMMAND_LIMIT)?;
    stage.cluster.registry()?.kill()?;
    stage.cluster.start_registry()?;
    let told = wait_for_registered(&mut crowd, count, BACK_LIMIT)?;
    let mean = decimal(&told, "/connects/mean")?;
    let missed = procfs::listen_overflows()?.saturating_sub(overflows);
    stage.wait_for_exact(count, BACK_LIMIT)?;
    let (registry, crowd_cost) = (stage.registry_cost()?, crowd.cost());
    ensure!(mean <= CONNECTS, "{mean:.2} connections for each peer: {told}");
    ensure!(missed == 0, "the listener had no room for {missed} connections: {told}");
    stage.finish(vec![(crowd, count)])?;
    Ok(Outcome::Passed(format!(
        "SIGKILL of a registry with {count} peers: all back within {} s, p50 {}, last {}; {mean:.2} connections each, \
         {} at most; no overflow; index exact; the registry has {registry}, the crowd {crowd_cost}",
        BACK_LIMIT.as_secs(),
        console::seconds(milliseconds(&told, "/back/p50_ms")?),
        console::seconds(milliseconds(&told, "/back/max_ms")?),
        json::number(&told, "/connects/max")?,
    )))
}

/// Kills the registry again and again.
pub fn again_and_again(bench: &Bench) -> Result<Outcome> {
    let mut stage = Stage::new(bench)?;
    let (count, deaths) = (bench.pick(LOOPED_PEERS), bench.pick(DEATHS));
    let mut crowd = stage.gather("crowd", 0, count)?;
    stage.wait_for_exact(count, BACK_LIMIT)?;
    crowd.ask("mark", COMMAND_LIMIT)?;
    for dead in DEAD.into_iter().cycle().take(deaths) {
        let start = wait::now();
        stage.cluster.registry()?.kill()?;
        wait::let_pass(Duration::from_millis(dead))?;
        stage.cluster.start_registry()?;
        wait::let_pass(PERIOD.saturating_sub(start.elapsed()))?;
    }
    let told = wait_for_registered(&mut crowd, count, BACK_LIMIT)?;
    stage.wait_for_exact(count, BACK_LIMIT)?;
    let (mean, most) = (decimal(&told, "/connects/mean")?, json::number(&told, "/connects/max")?);
    let busiest = json::number(&told, "/most_connects_in_10_s")?;
    let times = u32::try_from(deaths)?;
    ensure!(
        busiest <= MOST_IN_10_S,
        "a peer connected {busiest} times in ten seconds"
    );
    ensure!(
        mean <= MEAN_EACH * f64::from(times) && most <= MOST_EACH * u64::from(times),
        "{mean:.1} connections for each peer, {most} at most, for {deaths} deaths"
    );
    stage.finish(vec![(crowd, count)])?;
    Ok(Outcome::Passed(format!(
        "a registry that is killed {deaths} times in {}: {mean:.1} connections of each of {count} peers, {most} at \
         most, {busiest} at most in ten seconds; all back and the index exact",
        console::seconds(Duration::from_secs_f64(decimal(&told, "/seconds")?)),
    )))
}

/// Has the registry stand still for longer than its peers wait for it.
pub fn stopped(bench: &Bench) -> Result<Outcome> {
    let mut stage = Stage::new(bench)?;
    let (count, seconds) = (bench.pick(HELD_PEERS), bench.pick(HELD_SECONDS));
    let mut crowd = stage.gather("crowd", 0, count)?;
    stage.wait_for_exact(count, BACK_LIMIT)?;
    crowd.ask("mark", COMMAND_LIMIT)?;
    stage.cluster.registry()?.signal(Signal::STOP)?;
    wait::let_pass(Duration::from_secs(u64::try_from(seconds)?))?;
    stage.cluster.registry()?.signal(Signal::CONT)?;
    let took = stage.wait_for_exact(count, EXACT_LIMIT)?;
    let told = crowd.ask("tell", COMMAND_LIMIT)?;
    let lost = json::number(&told, "/lost")?;
    ensure!(lost > 0, "nobody noticed that the registry stood still");
    stage.finish(vec![(crowd, count)])?;
    Ok(Outcome::Passed(format!(
        "SIGSTOP of the registry for {seconds} s: {lost} of {count} peers gave up and connected {:.1} times each; \
         nobody listed twice, index exact {} after SIGCONT",
        decimal(&told, "/connects/mean")?,
        console::seconds(took)
    )))
}
