//! In which order the holders of a document are asked, and which of them again.

use std::{collections::VecDeque, time::Duration};

use p2p_ci::message::Holder;
use tokio::time::Instant;

use crate::limits;

/// Holders that may still be asked.
pub(super) struct Candidates<'a> {
    /// Those that can be asked now, the next one first.
    ready: VecDeque<&'a Holder>,
    /// Those that were busy, and when they may be asked again.
    busy: Vec<(Instant, &'a Holder)>,
    patience_ends: Instant,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(holders: Vec<&'a Holder>) -> Self {
        Self {
            ready: holders.into(),
            busy: Vec::new(),
            patience_ends: Instant::now() + limits::BUSY_PATIENCE,
        }
    }

    /// The next holder to ask; waits only where all that are left are busy.
    pub(super) async fn next(&mut self) -> Option<&'a Holder> {
        if let Some(holder) = self.ready.pop_front() {
            return Some(holder);
        }
        let (index, (until, _)) = self.busy.iter().enumerate().min_by_key(|(_, (until, _))| *until)?;
        tokio::time::sleep_until(*until).await;
        Some(self.busy.swap_remove(index).1)
    }

    /// Whether there are others to ask than the one that was handed out last.
    pub(super) fn has_others(&self) -> bool {
        !self.ready.is_empty() || !self.busy.is_empty()
    }

    /// Asks this one again, next.
    pub(super) fn again(&mut self, holder: &'a Holder) {
        self.ready.push_front(holder);
    }

    /// Asks this one again after a pause, unless that is longer than anybody should wait; says whether it will be.
    pub(super) fn later(&mut self, holder: &'a Holder, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let borne = until < self.patience_ends;
        if borne {
            self.busy.push((until, holder));
        }
        borne
    }
}
