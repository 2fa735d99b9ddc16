//! What a mirror did, for whoever asked for it.

use std::{cmp::Reverse, collections::BTreeMap};

use p2p_ci::{
    document::{Document, DocumentId, DocumentKey},
    identity::PeerName,
};

use super::Problem;
use crate::library::StoreError;

/// What a mirror did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Documents fetched.
    pub fetched: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents that were there already.
    pub present: u64,
    /// Documents whose files here have other bytes, and were left as they are.
    pub kept: u64,
    /// Documents of which the peers hold several versions; one of each was wanted.
    pub contested: u64,
    /// Documents that could not be had, and why.
    pub failures: Vec<(DocumentId, Problem)>,
    /// Whether the registry had just started when it was asked for what there is.
    pub converging: bool,
    /// What was fetched, by the peer that sent it.
    pub by_holder: BTreeMap<PeerName, Given>,
    /// Whether it was ended early.
    pub interrupted: bool,
    /// Why it ended early, where the target has failed.
    pub failed: Option<StoreError>,
    /// Documents that are wanted still, where it ended early.
    pub left: u64,
}

/// What was fetched from one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Summary {
    /// Counts documents that a holder sent.
    pub(super) fn note<'a>(&mut self, holder: &PeerName, documents: impl Iterator<Item = &'a Document>) {
        let mut given = Given::default();
        for document in documents {
            given.documents += 1;
            given.bytes += document.size_bytes;
        }
        if given.documents > 0 {
            self.fetched += given.documents;
            self.bytes += given.bytes;
            let of_holder = self.by_holder.entry(holder.clone()).or_default();
            of_holder.documents += given.documents;
            of_holder.bytes += given.bytes;
        }
    }

    /// Adds what another round did, after which `is_here` tells of the documents that could not be had before.
    pub fn goes_on(&mut self, round: Self, is_here: impl Fn(DocumentKey) -> bool) {
        self.fetched += round.fetched;
        self.bytes += round.bytes;
        for (holder, given) in round.by_holder {
            let of_holder = self.by_holder.entry(holder).or_default();
            of_holder.documents += given.documents;
            of_holder.bytes += given.bytes;
        }
        // What the registry does not name any more could not be had for the reason that is known.
        let again = |id: &DocumentId| round.failures.iter().any(|(other, _)| other.key == id.key);
        self.failures.retain(|(id, _)| !is_here(id.key) && !again(id));
        self.failures.extend(round.failures);
        self.converging = round.converging;
        self.interrupted = round.interrupted;
        self.failed = round.failed;
        self.left = round.left;
    }

    /// The peers that sent something, those first that sent most.
    #[must_use]
    pub fn givers(&self) -> Vec<(&PeerName, Given)> {
        let mut givers: Vec<_> = self.by_holder.iter().map(|(name, given)| (name, *given)).collect();
        givers.sort_by_key(|(_, given)| Reverse(given.bytes));
        givers
    }
}
