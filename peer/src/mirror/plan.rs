//! Which document to fetch from which holder. Pure: no network, no disk, no clock.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use p2p_ci::{
    document::{Document, DocumentId},
    identity::SessionId,
    message::{DocumentEntry, Holder},
};

use crate::versions::{Chosen, MAX_VERSIONS};

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nobody fetches it.
    Waiting,
    /// A holder was asked for it.
    Asked,
    /// It is stored, or somebody else stored it.
    Done,
    /// Every holder failed; the last reason.
    Failed(Problem),
}

/// Why a document could not be had from a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A sentence for people.
    pub message: String,
    /// Whether wrong bytes were sent.
    pub integrity: bool,
}

#[derive(Debug)]
struct Want {
    document: Document,
    /// Holders that have not failed for this document.
    holders: Vec<SessionId>,
    /// Versions to fall back to when no holder delivers this one, the best one last.
    others: Vec<DocumentEntry>,
    state: State,
}

/// A version that nobody delivered, and the one that is wanted instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fallback {
    /// The version that could not be had.
    pub(super) missed: DocumentId,
    /// The last reason.
    pub(super) problem: Problem,
    /// The version that is wanted now.
    pub(super) next: DocumentId,
}

#[derive(Debug)]
struct Source {
    holder: Holder,
    /// Documents to ask this holder for, the next one last; stale entries are passed over.
    queue: Vec<usize>,
}

/// A document taken out of the plan, to be given back by its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// The document's place in the plan.
    pub(super) index: usize,
    /// The document.
    pub(super) document: Document,
}

/// What is wanted, and who has it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    wants: Vec<Want>,
    sources: BTreeMap<SessionId, Source>,
    /// Holders of no more use.
    gone: BTreeSet<SessionId>,
    fallbacks: Vec<Fallback>,
}

impl Plan {
    /// Adds a document with its holders, and with the versions to take where nobody delivers it.
    pub(super) fn add(&mut self, Chosen { entry, others }: Chosen) {
        let index = self.wants.len();
        let document = entry.document.clone();
        let mut others: Vec<DocumentEntry> = others.into_iter().take(MAX_VERSIONS - 1).collect();
        others.reverse();
        self.wants.push(Want {
            document,
            holders: Vec::new(),
            others,
            state: State::Waiting,
        });
        self.want(index, entry);
        if self.wants.last().is_some_and(|want| want.holders.is_empty()) {
            self.nobody_delivers(index, nobody_left());
        }
    }

    /// Wants this version, from its holders.
    fn want(&mut self, index: usize, entry: DocumentEntry) {
        let Some(want) = self.wants.get_mut(index) else { return };
        want.document = entry.document;
        want.holders = entry.holders.iter().map(|holder| holder.id).collect();
        want.state = State::Waiting;
        for holder in entry.holders {
            if self.gone.contains(&holder.id) {
                want.holders.retain(|id| *id != holder.id);
                continue;
            }
            let new = || Source {
                holder: holder.clone(),
                queue: Vec::new(),
            };
            self.sources.entry(holder.id).or_insert_with(new).queue.push(index);
        }
    }

    /// Falls back to the next version that somebody holds; without one, the document has failed.
    fn nobody_delivers(&mut self, index: usize, problem: Problem) {
        while let Some(want) = self.wants.get_mut(index) {
            let Some(next) = want.others.pop() else {
                want.state = State::Failed(problem);
                return;
            };
            self.fallbacks.push(Fallback {
                missed: want.document.id,
                problem: problem.clone(),
                next: next.document.id,
            });
            self.want(index, next);
            if self.wants.get(index).is_some_and(|want| !want.holders.is_empty()) {
                return;
            }
        }
    }

    /// Puts what few hold first, since those few may leave.
    pub(super) fn order_rarest_first(&mut self) {
        let wants = &self.wants;
        for source in self.sources.values_mut() {
            let rarity = |index: &usize| wants.get(*index).map_or(0, |want| want.holders.len());
            // The queue is taken from its end.
            source
                .queue
                .sort_by_key(|index| (Reverse(rarity(index)), Reverse(*index)));
        }
    }

