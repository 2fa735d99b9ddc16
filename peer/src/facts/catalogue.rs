//! Facts about many RFCs, and what follows from all of them together: what took whose place, up to today.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use p2p_ci::{
    document::{RfcNumber, RfcRange, UnixSeconds},
    facts::{Facts, Issued, Reference, Source},
};

use super::record::subseries;

/// RFCs that are looked at on the way from one to what took its place: real chains have fewer than 30.
const MAX_CHAIN: usize = 1000;

/// Facts about RFCs, at most one claim for each: the one that holds.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    facts: BTreeMap<RfcNumber, Facts>,
    /// What others say that they obsolete or update, where the RFC itself may not know it yet.
    obsoleted_by: BTreeMap<RfcNumber, BTreeSet<RfcNumber>>,
    updated_by: BTreeMap<RfcNumber, BTreeSet<RfcNumber>>,
    members: BTreeMap<Reference, BTreeSet<RfcNumber>>,
    /// What all facts weigh.
    weight_bytes: usize,
}

/// What all facts may weigh: eight times those of the whole series. Others tell them, and nothing is ever forgotten.
const MAX_WEIGHT_BYTES: usize = 96 * 1024 * 1024;

/// What an RFC leads to today.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// RFCs that took its place and whose place nobody took since, ascending. None when it is current itself.
    pub current: Vec<RfcNumber>,
    /// RFCs on the way there, in the order in which they are met.
    pub between: Vec<RfcNumber>,
    /// Whether somewhere on the way an RFC is said to have taken the place of what took its place.
    pub is_circular: bool,
}

impl Catalogue {
    /// How many RFCs it knows something of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether it knows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Where the facts about an RFC come from.
    #[must_use]
    pub fn source(&self, number: RfcNumber) -> Option<Source> {
        self.facts.get(&number).map(|facts| facts.source)
    }

    /// Whether it knows something of an RFC, or which RFCs a subseries is.
    #[must_use]
    pub fn knows(&self, wanted: Reference) -> bool {
        match wanted.rfc() {
            Some(number) => self.facts.contains_key(&number),
            None => !self.members(wanted).is_empty(),
        }
    }

    /// The RFCs of a range of which it knows something, ascending.
    pub fn numbers(&self, range: RfcRange) -> impl Iterator<Item = RfcNumber> {
        self.facts.range(range.first..=range.last).map(|(number, _)| *number)
    }

    /// When the newest of the facts were written, as far as anybody tells.
    #[must_use]
    pub fn newest(&self) -> Option<UnixSeconds> {
        self.facts.values().filter_map(|facts| facts.as_of).max()
    }

    /// All RFCs of which it knows something, ascending.
    #[must_use]
    pub fn all_numbers(&self) -> Vec<RfcNumber> {
        self.facts.keys().copied().collect()
    }

    /// Takes facts over those that it has, if they hold against them `now` and there is room for them. Returns whether it
    /// did.
    pub fn learn(&mut self, facts: Facts, now: UnixSeconds) -> bool {
        let number = facts.number;
        let without = self.weight_bytes - self.facts.get(&number).map_or(0, Facts::weight_bytes);
        let weight_bytes = without + facts.weight_bytes();
        if weight_bytes > MAX_WEIGHT_BYTES {
            return false;
        }
        let old = match self.facts.entry(number) {
            Entry::Vacant(vacant) => {
                vacant.insert(facts);
                None
            }
            Entry::Occupied(entry) if !facts.supersedes(entry.get(), now) => return false,
            Entry::Occupied(mut entry) => Some(entry.insert(facts)),
        };
        if let Some(Facts { issued: Some(old), .. }) = old {
            self.unlink(number, &old);
        }
        self.weight_bytes = weight_bytes;
        self.link(number);
        true
    }

    fn link(&mut self, number: RfcNumber) {
        let Some(issued) = self.facts.get(&number).and_then(|facts| facts.issued.as_deref()) else {
            return;
        };
        for older in issued.obsoletes.iter().filter_map(Reference::rfc) {
            self.obsoleted_by.entry(older).or_default().insert(number);
        }
        for older in issued.updates.iter().filter_map(Reference::rfc) {
            self.updated_by.entry(older).or_default().insert(number);
        }
        for series in subseries(issued) {
            self.members.entry(series).or_default().insert(number);
        }
    }

