//! Laying out the documents of a folder as readers of RFCs look for them.
//!
//! # Modules, in reading order
//!
//! `layout`, `tool`: which names readers look for, and where · `plan`: all files of a target, given what there is · `apart`:
//! folders that are not within each other · `record`: what earlier runs have made · `job`: one file · `crew`: many at a time ·
//! `summary`: what was done.
//!
//! # What holds
//!
//! A file has its name only once it is whole. What this program did not make is left as it is, unless `force` says
//! otherwise; what it made and nobody altered since is replaced when its content changes.

pub mod apart;
mod crew;
mod job;
pub mod layout;
pub mod plan;
pub mod record;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod tool;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use p2p_ci::text::escaped;
use tokio::time::Instant;

pub use self::{job::Options, layout::Layout, record::Record, summary::Summary, tool::Tool};
use self::{
    job::{Done, Job, Trouble},
    layout::ERRATA,
    plan::{Item, Plan, Sources},
    summary::Outcome,
};
use crate::{
    facts::{Gatherer, SharedCatalogue},
    library::{Library, LibraryError, Placed, StoreError, Target},
};

/// How long a document must be gone before what was made of it is removed: one that is written anew is gone for a moment.
pub const GONE_FOR: Duration = Duration::from_secs(5);

/// A target that is kept as a folder says.
#[derive(Debug)]
pub struct Export {
    library: Library,
    target: Target,
    layout: Layout,
    options: Options,
    record: Record,
    catalogue: SharedCatalogue,
    gatherer: Gatherer,
    lying: HashMap<String, Lying>,
    gone_since: HashMap<String, Instant>,
}

/// A file that was in its place when it was last looked at.
#[derive(Debug)]
struct Lying {
    stamp: String,
    placed: Placed,
}

/// What became of a round's files.
#[derive(Debug, Default)]
struct Results {
    done: Vec<(Item, Done)>,
    moved: Vec<(Item, LibraryError)>,
    kept: Vec<StoreError>,
    failed: Vec<String>,
    stopped: Option<StoreError>,
}

impl Export {
    /// An export into `target`, of which `record` tells what earlier runs have put there.
    #[must_use]
    pub fn new(library: Library, target: Target, layout: Layout, options: Options, record: Record) -> Self {
        Self {
            library,
            target,
            layout,
            options,
            record,
            catalogue: SharedCatalogue::default(),
            gatherer: Gatherer::default(),
            lying: HashMap::new(),
            gone_since: HashMap::new(),
        }
    }

