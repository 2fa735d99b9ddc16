//! Where documents come from, as those know it who store them.

use std::sync::atomic::{AtomicU32, Ordering};

use p2p_ci::message::Holder;

/// Wrong documents after which a holder is not asked any more.
const MAX_LIES: u32 = 3;

/// A holder as those know it who store what it sent.
pub(super) struct Origin {
    pub(super) holder: Holder,
    lies: AtomicU32,
}

impl Origin {
    /// The holder, which has not lied yet.
    pub(super) fn new(holder: Holder) -> Self {
        Self {
            holder,
            lies: AtomicU32::new(0),
        }
    }

    /// Takes note of a document of wrong bytes.
    pub(super) fn lied(&self) {
        self.lies.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it should not be asked any more.
    pub(super) fn lies_too_much(&self) -> bool {
        self.lies.load(Ordering::Relaxed) >= MAX_LIES
    }
}
