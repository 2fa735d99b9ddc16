//! The catalogue of a process: what is learnt goes in, questions are answered from it.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use p2p_ci::{
    document::{RfcNumber, RfcRange, UnixSeconds},
    facts::{Facts, Reference},
    limits::MAX_SMALL_ANSWER,
    message::DescribeQuery,
};

use super::Catalogue;

/// A [`Catalogue`] that many use. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct SharedCatalogue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Tells this process from others, and from itself before it was started anew.
    nonce: u64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    catalogue: Catalogue,
    /// Grows with each change.
    generation: u64,
}

impl Default for SharedCatalogue {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                nonce: rand::random(),
                state: RwLock::default(),
            }),
        }
    }
}

impl SharedCatalogue {
    /// Takes over what holds against what is known. Returns of how many RFCs that was.
    pub fn learn(&self, facts: impl IntoIterator<Item = Facts>) -> usize {
        let now = UnixSeconds::now();
        let mut state = self.write();
        let mut count = 0;
        for facts in facts {
            count += usize::from(state.catalogue.learn(facts, now));
        }
        state.generation += u64::from(count > 0);
        count
    }

    /// Names the state of what is known, for comparison with an earlier one.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{:016x}{:016x}", self.inner.nonce, self.read().generation)
    }

    /// Looks into the catalogue. Whatever is done there holds up whoever learns: it is short.
    pub fn look<T>(&self, look: impl FnOnce(&Catalogue) -> T) -> T {
        look(&self.read().catalogue)
    }

    /// The RFCs that a question is about and of which something is known, ascending.
    #[must_use]
    pub fn select(&self, query: &DescribeQuery) -> Vec<RfcNumber> {
        self.look(|catalogue| {
            let of_all = query.ranges.is_empty() && query.references.is_empty();
            let everything = of_all.then_some(RfcRange::ALL);
            let ranges = query.ranges.iter().copied().chain(everything);
            let mut numbers: BTreeSet<RfcNumber> = ranges.flat_map(|range| catalogue.numbers(range)).collect();
            for reference in &query.references {
                match reference.rfc() {
                    Some(number) => numbers.extend(catalogue.numbers(number.into())),
                    None => numbers.extend(catalogue.members(*reference)),
                }
            }
            if query.with_successors && !of_all {
                // Nothing need be known of an RFC itself for it to be known what took its place.
                let named = query.references.iter().filter_map(Reference::rfc);
                let asked: BTreeSet<RfcNumber> = numbers.iter().copied().chain(named).collect();
                for number in asked.into_iter().take(MAX_SMALL_ANSWER) {
                    let chain = catalogue.chain(number);
                    numbers.extend(chain.between.into_iter().chain(chain.current));
                }
            }
            numbers.into_iter().collect()
        })
    }

    /// What is known of these RFCs now.
    #[must_use]
    pub fn get(&self, numbers: &[RfcNumber]) -> Vec<Facts> {
        self.look(|catalogue| numbers.iter().filter_map(|number| catalogue.get(*number)).collect())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.inner.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.inner.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use p2p_ci::facts::{Issued, Source};

    use super::*;

    fn number(value: u32) -> RfcNumber {
        RfcNumber::new(value).unwrap()
    }

    fn facts(value: u32, obsoletes: Option<u32>, also: &[&str]) -> Facts {
        Facts {
            number: number(value),
            source: Source::Record,
            as_of: None,
            issued: Some(Box::new(Issued {
                obsoletes: obsoletes
                    .into_iter()
                    .map(|old| Reference::to_rfc(number(old)))
                    .collect(),
                also: also.iter().map(|text| text.parse().unwrap()).collect(),
                ..Issued::default()
            })),
        }
    }

    fn selected(catalogue: &SharedCatalogue, ranges: &[&str], references: &[&str], with_successors: bool) -> Vec<u32> {
        let query = DescribeQuery {
            ranges: ranges.iter().map(|text| text.parse().unwrap()).collect(),
            references: references.iter().map(|text| text.parse().unwrap()).collect(),
            with_successors,
            unless_version: None,
        };
        catalogue.select(&query).into_iter().map(RfcNumber::get).collect()
    }

    #[test]
    fn questions_select_what_is_known() {
        let catalogue = SharedCatalogue::default();
        let first = catalogue.version();
        let known = [
            facts(2119, None, &["BCP14"]),
            facts(8174, None, &["BCP14"]),
            facts(2068, None, &[]),
            facts(2616, Some(2068), &[]),
            facts(9110, Some(2616), &["STD97"]),
        ];
        assert_eq!(catalogue.learn(known.clone()), 5);
        let second = catalogue.version();
        assert_ne!(first, second);
        assert_eq!(
            (catalogue.learn(known), catalogue.version()),
            (0, second),
            "nothing new"
        );
        assert_ne!(SharedCatalogue::default().version(), first, "another process");
        assert_eq!(selected(&catalogue, &[], &[], false), [2068, 2119, 2616, 8174, 9110]);
        assert_eq!(
            selected(&catalogue, &["1-2200", "9000-"], &[], false),
            [2068, 2119, 9110]
        );
        assert_eq!(selected(&catalogue, &[], &["BCP14"], true), [2119, 8174]);
        assert_eq!(selected(&catalogue, &[], &["RFC9110", "STD1"], false), [9110]);
        assert_eq!(selected(&catalogue, &["2068"], &[], true), [2068, 2616, 9110]);
        catalogue.learn([facts(4, Some(3), &[])]);
        assert_eq!(selected(&catalogue, &[], &["RFC3"], true), [4]);
        assert_eq!(catalogue.get(&[number(2616), number(3)]).len(), 1);
    }
}