    /// Puts into the target what is missing there. Blocks; ends before the next file once `cancel` is set. `on_progress` is
    /// told, from several threads, of how many bytes of how many is taken care.
    pub fn round(&mut self, cancel: &AtomicBool, on_progress: &(dyn Fn(u64, u64) + Sync)) -> Summary {
        let plan = self.plan(cancel);
        let mut summary = Summary {
            incomplete: plan.incomplete.len() as u64,
            ..Summary::default()
        };
        let total = plan.size_bytes();
        let in_plan = plan.items.len() as u64;
        let (present, items): (Vec<Item>, Vec<Item>) = plan.items.into_iter().partition(|item| self.lies(item));
        summary.present = present.len() as u64;
        let bytes_there = present.iter().map(|item| item.content.size_bytes()).sum();
        let done_bytes = AtomicU64::new(bytes_there);
        let advance = |bytes: u64| on_progress(done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
        let mut results = self.put(items, cancel, &advance);
        if !results.moved.is_empty() && results.stopped.is_none() && !cancel.load(Ordering::Relaxed) {
            self.put_again(&mut results, cancel);
        }
        summary.is_interrupted = cancel.load(Ordering::Relaxed);
        self.take(results, &mut summary);
        let accounted = summary.present + summary.exported() + (summary.kept.len() + summary.failed.len()) as u64;
        summary.left = in_plan.saturating_sub(accounted);
        summary
    }

    /// What is to lie in the target.
    fn plan(&mut self, cancel: &AtomicBool) -> Plan {
        if self.layout.needs_facts() {
            self.gatherer.gather(&self.library, &self.catalogue, cancel);
        }
        let documents = self.library.snapshot();
        let errata = self.library.beside(ERRATA).map(|file| (file.size_bytes, file.modified));
        let version = self.catalogue.version();
        self.catalogue.look(|catalogue| {
            Plan::new(
                self.layout,
                &Sources {
                    documents: &documents,
                    catalogue,
                    version: &version,
                    errata,
                },
            )
        })
    }

    /// Whether a file lies there as it should since it was last looked at.
    fn lies(&self, item: &Item) -> bool {
        let lying = self.lying.get(&item.path).filter(|lying| lying.stamp == item.stamp);
        lying.is_some_and(|lying| self.target.has(Path::new(&item.path), &lying.placed))
    }

    /// Puts files into their places: those that are made of several documents' bytes first, since giving a document's file
    /// another name moves the time of its last change, and whoever reads it meanwhile takes it for another one.
    fn put(&self, items: Vec<Item>, cancel: &AtomicBool, advance: &(dyn Fn(u64) + Sync)) -> Results {
        let job = Job::new(&self.library, &self.target, &self.catalogue, &self.record, self.options);
        let stop = AtomicBool::new(false);
        let results = Mutex::new(Results::default());
        let work = |item: &Item| {
            let placed = job.place(item);
            advance(item.content.size_bytes());
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.note(item, placed);
            if results.stopped.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let (documents, made): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.content.is_document());
        for items in [made, documents] {
            crew::all(
                &items,
                &|| cancel.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed),
                &work,
            );
        }
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries once more what was another file than it had been: somebody has written to the folder meanwhile.
    fn put_again(&mut self, results: &mut Results, cancel: &AtomicBool) {
        let moved = std::mem::take(&mut results.moved);
        let paths: HashSet<String> = moved.iter().map(|(item, _)| item.path.clone()).collect();
        if let Err(error) = self.library.rescan() {
            results.failed.extend(moved.iter().map(|_| error.to_string()));
            return;
        }
        let plan = self.plan(cancel);
        let again = plan
            .items
            .into_iter()
            .filter(|item| paths.contains(&item.path))
            .collect();
        let more = self.put(again, cancel, &|_| {});
        results.done.extend(more.done);
        results.moved.extend(more.moved);
        results.kept.extend(more.kept);
        results.failed.extend(more.failed);
        results.stopped = results.stopped.take().or(more.stopped);
    }

    /// Takes note of what was done.
    fn take(&mut self, results: Results, summary: &mut Summary) {
        for (Item { path, stamp, .. }, done) in results.done {
            summary.count(done.outcome, done.bytes);
            if let Some(sha256) = done
                .sha256
                .filter(|_| done.outcome != Outcome::Present || self.record.knows(&path))
            {
                self.record.put(&path, sha256);
            }
            let placed = done.placed;
            self.lying.insert(path, Lying { stamp, placed });
        }
        summary.kept = results.kept.iter().map(ToString::to_string).collect();
        summary.failed = results.failed;
        let moved = results.moved.into_iter().map(|(_, error)| error.to_string());
        summary.failed.extend(moved);
        // Threads have come to them in any order.
        summary.kept.sort_unstable();
        summary.failed.sort_unstable();
        let finished = self.target.finish();
        summary.stopped = results.stopped.or(finished.err());
    }

    /// Remembers for the next run what was put there.
    ///
    /// # Errors
    ///
    /// A sentence for people.
    pub fn remember(&mut self) -> Result<(), String> {
        self.record.save().map_err(|error| {
            let error = escaped(&error.to_string()).to_string();
            format!("what was exported is not remembered ({error}), so the next export leaves indexes as they are")
        })
    }

    /// Removes what was made of documents that have been gone for a while, if it lies there as it was made. An empty folder
    /// removes nothing: it rather is one whose disk is gone. Returns how many files it removed. Blocks.
    pub fn prune(&mut self, now: Instant) -> u64 {
        let plan = self.plan(&AtomicBool::new(false));
        if plan.items.is_empty() {
            self.gone_since.clear();
            return 0;
        }
        let wanted: HashSet<&str> = plan.items.iter().map(|item| item.path.as_str()).collect();
        let gone: Vec<String> = self
            .lying
            .keys()
            .filter(|path| !wanted.contains(path.as_str()))
            .cloned()
            .collect();
        self.gone_since.retain(|path, _| !wanted.contains(path.as_str()));
        let mut removed = 0;
        for path in gone {
            let since = *self.gone_since.entry(path.clone()).or_insert(now);
            if now.duration_since(since) < GONE_FOR {
                continue;
            }
            self.gone_since.remove(&path);
            let Some(lying) = self.lying.remove(&path) else {
                continue;
            };
            if self.record.knows(&path) && self.target.remove(Path::new(&path), &lying.placed) {
                self.record.forget(&path);
                removed += 1;
            }
        }
        removed
    }

    /// Whether something is to be removed soon.
    #[must_use]
    pub fn is_pruning(&self) -> bool {
        !self.gone_since.is_empty()
    }
}

impl Results {
    fn note(&mut self, item: &Item, placed: Result<Done, Trouble>) {
        match placed {
            Ok(done) => self.done.push((item.clone(), done)),
            Err(Trouble::Kept(error)) => self.kept.push(error),
            Err(Trouble::Moved(error)) => self.moved.push((item.clone(), error)),
            Err(Trouble::Failed(error)) => self.failed.push(error),
            Err(Trouble::Stopped(error)) => self.stopped = self.stopped.take().or(Some(error)),
        }
    }
}
