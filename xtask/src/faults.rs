//! `cargo xtask faults`: what networks, disks, people and attackers do to real processes, and what must hold then.
//!
//! Every promise is a check of its own, which prints the figures that it measured. Hosts of a network are network
//! namespaces of the test's own, which need root and `ip`; without them those checks say SKIP. Nothing is left behind,
//! and any number of such tests may run at once.

mod attacks;
mod crowd;
mod http2;
mod lan;
pub mod link;
mod presence;
mod proxy;
mod raw_client;
pub mod reporter;
mod storage;
mod transfer;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;
use tempfile::TempDir;

use self::proxy::Dice;
use crate::{
    ci::Outcome,
    cluster::Cluster,
    console, json, wait,
    workspace::{self, Programs},
};

/// Options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// Fewer rounds, several checks at a time, and none that says little in a few seconds
    #[arg(long)]
    short: bool,
    /// Run only the checks whose name contains this; can be given several times
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// What random faults are drawn from; a check that draws some tells its seed
    #[arg(long)]
    seed: Option<u64>,
}

impl Options {
    /// Every check in its short form.
    pub fn short() -> Self {
        Self {
            short: true,
            only: Vec::new(),
            seed: None,
        }
    }
}

/// How often something is done: by hand, and in the short form.
#[derive(Debug, Clone, Copy)]
struct Amount {
    full: usize,
    short: usize,
}

/// What every check works with.
#[derive(Debug)]
struct Bench {
    /// Copies, so that a build that runs meanwhile changes nothing.
    programs: Programs,
    /// Whether this is the short form.
    is_short: bool,
    /// What random faults are drawn from.
    seed: u64,
    /// Holds the copies.
    _folder: TempDir,
}

/// One promise, and how it is tried.
#[derive(Debug)]
struct Check {
    name: &'static str,
    /// Checks of different lanes may run at the same time.
    lane: usize,
    /// Whether the short form has it.
    in_short: bool,
    run: fn(&Bench) -> Result<Outcome>,
}

/// How many lanes there are. The first one keeps the processors busy, the others mostly wait.
const LANES: usize = 4;

const fn check(name: &'static str, lane: usize, run: fn(&Bench) -> Result<Outcome>) -> Check {
    assert!(lane < LANES, "there is no such lane");
    Check {
        name,
        lane,
        in_short: true,
        run,
    }
}

/// A check that says nothing in a few seconds, or on a machine that does something else too.
const fn by_hand(name: &'static str, run: fn(&Bench) -> Result<Outcome>) -> Check {
    Check {
        name,
        lane: 0,
        in_short: false,
        run,
    }
}

/// Every check, by what it is about.
const GROUPS: [&[Check]; 5] = [
    &presence::CHECKS,
    &transfer::CHECKS,
    &storage::CHECKS,
    &crowd::CHECKS,
    &attacks::CHECKS,
];

/// Runs the checks, all of them even when one fails.
pub fn run(options: &Options) -> Result<Outcome> {
    let bench = Bench::new(options)?;
    let all: Vec<&Check> = GROUPS.iter().copied().flatten().collect();
    for word in &options.only {
        if !all.iter().any(|check| check.name.contains(word)) {
            bail!("no check has \"{word}\" in its name");
        }
    }
    let is_wanted = |check: &&Check| {
        let is_named = options.only.iter().any(|word| check.name.contains(word));
        is_named || options.only.is_empty() && (check.in_short || !options.short)
    };
    let checks: Vec<&Check> = all.into_iter().filter(is_wanted).collect();
    let start = wait::now();
    let results = if options.short {
        let lane = |lane| checks.iter().copied().filter(|check| check.lane == lane).collect();
        let lanes: Vec<Vec<&Check>> = (0..LANES).map(lane).collect();
        thread::scope(|scope| {
            let running: Vec<_> = lanes.iter().map(|lane| scope.spawn(|| bench.run_all(lane))).collect();
            let panicked = |_| vec![("a check", Err(anyhow!("it panicked")))];
            running
                .into_iter()
                .flat_map(|lane| lane.join().unwrap_or_else(panicked))
                .collect()
        })
    } else {
        bench.run_all(&checks)
    };
    wait::check_interrupt()?;
    summarize(&results, start.elapsed())
}

