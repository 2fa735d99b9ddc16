//! The documents of the index, interned: each has a small number, the slots that hold it by themselves, and the lists
//! that it is on.

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

use super::{
    holders::Holders,
    holdings::Holdings,
    id_set::IdSet,
    lists::{ListId, Listed, Lists},
};

/// A document and who holds it.
#[derive(Debug)]
pub(super) struct Record {
    /// What its announcers claim about it. Shared, so that an answer can be built after the lock is free again.
    pub(super) document: Arc<Document>,
    /// Whose session was the first of those that hold it now, by [`p2p_ci::address::accountable`]; `None` when nobody
    /// holds it and only a list keeps it.
    pub(super) brought_by: Option<IpAddr>,
    /// The slots of the sessions that hold it and do not hang on one of its lists.
    pub(super) own: IdSet,
    /// The known lists that it is on.
    pub(super) lists: Vec<ListId>,
}

impl Record {
    /// Whether anybody holds it.
    pub(super) fn is_held(&self) -> bool {
        self.brought_by.is_some()
    }
}

/// Every document that anybody holds, or that is on a known list.
#[derive(Debug, Default)]
pub(super) struct Documents {
    by_claim: BTreeMap<DocumentClaim, u32>,
    records: Vec<Option<Record>>,
    free: Vec<u32>,
    /// How many documents each source has brought in.
    brought: HashMap<IpAddr, usize>,
    /// How many documents anybody holds.
    held: usize,
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

    /// Number of distinct documents that anybody holds.
    pub(super) fn len(&self) -> usize {
        self.held
    }

    /// The document with this number.
    pub(super) fn record(&self, number: u32) -> Option<&Record> {
        self.records.get(number as usize)?.as_ref()
    }

    fn record_mut(&mut self, number: u32) -> Option<&mut Record> {
        self.records.get_mut(number as usize)?.as_mut()
    }

    /// How many documents are there because `source` announced them first.
    pub(super) fn brought_by(&self, source: IpAddr) -> usize {
        self.brought.get(&source).copied().unwrap_or_default()
    }

    /// Whether anybody holds the document of this claim.
    pub(super) fn holds(&self, claim: &DocumentClaim) -> bool {
        let record = self.by_claim.get(claim).and_then(|number| self.record(*number));
        record.is_some_and(Record::is_held)
    }

    /// Notes what a holder of a document claims about it besides.
    pub(super) fn tell(&mut self, document: &Document) {
        let number = self.by_claim.get(&document.claim()).copied();
        if let Some(record) = number.and_then(|number| self.record_mut(number)) {
            merge(&mut record.document, document);
        }
    }

    /// The document of that key which is in `held`, with its number.
    pub(super) fn held(&self, key: DocumentKey, held: &Holdings) -> Option<(u32, &Record)> {
        self.by_claim
            .range(claims_of(key, key))
            .find(|(_, number)| held.contains(key.format, **number))
            .and_then(|(_, number)| Some((*number, self.record(*number)?)))
    }

    /// The documents of one RFC number, in order of format, digest and length,
    /// with their numbers in the index.
    pub(super) fn of_number(&self, number: RfcNumber) -> impl Iterator<Item = (u32, &Record)> {
        use p2p_ci::document::Format;
        let key = |format| DocumentKey { number, format };
        let [first, .., last] = Format::ALL.map(key);
        self.by_claim
            .range(claims_of(first, last))
            .filter_map(|(_, number)| Some((*number, self.record(*number)?)))
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
    /// Of what several announcers claim, the first title that is not empty and the earliest time stay, for as long as
    /// somebody holds the document or a known list has it.
    pub(super) fn hold(&mut self, document: Document, slot: u32, source: IpAddr) -> u32 {
        let claim = document.claim();
        let number = match self.by_claim.get(&claim) {
            Some(number) => *number,
            None => self.place(claim, Arc::new(document.clone())),
        };
        self.bring(number, source);
        if let Some(record) = self.record_mut(number) {
            record.own.insert(slot);
            merge(&mut record.document, &document);
        }
        number
    }

    /// Enters that document `number` is held now, and is there because of `source` if nobody held it before.
    pub(super) fn bring(&mut self, number: u32, source: IpAddr) {
        if let Some(record) = self.record_mut(number)
            && !record.is_held()
        {
            record.brought_by = Some(source);
            self.held += 1;
            *self.brought.entry(source).or_default() += 1;
        }
    }

    /// A document, to make a list of it.
    pub(super) fn listed(&self, number: u32) -> Option<Listed> {
        self.record(number).map(|record| Listed {
            number,
            claim: record.document.claim(),
        })
    }

    fn place(&mut self, claim: DocumentClaim, document: Arc<Document>) -> u32 {
        let record = Some(Record {
            document,
            brought_by: None,
            own: IdSet::default(),
            lists: Vec::new(),
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

    /// Enters `slot` into the row of document `number`, which it holds by a list so far.
    pub(super) fn enter(&mut self, number: u32, slot: u32) {
        if let Some(record) = self.record_mut(number) {
            record.own.insert(slot);
        }
    }

    /// Takes `slot` out of the row of document `number`, which it holds by a list from now on.
    pub(super) fn strike(&mut self, number: u32, slot: u32) {
        if let Some(record) = self.record_mut(number) {
            record.own.remove(slot);
        }
    }

    /// Enters that document `number` is on a known list.
    pub(super) fn pin(&mut self, number: u32, list: ListId) {
        if let Some(record) = self.record_mut(number) {
            // Most are on one list, and a vector that grows by itself begins with room for four.
            record.lists.reserve_exact(1);
            record.lists.push(list);
        }
    }

    /// Enters that a list is not known any more which document `number` was on: its `members` are in the document's row
    /// from now on.
    pub(super) fn unpin(&mut self, number: u32, list: ListId, members: &IdSet, lists: &Lists) {
        if let Some(record) = self.record_mut(number) {
            record.lists.retain(|known| *known != list);
            record.own.unite(members);
        }
        self.sweep(number, lists);
    }

    /// Ends that `slot`, which hangs on none of the document's lists, holds document `number`.
    pub(super) fn release(&mut self, number: u32, slot: u32, lists: &Lists) {
        self.strike(number, slot);
        self.sweep(number, lists);
    }

    /// Enters that document `number` is held no more, if that is so, and drops it unless a list keeps it.
    pub(super) fn sweep(&mut self, number: u32, lists: &Lists) {
        let Some(place) = self.records.get_mut(number as usize) else {
            return;
        };
        let Some(record) = place.as_mut().filter(|record| Holders::of(record, lists).is_empty()) else {
            return;
        };
        if let Some(source) = record.brought_by.take() {
            self.held -= 1;
            if let Some(brought) = self.brought.get_mut(&source) {
                *brought = brought.saturating_sub(1);
                if *brought == 0 {
                    self.brought.remove(&source);
                }
            }
        }
        if let Some(record) = place.take_if(|record| record.lists.is_empty()) {
            self.by_claim.remove(&record.document.claim());
            self.free.push(number);
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
