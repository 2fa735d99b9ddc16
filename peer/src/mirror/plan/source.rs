//! One holder, and what it could be asked for.

use std::{cmp::Reverse, collections::BinaryHeap};

use p2p_ci::message::Holder;

use super::want::Want;

/// A document that a holder could be asked for. The greatest one is asked for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Queued {
    place: Reverse<(u32, u32)>,
    /// The document.
    pub(super) index: usize,
    /// How rare it was when it was queued; see [`Want::rarity`].
    pub(super) rarity: u32,
}

impl Queued {
    pub(super) fn new(index: usize, rarity: u32, tie: u32) -> Self {
        Self {
            place: Reverse((rarity, tie)),
            index,
            rarity,
        }
    }
}

/// A holder.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) holder: Holder,
    /// Whether it is being asked.
    pub(super) is_active: bool,
    /// How many wanted documents it has.
    pub(super) open: usize,
    /// Documents to ask it for; stale entries are passed over.
    queue: BinaryHeap<Queued>,
}

impl Source {
    pub(super) fn new(holder: Holder) -> Self {
        Self {
            holder,
            is_active: false,
            open: 0,
            queue: BinaryHeap::new(),
        }
    }

    /// Adds this holder to those of document `index`, and the document to what it could be asked for.
    pub(super) fn add(&mut self, index: usize, want: &mut Want) {
        if !want.is_open() || want.holders.contains(&self.holder.id) {
            return;
        }
        want.holders.push(self.holder.id);
        self.open += 1;
        self.push(Queued::new(index, want.rarity(), want.tie));
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.queue.push(queued);
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.queue.pop()
    }
}