fn summarize(results: &[(&str, Result<Outcome>)], took: Duration) -> Result<Outcome> {
    let names = |wanted: fn(&Result<Outcome>) -> bool| -> Vec<&str> {
        results
            .iter()
            .filter(|(_, result)| wanted(result))
            .map(|(name, _)| *name)
            .collect()
    };
    let failed = names(Result::is_err);
    let skipped = names(|result| matches!(result, Ok(Outcome::Skipped(_))));
    let passed = results.len() - failed.len() - skipped.len();
    let listed = |what: &str, names: &[&str]| {
        if names.is_empty() {
            format!("0 {what}")
        } else {
            format!("{} {what} ({})", names.len(), names.join(", "))
        }
    };
    let mut summary = format!("{passed} passed, {}", listed("failed", &failed));
    if !skipped.is_empty() {
        summary = format!("{summary}, {}", listed("SKIPPED", &skipped));
    }
    if !failed.is_empty() {
        bail!("{summary}");
    }
    Ok(Outcome::Passed(format!("{summary} in {}", console::seconds(took))))
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        // Figures are of what users run; that things hold at all is seen of what is built in no time, too.
        let built = if options.short {
            workspace::build()?
        } else {
            workspace::build_release()?
        };
        let folder = tempfile::Builder::new().prefix("p2pci-faults-").tempdir()?;
        let programs = built.copy_to(folder.path())?;
        Ok(Self {
            programs,
            is_short: options.short,
            seed: options.seed.unwrap_or_else(Dice::fresh_seed),
            _folder: folder,
        })
    }

    fn run_all(&self, checks: &[&Check]) -> Vec<(&'static str, Result<Outcome>)> {
        let mut results = Vec::new();
        for check in checks {
            if wait::check_interrupt().is_err() {
                break;
            }
            let start = wait::now();
            let result = (check.run)(self);
            if wait::check_interrupt().is_err() {
                break;
            }
            let (verdict, text) = match &result {
                Ok(Outcome::Passed(figures)) => ("ok    ", figures.clone()),
                Ok(Outcome::Skipped(reason)) => ("SKIP  ", reason.clone()),
                Err(error) => ("FAILED", format!("{error:#}")),
            };
            println!(
                "{verdict} {:<14} {text} ({})",
                check.name,
                console::seconds(start.elapsed())
            );
            results.push((check.name, result));
        }
        results
    }

    /// How often something is done in this run.
    fn pick(&self, amount: Amount) -> usize {
        if self.is_short { amount.short } else { amount.full }
    }

    /// Dice that fall differently for each thing that is done with them, and again so with the same seed.
    fn dice(&self, round: usize) -> Dice {
        Dice::new(self.seed.wrapping_add(round as u64).wrapping_mul(1_000_003))
    }

    /// A cluster whose registry runs.
    fn cluster(&self) -> Result<Cluster> {
        let mut cluster = Cluster::new(self.programs.clone())?;
        cluster.start_registry()?;
        Ok(cluster)
    }
}

/// Ends a cluster in good order, and makes sure that nothing of it is left.
fn finish(mut cluster: Cluster) -> Result<()> {
    cluster.stop_all()?;
    cluster.check_all_gone()?;
    cluster.remove().map(drop)
}

/// Writes a document that is no RFC, with a line that tells one version of it from another.
fn write_document(folder: &Path, number: u32, version: &str) -> Result<PathBuf> {
    let path = folder.join(format!("rfc{number}.txt"));
    let text = format!("A document that stands in for RFC {number}.\n\nVersion: {version}\n");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A text in the index: its digest, and the names of those who hold it.
type Found = Vec<(String, Vec<String>)>;

/// Every version of an RFC's text that the index has; none when nobody has the RFC.
fn find(cluster: &Cluster, number: u32) -> Result<Found> {
    let number = number.to_string();
    let done = cluster.run(&["lookup", &number, "--format", "txt", "--json"])?;
    if done.code() == 3 {
        return Ok(Vec::new());
    }
    let done = done.expect_code(&format!("peer lookup {number}"), 0)?;
    let found = |value: &Value| {
        let names = json::holder_names(std::slice::from_ref(value))?;
        Ok((json::text(value, "/sha256")?.to_owned(), names))
    };
    json::lines(&done.stdout)?.iter().map(found).collect()
}

/// The longest of some durations, for a row of figures.
fn slowest(durations: &[Duration]) -> String {
    console::seconds(durations.iter().max().copied().unwrap_or_default())
}