    /// Documents and bytes in the plan.
    #[must_use]
    pub(super) fn totals(&self) -> (u64, u64) {
        (
            self.wants.len() as u64,
            self.wants.iter().map(|want| want.document.size_bytes).sum(),
        )
    }

    /// Holders that could be asked for something now.
    #[must_use]
    pub(super) fn holders_with_work(&self) -> Vec<Holder> {
        let wanted = |id: &SessionId, source: &Source| {
            source
                .queue
                .iter()
                .any(|index| self.wants.get(*index).is_some_and(|want| is_open(want, *id)))
        };
        self.sources
            .iter()
            .filter(|(id, source)| wanted(id, source))
            .map(|(_, source)| source.holder.clone())
            .collect()
    }

    /// The next document to ask `holder` for.
    pub(super) fn take(&mut self, holder: SessionId) -> Option<Task> {
        let queue = &mut self.sources.get_mut(&holder)?.queue;
        while let Some(index) = queue.pop() {
            if let Some(want) = self.wants.get_mut(index)
                && is_open(want, holder)
            {
                want.state = State::Asked;
                return Some(Task {
                    index,
                    document: want.document.clone(),
                });
            }
        }
        None
    }

    /// The document is stored.
    pub(super) fn done(&mut self, index: usize) {
        if let Some(want) = self.wants.get_mut(index) {
            want.state = State::Done;
        }
    }

    /// `holder` failed to deliver this document; others may be asked for it.
    pub(super) fn failed(&mut self, index: usize, holder: SessionId, problem: Problem) {
        let Some(want) = self.wants.get_mut(index) else { return };
        want.holders.retain(|id| *id != holder);
        self.put_back(index, problem);
    }

    /// `holder` is of no more use, for these documents that it was asked for and for all others.
    pub(super) fn lost(&mut self, holder: SessionId, asked: &[usize], problem: &Problem) {
        self.sources.remove(&holder);
        self.gone.insert(holder);
        let mut orphans = Vec::new();
        for (index, want) in self.wants.iter_mut().enumerate() {
            want.holders.retain(|id| *id != holder);
            if want.holders.is_empty() && want.state == State::Waiting {
                orphans.push(index);
            }
        }
        for index in orphans {
            self.nobody_delivers(index, problem.clone());
        }
        for index in asked {
            self.put_back(*index, problem.clone());
        }
    }

    fn put_back(&mut self, index: usize, problem: Problem) {
        let Some(want) = self.wants.get_mut(index) else { return };
        if want.holders.is_empty() {
            self.nobody_delivers(index, problem);
            return;
        }
        want.state = State::Waiting;
        for holder in &want.holders {
            if let Some(source) = self.sources.get_mut(holder) {
                source.queue.push(index);
            }
        }
    }

    /// Which versions were given up for which others since the last call.
    pub(super) fn take_fallbacks(&mut self) -> Vec<Fallback> {
        std::mem::take(&mut self.fallbacks)
    }

    /// The documents that could not be had, and why.
    pub(super) fn failures(&self) -> impl Iterator<Item = (DocumentId, Problem)> {
        self.wants.iter().filter_map(|want| match &want.state {
            State::Failed(problem) => Some((want.document.id, problem.clone())),
            State::Waiting | State::Asked | State::Done => None,
        })
    }
}

fn is_open(want: &Want, holder: SessionId) -> bool {
    want.state == State::Waiting && want.holders.contains(&holder)
}