    fn unlink(&mut self, number: RfcNumber, old: &Issued) {
        fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<RfcNumber>>, key: K, number: RfcNumber) {
            if let Entry::Occupied(mut entry) = map.entry(key) {
                entry.get_mut().remove(&number);
                if entry.get().is_empty() {
                    entry.remove();
                }
            }
        }
        for older in old.obsoletes.iter().filter_map(Reference::rfc) {
            remove(&mut self.obsoleted_by, older, number);
        }
        for older in old.updates.iter().filter_map(Reference::rfc) {
            remove(&mut self.updated_by, older, number);
        }
        for series in subseries(old) {
            remove(&mut self.members, series, number);
        }
    }

    /// What is known of an RFC, with what others say of it: an RFC from before the one that obsoletes it does not know it.
    #[must_use]
    pub fn get(&self, number: RfcNumber) -> Option<Facts> {
        let mut facts = self.facts.get(&number)?.clone();
        if let Some(issued) = facts.issued.take() {
            let mut issued = *issued;
            issued.obsoleted_by.extend(told(&self.obsoleted_by, number));
            issued.updated_by.extend(told(&self.updated_by, number));
            facts.issued = Some(Box::new(issued.bounded()));
        }
        Some(facts)
    }

    /// The same of every RFC, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Facts> {
        self.facts.keys().filter_map(|number| self.get(*number))
    }

    /// The same from the largest number down.
    pub fn descending(&self) -> impl Iterator<Item = Facts> {
        self.facts.keys().rev().filter_map(|number| self.get(*number))
    }

    /// The RFCs of a subseries, such as BCP 14, ascending. The text of an RFC says for ever that it is one of them; where
    /// nothing else says so, it counts until something takes its place.
    #[must_use]
    pub fn members(&self, series: Reference) -> Vec<RfcNumber> {
        let still = |number: &RfcNumber| self.source(*number) != Some(Source::Text) || !self.is_obsolete(*number);
        let members = self.members.get(&series).into_iter().flatten();
        members.copied().filter(still).collect()
    }

    fn is_obsolete(&self, number: RfcNumber) -> bool {
        !self.successors(number).is_empty()
    }

    /// The subseries that RFCs belong to, ascending.
    pub fn all_subseries(&self) -> impl Iterator<Item = Reference> {
        self.members.keys().copied()
    }

    /// What took the place of an RFC.
    #[must_use]
    pub fn successors(&self, number: RfcNumber) -> BTreeSet<RfcNumber> {
        let own = self.facts.get(&number).and_then(|facts| facts.issued.as_deref());
        let mut successors: BTreeSet<RfcNumber> = own.into_iter().flat_map(Issued::successors).collect();
        successors.extend(self.obsoleted_by.get(&number).into_iter().flatten());
        successors.remove(&number);
        successors
    }

    /// What took the place of an RFC, followed to today.
    #[must_use]
    pub fn chain(&self, number: RfcNumber) -> Chain {
        let mut chain = Chain::default();
        let mut current = BTreeSet::new();
        // Each RFC that is yet to be looked at, and those whose place it takes by turns; a cycle leads to one of these.
        let mut met = BTreeSet::from([number]);
        let mut path = vec![(number, self.successors(number).into_iter())];
        while let Some((_, successors)) = path.last_mut() {
            let Some(next) = successors.next() else {
                path.pop();
                continue;
            };
            if path.iter().any(|(above, _)| *above == next) {
                chain.is_circular = true;
                continue;
            }
            if met.len() >= MAX_CHAIN || !met.insert(next) {
                continue;
            }
            let further = self.successors(next);
            if further.is_empty() {
                current.insert(next);
            } else {
                chain.between.push(next);
                path.push((next, further.into_iter()));
            }
        }
        chain.current = current.into_iter().collect();
        chain
    }
}

fn told(map: &BTreeMap<RfcNumber, BTreeSet<RfcNumber>>, number: RfcNumber) -> impl Iterator<Item = Reference> {
    let others = map.get(&number).into_iter().flatten();
    others
        .filter(move |other| **other != number)
        .map(|other| Reference::to_rfc(*other))
}

#[cfg(test)]
mod tests {
    use p2p_ci::facts::{Prose, Series};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn number(value: u32) -> RfcNumber {
        RfcNumber::new(value).unwrap()
    }

    fn references(numbers: &[u32]) -> Vec<Reference> {
        numbers.iter().map(|value| Reference::to_rfc(number(*value))).collect()
    }

    fn facts(value: u32, as_of: i64, obsoletes: &[u32], obsoleted_by: &[u32]) -> Facts {
        Facts {
            number: number(value),
            source: Source::Record,
            as_of: Some(UnixSeconds(as_of)),
            issued: Some(Box::new(Issued {
                obsoletes: references(obsoletes),
                obsoleted_by: references(obsoleted_by),
                ..Issued::default()
            })),
        }
    }

    fn catalogue(all: &[Facts]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for facts in all {
            catalogue.learn(facts.clone(), NOW);
        }
        catalogue
    }

    fn values(numbers: &[RfcNumber]) -> Vec<u32> {
        numbers.iter().map(|number| number.get()).collect()
    }

