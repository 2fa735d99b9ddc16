//! Simulates seed after seed: `cargo xtask sim` runs this in a release build.
//!
//! Each seed has a process of its own. Only so is a run the same each time: an async runtime numbers its tasks through the
//! whole process, and ends those of a killed host in an order that depends on that.

use std::{
    collections::BTreeSet,
    env,
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

/// Marks the lines of a process for one seed that are not of the trace.
const VIOLATION: &str = "violation: ";
const FIGURES: &str = "figures: ";

/// Simulate a registry and peers on a network with faults, and check what must hold.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    from: u64,

    /// Print everything that happens
    #[arg(long)]
    trace: bool,

    /// Run each seed twice, and compare what happens
    #[arg(long)]
    twice: bool,

    /// Run one seed in this process, and print everything
    #[arg(long, value_name = "SEED", hide = true)]
    only: Option<u64>,
}

/// What all seeds so far came to.
#[derive(Debug, Default)]
struct Tally {
    failed: BTreeSet<u64>,
    views: usize,
    wanted: usize,
    came: usize,
    lies: usize,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.only {
        return simulate(seed);
    }
    let began = now();
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let tally = Mutex::new(Tally::default());
    let workers = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end) {
                judge(seed, &arguments, &tally).with_context(|| format!("seed {seed}"))?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|panicked| std::panic::resume_unwind(panicked))?)
    })?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Tally {
        failed,
        views,
        wanted,
        came,
        lies,
    } = tally;
    println!(
        "{} seeds in {:.0} s: {views} looks at the registry, {came} of {wanted} downloads, {lies} lies; {} seeds with violations",
        arguments.seeds,
        began.elapsed().as_secs_f64(),
        failed.len()
    );
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("failed: {failed:?}; see all of one by --from SEED --seeds 1 --trace");
    Ok(ExitCode::FAILURE)
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is how long the simulations take, in no simulated time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Runs a seed in this process.
fn simulate(seed: u64) -> Result<ExitCode> {
    p2p_ci::logging::init("off");
    let outcome = sim::run(seed)?;
    outcome.trace.iter().for_each(|line| println!("{line}"));
    for violation in &outcome.violations {
        println!("{VIOLATION}{}: {}", violation.invariant, violation.what);
    }
    let (wanted, came) = outcome.downloads;
    println!("{FIGURES}{} {wanted} {came} {}", outcome.views, outcome.lies);
    Ok(ExitCode::SUCCESS)
}

/// Runs a seed in a process of its own, once or twice, and tells what is wrong with it.
fn judge(seed: u64, arguments: &Arguments, tally: &Mutex<Tally>) -> Result<()> {
    let told = in_own_process(seed)?;
    let mut wrong: Vec<String> = told
        .lines()
        .filter_map(|line| line.strip_prefix(VIOLATION))
        .map(str::to_owned)
        .collect();
    if arguments.twice {
        let again = in_own_process(seed)?;
        if told != again {
            let differs = told.lines().zip(again.lines()).find(|(first, second)| first != second);
            wrong.push(match differs {
                Some((first, second)) => format!("the second run differs: `{}`, `{}`", first.trim(), second.trim()),
                None => "the second run is longer or shorter".to_owned(),
            });
        }
    }
    let figures = told
        .lines()
        .find_map(|line| line.strip_prefix(FIGURES))
        .unwrap_or_default();
    let figures: Vec<usize> = figures.split(' ').filter_map(|figure| figure.parse().ok()).collect();
    let [views, wanted, came, lies] = figures[..] else {
        bail!("it printed no figures");
    };
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.views += views;
    tally.wanted += wanted;
    tally.came += came;
    tally.lies += lies;
    if arguments.trace {
        print!("{told}");
    }
    for what in &wrong {
        println!("seed {seed}: {what}");
    }
    if !wrong.is_empty() {
        tally.failed.insert(seed);
    }
    Ok(())
}

fn in_own_process(seed: u64) -> Result<String> {
    let own = env::current_exe().context("this program's own file")?;
    let output = Command::new(own).args(["--only", &seed.to_string()]).output()?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
