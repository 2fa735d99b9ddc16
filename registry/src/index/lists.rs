//! Lists of documents that can be named by their fingerprint instead of being announced.
//!
//! A session that holds exactly what a list names hangs on that list: it is a member of it, and in the rows of none of
//! its documents, so that thousands of sessions with the same list come and go without a document being touched. A list
//! keeps its documents in the index, held or not, and so outlives its members: a peer that comes back need not announce,
//! as long as there is room. Lists without members make way first, the one that was used longest ago before others; then
//! those that save least, which is the number of their documents times that of their members.

use std::{collections::HashMap, sync::Arc};

use p2p_ci::{
    document::{DocumentClaim, DocumentKey, Format},
    fingerprint::Fingerprint,
};

use super::{holdings::Numbers, id_set::IdSet};

/// The number of a list, used again after it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListId(u32);

/// A document that a session holds.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Its number in the index, as long as the session holds it.
    pub(super) number: u32,
    pub(super) claim: DocumentClaim,
}

/// All documents of one format that a session holds.
#[derive(Debug, Clone)]
pub struct List {
    pub(super) fingerprint: Fingerprint,
    /// Their keys, ascending.
    pub(super) keys: Arc<[DocumentKey]>,
    /// Their numbers in the index, for sessions to share.
    pub(super) numbers: Arc<Numbers>,
}

impl List {
    /// Those of `held` that are of `format`. Sorts and hashes: a millisecond for ten thousand documents, so nothing to be
    /// done while others wait.
    #[must_use]
    pub fn of(format: Format, held: &[Listed]) -> Self {
        let of_format = || held.iter().filter(|listed| listed.claim.id.key.format == format);
        let mut keys: Vec<DocumentKey> = of_format().map(|listed| listed.claim.id.key).collect();
        keys.sort_unstable();
        let fingerprint = Fingerprint::of(format, of_format().map(|listed| listed.claim));
        let numbers = Numbers::named(of_format().map(|listed| listed.number).collect(), fingerprint);
        Self {
            fingerprint,
            keys: keys.into(),
            numbers: Arc::new(numbers),
        }
    }

    /// What it is known by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// How many documents are in it.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// A list that can be named.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) list: List,
    /// The slots of the sessions that hang on it.
    pub(super) members: IdSet,
    /// When it was last used, counted in uses.
    last_use: u64,
}

/// Every list that can be named, and which sessions hang on it.
#[derive(Debug)]
pub(super) struct Lists {
    max_lists: usize,
    max_documents: usize,
    by_fingerprint: HashMap<Fingerprint, ListId>,
    places: Vec<Option<Known>>,
    free: Vec<ListId>,
    /// Documents of all known lists, those in several of them counted for each.
    documents: usize,
    uses: u64,
}

impl Lists {
    /// Room for so many lists with so many documents together.
    pub(super) fn new(max_lists: usize, max_documents: usize) -> Self {
        Self {
            max_lists,
            max_documents,
            by_fingerprint: HashMap::new(),
            places: Vec::new(),
            free: Vec::new(),
            documents: 0,
            uses: 0,
        }
    }

    /// The list of this fingerprint, if it is known.
    pub(super) fn find(&self, fingerprint: &Fingerprint) -> Option<ListId> {
        self.by_fingerprint.get(fingerprint).copied()
    }

    /// A known list.
    pub(super) fn get(&self, id: ListId) -> Option<&Known> {
        self.places.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: ListId) -> Option<&mut Known> {
        self.places.get_mut(id.0 as usize)?.as_mut()
    }

    /// The sessions that hang on a list.
    pub(super) fn members(&self, id: ListId) -> Option<&IdSet> {
        self.get(id).map(|known| &known.members)
    }

