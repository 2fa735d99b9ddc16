//! Which document to fetch from which holder. Pure: no network, no disk, no clock.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use p2p_ci::{
    address,
    document::{Document, DocumentId, DocumentKey, Format},
    identity::SessionId,
    message::{DocumentEntry, Holder},
};

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
    state: State,
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
}

impl Plan {
    /// Adds a document with its holders.
    pub(super) fn add(&mut self, entry: DocumentEntry) {
        let index = self.wants.len();
        let holders: Vec<SessionId> = entry.holders.iter().map(|holder| holder.id).collect();
        for holder in entry.holders {
            self.sources
                .entry(holder.id)
                .or_insert_with(|| Source {
                    holder,
                    queue: Vec::new(),
                })
                .queue
                .push(index);
        }
        let state = if holders.is_empty() {
            State::Failed(nobody_left())
        } else {
            State::Waiting
        };
        self.wants.push(Want {
            document: entry.document,
            holders,
            state,
        });
    }

    /// Puts what few hold first, since those few may leave.
    pub(super) fn order_rarest_first(&mut self) {
        let wants = &self.wants;
        for source in self.sources.values_mut() {
            let rarity = |index: &usize| wants.get(*index).map_or(0, |want| want.holders.len());
            // The queue is taken from its end.
            source
                .queue
                .sort_by_key(|index| (std::cmp::Reverse(rarity(index)), std::cmp::Reverse(*index)));
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
        for want in &mut self.wants {
            want.holders.retain(|id| *id != holder);
            if want.holders.is_empty() && want.state == State::Waiting {
                want.state = State::Failed(problem.clone());
            }
        }
        for index in asked {
            self.put_back(*index, problem.clone());
        }
    }

    fn put_back(&mut self, index: usize, problem: Problem) {
        let Some(want) = self.wants.get_mut(index) else { return };
        if want.holders.is_empty() {
            want.state = State::Failed(problem);
            return;
        }
        want.state = State::Waiting;
        for holder in &want.holders {
            if let Some(source) = self.sources.get_mut(holder) {
                source.queue.push(index);
            }
        }
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

/// A document to mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The version that was chosen.
    pub entry: DocumentEntry,
    /// The other versions of its number and format, the best one first. None of metadata, whose old versions are just
    /// that.
    pub others: Vec<DocumentEntry>,
}

/// Of several documents of one number and format, the one to mirror: for metadata the newest, else the one of the best
/// [`rank`]. Ties go to the smaller digest, so that everybody chooses alike.
#[must_use]
pub fn choose(entries: Vec<DocumentEntry>) -> Vec<Chosen> {
    let mut versions: BTreeMap<DocumentKey, Vec<DocumentEntry>> = BTreeMap::new();
    for entry in entries {
        versions.entry(entry.document.id.key).or_default().push(entry);
    }
    let choose_one = |(key, mut versions): (DocumentKey, Vec<DocumentEntry>)| {
        versions.sort_by_key(|entry| Reverse(rank(entry)));
        let mut versions = versions.into_iter();
        let entry = versions.next()?;
        let others = match key.format {
            Format::Json => Vec::new(),
            Format::Txt | Format::Html | Format::Pdf | Format::Xml => versions.collect(),
        };
        Some(Chosen { entry, others })
    };
    versions.into_iter().filter_map(choose_one).collect()
}

/// Whether nothing but its digest speaks for `chosen` against `other`.
#[must_use]
pub fn is_tie(chosen: &DocumentEntry, other: &DocumentEntry) -> bool {
    chosen.holder_count == other.holder_count && addresses(chosen) == addresses(other)
}

/// At how many addresses a version is known to be held.
fn addresses(entry: &DocumentEntry) -> usize {
    let ips = entry.holders.iter().map(|holder| holder.address.ip());
    ips.map(address::accountable).collect::<BTreeSet<_>>().len()
}

/// Larger is better: versions that are held at more addresses first, then those that more peers hold. One machine can
/// pose as many peers; it has few addresses.
#[must_use]
pub fn rank(entry: &DocumentEntry) -> impl Ord + use<> {
    let modified = match entry.document.id.key.format {
        Format::Json => entry.document.modified,
        Format::Txt | Format::Html | Format::Pdf | Format::Xml => None,
    };
    (
        modified,
        addresses(entry),
        entry.holder_count,
        Reverse(entry.document.id.sha256),
    )
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        digest::Sha256,
        document::{DocumentKey, Format, RfcNumber, Title, UnixSeconds},
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

    fn problem() -> Problem {
        Problem {
            message: "no".to_owned(),
            integrity: false,
        }
    }

    #[test]
    fn each_document_is_asked_of_one_holder_at_a_time_the_rarest_first() {
        let mut plan = Plan::default();
        plan.add(entry(1, b"a", &[1, 2]));
        plan.add(entry(2, b"b", &[1]));
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
        plan.add(entry(1, b"a", &[1, 2]));
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
        plan.add(entry(1, b"a", &[1, 2]));
        plan.add(entry(2, b"b", &[1]));
        plan.add(entry(3, b"c", &[1]));
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
    fn of_several_versions_most_holders_win_and_of_metadata_the_newest() {
        let chosen = choose(vec![
            entry(1, b"x", &[1]),
            entry(1, b"y", &[1, 2]),
            entry(2, b"z", &[1]),
        ]);
        let digests: Vec<Sha256> = chosen.iter().map(|chosen| chosen.entry.document.id.sha256).collect();
        assert_eq!(digests, [Sha256::of(b"y"), Sha256::of(b"z")]);
        assert_eq!(chosen[0].others, [entry(1, b"x", &[1])], "and the other one is told");
        assert!(!is_tie(&chosen[0].entry, &chosen[0].others[0]));
        assert!(is_tie(&entry(1, b"x", &[1]), &entry(1, b"y", &[2])));
        let json = |bytes: &[u8], holders: &[u8], seconds| {
            let mut entry = entry(1, bytes, holders);
            entry.document.id.key.format = Format::Json;
            entry.document.modified = Some(UnixSeconds(seconds));
            entry
        };
        let chosen = choose(vec![json(b"old", &[1, 2], 1), json(b"new", &[1], 2)]);
        assert_eq!(chosen[0].entry.document.id.sha256, Sha256::of(b"new"));
        assert_eq!(chosen[0].others, [], "old metadata contradicts nothing");
    }
}
