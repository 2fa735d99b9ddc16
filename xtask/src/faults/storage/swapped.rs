//! Files that are edited, cut short and swapped for links out of the folder while they are served.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::faults::{
    Amount, Bench, finish,
    proxy::Dice,
    slowest,
    transfer::{FIRST, get, saved},
};
use crate::{
    ci::Outcome,
    cluster::{Cluster, SOON},
    documents, json,
    wait::{self, Look},
};

/// Downloads while files are swapped.
const GETS: Amount = Amount { full: 1000, short: 40 };

/// How often each kind of change is made alone, to see how soon the document is withdrawn.
const CHANGES: Amount = Amount { full: 10, short: 1 };

/// How often a second something is changed.
const CHANGES_PER_SECOND: u32 = 100;

/// How soon a document must be withdrawn, or announced with its new bytes.
const WITHDRAWN_LIMIT: Duration = Duration::from_secs(5);

/// Documents, half of them in a folder below.
const DOCUMENTS: u32 = 10;

/// One chunk and a bit.
const SIZE: usize = 300_000;

/// What links lead to, beside the secret file of the test.
const PASSWORDS: &str = "/etc/passwd";

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Change {
    Edit,
    Truncate,
    /// A link to a file elsewhere, of the same size.
    Link,
    /// A link to a file that every system has.
    LinkToPasswords,
    /// The folder that it is in becomes a link to one elsewhere.
    LinkFolder,
}

const ALL: [Change; 5] = [
    Change::Edit,
    Change::Truncate,
    Change::Link,
    Change::LinkToPasswords,
    Change::LinkFolder,
];

/// A shared folder at work, and what its files ever were.
struct Mutator {
    folder: PathBuf,
    /// A folder outside with the same names.
    outside: PathBuf,
    original: Vec<u8>,
    /// Digests of all that was ever to be shared.
    allowed: Mutex<BTreeSet<String>>,
    /// Digests of what lies outside.
    secret: BTreeSet<String>,
}

/// Downloads while everything changes, and then looks at each kind of change alone.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let mut cluster = bench.cluster()?;
    let mutator = Mutator::prepare(&cluster, &mut bench.dice(0))?;
    cluster.join("holder", "shared")?;
    cluster.wait_for_holders(FIRST + DOCUMENTS - 1, &["holder"], SOON)?;
    let wanted = bench.pick(GETS);
    let stop = AtomicBool::new(false);
    let (tried, whole, changes) = thread::scope(|scope| -> Result<_> {
        let (mutator, stop) = (&mutator, &stop);
        let mutating = scope.spawn(move || mutator.mutate(bench.dice(1), stop));
        let done = download_all(&cluster, mutator, wanted);
        stop.store(true, Ordering::SeqCst);
        let changes = mutating
            .join()
            .map_err(|_| anyhow!("the thread that changes files panicked"))??;
        let (tried, whole) = done?;
        Ok((tried, whole, changes))
    })
    .with_context(|| format!("with seed {}", bench.seed))?;
    let mut took = Vec::new();
    for round in 0..bench.pick(CHANGES) {
        for change in ALL {
            let withdrawn = mutator.withdrawn(&mut cluster, change, &mut bench.dice(2 + round));
            took.push(withdrawn.with_context(|| format!("{change:?}"))?);
        }
    }
    let log = cluster.peer("holder")?.stderr()?;
    ensure!(!log.contains("panicked"), "the holder panicked:\n{log}");
    ensure!(whole > 0, "no download succeeded");
    finish(cluster)?;
    Ok(Outcome::Passed(format!(
        "{changes} edits, cuts and swaps for links while served: {tried} downloads, {whole} of them saved, 0 with wrong bytes, 0 with \
         bytes from outside; {} changes of each of {} kinds alone: withdrawn within {} s, slowest {}; seed {}",
        bench.pick(CHANGES),
        ALL.len(),
        WITHDRAWN_LIMIT.as_secs(),
        slowest(&took),
        bench.seed
    )))
}

