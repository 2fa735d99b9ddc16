//! One holder, and what it could be asked for.

use std::{cmp::Reverse, collections::BinaryHeap};

use p2p_ci::message::Holder;

/// A holder is preferred to another one if it has less than this part of what the other has that is wanted.
const LESS_VERSATILE: (usize, usize) = (4, 5);

/// A holder that delivers this many times more slowly than another is not preferred to it.
const MUCH_SLOWER: u64 = 4;

/// A document that a holder could be asked for. The greatest one is asked for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Queued {
    place: Reverse<(usize, u32)>,
    /// The document.
    pub(super) index: usize,
    /// How many held it when it was queued.
    pub(super) rarity: usize,
}

impl Queued {
    pub(super) fn new(index: usize, rarity: usize, tie: u32) -> Self {
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
    /// How fast it delivers, once that is known.
    pub(super) bytes_per_second: Option<u64>,
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
            bytes_per_second: None,
            open: 0,
            queue: BinaryHeap::new(),
        }
    }

    pub(super) fn push(&mut self, queued: Queued) {
        self.queue.push(queued);
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.queue.pop()
    }

    /// Whether what both have should be asked of this one: it has little else to give, and gives it well.
    pub(super) fn is_preferred_to(&self, other: &Self) -> bool {
        let is_slow = match (self.bytes_per_second, other.bytes_per_second) {
            (Some(own), Some(others)) => own.saturating_mul(MUCH_SLOWER) < others,
            (None, _) | (_, None) => false,
        };
        let (numerator, denominator) = LESS_VERSATILE;
        let has_less = self.open.saturating_mul(denominator) < other.open.saturating_mul(numerator);
        self.is_active && !is_slow && has_less
    }
}
