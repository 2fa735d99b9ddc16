//! What there is to mirror: the registry's list, held against what is here.

use std::{collections::HashSet, sync::atomic::Ordering};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    document::{RfcRange, UnixSeconds},
    identity::SessionId,
    limits::MAX_HOLDERS,
    message::{DocumentEntry, IndexFilter, ListQuery, Listed},
};

use super::{Mirror, Shared};
use crate::{
    known::MAX_KNOWN_PEERS,
    output::human,
    versions::{Chosen, choose, is_tie},
};

/// Versions of one document among which it is chosen, in 1 MB with all their holders: more have none but liars.
const MAX_LISTED_VERSIONS: usize = 256;

/// Documents after which whoever waits for something to do is told: the first holders are asked while the list goes on.
const TELL_EVERY: usize = 64;

/// Puts everything into the plan that the registry knows of the selection and that is not here.
///
/// # Errors
///
/// When the registry cannot be asked; what is in the plan by then stays there.
pub(super) async fn fill(mirror: &Mirror, shared: &Shared, client: &RegistryClient) -> Result<(), CallError> {
    let listed = tokio::select! {
        listed = list(mirror, shared, client) => listed,
        () = shared.stop.cancelled() => Ok(()),
        () = shared.failed.cancelled() => Ok(()),
    };
    if listed.is_ok() {
        tell_room(shared);
    }
    tell(shared);
    shared.is_listed.store(true, Ordering::Release);
    shared.changed.notify_waiters();
    listed
}

async fn list(mirror: &Mirror, shared: &Shared, client: &RegistryClient) -> Result<(), CallError> {
    let formats = &mirror.selection.formats;
    let format = match formats.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    for range in RfcRange::merged(&mirror.selection.ranges) {
        let query = ListQuery {
            filter: IndexFilter { range, format },
            peer: None,
            max_holders: MAX_HOLDERS,
        };
        let mut answers = client.list_documents(query).await?;
        let mut named: HashSet<SessionId> = HashSet::new();
        // The versions of one document follow each other.
        let mut versions: Vec<DocumentEntry> = Vec::new();
        let mut untold = 0;
        while let Some(Listed { entry, converging }) = answers.next().await? {
            shared.summary().converging |= converging;
            if !formats.is_empty() && !formats.contains(&entry.document.id.key.format) {
                continue;
            }
            if named.len() < MAX_KNOWN_PEERS {
                let news = entry.holders.iter().filter(|holder| named.insert(holder.id));
                mirror.known.learn(client.address().ip(), news);
            }
            let is_next = |last: &DocumentEntry| last.document.id.key != entry.document.id.key;
            if versions.last().is_some_and(is_next) {
                consider(mirror, shared, std::mem::take(&mut versions));
                untold += 1;
                if untold == TELL_EVERY {
                    untold = 0;
                    tell(shared);
                }
            }
            note_version(&mut versions, entry);
        }
        consider(mirror, shared, versions);
    }
    Ok(())
}

/// Adds a version, in the place of one with fewer holders if there are too many.
fn note_version(versions: &mut Vec<DocumentEntry>, entry: DocumentEntry) {
    if versions.len() < MAX_LISTED_VERSIONS {
        versions.push(entry);
        return;
    }
    let fewest = versions.iter_mut().min_by_key(|version| version.holders.len());
    if let Some(fewest) = fewest.filter(|fewest| fewest.holders.len() < entry.holders.len()) {
        *fewest = entry;
    }
}

fn tell(shared: &Shared) {
    let (documents, bytes) = shared.plan().totals();
    shared.observer.planned(documents, bytes);
    shared.changed.notify_waiters();
}

/// Says so where the target has less room than is wanted. It is tried all the same: some file systems pack what they hold.
fn tell_room(shared: &Shared) {
    let (_, wanted_bytes) = shared.plan().totals();
    let missing_bytes = wanted_bytes.saturating_sub(shared.summary().bytes);
    if let Some(free_bytes) = shared.target.free_bytes().filter(|free| *free < missing_bytes) {
        shared.observer.note(&format!(
            "{} are still to come, and {} are free in {}",
            human::bytes(missing_bytes),
            human::bytes(free_bytes),
            shared.target.path().display()
        ));
    }
}

/// Decides whether a document is missing.
fn consider(mirror: &Mirror, shared: &Shared, versions: Vec<DocumentEntry>) {
    let now = UnixSeconds::now();
    for chosen in choose(versions, now) {
        let entry = &chosen.entry;
        if chosen.is_contested() {
            shared.summary().contested += 1;
        }
        match mirror.library.get(entry.document.id.key) {
            Some(held) if held.id == entry.document.id => shared.summary().present += 1,
            Some(held) if !mirror.replace => {
                shared.summary().kept += 1;
                shared.observer.note(&format!(
                    "{} has other bytes here (SHA-256 {}) than what is to be taken from peers ({}); left as it is (--force replaces it)",
                    held.id.key,
                    held.id.sha256.fmt_short(),
                    entry.document.id.sha256.fmt_short()
                ));
            }
            Some(_) | None => {
                if chosen.is_contested() {
                    tell_contest(shared, &chosen, now);
                }
                let place = shared.order.place(entry.document.id.key.number);
                shared.plan().add(chosen, place);
            }
        }
    }
}

/// Says which of several versions is taken, and why.
fn tell_contest(shared: &Shared, Chosen { entry, others }: &Chosen, now: UnixSeconds) {
    let Some(best) = others.first() else { return };
    let told = |entry: &DocumentEntry| {
        let holders = human::count(u64::from(entry.holder_count), "holder");
        format!("SHA-256 {}, {holders}", entry.document.id.sha256.fmt_short())
    };
    let why = if is_tie(entry, best, now) {
        "a tie, which the smaller digest wins"
    } else {
        "held more widely"
    };
    shared.observer.note(&format!(
        "{} exists with different bytes: took {} ({why}), not {}; `peer get --sha256` takes another",
        entry.document.id.key,
        told(entry),
        told(best),
    ));
}
