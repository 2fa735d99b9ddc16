//! Brings the registry's idea of this peer's library in line with the library, one batch at a time.
//!
//! Pure but for the clock: the caller sends the batches and hands back what became of them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use p2p_ci::{
    document::{Document, DocumentId, DocumentKey, Format},
    failure::{Failure, Reason},
    fingerprint::Fingerprint,
    limits as shared_limits,
    message::PeerRequest,
};
use tokio::time::Instant;

use crate::limits;

/// Bytes of an encoded document besides its title: number, format, digest, size, time, and their tags.
const DOCUMENT_OVERHEAD_BYTES: usize = 112;

/// Changes that go to the registry together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Batch {
    Announce(Vec<Document>),
    Withdraw(Vec<DocumentKey>),
    /// Everything of these formats is taken back, whatever the registry has of them.
    Reset(Vec<Format>),
}

impl Batch {
    pub(super) fn request(&self) -> PeerRequest {
        match self {
            Self::Announce(documents) => PeerRequest::Announce(documents.clone()),
            Self::Withdraw(keys) => PeerRequest::Withdraw(keys.clone(), Vec::new()),
            Self::Reset(formats) => PeerRequest::Withdraw(Vec::new(), formats.clone()),
        }
    }
}

/// What the registry has been told in this session, and what it has yet to be told.
#[derive(Debug, Default)]
pub(super) struct Sync {
    told: BTreeMap<DocumentKey, Document>,
    rejected: HashSet<DocumentId>,
    /// What [`Sync::take_refusals`] has yet to hand over.
    refusals: Refusals,
    queue: VecDeque<Batch>,
    under_way: bool,
    /// A newer library than the one that the queue was made for.
    aim: Option<Vec<Document>>,
    retry_at: Option<Instant>,
    /// What was told, by format; `None` until it is asked for, and again when it changes.
    fingerprints: BTreeMap<Format, Option<Fingerprint>>,
    /// Formats that are to be told from the beginning.
    afresh: BTreeSet<Format>,
    /// When a format was last told from the beginning because the registry had something else.
    begun_afresh: HashMap<Format, Instant>,
}

/// Documents that the registry does not take, and what it said about the last one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Refusals {
    pub(super) keys: Vec<DocumentKey>,
    pub(super) why: String,
}

impl Sync {
    /// Begins with a registry that knows those of `documents` that are of `formats`.
    pub(super) fn knowing(documents: Vec<Document>, formats: &[Format]) -> Self {
        let is_known = |document: &Document| formats.contains(&document.id.key.format);
        let mut sync = Self::default();
        sync.note_told(documents.into_iter().filter(is_known).collect());
        sync
    }

    /// What the registry was told and has confirmed.
    pub(super) fn told(&self) -> impl Iterator<Item = DocumentKey> {
        self.told.keys().copied()
    }

    fn note_told(&mut self, documents: Vec<Document>) {
        for document in documents {
            self.fingerprints.insert(document.id.key.format, None);
            self.told.insert(document.id.key, document);
        }
    }

    /// The fingerprints of what was told of each format, also of those of which nothing is left; none while there is
    /// something to tell.
    pub(super) fn fingerprints(&mut self) -> Vec<Fingerprint> {
        if !self.is_settled() {
            return Vec::new();
        }
        let told = &self.told;
        let of = |format| Fingerprint::of(format, told.values().map(Document::claim));
        self.fingerprints
            .iter_mut()
            .map(|(format, known)| *known.get_or_insert_with(|| of(*format)))
            .collect()
    }

    /// Sets out to tell these formats from the beginning, since the registry has something else than it was told; and
    /// then of exactly these documents. Returns the formats of which that was not done a short while ago: a registry that
    /// never agrees must not be told without end.
    pub(super) fn begin_afresh(&mut self, formats: &[Format], documents: Vec<Document>) -> Vec<Format> {
        let now = Instant::now();
        let is_due = |format: &Format| {
            let last = self.begun_afresh.get(format);
            last.is_none_or(|last| now.duration_since(*last) >= limits::AFRESH_INTERVAL)
        };
        let due: Vec<Format> = formats.iter().copied().filter(is_due).collect();
        if !due.is_empty() {
            self.begun_afresh.extend(due.iter().map(|format| (*format, now)));
            self.afresh.extend(&due);
            self.aim(documents);
        }
        due
    }

    /// Sets out to tell the registry of exactly these documents.
    pub(super) fn aim(&mut self, documents: Vec<Document>) {
        self.aim = Some(documents);
    }

