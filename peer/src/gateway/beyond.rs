//! Beyond the peers around: who asks another site for what nobody has, and how all others get it from that peer.

use std::{net::SocketAddr, time::Duration};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Title, UnixSeconds},
};
use tokio::sync::watch;

use super::{
    fetching::Shelf,
    upstream::{Found, Upstream},
};
use crate::{blocking, destination::Destination, error::PeerError, facts::learning::Others, library::Body};

/// The field by which a site tells another one not to pass a request on: what neither has ends there.
pub(super) const RELAYED: &str = "p2pci-relayed";

/// How long the elected peer may take: it asks another site, which may be far away.
const PATIENCE: Duration = Duration::from_secs(40);

/// Peers that are asked in turn to ask another site, if the first ones cannot be reached.
const MAX_ASKED: usize = 3;

/// Who may ask another site.
#[derive(Debug, Clone)]
pub struct Beyond {
    /// This peer, if it may.
    upstream: Option<Upstream>,
    /// Where this peer's own site is, as others reach it.
    own: watch::Receiver<Option<SocketAddr>>,
    own_port: u16,
    others: watch::Receiver<Others>,
    agent: ureq::Agent,
}

impl Beyond {
    /// Asks `upstream`, if there is one and this peer is elected; else one of the `others`. The peer serves documents at
    /// `own`, and its site is on `own_port`.
    #[must_use]
    pub fn new(
        upstream: Option<Upstream>,
        own: watch::Receiver<Option<SocketAddr>>,
        own_port: u16,
        others: watch::Receiver<Others>,
    ) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        Self {
            upstream,
            own,
            own_port,
            others,
            agent: config.into(),
        }
    }

    /// Those who may ask another site, the elected one first. `None` stands for this peer.
    fn candidates(&self) -> Vec<Option<SocketAddr>> {
        let own = self
            .own
            .borrow()
            .map(|address| SocketAddr::new(address.ip(), self.own_port));
        let own = own.filter(|_| self.upstream.is_some());
        let mut all = self.others.borrow().upstreams.clone();
        all.extend(own);
        all.sort_unstable();
        all.dedup();
        let mut candidates: Vec<Option<SocketAddr>> = all
            .into_iter()
            .map(|address| Some(address).filter(|_| own != Some(address)))
            .collect();
        // Before others know where this peer is, it asks for itself.
        if self.upstream.is_some() && !candidates.contains(&None) {
            candidates.push(None);
        }
        candidates
    }

    /// Gets a document that nobody around has. One that this peer got is on the `shelf`; of one that another peer
    /// got it is only known that it shares it now. Of what was `relayed` from another peer, none is asked.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when it could not be had. `Ok(None)` when there is nobody to ask, or none has it.
    pub(super) async fn get(
        &self,
        key: DocumentKey,
        relayed: bool,
        shelf: &Shelf,
    ) -> Result<Option<Brought>, PeerError> {
        let mut first = None;
        let candidates = self
            .candidates()
            .into_iter()
            .filter(|candidate| !relayed || candidate.is_none());
        for candidate in candidates.take(MAX_ASKED) {
            let asked = match (candidate, &self.upstream) {
                (None, Some(upstream)) => ask(upstream, key, shelf).await,
                (None, None) => Ok(None),
                (Some(peer), _) => self.have_fetched(peer, key).await,
            };
            match asked {
                Ok(Some(brought)) => return Ok(Some(brought)),
                // The site has no such document, whoever asks it.
                Ok(None) => return Ok(None),
                Err(error) => {
                    tracing::debug!(document = %key, %error, "not to be had beyond");
                    first.get_or_insert(error);
                }
            }
        }
        first.map_or(Ok(None), Err)
    }

    /// Has another peer ask for a document, and share it.
    async fn have_fetched(&self, peer: SocketAddr, key: DocumentKey) -> Result<Option<Brought>, PeerError> {
        let (agent, url) = (self.agent.clone(), format!("http://{peer}/rfc/{}", key.file_name()));
        let asked = blocking::run(move || {
            let response = agent.head(&url).header(RELAYED, "1").call();
            response
                .map(|response| response.status().as_u16())
                .map_err(|error| error.to_string())
        });
        match asked.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(200) => Ok(Some(Brought::Elsewhere)),
            Ok(404) => Ok(None),
            Ok(status) => Err(PeerError::HoldersUnreachable(format!(
                "{key}: {peer} answered with status {status}"
            ))),
            Err(why) => Err(PeerError::HoldersUnreachable(format!("{key}: {peer}: {why}"))),
        }
    }
}

/// A document from beyond.
#[derive(Debug)]
pub(super) enum Brought {
    /// It is stored here.
    Here(Document),
    /// Another peer shares it now.
    Elsewhere,
}

/// Asks the other site, unless somebody else has done so meanwhile.
async fn ask(upstream: &Upstream, key: DocumentKey, shelf: &Shelf) -> Result<Option<Brought>, PeerError> {
    let mut turn = upstream.turn().await;
    if let Some(document) = shelf.library.get(key) {
        return Ok(Some(Brought::Here(document)));
    }
    let Some(found) = turn.get(key).await? else {
        return Ok(None);
    };
    let document = shelf.adopted(store(key, found, &shelf.destination).await?).await;
    Ok(Some(Brought::Here(document)))
}

async fn store(key: DocumentKey, found: Found, destination: &Destination) -> Result<Document, PeerError> {
    let target = destination.open().await?.clone();
    let stored = blocking::run(move || {
        let size_bytes = found.bytes.len() as u64;
        let document = Document {
            id: DocumentId {
                key,
                sha256: Sha256::of(&found.bytes),
            },
            size_bytes,
            title: Title::default(),
            modified: found
                .modified
                .filter(|modified| !modified.is_to_come(UnixSeconds::now())),
        };
        let mut body = Body::default();
        body.push(found.bytes, 0);
        target.check_space(size_bytes)?;
        target.store(&document, &body, false)?;
        Ok::<_, PeerError>(document)
    });
    let stored = stored
        .await
        .map_err(|error| PeerError::system("storing a document")(std::io::Error::other(error)))?;
    tracing::info!(document = %key, "fetched from beyond the peers around");
    stored
}
