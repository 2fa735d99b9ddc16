//! A registration as a value: the peer is registered as long as it lives.

use std::net::IpAddr;

use p2p_ci::{
    address,
    document::{Document, DocumentKey, Format},
    fingerprint::Fingerprint,
    message::{ListPage, ListPageQuery, LookupAnswer, LookupQuery, PeerLabel, WatchEvent},
};
use tokio_util::sync::CancellationToken;

use super::Swarm;
use crate::{
    error::RegistryError,
    index::{List, answers::Asker},
};

/// A registered peer. Dropping it, on whatever path, ends the registration.
#[derive(Debug)]
pub struct Membership {
    swarm: Swarm,
    label: PeerLabel,
    asker: Asker,
    superseded: CancellationToken,
    why_left: &'static str,
}

impl Membership {
    pub(super) fn new(swarm: Swarm, label: PeerLabel, source: IpAddr, superseded: CancellationToken) -> Self {
        let asker = Asker {
            ip: source,
            session: Some(label.id),
        };
        Self {
            swarm,
            label,
            asker,
            superseded,
            why_left: "the session was dropped",
        }
    }

    /// The session and its name.
    #[must_use]
    pub fn label(&self) -> &PeerLabel {
        &self.label
    }

    /// Cancelled when another session has taken this one over.
    #[must_use]
    pub fn superseded(&self) -> &CancellationToken {
        &self.superseded
    }

    /// Adds documents, all or none; returns how many the peer has now.
    ///
    /// # Errors
    ///
    /// Those of [`Index::announce`](crate::index::Index::announce).
    pub fn announce(&self, documents: Vec<Document>) -> Result<u32, RegistryError> {
        let mut state = self.swarm.lock();
        let change = state.index.announce(self.label.id, documents)?;
        state.publish_change(&change, WatchEvent::Announced);
        Ok(change.total)
    }

    /// Takes documents back, these and all of these formats; returns how many the peer has now.
    ///
    /// # Errors
    ///
    /// When the session has been superseded.
    pub fn withdraw(&self, keys: Vec<DocumentKey>, formats: &[Format]) -> Result<u32, RegistryError> {
        let mut state = self.swarm.lock();
        let mut change = state.index.withdraw(self.label.id, keys)?;
        state.publish_change(&change, WatchEvent::Withdrawn);
        if !formats.is_empty() {
            change = state.index.withdraw_formats(self.label.id, formats)?;
            state.publish_change(&change, WatchEvent::Withdrawn);
        }
        Ok(change.total)
    }

    /// Adds every document of those lists that are known by their fingerprints, as long as the peer's source does not do
    /// that all the time; returns the formats of these.
    ///
    /// # Errors
    ///
    /// When the session has been superseded.
    pub fn adopt(&self, fingerprints: &[Fingerprint]) -> Result<Vec<Format>, RegistryError> {
        let source = address::accountable(self.asker.ip);
        let mut known = Vec::new();
        for fingerprint in fingerprints {
            // Others get their turn between two lists.
            if self.swarm.lock().adopt(self.label.id, source, fingerprint)? {
                known.push(fingerprint.format);
            }
        }
        Ok(known)
    }

    /// Compares what the peer has with what it believes to have; returns the formats that differ. What it has is looked
    /// at if that was not done since it last changed and `may_look` agrees, else that comparison is left out. A list
    /// that proves to be one that the peer has is known by its fingerprint from then on.
    ///
    /// Takes the membership for itself alone, so that nothing changes what the peer has between two locks.
    ///
    /// # Errors
    ///
    /// When the session has been superseded.
    pub fn compare(
        &mut self,
        believed: &[Fingerprint],
        may_look: impl FnOnce() -> bool,
    ) -> Result<Vec<Format>, RegistryError> {
        if believed.is_empty() {
            return Ok(Vec::new());
        }
        let id = self.label.id;
        let mut actual = self.swarm.lock().index.fingerprints(id)?;
        let is_open = |format: &Format| actual.iter().all(|known| known.format != *format);
        let open: Vec<Format> = believed.iter().map(|one| one.format).filter(is_open).collect();
        if !open.is_empty() && may_look() {
            let held = self.swarm.lock().index.held(id, &open)?;
            for format in open {
                let list = List::of(format, &held);
                let fingerprint = list.fingerprint();
                let is_right = believed.contains(&fingerprint);
                self.swarm.lock().index.note_list(id, list, is_right)?;
                actual.push(fingerprint);
            }
        }
        let differs = |one: &&Fingerprint| actual.iter().any(|known| known.format == one.format && known != *one);
        Ok(believed.iter().filter(differs).map(|one| one.format).collect())
    }

    /// Notes how busy the peer is; returns how many documents it has.
    ///
    /// # Errors
    ///
    /// When the session has been superseded.
    pub fn heartbeat(&self, upload_count: u32) -> Result<u32, RegistryError> {
        Ok(self.swarm.lock().index.heartbeat(self.label.id, upload_count)?)
    }

    /// Who else has an RFC.
    ///
    /// # Errors
    ///
    /// [`RegistryError::RfcNotFound`].
    pub fn lookup(&self, query: &LookupQuery) -> Result<LookupAnswer, RegistryError> {
        self.swarm.lookup(query, self.asker)
    }

    /// A page of what others have.
    pub async fn list(&self, query: &ListPageQuery) -> ListPage {
        self.swarm.list_page(query, self.asker).await
    }

    /// Ends the registration before the membership itself ends.
    pub fn end_now(&self) {
        self.swarm.lock().leave(self.label.id);
    }

    /// Ends the registration, and says why in the log.
    pub fn leave(mut self, why: &'static str) {
        self.why_left = why;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.end_now();
        tracing::info!(reason = self.why_left, "left");
    }
}