    /// The next batch, unless one is under way or there is nothing to tell.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        if self.under_way || self.retry_at.is_some() {
            return None;
        }
        if !self.afresh.is_empty() {
            self.under_way = true;
            return Some(Batch::Reset(std::mem::take(&mut self.afresh).into_iter().collect()));
        }
        if let Some(documents) = self.aim.take() {
            self.queue = self.difference(documents);
        }
        let batch = self.queue.pop_front()?;
        self.under_way = true;
        Some(batch)
    }

    fn difference(&self, documents: Vec<Document>) -> VecDeque<Batch> {
        let held: HashSet<DocumentKey> = documents.iter().map(|document| document.id.key).collect();
        let gone: Vec<DocumentKey> = self.told.keys().filter(|key| !held.contains(key)).copied().collect();
        let mut queue: VecDeque<Batch> = gone
            .chunks(shared_limits::MAX_BATCH_DOCUMENTS)
            .map(|keys| Batch::Withdraw(keys.to_vec()))
            .collect();
        let fresh = documents.into_iter().filter(|document| {
            self.told.get(&document.id.key) != Some(document) && !self.rejected.contains(&document.id)
        });
        let mut batch = Vec::new();
        let mut bytes = 0;
        for document in fresh {
            let size = DOCUMENT_OVERHEAD_BYTES + document.title.as_str().len();
            if batch.len() == shared_limits::MAX_BATCH_DOCUMENTS || bytes + size > shared_limits::MAX_ANNOUNCE_BYTES {
                queue.push_back(Batch::Announce(std::mem::take(&mut batch)));
                bytes = 0;
            }
            bytes += size;
            batch.push(document);
        }
        if !batch.is_empty() {
            queue.push_back(Batch::Announce(batch));
        }
        queue
    }

    /// The registry took the batch.
    pub(super) fn confirmed(&mut self, batch: Batch) {
        self.under_way = false;
        match batch {
            Batch::Announce(documents) => self.note_told(documents),
            Batch::Withdraw(keys) => keys.iter().for_each(|key| {
                self.fingerprints.insert(key.format, None);
                self.told.remove(key);
            }),
            Batch::Reset(formats) => {
                self.told.retain(|key, _| !formats.contains(&key.format));
                self.fingerprints.extend(formats.iter().map(|format| (*format, None)));
            }
        }
    }

    /// The registry did not take the batch. One that is short of room is tried again later, one with a bad document is
    /// split until that document stands alone, and it is left out until [`Sync::reconsider`].
    pub(super) fn refused(&mut self, batch: Batch, failure: &Failure) {
        self.under_way = false;
        // A limit that time does not lift would hold up everything behind this batch.
        if let Some(delay) = failure.retry_after
            && matches!(failure.reason, Reason::LimitExceeded | Reason::Overloaded)
        {
            self.retry_at = Some(Instant::now() + delay.clamp(limits::SHORTEST_RETRY, limits::BACKOFF_CAP));
            self.queue.push_front(batch);
            return;
        }
        match batch {
            Batch::Announce(mut documents) if documents.len() > 1 => {
                let second = documents.split_off(documents.len() / 2);
                self.queue.push_front(Batch::Announce(second));
                self.queue.push_front(Batch::Announce(documents));
            }
            Batch::Announce(documents) => {
                for document in documents {
                    self.rejected.insert(document.id);
                    self.refusals.keys.push(document.id.key);
                    self.refusals.why.clone_from(&failure.message);
                }
            }
            // What cannot be withdrawn is not there.
            Batch::Withdraw(_) | Batch::Reset(_) => self.confirmed(batch),
        }
    }

    /// The documents that were refused since this was asked last, if there are any.
    pub(super) fn take_refusals(&mut self) -> Option<Refusals> {
        Some(std::mem::take(&mut self.refusals)).filter(|refusals| !refusals.keys.is_empty())
    }

    /// Tries again what was refused: the reason may be gone, as that of a full index. Says whether there is anything.
    pub(super) fn reconsider(&mut self) -> bool {
        let any = !self.rejected.is_empty();
        self.rejected.clear();
        any
    }

    /// Whether no batch is under way.
    pub(super) fn is_quiet(&self) -> bool {
        !self.under_way
    }

    /// Whether everything has been told.
    pub(super) fn is_settled(&self) -> bool {
        self.is_quiet() && self.queue.is_empty() && self.aim.is_none() && self.afresh.is_empty()
    }

    /// When to go on after a refusal for want of room.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Goes on.
    pub(super) fn resume(&mut self) {
        self.retry_at = None;
    }
}
