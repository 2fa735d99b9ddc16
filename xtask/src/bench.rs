//! `cargo xtask bench`: how fast this project is, beside the tools that do the same work, on this machine.
//!
//! Everything is measured from outside, on processes as users run them, with all contestants of a benchmark in turn in
//! each repetition. What counts are the ratios between them: the machine's own speed drops out, and so does most of
//! what else it is doing. Each benchmark is one module and one line in [`What`].

mod contest;
mod corpus;
mod figures;
mod host;
mod link;
mod machine;
mod meter;
mod mirror;
mod redis;
mod registry;
mod report;
mod scan;
mod search;
mod server;
mod site;
mod stream;
mod swarm;
mod swarm_link;
mod synthetic;
mod target;
mod wire;

use std::{
    cell::OnceCell,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use self::{corpus::Corpus, machine::Machine, report::Report};
use crate::{
    console, wait,
    workspace::{self, Programs},
};

/// What all of it takes with the whole series, and with the samples, in bytes: below that, `/dev/shm` is passed over. A
/// container may have no more than 64 MiB there.
const ROOM: u64 = 3 << 30;
const ROOM_SMOKE: u64 = 512 << 20;

/// How long a tool may take to tell about itself.
const LOOK_LIMIT: Duration = Duration::from_secs(15);

/// The share of the series that is carried where all of it would take minutes: every tenth document.
const PART_STEP: usize = 10;

/// A target takes its documents this many times: on a file system in memory, as the pages of that, and some to spare.
const FOR_TARGET: u64 = 3;

/// Memory that files can be put into.
const MEMORY: &str = "/dev/shm";

/// Options of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// The benchmarks to run [default: all]
    #[arg(value_enum, value_name = "WHAT")]
    what: Vec<What>,
    /// How often each contestant runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    reps: usize,
    /// A folder with the real series (`cargo xtask corpus DIR` fetches it) [default: texts made up with its sizes]
    #[arg(long, visible_alias = "corpus", value_name = "DIR")]
    rfcs: Option<PathBuf>,
    /// How often aria2c runs, which takes ten times as long as the others; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 1)]
    aria2_reps: usize,
    /// Use the whole series for `link`, `swarm` and `swarm-link` too, not every tenth document
    #[arg(long)]
    full: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Run everything once with a few documents, to see that it works: the figures mean nothing
    #[arg(long)]
    smoke: bool,
    /// Write what was found, and on what machine, to this file, as Markdown
    #[arg(long, value_name = "FILE", conflicts_with = "smoke")]
    write: Option<PathBuf>,
}

impl Options {
    /// Everything once, with a few documents.
    pub fn smoke() -> Self {
        Self {
            what: Vec::new(),
            reps: 1,
            rfcs: None,
            aria2_reps: 1,
            full: false,
            json: false,
            smoke: true,
            write: None,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "not a number from 1 on".to_owned())
}

/// A benchmark: one line here, one below, and one module that has a `run` like the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The whole series to one machine
    Mirror,
    /// From a folder to a shared one
    Scan,
    /// Every tenth document over a link of 100 Mbit/s
    Link,
    /// Every tenth document to sixteen machines that begin together
    Swarm,
    /// Every tenth document to sixteen machines that begin together, each behind a link of 100 Mbit/s
    SwarmLink,
    /// Large documents
    Stream,
    /// Ten thousand sessions, and lookups among them
    Registry,
    /// RFCs over HTTP
    Site,
    /// From words to RFCs, in the whole series
    Search,
}

impl What {
    fn run(self, setting: &Setting) -> Result<Report> {
        match self {
            Self::Mirror => mirror::run(setting),
            Self::Scan => scan::run(setting),
            Self::Link => link::run(setting),
            Self::Swarm => swarm::run(setting),
            Self::SwarmLink => swarm_link::run(setting),
            Self::Stream => stream::run(setting),
            Self::Registry => registry::run(setting),
            Self::Site => site::run(setting),
            Self::Search => search::run(setting),
        }
    }
}

/// What every benchmark works with.
#[derive(Debug)]
struct Setting {
    programs: Programs,
    repetitions: usize,
    /// Whether everything lies in memory, as it should.
    in_memory: bool,
    aria2_repetitions: usize,
    smoke: bool,
    full: bool,
    rfcs: Option<PathBuf>,
    series: OnceCell<Corpus>,
    /// Everything lies in here, and goes away with it.
    work: TempDir,
}

