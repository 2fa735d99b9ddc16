//! A registration as a value: the peer is registered as long as it lives.

use std::net::IpAddr;

use p2p_ci::{
    document::{Document, DocumentKey},
    message::{DocumentEntry, ListPage, ListPageQuery, LookupQuery, PeerLabel, WatchEvent},
};
use tokio_util::sync::CancellationToken;

use super::Swarm;
use crate::{error::RegistryError, index::answers::Asker};

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

    /// Takes documents back; returns how many the peer has now.
    ///
    /// # Errors
    ///
    /// When the session has been superseded.
    pub fn withdraw(&self, keys: Vec<DocumentKey>) -> Result<u32, RegistryError> {
        let mut state = self.swarm.lock();
        let change = state.index.withdraw(self.label.id, keys)?;
        state.publish_change(&change, WatchEvent::Withdrawn);
        Ok(change.total)
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
    pub fn lookup(&self, query: &LookupQuery) -> Result<Vec<DocumentEntry>, RegistryError> {
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
