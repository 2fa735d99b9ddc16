//! Looking at the folder: whole, or at what events told about.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use p2p_ci::document::RfcNumber;

use super::{
    Inner, Root, clock,
    error::{LibraryError, shown},
    lock,
    report::{ScanProgress, ScanReport, SkipReason},
    select::{Selection, Selector, select},
    state::{self, Changes, Scope},
    walk::{Candidate, Sighting, Walked, sight_again, walk},
};

/// How long a wait may go on after it was cancelled: too short for people to notice.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// How a look at the folder is made.
pub(super) struct Look<'a> {
    /// Ends it early.
    pub(super) cancel: &'a AtomicBool,
    /// Is told how far hashing has come.
    pub(super) on_progress: &'a (dyn Fn(ScanProgress) + Sync),
}

/// What events told since the last look.
#[derive(Debug, Default)]
pub(super) struct News {
    /// RFCs that something happened to.
    pub(super) numbers: BTreeSet<RfcNumber>,
    /// Files that may be new.
    pub(super) appeared: Vec<Candidate>,
    /// Files that nobody writes any more: their writer closed them, or they were renamed.
    pub(super) whole: HashSet<PathBuf>,
    /// Those of them that were open for writing, so that their digest is in doubt even if nothing else tells.
    pub(super) written: HashSet<PathBuf>,
    /// Files that were created: while such a file is empty, its writer has only begun.
    pub(super) created: HashSet<PathBuf>,
}

/// Looks at everything; where files have not settled, waits until they have and looks again.
///
/// # Errors
///
/// Fails as [`look_at_all`] does, and when cancelled.
pub(super) fn look_until_settled(inner: &Inner, look: &Look<'_>) -> Result<ScanReport, LibraryError> {
    let cancelled = || LibraryError::Cancelled(inner.path.clone());
    let started = clock::now();
    let before = lock(&inner.state).documents(Scope::All);
    let first = look_at_all(inner, look)?.ok_or_else(cancelled)?;
    let due = lock(&inner.state).dues().max();
    let Some(due) = due else { return Ok(first) };
    wait_until(due.min(clock::now() + clock::SETTLE_TIME), look.cancel);
    let mut report = look_at_all(inner, look)?.ok_or_else(cancelled)?;
    report.hashed += first.hashed;
    report.hashed_bytes += first.hashed_bytes;
    report.cached = report.cached.saturating_sub(first.hashed);
    let changes = state::compare(&before, &lock(&inner.state).documents(Scope::All));
    report.added = changes.added;
    report.changed = changes.changed;
    report.removed = changes.removed;
    report.elapsed = clock::now().saturating_duration_since(started);
    Ok(report)
}

/// Waits until `due`, or until cancelled.
fn wait_until(due: Instant, cancel: &AtomicBool) {
    while !cancel.load(Ordering::Relaxed) {
        let left = due.saturating_duration_since(clock::now());
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(CANCEL_POLL));
    }
}

/// Looks at everything. `None` when cancelled.
///
/// # Errors
///
/// Fails when the root cannot be opened or listed; everything is withdrawn then.
pub(super) fn look_at_all(inner: &Inner, look: &Look<'_>) -> Result<Option<ScanReport>, LibraryError> {
    let _alone = lock(&inner.looking);
    let started = clock::now();
    let since = lock(&inner.state).begin(started);
    let root = inner.open_root()?;
    let Some(walked) = walk(&root.dir, look.cancel).map_err(|source| inner.lose_root(source))? else {
        return Ok(None);
    };
    let Walked {
        sightings,
        folders,
        skipped,
        truncated,
        ..
    } = walked;
    *lock(&inner.folders) = folders;
    lock(&inner.state).remember(&sightings, since);
    let Some(selection) = select_from(inner, &root, sightings, &HashSet::new(), look) else {
        return Ok(None);
    };
    let mut report = ScanReport {
        skipped,
        hashed: selection.hashed,
        hashed_bytes: selection.hashed_bytes,
        cached: selection.cached,
        shadowed: selection.shadowed,
        ..ScanReport::default()
    };
    report.skipped.absorb(&selection.skipped);
    for (best, other) in &selection.competing {
        let (best, other) = (shown(best), shown(other));
        report.warn(format!("{best} and {other} name the same document; {best} is shared"));
    }
    let more = selection
        .shadowed
        .saturating_sub(u64::try_from(selection.competing.len()).unwrap_or(u64::MAX));
    if more > 0 {
        report.warn(format!("and {more} more files that name a document of another file"));
    }
    if truncated {
        report.warn("the folder holds more files or folders than are looked at; share a smaller one".to_owned());
    }
    let changes = {
        let mut state = lock(&inner.state);
        let changes = state.apply(selection.selected, Scope::All, since);
        report.documents = state.entries.len();
        report.document_bytes = state.entries.values().map(|entry| entry.document.size_bytes).sum();
        changes
    };
    inner.publish(&changes);
    finish(inner, &mut report, changes);
    report.elapsed = clock::now().saturating_duration_since(started);
    Ok(Some(report))
}

