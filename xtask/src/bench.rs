//! `cargo xtask bench`: how fast this project is, beside the tools that do the same work, on this machine.
//!
//! Everything is measured from outside, on processes as users run them, with all contestants of a benchmark in turn in
//! each repetition. What counts are the ratios between them: the machine's own speed drops out, and so does most of
//! what else it is doing. Each benchmark is one module and one line in [`What`].

#![allow(dead_code, reason = "the benchmarks to come use the rest")]

mod contest;
mod corpus;
mod figures;
mod host;
mod meter;
mod mirror;
mod report;
mod server;
mod synthetic;
mod target;

use std::{
    cell::OnceCell,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use self::{corpus::Corpus, report::Report};
use crate::{
    console, wait,
    workspace::{self, Programs},
};

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
    #[arg(long, value_name = "DIR")]
    rfcs: Option<PathBuf>,
    /// How often aria2c runs, which takes ten times as long as the others; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 1)]
    aria2_reps: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Run everything once with a few documents, to see that it works: the figures mean nothing
    #[arg(long)]
    smoke: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "not a number from 1 on".to_owned())
}

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The whole series to one machine
    Mirror,
}

impl What {
    fn run(self, setting: &Setting) -> Result<Report> {
        match self {
            Self::Mirror => mirror::run(setting),
        }
    }
}

/// What every benchmark works with.
#[derive(Debug)]
struct Setting {
    programs: Programs,
    repetitions: usize,
    aria2_repetitions: usize,
    smoke: bool,
    rfcs: Option<PathBuf>,
    series: OnceCell<Corpus>,
    /// Everything lies in here, and goes away with it.
    work: TempDir,
}

/// Runs the benchmarks and shows what they found.
pub fn run(options: &Options) -> Result<String> {
    let setting = Setting::new(options)?;
    let all = What::value_variants();
    let what = if options.what.is_empty() { all } else { &options.what };
    let start = wait::now();
    for what in what {
        let report = what.run(&setting)?;
        if options.json {
            for row in report.to_json() {
                println!("{row}");
            }
        } else {
            println!("\n{}", report.to_text());
        }
    }
    setting.work.close().context("cannot remove the folder of this run")?;
    if options.json {
        return Ok(String::new());
    }
    Ok(format!(
        "{} in {}",
        console::count(what.len(), "benchmark"),
        console::seconds(start.elapsed())
    ))
}

impl Setting {
    fn new(options: &Options) -> Result<Self> {
        // Whether it works shows as well without optimisation, and is built already where the tests run.
        let built = if options.smoke {
            workspace::build()?
        } else {
            workspace::build_release()?
        };
        let parent = if Path::new(MEMORY).is_dir() {
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
            aria2_repetitions: options.aria2_reps,
            smoke: options.smoke,
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
            let made = self.every(1, "series")?;
            // Nobody can have come between: this runs in one thread.
            let _ = self.series.set(made);
        }
        self.series.get().context("the series is gone")
    }

    /// Every so many documents of the series, in a folder of this name; all samples where it is only to be seen that
    /// things work.
    fn every(&self, step: usize, name: &str) -> Result<Corpus> {
        let folder = self.work().join(name);
        eprintln!("making the documents ready …");
        let made = match &self.rfcs {
            _ if self.smoke => Corpus::of_samples(&folder),
            Some(series) => {
                self.check_room(series)?;
                Corpus::of_series(series, step, &folder)
            }
            None => Corpus::made_up(step, &folder),
        }?;
        Ok(made)
    }

    /// Fails when the folder of this run cannot take the documents and two targets.
    fn check_room(&self, series: &Path) -> Result<()> {
        /// The documents themselves, a copy of them on a file system in memory, and the pages of that file system.
        const COPIES: u64 = 3;
        let bytes: u64 = crate::documents::scan(series)?.iter().map(|rfc| rfc.bytes).sum();
        let room = rustix::fs::statvfs(self.work())?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        ensure!(
            free > bytes.saturating_mul(COPIES),
            "{} has room for {}, but {} are needed; choose a folder with fewer documents by --rfcs",
            self.work().display(),
            figures::bytes(free),
            figures::bytes(bytes.saturating_mul(COPIES))
        );
        Ok(())
    }
}
