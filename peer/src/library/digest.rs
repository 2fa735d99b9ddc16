//! Hashing: what a file's bytes are, on as many threads as the machine runs at once.

use std::{
    panic,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use cap_std::fs::Dir;
use p2p_ci::{
    digest::{Hasher, Sha256},
    document::{Format, Title},
};

use super::{
    clock::{self, TICK},
    identity::{FileIdentity, NANOS},
    report::SkipReason,
    source::{Content, ContentError, OpenError, open_file},
    title,
    walk::Sighting,
};

/// Bytes read at once while hashing.
const BUFFER_BYTES: usize = 128 * 1024;

/// The most threads that hash: the disk is the limit before that many are busy.
const MAX_THREADS: usize = 16;

/// The tick of file systems that keep whole seconds only (FAT keeps every other).
const COARSE_TICK: Duration = Duration::from_secs(2);

/// What the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digested {
    /// The digest of the document's bytes: of a packed file, unpacked.
    pub(super) sha256: Sha256,
    /// Length of the document in bytes.
    pub(super) size_bytes: u64,
    /// The title that this file tells, possibly empty.
    pub(super) title: Title,
    /// Whether the digest may be kept for the next start.
    pub(super) lasting: bool,
}

/// Why a file has no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDigest {
    /// It is not to be shared.
    Skip(SkipReason),
    /// It is gone, or another one than was sighted.
    Moved,
}

/// Hashes `sightings` and returns what came of each, in the same order; `None` for those that were not reached before
/// this was cancelled. `done` is told of every file as it is hashed.
pub(super) fn digest_all(
    root: &Dir,
    sightings: &[Sighting],
    cancel: &AtomicBool,
    done: &(dyn Fn(&Sighting) + Sync),
) -> Vec<Option<Result<Digested, NoDigest>>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut results = Vec::new();
        while !cancel.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(sighting) = sightings.get(index) else { break };
            results.push((index, digest(root, sighting, &mut buffer)));
            done(sighting);
        }
        results
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let helpers = threads.min(sightings.len()).saturating_sub(1);
    let results = thread::scope(|scope| {
        // Where no thread can be had, this one does the work alone.
        let handles: Vec<_> = (0..helpers)
            .filter_map(|_| {
                let helper = thread::Builder::new().name("hash".to_owned());
                helper.spawn_scoped(scope, work).ok()
            })
            .collect();
        let mut results = work();
        for handle in handles {
            match handle.join() {
                Ok(more) => results.extend(more),
                Err(panicked) => panic::resume_unwind(panicked),
            }
        }
        results
    });
    let mut ordered: Vec<_> = sightings.iter().map(|_| None).collect();
    for (index, result) in results {
        if let Some(place) = ordered.get_mut(index) {
            *place = Some(result);
        }
    }
    ordered
}

/// Hashes one file. Its identity must be the sighted one before and after.
pub(super) fn digest(root: &Dir, sighting: &Sighting, buffer: &mut [u8]) -> Result<Digested, NoDigest> {
    let started_ns = clock::wall_ns();
    let (file, identity) = match open_file(root, &sighting.candidate.path) {
        Ok(opened) => opened,
        Err(OpenError::Gone) => return Err(NoDigest::Moved),
        Err(OpenError::Refused(reason, _)) => return Err(NoDigest::Skip(reason)),
    };
    if identity != sighting.identity {
        return Err(NoDigest::Moved);
    }
    let name = sighting.candidate.name;
    let mut content = Content::new(file, name.compressed, identity.size);
    let mut hasher = Hasher::default();
    let mut size_bytes: u64 = 0;
    let mut head = Vec::new();
    loop {
        let count = content.fill(buffer).map_err(|error| NoDigest::Skip(reason(&error)))?;
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        size_bytes = size_bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        keep_head(&mut head, bytes, name.key.format);
        if count < buffer.len() {
            break;
        }
    }
    if content.identity().ok() != Some(identity) {
        return Err(NoDigest::Moved);
    }
    Ok(Digested {
        sha256: hasher.finish(),
        size_bytes,
        title: title::of_file(name.key.format, &head, size_bytes),
        lasting: is_lasting(&identity, started_ns),
    })
}

/// Keeps as much of the start as a title needs.
fn keep_head(head: &mut Vec<u8>, bytes: &[u8], format: Format) {
    let room = title::head_bytes(format).saturating_sub(head.len());
    head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

fn reason(error: &ContentError) -> SkipReason {
    match error {
        ContentError::TooLarge => SkipReason::TooLarge,
        ContentError::BadGzip => SkipReason::BadGzip,
        ContentError::Io(_) => SkipReason::Unreadable,
    }
}

/// Whether a change of the bytes after they were hashed is sure to show in the identity: it would not within the tick of
/// the last change.
fn is_lasting(identity: &FileIdentity, hashed_ns: i128) -> bool {
    let coarse = identity.changed_ns % NANOS == 0 && identity.modified_ns % NANOS == 0;
    let tick = if coarse { COARSE_TICK } else { TICK };
    let tick_ns = i128::try_from(tick.as_nanos()).unwrap_or(i128::MAX);
    hashed_ns.saturating_sub(identity.changed_ns) >= tick_ns
}
