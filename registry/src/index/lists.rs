//! Lists of documents that can be named by their fingerprint instead of being announced.
//!
//! A list is kept as references to the documents that the index has anyway, once for all sessions that hold it. It
//! outlives the sessions that held it, so that a peer that comes back need not announce, as long as there is room: lists
//! that nobody holds make way first, the one that was used longest ago before others; then those that save least, which
//! is the number of their documents times that of the sessions that hold them.

use std::{collections::HashMap, sync::Arc};

use p2p_ci::{
    document::{Document, DocumentKey, Format},
    fingerprint::Fingerprint,
};

use super::id_set::IdSet;

/// A document of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its number in the index when the list was made. It may be another document's by now.
    pub(super) number: u32,
    pub(super) document: Arc<Document>,
}

/// All documents of one format that a session holds.
#[derive(Debug, Clone)]
pub struct List {
    pub(super) fingerprint: Fingerprint,
    /// Ascending by number of RFC.
    pub(super) documents: Arc<[Listed]>,
    /// Their keys, in the same order.
    pub(super) keys: Arc<[DocumentKey]>,
    /// Their numbers in the index, for sessions to share.
    pub(super) numbers: Arc<IdSet>,
}

impl List {
    /// Those of `held` that are of `format`. Sorts and hashes: a millisecond for ten thousand documents, so nothing to be
    /// done while others wait.
    #[must_use]
    pub fn of(format: Format, held: &[Listed]) -> Self {
        let of_format = |listed: &&Listed| listed.document.id.key.format == format;
        let mut documents: Vec<Listed> = held.iter().filter(of_format).cloned().collect();
        documents.sort_unstable_by_key(|listed| listed.document.claim());
        let fingerprint = Fingerprint::of(format, documents.iter().map(|listed| listed.document.claim()));
        Self::made_of(fingerprint, documents)
    }

    /// A list of these documents, in order of number, which have this fingerprint.
    pub(super) fn made_of(fingerprint: Fingerprint, documents: Vec<Listed>) -> Self {
        Self {
            fingerprint,
            keys: documents.iter().map(|listed| listed.document.id.key).collect(),
            numbers: Arc::new(documents.iter().map(|listed| listed.number).collect()),
            documents: documents.into(),
        }
    }

    /// What it is known by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// A list that can be named.
#[derive(Debug)]
struct Known {
    list: List,
    /// When it was last used, counted in uses.
    last_use: u64,
}

/// Every list that can be named, and how many sessions hold it.
#[derive(Debug)]
pub(super) struct Lists {
    max_lists: usize,
    max_documents: usize,
    known: HashMap<Fingerprint, Known>,
    /// Documents of all known lists, those in several of them counted for each.
    documents: usize,
    /// How many sessions hold each list that was ever found to be one's, known or not.
    holders: HashMap<Fingerprint, usize>,
    uses: u64,
}

impl Lists {
    /// Room for so many lists with so many documents together.
    pub(super) fn new(max_lists: usize, max_documents: usize) -> Self {
        Self {
            max_lists,
            max_documents,
            known: HashMap::new(),
            documents: 0,
            holders: HashMap::new(),
            uses: 0,
        }
    }

    /// A known list.
    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<List> {
        self.known.get(fingerprint).map(|known| known.list.clone())
    }

    /// Whether a list is known.
    pub(super) fn knows(&self, fingerprint: &Fingerprint) -> bool {
        self.known.contains_key(fingerprint)
    }

    /// Notes that one more session holds a list.
    pub(super) fn hold(&mut self, fingerprint: Fingerprint) {
        *self.holders.entry(fingerprint).or_default() += 1;
        self.touch(&fingerprint);
    }

    /// Notes that a session which held a list has left. The list stays known, for the session's peer may come back.
    pub(super) fn leave(&mut self, fingerprint: Fingerprint) {
        if let Some(holders) = self.holders.get_mut(&fingerprint) {
            *holders -= 1;
            if *holders == 0 {
                self.holders.remove(&fingerprint);
            }
        }
        self.touch(&fingerprint);
    }

    /// Notes that a session holds something else now. A list that nobody holds any more is of no more use then.
    pub(super) fn move_on(&mut self, fingerprint: Option<Fingerprint>) {
        if let Some(fingerprint) = fingerprint {
            self.leave(fingerprint);
            if !self.holders.contains_key(&fingerprint) {
                self.forget(&fingerprint);
            }
        }
    }