    #[test]
    fn a_chain_is_followed_to_today() {
        let catalogue = catalogue(&[
            facts(2068, 1, &[], &[2616]),
            facts(2616, 1, &[2068], &[7230, 7231]),
            facts(7230, 1, &[2616], &[]),
            facts(7231, 1, &[2616], &[9110]),
            // 7230 is older than this, and does not know it.
            facts(9112, 2, &[7230], &[]),
            facts(9110, 2, &[7230, 7231], &[]),
        ]);
        let chain = catalogue.chain(number(2068));
        assert_eq!(values(&chain.current), [9110, 9112]);
        assert_eq!(values(&chain.between), [2616, 7230, 7231]);
        assert!(!chain.is_circular);
        assert_eq!(catalogue.chain(number(9110)), Chain::default());
        assert_eq!(
            catalogue.chain(number(1)),
            Chain::default(),
            "what nobody knows is current as far as anybody knows"
        );
        let told = catalogue.get(number(7230)).unwrap().issued.unwrap();
        assert_eq!(told.obsoleted_by, references(&[9110, 9112]));
    }

    #[test]
    fn a_circle_is_told_and_left() {
        let circle = [facts(1, 1, &[], &[2]), facts(2, 1, &[], &[3]), facts(3, 1, &[], &[1])];
        let chain = catalogue(&circle).chain(number(1));
        assert!(chain.is_circular && chain.current.is_empty());
        let with_a_way_out = [&circle[..], &[facts(4, 1, &[2], &[])]].concat();
        let chain = catalogue(&with_a_way_out).chain(number(1));
        assert_eq!((values(&chain.current), chain.is_circular), (vec![4], true));
        let itself = catalogue(&[facts(5, 1, &[5], &[5])]).chain(number(5));
        assert_eq!(itself, Chain::default(), "nothing takes its own place");
    }

    #[test]
    fn whatever_others_tell_the_memory_for_it_is_bounded() {
        let mut catalogue = Catalogue::default();
        let long = |value: u32, as_of: i64, bytes: usize| {
            let mut facts = facts(value, as_of, &[], &[]);
            facts.issued.as_mut().unwrap().summary = Prose::from_lossy(&"x".repeat(bytes));
            facts
        };
        let learnt = (1..100_000)
            .take_while(|value| catalogue.learn(long(*value, 1, 8000), NOW))
            .count();
        let weight = long(1, 1, 8000).weight_bytes();
        assert!(learnt > 10_000, "more than there are");
        assert!(learnt * weight <= MAX_WEIGHT_BYTES && (learnt + 1) * weight > MAX_WEIGHT_BYTES);
        assert!(catalogue.learn(long(1, 2, 10), NOW), "what makes room is learnt");
        assert!(catalogue.learn(long(200_000, 1, 10), NOW), "and what fits into it");
    }

    #[test]
    fn what_is_superseded_leaves_no_trace() {
        let mut catalogue = catalogue(&[facts(2, 1, &[1], &[]), facts(1, 1, &[], &[])]);
        assert_eq!(values(&catalogue.chain(number(1)).current), [2]);
        assert!(!catalogue.learn(facts(2, 1, &[9], &[]), NOW), "as old");
        let mut newer = facts(2, 2, &[], &[]);
        newer.issued.as_mut().unwrap().also = vec!["BCP14".parse().unwrap()];
        assert!(catalogue.learn(newer, NOW));
        assert_eq!(catalogue.chain(number(1)), Chain::default());
        let bcp = Reference {
            series: Series::Bcp,
            number: number(14),
        };
        assert_eq!(values(&catalogue.members(bcp)), [2]);
        let mut never = facts(2, 3, &[], &[]);
        never.issued = None;
        assert!(catalogue.learn(never, NOW));
        assert_eq!((catalogue.members(bcp), catalogue.all_subseries().count()), (vec![], 0));
    }

    #[test]
    fn who_says_of_itself_that_it_is_of_a_subseries_is_until_something_takes_its_place() {
        let bcp: Reference = "BCP78".parse().unwrap();
        let member = |value: u32, source: Source, obsoletes: &[u32], obsoleted_by: &[u32]| {
            let mut facts = facts(value, 1, obsoletes, obsoleted_by);
            facts.source = source;
            facts.issued.as_mut().unwrap().also = vec![bcp];
            facts
        };
        let all = [
            member(3978, Source::Text, &[], &[]),
            member(4748, Source::Text, &[3978], &[]),
            member(5378, Source::Text, &[4748], &[]),
            member(5379, Source::Record, &[], &[5380]),
        ];
        assert_eq!(values(&catalogue(&all[..1]).members(bcp)), [3978]);
        assert_eq!(values(&catalogue(&all).members(bcp)), [5378, 5379]);
    }

    proptest! {
        /// Whatever is claimed, and in whatever order, chains end, and what is current has no successor.
        #[test]
        fn chains_end(claims in vec((1_u32..12, 1_i64..4, vec(1_u32..12, 0..4), vec(1_u32..12, 0..4)), 0..30)) {
            let claims: Vec<Facts> = claims.iter().map(|(n, at, old, new)| facts(*n, *at, old, new)).collect();
            let catalogue = catalogue(&claims);
            for value in 1..12 {
                let chain = catalogue.chain(number(value));
                for current in &chain.current {
                    prop_assert!(catalogue.successors(*current).is_empty());
                }
                let ends = catalogue.successors(number(value)).is_empty();
                prop_assert!(!chain.current.is_empty() || chain.is_circular || ends);
            }
        }
    }
}