/// Downloads everything again and again, from two commands at a time; returns how often, and how often that succeeded.
fn download_all(cluster: &Cluster, mutator: &Mutator, wanted: usize) -> Result<(usize, usize)> {
    let numbers: Vec<u32> = (FIRST..FIRST + DOCUMENTS).collect();
    let (mut tried, mut whole) = (0, 0);
    while tried < wanted {
        wait::check_interrupt()?;
        let target = tempfile::tempdir()?;
        let done = get(cluster, &numbers, target.path(), &[])?;
        ensure!(
            matches!(done.code(), 0 | 1 | 3..=6),
            "peer get ended with exit code {}: {}",
            done.code(),
            done.stderr
        );
        let objects = json::lines(&done.stdout)?;
        let claimed = objects.iter().filter(|object| saved(object)).count();
        let mut found = 0;
        for entry in fs::read_dir(target.path())? {
            mutator.check(&entry?.path())?;
            found += 1;
        }
        ensure!(
            claimed == found,
            "{claimed} documents are said to be saved, {found} are there"
        );
        tried += numbers.len();
        whole += found;
    }
    Ok((tried, whole))
}

impl Mutator {
    fn prepare(cluster: &Cluster, dice: &mut Dice) -> Result<Self> {
        let (folder, outside) = (cluster.make_folder("shared")?, cluster.make_folder("outside")?);
        fs::create_dir(folder.join("below"))?;
        let original = dice.bytes(SIZE);
        let mut secret = BTreeSet::from([documents::sha256(Path::new(PASSWORDS))?]);
        let mutator = Self {
            folder,
            outside,
            original,
            allowed: Mutex::default(),
            secret: BTreeSet::new(),
        };
        for number in FIRST..FIRST + DOCUMENTS {
            let path = mutator.outside.join(format!("rfc{number}.txt"));
            fs::write(&path, dice.bytes(SIZE))?;
            secret.insert(documents::sha256(&path)?);
            mutator.put(number, &mutator.original)?;
        }
        Ok(Self { secret, ..mutator })
    }

    /// Where a document is: every other one in the folder below.
    fn path(&self, number: u32) -> PathBuf {
        let below = if number.is_multiple_of(2) { "below/" } else { "" };
        self.folder.join(format!("{below}rfc{number}.txt"))
    }

    /// Replaces a document in one step, by these bytes, which may be shared from now on.
    fn put(&self, number: u32, bytes: &[u8]) -> Result<()> {
        let path = self.path(number);
        let aside = self.folder.with_file_name("aside");
        fs::write(&aside, bytes)?;
        self.allow(documents::sha256(&aside)?);
        fs::rename(&aside, path)?;
        Ok(())
    }

