//! What a mirror did, for whoever asked for it.

use std::collections::BTreeMap;

use p2p_ci::{
    document::{Document, DocumentId},
    identity::PeerName,
};

use super::Problem;

/// What a mirror did.
#[derive(Debug, Clone, Default)]
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
    /// Documents by the peer that sent them.
    pub by_holder: BTreeMap<PeerName, u64>,
    /// Whether it was ended early.
    pub interrupted: bool,
}

impl Summary {
    /// Counts documents that a holder sent.
    pub(super) fn note<'a>(&mut self, holder: &PeerName, documents: impl Iterator<Item = &'a Document>) {
        let before = self.fetched;
        for document in documents {
            self.fetched += 1;
            self.bytes += document.size_bytes;
        }
        if self.fetched > before {
            *self.by_holder.entry(holder.clone()).or_default() += self.fetched - before;
        }
    }
}