    /// Makes a list known, or known by what it is made of now.
    pub(super) fn learn(&mut self, list: List) {
        self.forget(&list.fingerprint);
        self.documents += list.documents.len();
        let fingerprint = list.fingerprint;
        self.known.insert(fingerprint, Known { list, last_use: 0 });
        self.touch(&fingerprint);
        while self.known.len() > self.max_lists || self.documents > self.max_documents {
            let Some(least) = self.least_useful() else { break };
            self.forget(&least);
        }
    }

    fn least_useful(&self) -> Option<Fingerprint> {
        let use_of = |fingerprint: &Fingerprint, known: &Known| {
            let holders = self.holders.get(fingerprint).copied().unwrap_or_default();
            (holders.saturating_mul(known.list.documents.len()), known.last_use)
        };
        let least = self
            .known
            .iter()
            .min_by_key(|(fingerprint, known)| use_of(fingerprint, known));
        least.map(|(fingerprint, _)| *fingerprint)
    }

    fn touch(&mut self, fingerprint: &Fingerprint) {
        self.uses += 1;
        if let Some(known) = self.known.get_mut(fingerprint) {
            known.last_use = self.uses;
        }
    }

    fn forget(&mut self, fingerprint: &Fingerprint) {
        if let Some(known) = self.known.remove(fingerprint) {
            self.documents -= known.list.documents.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::document;

    /// A list of `len` documents from RFC `first` on.
    fn list(first: u32, len: u32) -> List {
        let held: Vec<Listed> = (first..first + len)
            .map(|number| Listed {
                number,
                document: Arc::new(document(number)),
            })
            .collect();
        List::of(Format::Txt, &held)
    }

    fn learn(lists: &mut Lists, list: &List, holders: usize) {
        (0..holders).for_each(|_| lists.hold(list.fingerprint));
        lists.learn(list.clone());
    }

    #[track_caller]
    fn assert_known(lists: &Lists, expected: &[(&List, bool)]) {
        for (index, (list, known)) in expected.iter().enumerate() {
            assert_eq!(lists.get(&list.fingerprint).is_some(), *known, "{index}");
        }
        let documents: usize = lists.known.values().map(|known| known.list.documents.len()).sum();
        assert_eq!(lists.documents, documents);
    }

    #[test]
    fn a_list_is_what_its_format_is_in_order_of_number() {
        let mut held: Vec<Listed> = [3, 1, 2].map(|number| list(number, 1).documents[0].clone()).to_vec();
        let mut html = document(1);
        html.id.key.format = Format::Html;
        held.push(Listed {
            number: 9,
            document: Arc::new(html),
        });
        let of = List::of(Format::Txt, &held);
        assert_eq!(of.fingerprint(), list(1, 3).fingerprint());
        assert_eq!(
            of.documents.iter().map(|listed| listed.number).collect::<Vec<_>>(),
            [1, 2, 3]
        );
    }

    #[test]
    fn what_nobody_holds_makes_way_first_and_then_what_saves_least() {
        let mut lists = Lists::new(3, 1000);
        let (left, small, series) = (list(1, 500), list(1, 5), list(1, 100));
        learn(&mut lists, &left, 1);
        learn(&mut lists, &small, 7);
        learn(&mut lists, &series, 1);
        lists.leave(left.fingerprint);
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
    }

    #[test]
    fn of_lists_that_nobody_holds_the_one_longest_unused_makes_way() {
        let mut lists = Lists::new(2, 1000);
        let (first, second, third) = (list(1, 3), list(2, 3), list(3, 3));
        learn(&mut lists, &first, 0);
        learn(&mut lists, &second, 0);
        lists.hold(first.fingerprint);
        lists.leave(first.fingerprint);
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

    #[test]
    fn who_moves_on_takes_the_list_along_unless_others_hold_it() {
        let mut lists = Lists::new(10, 1000);
        let list = list(1, 3);
        learn(&mut lists, &list, 2);
        lists.move_on(Some(list.fingerprint));
        assert_known(&lists, &[(&list, true)]);
        lists.move_on(Some(list.fingerprint));
        assert_known(&lists, &[(&list, false)]);
        assert!(lists.holders.is_empty(), "nothing is left behind");
    }
}