/// Runs the benchmarks and shows what they found.
pub fn run(options: &Options) -> Result<String> {
    let setting = Setting::new(options)?;
    // Before anything is run, so that its load is that of others.
    let machine = Machine::look();
    let all = What::value_variants();
    let what = if options.what.is_empty() { all } else { &options.what };
    let start = wait::now();
    let mut reports = Vec::new();
    if options.json {
        println!("{}", machine.to_json());
    }
    for what in what {
        let mut report = what.run(&setting)?;
        if !setting.in_memory {
            report.conditions.push(format!(
                "{MEMORY} has too little room here, so that all of this lay in {}, perhaps on a disk",
                env::temp_dir().display()
            ));
        }
        if options.json {
            report.to_json().iter().for_each(|row| println!("{row}"));
        } else {
            println!("\n{}", report.to_text());
        }
        reports.push(report);
    }
    setting.work.close().context("cannot remove the folder of this run")?;
    if let Some(path) = &options.write {
        let text = markdown(&machine, &reports, options.reps);
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.json {
        return Ok(String::new());
    }
    let skipped: Vec<String> = reports.iter().flat_map(Report::skipped).collect();
    Ok(format!(
        "{} in {}{}{}",
        console::count(what.len(), "benchmark"),
        console::seconds(start.elapsed()),
        if skipped.is_empty() { "" } else { ", SKIPPED: " },
        skipped.join(", ")
    ))
}

/// The whole document.
fn markdown(machine: &Machine, reports: &[Report], repetitions: usize) -> String {
    let mut text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench --write FILE`, which anybody can run; not edited by hand.\n\n{}\n\
         Figures are medians of {}, in which the contestants took turns, with their smallest and largest values. The \
         columns with `x` are ratios of the medians of the same run: below 1 is faster than that one. Only they say \
         something about another machine.\n",
        machine.to_markdown(),
        console::count(repetitions, "repetition")
    );
    for report in reports {
        text += &format!("\n{}", report.to_markdown());
    }
    text
}

impl Setting {
    fn new(options: &Options) -> Result<Self> {
        // Whether it works shows as well without optimisation, and is built already where the tests run.
        let built = if options.smoke {
            workspace::build()?
        } else {
            workspace::build_release()?
        };
        let in_memory = free(Path::new(MEMORY)).is_ok_and(|free| free >= if options.smoke { ROOM_SMOKE } else { ROOM });
        let parent = if in_memory {
            PathBuf::from(MEMORY)
        } else {
            env::temp_dir()
        };
        let work = tempfile::Builder::new()
            .prefix("p2pci-bench-")
            .tempdir_in(&parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        server::check_plain(work.path())?;
        Ok(Self {
            programs: built.copy_to(work.path())?,
            repetitions: if options.smoke { 1 } else { options.reps },
            in_memory,
            aria2_repetitions: options.aria2_reps,
            smoke: options.smoke,
            full: options.full,
            rfcs: options.rfcs.clone(),
            series: OnceCell::new(),
            work,
        })
    }

    /// The folder of this run.
    fn work(&self) -> &Path {
        self.work.path()
    }

    /// Makes a folder for one benchmark.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.work().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// The whole series, made on first use.
    fn series(&self) -> Result<&Corpus> {
        if self.series.get().is_none() {
            let made = self.every(1, &self.work().join("series"))?;
            // Nobody can have come between: this runs in one thread.
            let _ = self.series.set(made);
        }
        self.series.get().context("the series is gone")
    }

    /// A part of the series, or all of it where that was asked for, in a new folder.
    fn part(&self, folder: &Path) -> Result<Corpus> {
        self.every(if self.full { 1 } else { PART_STEP }, folder)
    }

    /// Every so many documents of the series, in a new folder; all samples where it is only to be seen that things work.
    fn every(&self, step: usize, folder: &Path) -> Result<Corpus> {
        eprintln!("making the documents ready …");
        let made = match &self.rfcs {
            _ if self.smoke => Corpus::of_samples(folder),
            Some(series) => Corpus::of_series(series, step, folder),
            None => Corpus::made_up(step, folder),
        }?;
        self.check_room(made.bytes.saturating_mul(FOR_TARGET))?;
        Ok(made)
    }

    /// Fails when the folder of this run cannot take so many bytes more.
    fn check_room(&self, needed: u64) -> Result<()> {
        let free = free(self.work())?;
        ensure!(
            free > needed,
            "{} has room for {}, but up to {} are needed; choose a folder with fewer documents by --rfcs",
            self.work().display(),
            figures::bytes(free),
            figures::bytes(needed)
        );
        Ok(())
    }
}

/// The room that a file system has for this user, in bytes.
fn free(folder: &Path) -> Result<u64> {
    let room = rustix::fs::statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}
