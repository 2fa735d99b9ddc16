//! Which file provides each document: the best one that is whole and can be read, hashed where its digest is unknown.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cap_std::fs::Dir;
use p2p_ci::document::DocumentKey;

use super::{
    clock::{self, SETTLE_TIME, TICK},
    digest::{self, Digested, NoDigest},
    lock,
    report::{ScanProgress, SkipReason, Skipped},
    state::{Selected, State, Unsettled},
    walk::Sighting,
};

/// How long a writer may be silent before its file is looked at although no event told that it was closed. Only calls
/// that change a file without opening it (`truncate`), and lost events, end like that; a copy over a network that
/// hangs for a while does not.
const WRITER_PATIENCE: Duration = Duration::from_secs(60);

/// Pairs of files that name the same document which a look keeps: what a person reads. The rest is counted.
const MAX_COMPETING: usize = 10;

/// Everything that a selection needs.
pub(super) struct Selector<'a> {
    /// The root beneath which files are opened.
    pub(super) root: &'a Dir,
    /// What is known.
    pub(super) state: &'a Mutex<State>,
    /// Files that an event told to be whole: they need no time to settle.
    pub(super) renamed: &'a HashSet<PathBuf>,
    /// Ends the selection early.
    pub(super) cancel: &'a AtomicBool,
    /// Is told how far hashing has come.
    pub(super) on_progress: &'a (dyn Fn(ScanProgress) + Sync),
}

/// What a selection found.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The file for each document.
    pub(super) selected: BTreeMap<DocumentKey, Selected>,
    /// Files that were not to be shared.
    pub(super) skipped: Skipped,
    /// Files that were hashed.
    pub(super) hashed: u64,
    /// Bytes of these, as stored.
    pub(super) hashed_bytes: u64,
    /// Files whose digest was known.
    pub(super) cached: u64,
    /// Files that name a document which a better one names, too.
    pub(super) shadowed: u64,
    /// The first pairs of these: the better one, and the other.
    pub(super) competing: Vec<(PathBuf, PathBuf)>,
}

/// The files that name one document, the best first.
type Queue = VecDeque<Sighting>;

/// What is to be done about a file.
enum Verdict {
    Known(Digested),
    Refused(SkipReason),
    Hash,
    Wait,
}

/// Selects the best of `sightings` for each document; `None` when cancelled, with the digests kept that were found.
pub(super) fn select(selector: &Selector<'_>, sightings: Vec<Sighting>) -> Option<Selection> {
    let being_written = lock(selector.state).files_being_written(&sightings);
    let mut selection = Selection::default();
    let mut waiting = queues(sightings, &mut selection);
    // Each round takes the best file that is left of every document without one, so there are only as many rounds as
    // one document has files.
    while !waiting.is_empty() {
        let jobs = admit(selector, &being_written, waiting, &mut selection);
        let (sightings, queues): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let results = hash(selector, &sightings);
        waiting = Vec::new();
        for ((sighting, queue), result) in sightings.into_iter().zip(queues).zip(results) {
            match result {
                Some(Ok(digested)) => selection.take_hashed(selector.state, sighting, digested),
                Some(Err(problem)) => {
                    selection.pass_over(selector.state, sighting, problem);
                    waiting.push(queue);
                }
                None => {}
            }
        }
        // Only now: the digests that were had by then need not be had again.
        if selector.cancel.load(Ordering::Relaxed) {
            return None;
        }
    }
    Some(selection)
}

/// Sorts the files by document and precedence, and notes which ones compete.
fn queues(mut sightings: Vec<Sighting>, selection: &mut Selection) -> Vec<Queue> {
    sightings.sort_by(|a, b| {
        let (a, b) = (&a.candidate, &b.candidate);
        let keys = a.name.key.cmp(&b.name.key);
        // What decides among files of one name takes long to find out, and few have one.
        keys.then_with(|| a.precedence().cmp(&b.precedence()))
    });
    let mut queues: Vec<Queue> = Vec::new();
    for sighting in sightings {
        let key = sighting.candidate.name.key;
        match queues.last_mut() {
            Some(queue) if queue.front().is_some_and(|best| best.candidate.name.key == key) => {
                if let Some(best) = queue
                    .front()
                    .filter(|best| best.identity.file() != sighting.identity.file())
                {
                    selection.shadowed += 1;
                    if selection.competing.len() < MAX_COMPETING {
                        let pair = (best.candidate.path.clone(), sighting.candidate.path.clone());
                        selection.competing.push(pair);
                    }
                }
                queue.push_back(sighting);
            }
            Some(_) | None => queues.push(Queue::from([sighting])),
        }
    }
    queues
}

