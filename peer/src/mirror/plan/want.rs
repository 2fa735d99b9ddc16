//! One document of a plan: who has it, who was asked for it, and where it stands.

use std::time::Duration;

use p2p_ci::{document::Document, identity::SessionId, message::DocumentEntry};

use crate::fetch::{HolderError, is_lie, may_come_back};

/// After this long, and the time that its bytes take at [`MOVE_BYTES_PER_SECOND`], a document that one holder has not
/// delivered may be asked of another one as well that has nothing else to do. What is asked twice crosses a shared link
/// twice, so this is far more than a document takes even on a poor one.
pub(super) const MOVE_AFTER: Duration = Duration::from_secs(5);

/// See [`MOVE_AFTER`]: half a megabit a second.
const MOVE_BYTES_PER_SECOND: u64 = 64 * 1024;

/// Holders that are asked for the same document at a time, at most.
const MAX_ASKED: usize = 2;

/// Why a document could not be had from a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A sentence for people.
    pub message: String,
    /// What kind of failure it is.
    pub cause: Cause,
}

/// Kinds of failures of holders, as far as something follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Wrong bytes were sent.
    WrongBytes,
    /// The holder could not be reached any more, and may come back.
    Absence,
    /// Everything else.
    Other,
}

impl Cause {
    /// The kind of this error.
    pub(crate) fn of(error: &HolderError) -> Self {
        if is_lie(error) {
            Self::WrongBytes
        } else if may_come_back(error) {
            Self::Absence
        } else {
            Self::Other
        }
    }
}

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is wanted.
    Open,
    /// It is stored, or somebody else stored it.
    Done,
    /// Every holder failed; the last reason.
    Failed(Problem),
}

/// A document that is wanted, or was.
#[derive(Debug)]
pub(super) struct Want {
    pub(super) document: Document,
    /// Holders that have not failed for this document since they announced it last.
    pub(super) holders: Vec<SessionId>,
    /// Those of them that were asked for it, and when.
    pub(super) asked: Vec<(SessionId, Duration)>,
    /// Holders whose bytes of it are here, to be checked and stored, whatever becomes of the holders.
    pub(super) arrived: Vec<SessionId>,
    /// Versions to fall back to when no holder delivers this one, the best one last.
    pub(super) others: Vec<DocumentEntry>,
    /// Its place among equally rare ones.
    pub(super) tie: u32,
    pub(super) state: State,
}

impl Want {
    /// How rare it is; what is rarer has a smaller number. One for each doubling of its holders, so that it changes its
    /// place among others a few times only while a swarm fills.
    pub(super) fn rarity(&self) -> u32 {
        self.holders.len().next_power_of_two().ilog2()
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether its bytes are here, so that nobody need be asked for now.
    pub(super) fn is_here(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Whether another holder should be asked as well at `now`.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        let patience = MOVE_AFTER + Duration::from_secs(self.document.size_bytes / MOVE_BYTES_PER_SECOND);
        let is_late = |since: &Duration| now.saturating_sub(*since) >= patience;
        self.asked.len() < MAX_ASKED && self.asked.iter().any(|(_, since)| is_late(since))
    }

    pub(super) fn may_ask(&self, holder: SessionId) -> bool {
        self.is_open()
            && !self.is_here()
            && self.holders.contains(&holder)
            && !self.asked.iter().any(|(id, _)| *id == holder)
    }
}
