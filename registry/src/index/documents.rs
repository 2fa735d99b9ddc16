//! The documents of the index, interned: each has a small number and the set of slots that hold it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    ops::Bound,
    sync::Arc,
};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentClaim, DocumentId, DocumentKey, RfcNumber},
};

use super::{holdings::Holdings, id_set::IdSet, lists::Listed};

/// A document and who holds it.
#[derive(Debug)]
pub(super) struct Record {
    /// What its announcers claim about it. Shared, so that an answer can be built after the lock is free again.
    pub(super) document: Arc<Document>,
    /// Whose session was the first to announce it, by [`p2p_ci::address::accountable`].
    pub(super) brought_by: IpAddr,
    /// The slots of the sessions that hold it; never empty.
    pub(super) holders: IdSet,
}

/// Every document that anybody holds.
#[derive(Debug, Default)]
pub(super) struct Documents {
    by_claim: BTreeMap<DocumentClaim, u32>,
    records: Vec<Option<Record>>,
    free: Vec<u32>,
    /// How many documents each source has brought in.
    brought: HashMap<IpAddr, usize>,
}

/// The smallest and largest digest and length, to name all documents of a key.
const ANY: [([u8; 32], u64); 2] = [([0x00; 32], u64::MIN), ([0xff; 32], u64::MAX)];

fn claims_of(first: DocumentKey, last: DocumentKey) -> (Bound<DocumentClaim>, Bound<DocumentClaim>) {
    let [least, most] = ANY.map(|(digest, size_bytes)| (Sha256::from_bytes(digest), size_bytes));
    let claim = |key, (sha256, size_bytes)| DocumentClaim {
        id: DocumentId { key, sha256 },
        size_bytes,
    };
    (Bound::Included(claim(first, least)), Bound::Included(claim(last, most)))
}

