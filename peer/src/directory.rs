//! Who has a document: asked of the registry, or, where it cannot be asked, of the peers that it named before.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use futures_util::future::join_all;
use p2p_ci::{
    address,
    client::{CallError, file_transfer::FileTransferClient, registry::RegistryClient},
    digest::DigestPrefix,
    document::{Document, DocumentId, DocumentKey, Title},
    failure::Reason,
    identity::{PeerName, SessionId},
    limits as shared_limits,
    message::{
        DocumentEntry, DownloadPart, DownloadQuery, Holder, IndexFilter, ListQuery, Listed, LookupAnswer, LookupQuery,
        PeerInfo, PeerRef,
    },
    text::escaped,
};

use crate::{
    commands::Context,
    error::{PeerError, no_such_peer},
    limits::{ASK_PATIENCE, ASKED_AT_ONCE, ASKED_IN_ALL},
};

/// The receive window of a connection on which only the header of a document is wanted: the smallest that HTTP/2 starts
/// with (RFC 9113 section 6.9.2), so that little is sent in vain.
const HEADER_WINDOW_BYTES: u32 = 64 * 1024 - 1;

/// Who tells which documents there are.
#[derive(Debug, Clone)]
pub struct Directory {
    context: Context,
    client: Option<RegistryClient>,
    offline_ok: bool,
    /// Why the registry is no longer asked.
    lost: Arc<OnceLock<String>>,
}

/// Why the registry named nobody.
struct Miss {
    error: PeerError,
    /// Whether it has just started, and those who have the document may be on their way back to it.
    may_come: bool,
}

impl Miss {
    fn lasting(error: PeerError) -> Self {
        Self { error, may_come: false }
    }
}

/// Documents of one number and format, and who told of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The documents with their holders.
    pub entries: Vec<DocumentEntry>,
    /// Whether the registry told of them, so that their digests are what was announced to it. Otherwise they are what the
    /// holders themselves say now.
    pub by_registry: bool,
}

impl Directory {
    /// Connects to the registry. Where that fails and it is `offline_ok`, peers that are known are asked instead.
    ///
    /// # Errors
    ///
    /// [`PeerError::Registry`] when it cannot be reached and nobody is known.
    pub async fn open(context: Context, offline_ok: bool) -> Result<Self, PeerError> {
        let connected = context.connect().await;
        let mut directory = Self {
            context,
            client: None,
            offline_ok,
            lost: Arc::default(),
        };
        match connected {
            Ok(client) => directory.client = Some(client),
            Err(error) => directory.go_offline(error)?,
        }
        Ok(directory)
    }

    /// What the directory works with.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Why the registry is not asked any more; `None` as long as it is.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// The registry's address, which tells how far a holder's address must reach.
    #[must_use]
    pub fn registry(&self) -> IpAddr {
        let connected = self.client.as_ref().map(|client| client.address().ip());
        // Known peers were learnt together with it; without it, none but those of this machine are trusted.
        let known = || self.context.memory.registry();
        connected.or_else(known).unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }

    /// The registry, if it is asked.
    fn online(&self) -> Option<&RegistryClient> {
        self.client.as_ref().filter(|_| self.lost.get().is_none())
    }

    /// From now on asks known peers, if that is wanted, would help, and is what the error calls for.
    fn go_offline(&self, error: PeerError) -> Result<(), PeerError> {
        let is_down = matches!(&error, PeerError::Registry { source, .. } if is_down(source));
        if !is_down || !self.offline_ok || self.context.memory.to_ask().is_empty() {
            return Err(error);
        }
        // Whoever was first has said why.
        let _ = self.lost.set(error.to_string());
        Ok(())
    }

