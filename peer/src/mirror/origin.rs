//! Where documents come from, as those know it who store them.

use std::sync::atomic::{AtomicBool, Ordering};

use p2p_ci::message::Holder;

/// A holder as those know it who store what it sent.
pub(super) struct Origin {
    pub(super) holder: Holder,
    is_banned: AtomicBool,
}

impl Origin {
    /// The holder, which is to be asked.
    pub(super) fn new(holder: Holder) -> Self {
        Self {
            holder,
            is_banned: AtomicBool::new(false),
        }
    }

    /// It has sent too many documents of wrong bytes.
    pub(super) fn ban(&self) {
        self.is_banned.store(true, Ordering::Relaxed);
    }

    /// Whether it should not be asked any more.
    pub(super) fn is_banned(&self) -> bool {
        self.is_banned.load(Ordering::Relaxed)
    }
}
