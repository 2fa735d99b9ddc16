//! Which document to fetch from which holder. Pure: no network, no disk, no clock; the time is passed in.
//!
//! Documents that few hold come first, in an order of this peer's own among equals, so that peers that mirror at the same
//! time fetch different ones and feed each other. So a holder of everything is asked for what only it has as long as there
//! is something like that, and nobody is ever left idle for somebody else's sake.

mod source;
#[cfg(test)]
mod tests;
mod want;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use p2p_ci::{
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, RfcRange},
    identity::SessionId,
    message::{DocumentEntry, Holder},
};

pub use self::want::{Cause, Problem};
use self::{
    source::{Queued, Source},
    want::{State, Want},
};
use crate::versions::{Chosen, MAX_VERSIONS};

/// Documents that are passed over for one that a holder should be asked for; what is left alone now is so a moment later.
/// Entries that are out of date do not count: each is put right or dropped but once, and nothing may hide behind them.
const MAX_LOOKS: usize = 32;

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
    by_key: BTreeMap<DocumentKey, usize>,
    sources: BTreeMap<SessionId, Source>,
    /// Holders of no more use.
    gone: BTreeSet<SessionId>,
    fallbacks: Vec<Fallback>,
    open: usize,
    /// Bytes of everything that was ever added.
    size_bytes: u64,
}

impl Plan {
    /// Adds a document with its holders, and with the versions to take where nobody delivers it. `tie` is its place among
    /// equally rare ones.
    pub(super) fn add(&mut self, Chosen { entry, others }: Chosen, tie: u32) {
        let index = self.wants.len();
        let mut others: Vec<DocumentEntry> = others.into_iter().take(MAX_VERSIONS - 1).collect();
        others.reverse();
        self.by_key.insert(entry.document.id.key, index);
        self.wants.push(Want {
            document: entry.document.clone(),
            holders: Vec::new(),
            asked: Vec::new(),
            arrived: Vec::new(),
            others,
            tie,
            state: State::Open,
        });
        self.open += 1;
        self.size_bytes = self.size_bytes.saturating_add(entry.document.size_bytes);
        self.want(index, entry);
        self.check_holders(index, nobody_left);
    }

    /// Wants this version, from its holders.
    fn want(&mut self, index: usize, entry: DocumentEntry) {
        if let Some(want) = self.wants.get_mut(index) {
            want.document = entry.document;
        }
        for holder in entry.holders {
            self.add_holder(index, &holder);
        }
    }

    fn add_holder(&mut self, index: usize, holder: &Holder) {
        if self.gone.contains(&holder.id) {
            return;
        }
        let Some(want) = self.wants.get_mut(index) else { return };
        let source = self.sources.entry(holder.id);
        let source = source.or_insert_with(|| Source::new(holder.clone()));
        source.add(index, want);
    }

    /// Takes note that a peer announced documents of these numbers. Whether it has the wanted versions of them turns out
    /// when it is asked.
    pub(super) fn announced(&mut self, holder: &Holder, format: Format, ranges: &[RfcRange]) {
        if self.gone.contains(&holder.id) {
            return;
        }
        let source = self.sources.entry(holder.id);
        let source = source.or_insert_with(|| Source::new(holder.clone()));
        let key = |number: RfcNumber| DocumentKey { number, format };
        for range in ranges {
            for (key, index) in self.by_key.range(key(range.first)..=key(range.last)) {
                if let Some(want) = self.wants.get_mut(*index)
                    && key.format == format
                {
                    source.add(*index, want);
                }
            }
        }
    }