/// Takes what is known, and returns what has to be hashed with what is left if that fails.
fn admit(
    selector: &Selector<'_>,
    being_written: &HashSet<(u64, u64)>,
    waiting: Vec<Queue>,
    selection: &mut Selection,
) -> Vec<(Sighting, Queue)> {
    let mut state = lock(selector.state);
    let mut jobs = Vec::new();
    for mut queue in waiting {
        while let Some(sighting) = queue.pop_front() {
            match judge(&mut state, &sighting, selector.renamed, being_written) {
                Verdict::Known(digested) => {
                    selection.cached += 1;
                    selection.take(sighting, digested);
                    break;
                }
                Verdict::Hash => {
                    jobs.push((sighting, queue));
                    break;
                }
                Verdict::Refused(reason) => selection.skipped.add(reason, &sighting.candidate.path),
                Verdict::Wait => selection
                    .skipped
                    .add(SkipReason::BeingWritten, &sighting.candidate.path),
            }
        }
    }
    jobs
}

/// Decides whether a file is known, whole, or to be left alone for now.
fn judge(
    state: &mut State,
    sighting: &Sighting,
    renamed: &HashSet<PathBuf>,
    being_written: &HashSet<(u64, u64)>,
) -> Verdict {
    let path = &sighting.candidate.path;
    let now = clock::now();
    if being_written.contains(&sighting.identity.file()) {
        let last_sign = state.writers.get(path).copied();
        if last_sign.is_none_or(|last| now.saturating_duration_since(last) < WRITER_PATIENCE) {
            return Verdict::Wait;
        }
        state.writers.remove(path);
    }
    if let Some(digested) = state.digests.get(&sighting.identity) {
        state.unsettled.remove(path);
        return Verdict::Known(digested.clone());
    }
    if let Some(reason) = state.refused.get(&sighting.identity) {
        return Verdict::Refused(*reason);
    }
    let settle_time = if renamed.contains(path) {
        Duration::ZERO
    } else {
        SETTLE_TIME
    };
    if is_settled(state, sighting, settle_time, now) {
        state.unsettled.remove(path);
        return Verdict::Hash;
    }
    Verdict::Wait
}

/// Whether a file was left alone for long enough. Otherwise notes when it will have been.
fn is_settled(state: &mut State, sighting: &Sighting, settle_time: Duration, now: Instant) -> bool {
    let wall_ns = clock::wall_ns();
    let left = |since_ns: i128, time: Duration| {
        let time_ns = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        // A file from the future (another machine's clock) has to be left alone for the whole time under our eyes.
        (since_ns.saturating_add(time_ns) - wall_ns).clamp(0, time_ns)
    };
    // The bytes count from when they were written. Anything else, as a copied file's older time, may be done at once,
    // but for the clock's tick.
    let left_ns = left(sighting.identity.modified_ns, settle_time).max(left(sighting.identity.changed_ns, TICK));
    let mut due = now + Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0));
    let path = &sighting.candidate.path;
    if let Some(seen) = state
        .unsettled
        .get(path)
        .filter(|seen| seen.identity == sighting.identity)
    {
        due = due.min(seen.due);
    }
    if due <= now {
        return true;
    }
    let unsettled = Unsettled {
        identity: sighting.identity,
        due,
        is_asked: false,
    };
    state.unsettled.insert(path.clone(), unsettled);
    false
}

/// Hashes files and tells the progress; `None` for those that were not reached before it was cancelled.
fn hash(selector: &Selector<'_>, sightings: &[Sighting]) -> Vec<Option<Result<Digested, NoDigest>>> {
    let progress = Mutex::new(ScanProgress {
        files_total: u64::try_from(sightings.len()).unwrap_or(u64::MAX),
        bytes_total: sightings.iter().map(|sighting| sighting.identity.size).sum(),
        ..ScanProgress::default()
    });
    let done = |sighting: &Sighting| {
        let progress = {
            let mut progress = lock(&progress);
            progress.files_done += 1;
            progress.bytes_done += sighting.identity.size;
            *progress
        };
        (selector.on_progress)(progress);
    };
    digest::digest_all(selector.root, sightings, selector.cancel, &done)
}

impl Selection {
    fn take(&mut self, sighting: Sighting, digested: Digested) {
        let key = sighting.candidate.name.key;
        self.selected.insert(key, Selected { sighting, digested });
    }

    fn take_hashed(&mut self, state: &Mutex<State>, sighting: Sighting, digested: Digested) {
        self.hashed += 1;
        self.hashed_bytes += sighting.identity.size;
        let mut state = lock(state);
        state.digests.insert(sighting.identity, digested.clone());
        state.digests_changed = true;
        drop(state);
        self.take(sighting, digested);
    }

    fn pass_over(&mut self, state: &Mutex<State>, sighting: Sighting, problem: NoDigest) {
        match problem {
            NoDigest::Skip(reason) => {
                self.skipped.add(reason, &sighting.candidate.path);
                // What is wrong with the bytes stays wrong while the file is the same; permissions may change.
                if matches!(reason, SkipReason::BadGzip | SkipReason::TooLarge) {
                    lock(state).refused.insert(sighting.identity, reason);
                }
            }
            NoDigest::Moved => {
                self.skipped.add(SkipReason::BeingWritten, &sighting.candidate.path);
                let unsettled = Unsettled {
                    identity: sighting.identity,
                    due: clock::now() + SETTLE_TIME,
                    is_asked: false,
                };
                lock(state).unsettled.insert(sighting.candidate.path, unsettled);
            }
        }
    }
}