    /// Makes a list known that is not. More may be known then than there is room for: see
    /// [`surplus`](Self::surplus).
    pub(super) fn learn(&mut self, list: List) -> ListId {
        self.documents += list.len();
        let fingerprint = list.fingerprint;
        let id = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            ListId(u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(place) = self.places.get_mut(id.0 as usize) {
            *place = Some(Known {
                list,
                members: IdSet::default(),
                last_use: 0,
            });
        }
        self.by_fingerprint.insert(fingerprint, id);
        self.touch(id);
        id
    }

    /// Hangs the session in `slot` on a list.
    pub(super) fn enter(&mut self, id: ListId, slot: u32) {
        self.touch(id);
        if let Some(known) = self.get_mut(id) {
            known.members.insert(slot);
        }
    }

    /// Takes the session in `slot` off a list, which stays known: the session's peer may come back. Returns the list if
    /// nobody hangs on it any more.
    pub(super) fn quit(&mut self, id: ListId, slot: u32) -> Option<List> {
        self.touch(id);
        let known = self.get_mut(id)?;
        known.members.remove(slot);
        known.members.is_empty().then(|| known.list.clone())
    }

    /// The list that saves least, when there are more than there is room for.
    pub(super) fn surplus(&self) -> Option<ListId> {
        if self.by_fingerprint.len() <= self.max_lists && self.documents <= self.max_documents {
            return None;
        }
        let use_of = |id: &ListId| {
            let known = self.get(*id)?;
            Some((known.members.len().saturating_mul(known.list.len()), known.last_use))
        };
        self.by_fingerprint.values().min_by_key(|id| use_of(id)).copied()
    }

    /// Forgets a list. Its members and its documents do not know that yet.
    pub(super) fn forget(&mut self, id: ListId) -> Option<Known> {
        let known = self.places.get_mut(id.0 as usize)?.take()?;
        self.documents -= known.list.len();
        self.by_fingerprint.remove(&known.list.fingerprint);
        self.free.push(id);
        Some(known)
    }

    fn touch(&mut self, id: ListId) {
        self.uses += 1;
        let uses = self.uses;
        if let Some(known) = self.get_mut(id) {
            known.last_use = uses;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::document;

    /// A list of `len` documents from RFC `first` on.
    fn list(first: u32, len: u32) -> List {
        let held: Vec<Listed> = (first..first + len).map(listed).collect();
        List::of(Format::Txt, &held)
    }

    fn listed(number: u32) -> Listed {
        Listed {
            number,
            claim: document(number).claim(),
        }
    }

    /// Makes a list known with the sessions in so many slots on it, and forgets what there is no room for.
    fn learn(lists: &mut Lists, list: &List, members: u32) {
        let id = lists.learn(list.clone());
        (0..members).for_each(|slot| lists.enter(id, slot));
        while let Some(surplus) = lists.surplus() {
            lists.forget(surplus).unwrap();
        }
    }

    #[track_caller]
    fn assert_known(lists: &Lists, expected: &[(&List, bool)]) {
        for (index, (list, known)) in expected.iter().enumerate() {
            assert_eq!(lists.find(&list.fingerprint).is_some(), *known, "{index}");
        }
        let documents: usize = lists.places.iter().flatten().map(|known| known.list.len()).sum();
        assert_eq!(lists.documents, documents);
    }

    #[test]
    fn a_list_is_what_its_format_is_in_order_of_number() {
        let mut held: Vec<Listed> = [3, 1, 2].map(listed).to_vec();
        let mut html = listed(1);
        html.number = 9;
        html.claim.id.key.format = Format::Html;
        held.push(html);
        let of = List::of(Format::Txt, &held);
        assert_eq!(of.fingerprint(), list(1, 3).fingerprint());
        assert_eq!(of.keys.to_vec(), [1, 2, 3].map(|number| document(number).id.key));
        assert!(of.numbers.iter().eq(1..=3));
    }

    #[test]
    fn what_nobody_holds_makes_way_first_and_then_what_saves_least() {
        let mut lists = Lists::new(3, 1000);
        let (left, small, series) = (list(1, 500), list(1, 5), list(1, 100));
        learn(&mut lists, &left, 1);
        learn(&mut lists, &small, 7);
        learn(&mut lists, &series, 1);
        let emptied = lists.quit(lists.find(&left.fingerprint).unwrap(), 0);
        assert_eq!(emptied.unwrap().fingerprint, left.fingerprint);
        assert_known(&lists, &[(&left, true), (&small, true), (&series, true)]);
        let next = list(2, 60);
        learn(&mut lists, &next, 1);
        assert_known(
            &lists,
            &[(&left, false), (&small, true), (&series, true), (&next, true)],
        );
        let last = list(3, 60);
        learn(&mut lists, &last, 1);
        assert_known(
            &lists,
            &[(&small, false), (&series, true), (&next, true), (&last, true)],
        );
        let worthless = list(4, 1);
        learn(&mut lists, &worthless, 1);
        assert_known(&lists, &[(&worthless, false), (&next, true), (&last, true)]);
        assert_eq!(lists.places.len(), 4, "places are used again");
    }

    #[test]
    fn of_lists_that_nobody_holds_the_one_longest_unused_makes_way() {
        let mut lists = Lists::new(2, 1000);
        let (first, second, third) = (list(1, 3), list(2, 3), list(3, 3));
        learn(&mut lists, &first, 0);
        learn(&mut lists, &second, 0);
        let id = lists.find(&first.fingerprint).unwrap();
        lists.enter(id, 0);
        lists.quit(id, 0);
        learn(&mut lists, &third, 0);
        assert_known(&lists, &[(&first, true), (&second, false), (&third, true)]);
    }

    #[test]
    fn the_documents_of_all_lists_are_bounded() {
        let mut lists = Lists::new(100, 250);
        let all: Vec<List> = (1..20).map(|first| list(first, 100)).collect();
        all.iter().for_each(|list| learn(&mut lists, list, 0));
        let expected: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(index, list)| (list, index >= 17))
            .collect();
        assert_known(&lists, &expected);
        learn(&mut lists, &list(1, 251), 1);
        assert!(lists.documents <= 250);
    }
}