    /// The documents of `key`, at least one: those of everybody, or of the peer `from` alone.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotFound`] when nobody has it, [`PeerError::Registry`], and [`PeerError::Offline`] when the registry
    /// cannot be asked and none of the known peers has it.
    pub async fn find(&self, key: DocumentKey, from: Option<&str>) -> Result<Sighting, PeerError> {
        if let Some(client) = self.online() {
            let found = match from {
                None => self.ask_registry(client, key).await,
                Some(from) => self.ask_registry_for(client, key, from).await.map_err(Miss::lasting),
            };
            match found {
                Ok(entries) => {
                    return Ok(Sighting {
                        entries,
                        by_registry: true,
                    });
                }
                Err(Miss { error, may_come: true }) if self.offline_ok => {
                    return self.ask_known(key, from).await.map_err(|_| error);
                }
                Err(Miss { error, .. }) => self.go_offline(error)?,
            }
        }
        self.ask_known(key, from).await
    }

    /// Makes sure that there is such a peer.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub async fn check_peer(&self, wanted: &str) -> Result<(), PeerError> {
        if let Some(client) = self.online() {
            match self.peer(client, wanted).await {
                Ok(_) => return Ok(()),
                Err(error) => self.go_offline(error)?,
            }
        }
        if self
            .context
            .memory
            .to_ask()
            .iter()
            .any(|holder| is_called(holder, wanted))
        {
            return Ok(());
        }
        let lost = self.lost().unwrap_or_default();
        let wanted = escaped(wanted);
        Err(PeerError::Offline(format!(
            "{lost}; no peer known from before is called {wanted}"
        )))
    }

    async fn ask_registry(&self, client: &RegistryClient, key: DocumentKey) -> Result<Vec<DocumentEntry>, Miss> {
        let query = LookupQuery {
            number: key.number,
            format: Some(key.format),
            sha256_prefix: DigestPrefix::default(),
            max_holders: shared_limits::DEFAULT_LOOKUP_HOLDERS,
        };
        match client.lookup(&query).await {
            Ok(LookupAnswer { documents, .. }) => {
                let holders = documents.iter().flat_map(|entry| &entry.holders);
                self.context.memory.learn(client.address().ip(), holders);
                Ok(documents)
            }
            Err(CallError::Refused(failure)) if failure.reason == Reason::RfcNotFound => Err(Miss {
                error: PeerError::NotFound(failure.message),
                may_come: failure.retry_after.is_some(),
            }),
            Err(error) => Err(Miss::lasting(self.context.registry_error(error))),
        }
    }

    /// What one peer holds, with it as the only holder.
    async fn ask_registry_for(
        &self,
        client: &RegistryClient,
        key: DocumentKey,
        from: &str,
    ) -> Result<Vec<DocumentEntry>, PeerError> {
        let peer = self.peer(client, from).await?;
        let shown = escaped(from);
        let Some(address) = peer.address else {
            return Err(PeerError::NotFound(format!(
                "{shown} is an observer, which shares nothing"
            )));
        };
        let filter = IndexFilter {
            range: key.number.into(),
            format: Some(key.format),
        };
        let query = ListQuery {
            filter,
            peer: Some(PeerRef::Id(peer.id)),
            max_holders: 1,
        };
        let located = |error| self.context.registry_error(error);
        let mut answers = client.list_documents(query).await.map_err(located)?;
        let holder = Holder {
            id: peer.id,
            name: peer.name.clone(),
            address,
        };
        let mut entries = Vec::new();
        while let Some(Listed { mut entry, .. }) = answers.next().await.map_err(located)? {
            entry.holders = vec![holder.clone()];
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(PeerError::NotFound(format!(
                "{shown} does not have {key}; `peer lookup {}` shows who has",
                key.number
            )));
        }
        self.context.memory.learn(client.address().ip(), [&holder]);
        Ok(entries)
    }

    async fn peer(&self, client: &RegistryClient, wanted: &str) -> Result<PeerInfo, PeerError> {
        let located = |error| self.context.registry_error(error);
        let by_id = wanted.parse::<SessionId>().ok();
        let by_address = wanted.parse::<SocketAddr>().ok();
        let by_name = wanted.parse::<PeerName>().ok();
        let mut peers = client.list_peers().await.map_err(located)?;
        while let Some(peer) = peers.next().await.map_err(located)? {
            let is_it = by_id == Some(peer.id)
                || (by_address.is_some() && by_address == peer.address)
                || by_name.as_ref() == Some(&peer.name);
            if is_it {
                return Ok(peer);
            }
        }
        Err(no_such_peer(wanted))
    }

    /// What known peers say that they hold, so many at a time, until some of them hold it.
    async fn ask_known(&self, key: DocumentKey, from: Option<&str>) -> Result<Sighting, PeerError> {
        let mut known = self.context.memory.to_ask();
        if let Some(from) = from {
            known.retain(|holder| is_called(holder, from));
        }
        let asked = known.len().min(ASKED_IN_ALL);
        for round in known.chunks(ASKED_AT_ONCE).take(ASKED_IN_ALL / ASKED_AT_ONCE) {
            let asking: Vec<_> = round.iter().map(|holder| self.ask_holder(key, holder)).collect();
            let answers = join_all(asking).await;
            let entries = merged(round.iter().zip(answers));
            if !entries.is_empty() {
                return Ok(Sighting {
                    entries,
                    by_registry: false,
                });
            }
        }
        let lost = self.lost().unwrap_or_default();
        Err(PeerError::Offline(format!(
            "{key}: {lost}; none of the {asked} peers known from before has it"
        )))
    }

    /// What a peer says of the document that it would send.
    async fn ask_holder(&self, key: DocumentKey, holder: &Holder) -> Option<Document> {
        if !address::reaches(self.registry(), holder.address.ip()) {
            return None;
        }
        let asking = async {
            let client = FileTransferClient::connect(&self.context.dialer, holder.address, HEADER_WINDOW_BYTES).await?;
            let query = DownloadQuery {
                key,
                sha256: None,
                offset: 0,
            };
            client.download(&query).await?.next().await
        };
        let header = match tokio::time::timeout(ASK_PATIENCE, asking).await {
            Ok(Ok(Some(DownloadPart::Header(header)))) => header,
            Ok(Err(error)) => {
                tracing::debug!(holder = %holder.name, address = %holder.address, %error, "a known peer was of no help");
                return None;
            }
            Ok(Ok(_)) | Err(_) => return None,
        };
        let DocumentId { key: told, .. } = header.id;
        (told == key).then(|| Document {
            id: header.id,
            size_bytes: header.size_bytes,
            title: Title::default(),
            modified: header.modified,
        })
    }
}

/// Documents with those who said that they hold them.
fn merged<'a>(answers: impl Iterator<Item = (&'a Holder, Option<Document>)>) -> Vec<DocumentEntry> {
    let mut entries: BTreeMap<(DocumentId, u64), DocumentEntry> = BTreeMap::new();
    for (holder, document) in answers {
        let Some(document) = document else { continue };
        let entry = entries
            .entry((document.id, document.size_bytes))
            .or_insert_with(|| DocumentEntry {
                document,
                holder_count: 0,
                holders: Vec::new(),
            });
        entry.holder_count += 1;
        entry.holders.push(holder.clone());
    }
    entries.into_values().collect()
}

fn is_called(holder: &Holder, wanted: &str) -> bool {
    holder.name.as_str() == wanted
        || wanted.parse() == Ok(holder.id)
        || wanted
            .parse()
            .is_ok_and(|address: SocketAddr| address == holder.address)
}

/// Whether an error means that the registry is not there, or is about to go.
fn is_down(error: &CallError) -> bool {
    match error {
        CallError::Unreachable { .. } | CallError::TimedOut { .. } => true,
        CallError::Refused(failure) => failure.reason == Reason::ShuttingDown,
        CallError::Violation(_) => false,
    }
}
