//! Downloads all the time, each compared with its source.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::random::Random;
use crate::{
    documents,
    process::{self, Finished},
    wait,
};

/// From one download to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A mirror takes the place of so many-th download.
const MIRROR_EVERY: u64 = 60;

/// No download takes this long: two holders may stand still one after the other.
const LIMIT: Duration = Duration::from_secs(60);

/// The registry could not be reached.
const EXIT_UNREACHABLE: i32 = 4;

/// Some of it could not be had.
const EXIT_PARTLY: i32 = 6;

/// What the downloads and those who cause faults know of each other.
#[derive(Debug, Default)]
pub struct Shared {
    /// Counts each time that the registry stops and goes on: odd while it stands still.
    pub turns: AtomicU64,
    /// No further download begins.
    pub ends: AtomicBool,
    /// Downloads, and mirrors, that were as they should be.
    pub done: AtomicU64,
    pub mirrored: AtomicU64,
    /// Those that failed as they may while the registry stood still.
    pub excused: AtomicU64,
}

/// Who downloads.
#[derive(Debug)]
pub struct Downloader {
    /// The program, and where it finds the registry.
    pub program: PathBuf,
    pub registry: String,
    /// A folder of its own.
    pub folder: PathBuf,
    /// The digest of each document that is always to be had, by its number.
    pub sources: BTreeMap<u32, String>,
}

impl Downloader {
    /// Downloads until told to end; fails at the first one that is not as it should be.
    pub fn run(&self, shared: &Shared, mut random: Random) -> Result<()> {
        let numbers: Vec<u32> = self.sources.keys().copied().collect();
        let mut count = 0_u64;
        while !shared.ends.load(Ordering::SeqCst) {
            count += 1;
            let before = shared.turns.load(Ordering::SeqCst);
            let mirrors = count.is_multiple_of(MIRROR_EVERY);
            let number = *random.one_of(&numbers).context("nothing is shared")?;
            let done = if mirrors { self.mirror()? } else { self.get(number)? };
            let undisturbed = before.is_multiple_of(2) && before == shared.turns.load(Ordering::SeqCst);
            match done.code() {
                0 if mirrors => self.check_all().map(|()| &shared.mirrored)?,
                0 => self.check(number).map(|()| &shared.done)?,
                EXIT_UNREACHABLE | EXIT_PARTLY if !undisturbed => &shared.excused,
                code => bail!(
                    "a download of {} ended with exit code {code}: {}{}",
                    if mirrors {
                        "everything".to_owned()
                    } else {
                        format!("RFC {number}")
                    },
                    done.stdout,
                    process::tail("its log", &done.stderr)
                ),
            }
            .fetch_add(1, Ordering::SeqCst);
            self.clear()?;
            wait::let_pass(PAUSE)?;
        }
        Ok(())
    }

    fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    fn get(&self, number: u32) -> Result<Finished> {
        self.peer(&["get", &number.to_string()])
    }

    fn mirror(&self) -> Result<Finished> {
        let (first, last) = (self.sources.keys().next(), self.sources.keys().next_back());
        let range = first.zip(last).map(|(first, last)| format!("{first}-{last}"));
        self.peer(&["mirror", &range.context("nothing is shared")?, "--no-share"])
    }

    fn peer(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--to")
            .arg(self.copy())
            .arg("--json")
            .current_dir(&self.folder)
            .env("P2PCI_REGISTRY", &self.registry)
            .env("P2PCI_STATE_DIR", self.folder.join("state"));
        process::run(&arguments.join(" "), command, LIMIT)
    }

    fn check(&self, number: u32) -> Result<()> {
        let path = self.copy().join(format!("rfc{number}.txt"));
        let digest = documents::sha256(&path)?;
        ensure!(
            self.sources.get(&number) == Some(&digest),
            "{} is not what its holders share",
            path.display()
        );
        Ok(())
    }

    fn check_all(&self) -> Result<()> {
        self.sources.keys().try_for_each(|&number| self.check(number))
    }

    fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(self.copy()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("cannot remove a download")
            }
            _ => Ok(()),
        }
    }
}