fn nobody_left() -> Problem {
    Problem {
        message: "no holder that can be reached from here".to_owned(),
        integrity: false,
    }
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        digest::Sha256,
        document::{DocumentKey, Format, RfcNumber, Title},
    };

    use super::*;

    fn holder(n: u8) -> Holder {
        Holder {
            id: SessionId::from_bytes([n; 16]),
            name: format!("p{n}").parse().unwrap(),
            address: format!("127.0.0.{n}:4000").parse().unwrap(),
        }
    }

    fn entry(number: u32, bytes: &[u8], holders: &[u8]) -> DocumentEntry {
        let key = DocumentKey {
            number: RfcNumber::new(number).unwrap(),
            format: Format::Txt,
        };
        DocumentEntry {
            document: Document {
                id: DocumentId {
                    key,
                    sha256: Sha256::of(bytes),
                },
                size_bytes: 1,
                title: Title::default(),
                modified: None,
            },
            holder_count: u32::try_from(holders.len()).unwrap(),
            holders: holders.iter().copied().map(holder).collect(),
        }
    }

    fn only(entry: DocumentEntry) -> Chosen {
        Chosen {
            entry,
            others: Vec::new(),
        }
    }

    fn problem() -> Problem {
        Problem {
            message: "no".to_owned(),
            integrity: false,
        }
    }

    #[test]
    fn each_document_is_asked_of_one_holder_at_a_time_the_rarest_first() {
        let mut plan = Plan::default();
        plan.add(only(entry(1, b"a", &[1, 2])));
        plan.add(only(entry(2, b"b", &[1])));
        plan.order_rarest_first();
        let (one, two) = (holder(1).id, holder(2).id);
        assert_eq!(plan.take(one).unwrap().document.id.key.number.get(), 2);
        assert_eq!(plan.take(two).unwrap().document.id.key.number.get(), 1);
        assert_eq!(plan.take(one), None);
        assert!(plan.holders_with_work().is_empty());
    }

    #[test]
    fn what_a_holder_fails_to_deliver_goes_to_the_others() {
        let mut plan = Plan::default();
        plan.add(only(entry(1, b"a", &[1, 2])));
        let (one, two) = (holder(1).id, holder(2).id);
        let task = plan.take(one).unwrap();
        plan.failed(task.index, one, problem());
        assert_eq!(plan.take(one), None, "not the same holder again");
        let task = plan.take(two).unwrap();
        plan.failed(task.index, two, problem());
        assert_eq!(plan.failures().count(), 1);
    }

    #[test]
    fn a_lost_holder_costs_only_what_nobody_else_has() {
        let mut plan = Plan::default();
        plan.add(only(entry(1, b"a", &[1, 2])));
        plan.add(only(entry(2, b"b", &[1])));
        plan.add(only(entry(3, b"c", &[1])));
        let (one, two) = (holder(1).id, holder(2).id);
        let first = plan.take(one).unwrap();
        let second = plan.take(one).unwrap();
        plan.lost(one, &[first.index, second.index], &problem());
        assert_eq!(plan.failures().count(), 2);
        assert_eq!(plan.take(one), None);
        let task = plan.take(two).unwrap();
        plan.done(task.index);
        assert_eq!(plan.failures().count(), 2);
    }

    #[test]
    fn where_nobody_delivers_a_version_the_next_one_is_wanted() {
        let mut plan = Plan::default();
        let (one, two) = (holder(1).id, holder(2).id);
        plan.add(Chosen {
            entry: entry(1, b"wrong", &[1]),
            others: vec![entry(1, b"nobody has it any more", &[1]), entry(1, b"right", &[2])],
        });
        assert_eq!(plan.take(two), None, "not while the first version may come");
        let task = plan.take(one).unwrap();
        plan.lost(one, &[task.index], &problem());
        let task = plan.take(two).unwrap();
        assert_eq!(task.document.id.sha256, Sha256::of(b"right"));
        let fallbacks = plan.take_fallbacks();
        assert_eq!(fallbacks.len(), 2);
        assert_eq!(fallbacks[0].missed.sha256, Sha256::of(b"wrong"));
        assert_eq!(fallbacks[1].next.sha256, Sha256::of(b"right"));
        assert_eq!(plan.failures().count(), 0);
        plan.failed(task.index, two, problem());
        assert_eq!(plan.failures().count(), 1);
    }
}