    /// Documents and bytes in the plan.
    #[must_use]
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.wants.len() as u64, self.size_bytes)
    }

    /// Documents that are wanted still and that somebody might have.
    #[must_use]
    pub(super) fn open(&self) -> u64 {
        self.open as u64
    }

    /// Whether nothing is wanted any more that somebody might have.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        self.open == 0
    }

    /// Whether `holder` has something that is wanted, be it asked of others already.
    #[must_use]
    pub(super) fn is_of_use(&self, holder: SessionId) -> bool {
        self.sources.get(&holder).is_some_and(|source| source.open > 0)
    }

    /// Holders that nobody asks and that should be asked for something now.
    #[must_use]
    pub(super) fn idle_holders(&mut self, now: Duration) -> Vec<Holder> {
        let idle = self
            .sources
            .values()
            .filter(|source| !source.is_active && source.open > 0);
        let idle: Vec<Holder> = idle.map(|source| source.holder.clone()).collect();
        idle.into_iter()
            .filter(|holder| self.look(holder.id, now).is_some())
            .collect()
    }

    /// Takes note that `holder` is asked, or not any more.
    pub(super) fn set_active(&mut self, holder: SessionId, is_active: bool) {
        if let Some(source) = self.sources.get_mut(&holder) {
            source.is_active = is_active;
        }
    }

    /// The next document to ask `holder` for.
    pub(super) fn take(&mut self, holder: SessionId, now: Duration) -> Option<Task> {
        let index = self.look(holder, now)?;
        let want = self.wants.get_mut(index)?;
        want.asked.push((holder, now));
        Some(Task {
            index,
            document: want.document.clone(),
        })
    }

    /// The document that `holder` should be asked for next; it stays in the queue.
    fn look(&mut self, holder: SessionId, now: Duration) -> Option<usize> {
        let source = self.sources.get_mut(&holder)?;
        let mut passed_over = Vec::new();
        let (mut free, mut late) = (None, None);
        while passed_over.len() < MAX_LOOKS {
            let Some(queued) = source.pop() else { break };
            let Some(want) = self.wants.get(queued.index).filter(|want| want.may_ask(holder)) else {
                continue;
            };
            if queued.rarity < want.rarity() {
                // More hold it by now.
                source.push(Queued::new(queued.index, want.rarity(), want.tie));
                continue;
            }
            passed_over.push(queued);
            if want.asked.is_empty() {
                free = Some(queued.index);
                break;
            }
            if late.is_none() && want.is_late(now) {
                late = Some(queued.index);
            }
        }
        passed_over.into_iter().for_each(|queued| source.push(queued));
        free.or(late)
    }

    /// All bytes of the document have come from `holder`. Until they are
    /// [`done`](Self::done) or have [`failed`](Self::failed), nobody else is asked for it, and it is not lost with its
    /// holder.
    pub(super) fn arrived(&mut self, index: usize, holder: SessionId) {
        if let Some(want) = self.wants.get_mut(index) {
            want.arrived.push(holder);
        }
    }

    /// The document is stored. Says whether it was wanted still: two holders may have delivered it.
    pub(super) fn done(&mut self, index: usize) -> bool {
        self.close(index, State::Done)
    }

    fn close(&mut self, index: usize, state: State) -> bool {
        let Some(want) = self.wants.get_mut(index).filter(|want| want.is_open()) else {
            return false;
        };
        want.state = state;
        self.open -= 1;
        for holder in &want.holders {
            if let Some(source) = self.sources.get_mut(holder) {
                source.open = source.open.saturating_sub(1);
            }
        }
        true
    }

    /// Whether the document is wanted still.
    #[must_use]
    pub(super) fn is_open(&self, index: usize) -> bool {
        self.wants.get(index).is_some_and(Want::is_open)
    }

    /// `holder` failed to deliver this document; others may be asked for it.
    pub(super) fn failed(&mut self, index: usize, holder: SessionId, problem: Problem) {
        if let Some(want) = self.wants.get_mut(index) {
            want.arrived.retain(|id| *id != holder);
        }
        self.remove_holder(index, holder);
        self.put_back(index, problem);
    }

    /// `holder` is of no more use, for these documents that it was asked for and for all others.
    pub(super) fn lost(&mut self, holder: SessionId, problem: &Problem) {
        self.gone.insert(holder);
        for index in 0..self.wants.len() {
            if self.remove_holder(index, holder) {
                self.put_back(index, problem.clone());
            }
        }
        self.sources.remove(&holder);
    }

    fn remove_holder(&mut self, index: usize, holder: SessionId) -> bool {
        let Some(want) = self.wants.get_mut(index) else {
            return false;
        };
        let before = want.holders.len();
        want.holders.retain(|id| *id != holder);
        want.asked.retain(|(id, _)| *id != holder);
        let was_holder = want.holders.len() < before;
        if was_holder
            && want.is_open()
            && let Some(source) = self.sources.get_mut(&holder)
        {
            source.open = source.open.saturating_sub(1);
        }
        was_holder
    }

    /// Sees to it that a document that a holder failed to deliver is asked of others.
    fn put_back(&mut self, index: usize, problem: Problem) {
        self.check_holders(index, || problem);
        let Some(want) = self.wants.get(index).filter(|want| want.is_open()) else {
            return;
        };
        let queued = Queued::new(index, want.rarity(), want.tie);
        for holder in &want.holders {
            if let Some(source) = self.sources.get_mut(holder) {
                source.push(queued);
            }
        }
    }

    /// Falls back to the next version that somebody holds where nobody holds this one; without one, the document has
    /// failed.
    fn check_holders(&mut self, index: usize, problem: impl FnOnce() -> Problem) {
        let is_orphan = |want: &Want| want.is_open() && !want.is_here() && want.holders.is_empty();
        if !self.wants.get(index).is_some_and(is_orphan) {
            return;
        }
        let problem = problem();
        while let Some(want) = self.wants.get_mut(index).filter(|want| is_orphan(want)) {
            let Some(next) = want.others.pop() else {
                self.close(index, State::Failed(problem));
                return;
            };
            self.fallbacks.push(Fallback {
                missed: want.document.id,
                problem: problem.clone(),
                next: next.document.id,
            });
            self.want(index, next);
        }
    }

    /// Which versions were given up for which others since the last call.
    pub(super) fn take_fallbacks(&mut self) -> Vec<Fallback> {
        std::mem::take(&mut self.fallbacks)
    }

    /// The documents that could not be had, and why. Those that are wanted still are none of them.
    pub(super) fn failures(&self) -> impl Iterator<Item = (DocumentId, Problem)> {
        self.wants.iter().filter_map(|want| match &want.state {
            State::Failed(problem) => Some((want.document.id, problem.clone())),
            State::Open | State::Done => None,
        })
    }
}

fn nobody_left() -> Problem {
    Problem {
        message: "no holder that can be reached from here".to_owned(),
        cause: Cause::Absence,
    }
}