fn finish(inner: &Inner, report: &mut ScanReport, changes: Changes) {
    changes
        .excess
        .iter()
        .for_each(|path| report.skipped.add(SkipReason::Excess, path));
    report.added = changes.added;
    report.changed = changes.changed;
    report.removed = changes.removed;
    let outside = report.skipped.count(SkipReason::OutsideLink);
    if outside > u64::try_from(report.documents).unwrap_or(u64::MAX) {
        let parent = inner.path.parent().unwrap_or(&inner.path);
        report.hint = Some(format!(
            "{outside} links in {} lead out of it and are not followed; share {} to include what they lead to",
            shown(&inner.path),
            shown(parent)
        ));
    }
}

/// Looks at what events told about. Does nothing when there is no root; `None` when cancelled.
pub(super) fn look_at_news(inner: &Inner, news: &News, look: &Look<'_>) -> Option<()> {
    let _alone = lock(&inner.looking);
    let since = lock(&inner.state).begin(clock::now());
    let Some(root) = inner.root() else { return Some(()) };
    let mut candidates: Vec<Candidate> = news.appeared.clone();
    {
        let state = lock(&inner.state);
        for number in &news.numbers {
            candidates.extend(state.candidates.get(number).into_iter().flatten().cloned());
        }
    }
    candidates.sort_by(|a, b| a.path.cmp(&b.path));
    candidates.dedup_by(|a, b| a.path == b.path);
    let sightings: Vec<Sighting> = candidates
        .into_iter()
        .filter_map(|candidate| sight_again(&root.dir, candidate).ok())
        .collect();
    note(inner, news, &sightings);
    // A writer that closes a file may open it again for the next piece; who renames one has finished it.
    let renamed = news.whole.difference(&news.written).cloned().collect();
    let selection = select_from(inner, &root, sightings, &renamed, look)?;
    let changes = lock(&inner.state).apply(selection.selected, Scope::Numbers(&news.numbers), since);
    inner.publish(&changes);
    Some(())
}

/// Brings the books up to date with what is there now.
fn note(inner: &Inner, news: &News, sightings: &[Sighting]) {
    let mut state = lock(&inner.state);
    let paths: HashSet<&PathBuf> = sightings.iter().map(|sighting| &sighting.candidate.path).collect();
    for number in &news.numbers {
        if let Some(candidates) = state.candidates.get_mut(number) {
            candidates.retain(|candidate| paths.contains(&candidate.path));
        }
    }
    for sighting in sightings {
        let path = &sighting.candidate.path;
        state.note(&sighting.candidate);
        if news.written.contains(path) {
            state.digests.remove(&sighting.identity);
            state.refused.remove(&sighting.identity);
        }
        let begun = news.created.contains(path) && !news.whole.contains(path);
        if begun && !sighting.link && sighting.identity.size == 0 {
            state.writers.insert(path.clone(), clock::now());
        }
    }
}

fn select_from(
    inner: &Inner,
    root: &Root,
    sightings: Vec<Sighting>,
    renamed: &HashSet<PathBuf>,
    look: &Look<'_>,
) -> Option<Selection> {
    let selector = Selector {
        root: &root.dir,
        state: &inner.state,
        renamed,
        cancel: look.cancel,
        on_progress: look.on_progress,
    };
    select(&selector, sightings)
}