impl Documents {
    /// Places that there are, used or free.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.records.len()
    }

    /// Number of distinct documents.
    pub(super) fn len(&self) -> usize {
        self.by_claim.len()
    }

    fn record(&self, number: u32) -> Option<&Record> {
        self.records.get(number as usize)?.as_ref()
    }

    fn record_mut(&mut self, number: u32) -> Option<&mut Record> {
        self.records.get_mut(number as usize)?.as_mut()
    }

    /// How many documents are there because `source` announced them first.
    pub(super) fn brought_by(&self, source: IpAddr) -> usize {
        self.brought.get(&source).copied().unwrap_or_default()
    }

    /// The document of this claim.
    pub(super) fn get(&self, claim: &DocumentClaim) -> Option<&Record> {
        self.by_claim.get(claim).and_then(|number| self.record(*number))
    }

    /// The document of that key which is in `held`, with its number.
    pub(super) fn held(&self, key: DocumentKey, held: &Holdings) -> Option<(u32, &Record)> {
        self.by_claim
            .range(claims_of(key, key))
            .find(|(_, number)| held.contains(key.format, **number))
            .and_then(|(_, number)| Some((*number, self.record(*number)?)))
    }

    /// The documents of one RFC number, in order of format, digest and length.
    pub(super) fn of_number(&self, number: RfcNumber) -> impl Iterator<Item = &Record> {
        use p2p_ci::document::Format;
        let key = |format| DocumentKey { number, format };
        let [first, .., last] = Format::ALL.map(key);
        self.by_claim
            .range(claims_of(first, last))
            .filter_map(|(_, number)| self.record(*number))
    }

    /// Documents in order of id and length, from RFC `first` on, or from behind `after` if that is later, with their numbers.
    pub(super) fn from(
        &self,
        first: RfcNumber,
        after: Option<DocumentClaim>,
    ) -> impl Iterator<Item = (u32, &DocumentClaim, &Record)> {
        use p2p_ci::document::Format;
        let key = DocumentKey {
            number: first,
            format: Format::Txt,
        };
        let start = match (after, claims_of(key, key).0) {
            (Some(after), Bound::Included(first)) if after >= first => Bound::Excluded(after),
            (_, first) => first,
        };
        self.by_claim
            .range((start, Bound::Unbounded))
            .filter_map(|(claim, number)| Some((*number, claim, self.record(*number)?)))
    }

    /// Makes `slot`, a session of `source`, a holder of `document` and returns the document's number.
    ///
    /// Of what several announcers claim, the first title that is not empty and the earliest time stay.
    pub(super) fn hold(&mut self, document: Document, slot: u32, source: IpAddr) -> u32 {
        let number = match self.by_claim.get(&document.claim()) {
            Some(number) => *number,
            None => self.place(Arc::new(document.clone()), source),
        };
        if let Some(record) = self.record_mut(number) {
            record.holders.insert(slot);
            merge(&mut record.document, &document);
        }
        number
    }

    /// A document as part of a list.
    pub(super) fn listed(&self, number: u32) -> Option<Listed> {
        self.record(number).map(|record| Listed {
            number,
            document: Arc::clone(&record.document),
        })
    }

    /// Whether a listed document is where it was when the list was made, with the same title and time.
    pub(super) fn is_in_place(&self, listed: &Listed) -> bool {
        self.record(listed.number)
            .is_some_and(|record| Arc::ptr_eq(&record.document, &listed.document))
    }

    /// Makes `slot` a holder of documents that are all there.
    pub(super) fn hold_all(&mut self, numbers: impl Iterator<Item = u32>, slot: u32) {
        for number in numbers {
            if let Some(record) = self.record_mut(number) {
                record.holders.insert(slot);
            }
        }
    }

    /// The number of a listed document, if anybody holds it. Most are where they were when the list was made.
    pub(super) fn place_of(&self, listed: &Listed) -> Option<u32> {
        let claim = listed.document.claim();
        match self.record(listed.number) {
            Some(record) if record.document.claim() == claim => Some(listed.number),
            _ => self.by_claim.get(&claim).copied(),
        }
    }

    /// The same as [`hold`](Self::hold) for a document of a list, which has the number `place` if anybody holds it.
    pub(super) fn hold_listed(
        &mut self,
        document: &Arc<Document>,
        place: Option<u32>,
        slot: u32,
        source: IpAddr,
    ) -> u32 {
        let number = match place {
            Some(number) => number,
            None => self.place(Arc::clone(document), source),
        };
        if let Some(record) = self.record_mut(number) {
            record.holders.insert(slot);
            if !Arc::ptr_eq(&record.document, document) {
                merge(&mut record.document, document);
            }
        }
        number
    }

    fn place(&mut self, document: Arc<Document>, source: IpAddr) -> u32 {
        *self.brought.entry(source).or_default() += 1;
        let claim = document.claim();
        let record = Some(Record {
            document,
            brought_by: source,
            holders: IdSet::default(),
        });
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.records.push(None);
                u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(place) = self.records.get_mut(number as usize) {
            *place = record;
        }
        self.by_claim.insert(claim, number);
        number
    }

    /// Ends that `slot` holds document `number`. A document that nobody holds is gone.
    pub(super) fn release(&mut self, number: u32, slot: u32) {
        let Some(place) = self.records.get_mut(number as usize) else {
            return;
        };
        // What nobody holds any more is all that is looked at closely: whoever leaves releases thousands.
        let gone = place.take_if(|record| {
            record.holders.remove(slot);
            record.holders.is_empty()
        });
        let Some(record) = gone else {
            return;
        };
        self.by_claim.remove(&record.document.claim());
        self.free.push(number);
        if let Some(brought) = self.brought.get_mut(&record.brought_by) {
            *brought = brought.saturating_sub(1);
            if *brought == 0 {
                self.brought.remove(&record.brought_by);
            }
        }
    }
}

/// Keeps the first title that is not empty and the earliest time.
fn merge(known: &mut Arc<Document>, claim: &Document) {
    let better_title = known.title.as_str().is_empty() && !claim.title.as_str().is_empty();
    let earlier = match (known.modified, claim.modified) {
        (Some(known), Some(claim)) => claim < known,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    if better_title {
        Arc::make_mut(known).title = claim.title.clone();
    }
    if earlier {
        Arc::make_mut(known).modified = claim.modified;
    }
}
