//! `cargo xtask fuzz`: looks for inputs with which something does not hold that must.
//!
//! What must hold, target by target, is in `xtask/fuzz`, with the inputs that are kept: `cargo test` tries those. Here
//! libFuzzer makes new ones out of them, and goes on from those that lead to new places in the code.

mod engine;
mod kept;

use std::{collections::VecDeque, fs, num::NonZero, path::PathBuf, sync::Mutex, thread, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::engine::{Effort, Engine, Report};
use crate::{ci::Outcome, console, process, tools, wait, workspace};

/// What each target gets when nobody says how much: enough for a defect that is not hidden.
const STANDARD_SECONDS: u64 = 15;

/// No build takes this long, unless it hangs.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// What is fuzzed, and for how long.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these targets [default: all]
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = STANDARD_SECONDS)]
    seconds: u64,
    /// Executions for each target, however long they take
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    executions: Option<u64>,
    /// Targets that are fuzzed at a time [default: the number of processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Keep what leads to new places, in xtask/fuzz/corpus
    #[arg(long)]
    keep: bool,
}

impl Options {
    /// All targets, for a short while.
    pub fn standard() -> Self {
        Self {
            targets: Vec::new(),
            seconds: STANDARD_SECONDS,
            executions: None,
            jobs: None,
            keep: false,
        }
    }

    fn effort(&self) -> Effort {
        match self.executions {
            Some(executions) => Effort::Executions(executions),
            None => Effort::Time(Duration::from_secs(self.seconds)),
        }
    }
}

/// Fuzzes. Fails when anything was found.
pub fn run(options: &Options) -> Result<Outcome> {
    // The engine is C++, and its build looks for this name first and for the others when it is told.
    if !["c++", "g++", "clang++"].into_iter().any(tools::has) {
        return Ok(Outcome::Skipped(
            "no C++ compiler is installed, which libFuzzer needs".to_owned(),
        ));
    }
    let targets = chosen(&options.targets)?;
    let engine = Engine::build()?;
    let start = wait::now();
    print_heading();
    let reports = fuzz_all(&engine, &targets, options)?;
    if options.keep {
        for target in &targets {
            println!("{}", kept::keep(&engine, target)?);
        }
    }
    let executions: u64 = reports.iter().map(|report| report.executions).sum();
    let found: Vec<&str> = reports.iter().filter_map(|report| report.found.as_deref()).collect();
    let summary = format!(
        "{} of {}, {} found, in {}",
        count_of(executions),
        console::count(reports.len(), "target"),
        console::count(found.len(), "defect"),
        console::seconds(start.elapsed())
    );
    if found.is_empty() {
        return Ok(Outcome::Passed(summary));
    }
    bail!("{summary}\n  {}", found.join("\n  "))
}

fn count_of(executions: u64) -> String {
    format!("{executions} executions")
}

/// Every target has a folder of kept inputs, by its name.
fn all() -> Result<Vec<String>> {
    let folder = kept::folder();
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn chosen(wanted: &[String]) -> Result<Vec<String>> {
    let all = all()?;
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("there is no target \"{unknown}\"; there are {}", all.join(", "));
    }
    Ok(if wanted.is_empty() { all } else { wanted.to_vec() })
}

/// Fuzzes the targets, several at a time; tells of each as soon as it is done.
fn fuzz_all(engine: &Engine, targets: &[String], options: &Options) -> Result<Vec<Report>> {
    let left: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
    let done = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        while let Some(target) = left.lock().ok().and_then(|mut left| left.pop_front()) {
            let report = engine.fuzz(target, options.effort())?;
            print_row(target, &report);
            if let Ok(mut done) = done.lock() {
                done.push(report);
            }
        }
        Ok(())
    };
    let jobs = options.jobs.map_or_else(processors, NonZero::get).min(targets.len());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<()>>>()
    })?;
    done.into_inner().ok().context("a thread panicked")
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn print_heading() {
    println!(
        "{:<14} {:>11} {:>9} {:>7} {:>6} {:>5}  result",
        "target", "executions", "per s", "edges", "kept", "new"
    );
}

fn print_row(target: &str, report: &Report) {
    let Report {
        executions,
        took,
        edges,
        kept,
        new,
        found,
    } = report;
    // No digits are lost: nobody executes more than 2^53 times.
    let per_second = *executions as f64 / took.as_secs_f64().max(0.001);
    let result = found.as_ref().map_or("ok", |_| "FOUND A DEFECT");
    println!("{target:<14} {executions:>11} {per_second:>9.0} {edges:>7} {kept:>6} {new:>5}  {result}");
}

/// Where the fuzzer works: its build, what it went on from, what it found. All of it may be deleted.
fn scratch() -> PathBuf {
    workspace::target_dir().join("fuzz")
}

/// Runs a command whose output people see.
fn visibly(what: &str, command: std::process::Command) -> Result<()> {
    process::run_visibly(what, command, BUILD_LIMIT)
}
