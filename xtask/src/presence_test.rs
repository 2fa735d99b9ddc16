//! `cargo xtask presence-test`: whoever is listed is there, and who is not there is not listed, however a peer ends.
//!
//! Real processes are killed, stopped, cut off, firewalled and moved to other addresses, and every promise is measured.
//! Hosts of a network are network namespaces of the test's own, which need root and `ip`; without them those checks
//! say SKIP. Nothing is left behind, and any number of such tests may run at once.

mod disconnected;
mod ending;
mod filling;
mod firewalled;
mod folder;
mod half_written;
mod killed;
mod lan;
mod link;
mod moving;
mod raw_client;
mod reporter;
mod stopped;
mod strangers;

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

use crate::{
    ci::Outcome,
    cluster::Cluster,
    console, json, wait,
    workspace::{self, Programs},
};

/// Options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// Fewer rounds of everything, and several checks at a time
    #[arg(long)]
    short: bool,
    /// Run only the checks whose name contains this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
}

impl Options {
    /// Every check in its short form.
    pub fn short() -> Self {
        Self {
            short: true,
            only: None,
        }
    }
}

/// How often everything is done.
#[derive(Debug, Clone, Copy)]
struct Amounts {
    /// Peers that are killed, one after the other.
    kills: usize,
    /// How often some peers are stopped.
    stops: usize,
    /// How many peers are stopped at a time.
    stopped_peers: usize,
    /// How often a connection is cut.
    cuts: usize,
    /// The peers whose connections are cut. One that was cut off soon after its return waits for a second at most.
    cut_peers: usize,
    /// Registries, and peers, that are asked to end.
    endings: usize,
    /// Changes of each kind to a shared folder.
    changes: usize,
    /// Files that are written slowly, in each manner.
    slow_files: usize,
    /// Sessions of each of three hosts that share one registry.
    sessions_per_host: usize,
    /// Lookups that must not hand out a peer that cannot be reached.
    lookups: usize,
    /// Changes of a host's address.
    moves: usize,
    /// Whether what nobody promised a figure for is tried too.
    extras: bool,
}

const FULL: Amounts = Amounts {
    kills: 100,
    stops: 3,
    stopped_peers: 4,
    cuts: 1000,
    cut_peers: 10,
    endings: 20,
    changes: 20,
    slow_files: 4,
    // Three times as many exceed the 64 sessions that a registry grants to one address.
    sessions_per_host: 24,
    lookups: 100,
    moves: 5,
    extras: true,
};

const SHORT: Amounts = Amounts {
    kills: 10,
    stops: 1,
    stopped_peers: 1,
    cuts: 20,
    cut_peers: 4,
    endings: 2,
    changes: 3,
    slow_files: 1,
    sessions_per_host: 1,
    lookups: 10,
    moves: 1,
    extras: false,
};

/// What every check works with.
#[derive(Debug)]
struct Bench {
    /// Copies, so that a build that runs meanwhile changes nothing.
    programs: Programs,
    amounts: Amounts,
    /// Holds the copies.
    _folder: TempDir,
}

/// One promise, and how it is tried.
#[derive(Debug)]
struct Check {
    name: &'static str,
    /// Checks of different lanes may run at the same time.
    lane: usize,
    run: fn(&Bench) -> Result<Outcome>,
}

/// How many lanes there are. The first one keeps the processors busy, the others mostly wait.
const LANES: usize = 4;

const CHECKS: [Check; 12] = [
    check("killed", 0, killed::run),
    check("stopped", 1, stopped::run),
    check("disconnected", 0, disconnected::run),
    check("strangers", 1, strangers::run),
    check("registry ends", 2, ending::registry),
    check("peer ends", 2, ending::peer),
    check("folder", 0, folder::run),
    check("half-written", 0, half_written::run),
    check("firewalled", 3, firewalled::run),
    check("new address", 3, moving::new_address),
    check("across hosts", 2, filling::run),
    check("host vanishes", 3, moving::host_vanishes),
];

const fn check(name: &'static str, lane: usize, run: fn(&Bench) -> Result<Outcome>) -> Check {
    Check { name, lane, run }
}

/// Runs the checks, all of them even when one fails.
pub fn run(options: &Options) -> Result<Outcome> {
    let bench = Bench::new(if options.short { SHORT } else { FULL })?;
    let wanted = |check: &&Check| options.only.as_ref().is_none_or(|word| check.name.contains(word));
    let checks: Vec<&Check> = CHECKS.iter().filter(wanted).collect();
    if checks.is_empty() {
        bail!("no check has that in its name");
    }
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
    if !failed.is_empty() {
        bail!("{} of {} checks: {}", failed.len(), results.len(), failed.join(", "));
    }
    let skipped = names(|result| matches!(result, Ok(Outcome::Skipped(_))));
    let count = console::count(results.len() - skipped.len(), "check");
    let skips = if skipped.is_empty() {
        String::new()
    } else {
        format!(", SKIPPED: {}", skipped.join(", "))
    };
    Ok(Outcome::Passed(format!("{count} in {}{skips}", console::seconds(took))))
}

impl Bench {
    fn new(amounts: Amounts) -> Result<Self> {
        let built = workspace::build()?;
        let folder = tempfile::Builder::new().prefix("p2pci-presence-").tempdir()?;
        let programs = built.copy_to(folder.path())?;
        Ok(Self {
            programs,
            amounts,
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