    fn allow(&self, digest: String) {
        self.allowed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest);
    }

    /// Checks that a downloaded file was to be shared once.
    fn check(&self, path: &Path) -> Result<()> {
        let digest = documents::sha256(path)?;
        ensure!(
            !self.secret.contains(&digest),
            "{} has bytes from outside",
            path.display()
        );
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(
            allowed.contains(&digest),
            "{} has bytes that no file ever had",
            path.display()
        );
        Ok(())
    }

    /// Makes a change.
    fn change(&self, number: u32, change: Change, dice: &mut Dice) -> Result<()> {
        let path = self.path(number);
        match change {
            Change::Edit => {
                let mut bytes = self.original.clone();
                let at = usize::try_from(dice.below(SIZE as u64))?;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1;
                }
                self.allow_bytes(&bytes)?;
                // In place, one byte, over whatever is there: nothing, if it is a link that leads outside.
                if fs::symlink_metadata(&path)?.is_file() {
                    self.put(number, &self.original)?;
                    let file = fs::File::options().write(true).open(&path)?;
                    let byte = bytes.get(at..=at).unwrap_or_default();
                    std::os::unix::fs::FileExt::write_all_at(&file, byte, at as u64)?;
                }
            }
            Change::Truncate => {
                let length = usize::try_from(dice.below(SIZE as u64))?;
                self.allow_bytes(self.original.get(..length).unwrap_or_default())?;
                self.put(number, &self.original)?;
                fs::File::options().write(true).open(&path)?.set_len(length as u64)?;
            }
            Change::Link => self.link(&self.outside.join(format!("rfc{number}.txt")), &path)?,
            Change::LinkToPasswords => self.link(Path::new(PASSWORDS), &path)?,
            Change::LinkFolder => {
                let (below, aside) = (self.folder.join("below"), self.folder.with_file_name("was-below"));
                fs::rename(&below, &aside)?;
                symlink(&self.outside, &below)?;
            }
        }
        Ok(())
    }

    fn allow_bytes(&self, bytes: &[u8]) -> Result<()> {
        let aside = self.folder.with_file_name("aside");
        fs::write(&aside, bytes)?;
        self.allow(documents::sha256(&aside)?);
        Ok(())
    }

    /// Replaces a file by a link in one step.
    fn link(&self, to: &Path, path: &Path) -> Result<()> {
        let aside = self.folder.with_file_name("link");
        symlink(to, &aside)?;
        fs::rename(&aside, path)?;
        Ok(())
    }

    /// Undoes a change.
    fn restore(&self, number: u32, change: Change) -> Result<()> {
        if matches!(change, Change::LinkFolder) {
            let below = self.folder.join("below");
            fs::remove_file(&below)?;
            fs::rename(self.folder.with_file_name("was-below"), &below)?;
        }
        self.put(number, &self.original)
    }

    /// Changes something a hundred times a second until it is stopped; returns how often.
    fn mutate(&self, mut dice: Dice, stop: &AtomicBool) -> Result<usize> {
        let mut changes = 0;
        let mut done: Option<(u32, Change)> = None;
        while !stop.load(Ordering::SeqCst) {
            if let Some((number, change)) = done.take() {
                self.restore(number, change)?;
            } else {
                let number = FIRST + u32::try_from(dice.below(u64::from(DOCUMENTS)))?;
                let change = dice.pick(&ALL).copied().unwrap_or(Change::Edit);
                self.change(number, change, &mut dice)?;
                done = Some((number, change));
                changes += 1;
            }
            thread::sleep(Duration::from_secs(1) / CHANGES_PER_SECOND);
        }
        if let Some((number, change)) = done {
            self.restore(number, change)?;
        }
        Ok(changes)
    }

    /// Makes one change to a document that is announced, and waits until it is not any more as it was.
    fn withdrawn(&self, cluster: &mut Cluster, change: Change, dice: &mut Dice) -> Result<Duration> {
        let number = FIRST + 1;
        ensure!(
            self.path(number).starts_with(self.folder.join("below")),
            "{number} is not below"
        );
        let before = self.folder.with_file_name("aside");
        fs::write(&before, &self.original)?;
        let original = documents::sha256(&before)?;
        let found = |cluster: &Cluster| crate::faults::find(cluster, number);
        wait::until_dear("the original to be announced", SOON, || {
            let found = found(cluster)?;
            let is_there = found.iter().any(|(digest, _)| *digest == original) && found.len() == 1;
            Ok(if is_there {
                Look::Done(())
            } else {
                Look::NotYet(format!("{found:?}"))
            })
        })?;
        self.change(number, change, dice)?;
        let ((), took) = wait::until_dear("the change to be told", WITHDRAWN_LIMIT, || {
            let found = found(cluster)?;
            for (digest, _) in &found {
                if self.secret.contains(digest) {
                    bail!("what lies outside is announced: {found:?}");
                }
            }
            let is_gone = found.iter().all(|(digest, _)| *digest != original);
            Ok(if is_gone {
                Look::Done(())
            } else {
                Look::NotYet(format!("{found:?}"))
            })
        })?;
        self.restore(number, change)?;
        Ok(took)
    }
}
