//! Brings the registry's idea of this peer's library in line with the library, one batch at a time.
//!
//! Pure but for the clock: the caller sends the batches and hands back what became of them.

use std::collections::{BTreeMap, HashSet, VecDeque};

use p2p_ci::{
    document::{Document, DocumentId, DocumentKey},
    failure::{Failure, Reason},
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
}

impl Batch {
    pub(super) fn request(&self) -> PeerRequest {
        match self {
            Self::Announce(documents) => PeerRequest::Announce(documents.clone()),
            Self::Withdraw(keys) => PeerRequest::Withdraw(keys.clone(), Vec::new()),
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
}

/// Documents that the registry does not take, and what it said about the last one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Refusals {
    pub(super) keys: Vec<DocumentKey>,
    pub(super) why: String,
}

impl Sync {
    /// Sets out to tell the registry of exactly these documents.
    pub(super) fn aim(&mut self, documents: &[Document]) {
        self.aim = Some(documents.to_vec());
    }

    /// The next batch, unless one is under way or there is nothing to tell.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        if self.under_way || self.retry_at.is_some() {
            return None;
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
            Batch::Announce(documents) => {
                self.told
                    .extend(documents.into_iter().map(|document| (document.id.key, document)));
            }
            Batch::Withdraw(keys) => keys.iter().for_each(|key| {
                self.told.remove(key);
            }),
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
            Batch::Withdraw(keys) => self.confirmed(Batch::Withdraw(keys)),
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

    /// When to go on after a refusal for want of room.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Goes on.
    pub(super) fn resume(&mut self) {
        self.retry_at = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use p2p_ci::{
        digest::Sha256,
        document::{Format, RfcNumber, Title},
    };

    use super::*;

    fn document(number: u32, bytes: &[u8]) -> Document {
        let key = DocumentKey {
            number: RfcNumber::new(number).unwrap(),
            format: Format::Txt,
        };
        Document {
            id: DocumentId {
                key,
                sha256: Sha256::of(bytes),
            },
            size_bytes: bytes.len() as u64,
            title: Title::default(),
            modified: None,
        }
    }

    fn drain(sync: &mut Sync) -> Vec<Batch> {
        std::iter::from_fn(|| {
            let batch = sync.next_batch()?;
            sync.confirmed(batch.clone());
            Some(batch)
        })
        .collect()
    }

    #[test]
    fn only_differences_are_told() {
        let mut sync = Sync::default();
        sync.aim(&[document(1, b"a"), document(2, b"b")]);
        assert_eq!(
            drain(&mut sync),
            [Batch::Announce(vec![document(1, b"a"), document(2, b"b")])]
        );
        sync.aim(&[document(2, b"changed"), document(3, b"c")]);
        let expected = [
            Batch::Withdraw(vec![document(1, b"a").id.key]),
            Batch::Announce(vec![document(2, b"changed"), document(3, b"c")]),
        ];
        assert_eq!(drain(&mut sync), expected);
        sync.aim(&[document(2, b"changed"), document(3, b"c")]);
        assert!(drain(&mut sync).is_empty());
    }

    #[test]
    fn batches_keep_both_limits() {
        let mut sync = Sync::default();
        let mut documents: Vec<Document> = (1..=1000).map(|number| document(number, b"x")).collect();
        for document in documents.iter_mut().skip(500) {
            document.title = Title::from_lossy(&"t".repeat(512));
        }
        sync.aim(&documents);
        let batches = drain(&mut sync);
        let sizes: Vec<usize> = batches
            .iter()
            .map(|batch| match batch {
                Batch::Announce(documents) => documents.len(),
                Batch::Withdraw(_) => 0,
            })
            .collect();
        assert_eq!(sizes.iter().sum::<usize>(), 1000);
        assert!(sizes.iter().all(|size| *size <= 256));
        assert!(sizes.last().is_some_and(|size| *size <= 48 * 1024 / 512));
    }

    #[test]
    fn one_bad_document_does_not_take_the_others_along() {
        let mut sync = Sync::default();
        let bad = document(3, b"bad");
        sync.aim(&[document(1, b"a"), document(2, b"b"), bad.clone(), document(4, b"d")]);
        let failure = Failure::new(Reason::InvalidRequest, "no");
        while let Some(batch) = sync.next_batch() {
            match &batch {
                Batch::Announce(documents) if documents.contains(&bad) => {
                    sync.refused(batch, &failure);
                }
                Batch::Announce(_) | Batch::Withdraw(_) => sync.confirmed(batch),
            }
        }
        let refusals = Refusals {
            keys: vec![bad.id.key],
            why: "no".to_owned(),
        };
        assert_eq!(sync.take_refusals(), Some(refusals));
        assert_eq!(sync.take_refusals(), None, "told once");
        assert_eq!(sync.told.len(), 3);
        sync.aim(std::slice::from_ref(&bad));
        assert!(
            !drain(&mut sync).iter().any(|batch| matches!(batch, Batch::Announce(_))),
            "not tried again"
        );
        assert!(sync.reconsider());
        sync.aim(std::slice::from_ref(&bad));
        assert_eq!(drain(&mut sync), [Batch::Announce(vec![bad])], "tried again later");
        assert!(!sync.reconsider(), "nothing is left to try again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_short_of_room_is_asked_again_later() {
        let mut sync = Sync::default();
        sync.aim(&[document(1, b"a")]);
        let batch = sync.next_batch().unwrap();
        let failure = Failure::new(Reason::LimitExceeded, "slow down").with_retry_after(Duration::from_secs(2));
        sync.refused(batch.clone(), &failure);
        assert_eq!(sync.next_batch(), None);
        assert_eq!(sync.retry_at(), Some(Instant::now() + Duration::from_secs(2)));
        sync.resume();
        assert_eq!(sync.next_batch().as_ref(), Some(&batch));
        let at_once = Failure::new(Reason::Overloaded, "no room").with_retry_after(Duration::ZERO);
        sync.refused(batch, &at_once);
        assert_eq!(
            sync.retry_at(),
            Some(Instant::now() + limits::SHORTEST_RETRY),
            "no registry makes its peers ask without end"
        );
    }
}
