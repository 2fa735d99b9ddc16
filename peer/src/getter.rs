//! Gets one RFC by its number: who has it, which version to take, and from whom.

use std::{net::SocketAddr, path::PathBuf};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    digest::{DigestPrefix, Sha256},
    document::{DocumentKey, Format, RfcNumber},
    failure::Reason,
    identity::{PeerName, SessionId},
    limits as shared_limits,
    message::{DocumentEntry, Holder, IndexFilter, ListQuery, LookupQuery, PeerInfo, PeerRef},
    text::escaped,
};

use crate::{
    blocking,
    commands::Context,
    destination::Destination,
    error::{PeerError, no_such_peer},
    fetch::{FetchError, FetchJob, Fetched, fetch},
    library::StoreError,
    versions::{MAX_VERSIONS, rank},
};

/// Which of the documents of a number is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The format.
    pub format: Format,
    /// Only from this peer: its name, its id or its address.
    pub from: Option<String>,
    /// Only the document whose digest starts so.
    pub sha256_prefix: DigestPrefix,
    /// Replaces a file of other bytes.
    pub replace: bool,
}

/// How a download ended well.
#[derive(Debug)]
pub struct Got {
    /// The document, with the holders that were known.
    pub entry: DocumentEntry,
    /// Other documents of the same number and format, which were not taken.
    pub others: Vec<DocumentEntry>,
    /// Those of them that would have been taken first, and why they could not be had.
    pub missed: Vec<(DocumentEntry, String)>,
    /// How it came here.
    pub how: How,
}

/// How a document came into the target.
#[derive(Debug)]
pub enum How {
    /// It was downloaded.
    Fetched(Fetched),
    /// The same bytes were there already.
    Present(PathBuf),
}

/// Gets RFCs into one folder.
#[derive(Debug, Clone)]
pub struct Getter {
    context: Context,
    client: RegistryClient,
    destination: Destination,
    wish: Wish,
}

impl Getter {
    /// Gets what `wish` says into `destination`.
    #[must_use]
    pub fn new(context: Context, client: RegistryClient, destination: Destination, wish: Wish) -> Self {
        Self {
            context,
            client,
            destination,
            wish,
        }
    }

    /// Makes sure that the peer is active that the wish names, if it names one.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotFound`] when it is not, and [`PeerError::Registry`].
    pub async fn check_holder(&self) -> Result<(), PeerError> {
        match &self.wish.from {
            Some(from) => self.peer(from).await.map(drop),
            None => Ok(()),
        }
    }

    /// Gets one RFC, unless its bytes are there already.
    ///
    /// # Errors
    ///
    /// [`PeerError`], of every kind; nothing is left behind then.
    pub async fn get(
        &self,
        number: RfcNumber,
        started: impl Fn(&DocumentEntry),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Got, PeerError> {
        let key = DocumentKey {
            number,
            format: self.wish.format,
        };
        let mut versions = self.find(key).await?;
        let elsewhere = self.elsewhere(key, &versions).await;
        let present = self.present(key).await?;
        if let Some((path, sha256)) = present {
            if let Some(at) = versions.iter().position(|entry| entry.document.id.sha256 == sha256) {
                let entry = versions.remove(at);
                versions.extend(elsewhere);
                return Ok(Got {
                    entry,
                    others: versions,
                    missed: Vec::new(),
                    how: How::Present(path),
                });
            }
            if !self.wish.replace {
                let message = format!(
                    "{} exists with other bytes (SHA-256 {}) and is left as it is; --force replaces it, --to names another folder",
                    escaped(&path.to_string_lossy()),
                    sha256.fmt_short()
                );
                return Err(PeerError::Kept(message));
            }
        }
        let mut got = self.first_to_be_had(key, versions, started, progress).await?;
        got.others.extend(elsewhere);
        Ok(got)
    }

    /// Where one peer is asked alone: versions that it does not have and others do. Who wants to know has not asked, so
    /// that they cannot be found out is no failure.
    async fn elsewhere(&self, key: DocumentKey, versions: &[DocumentEntry]) -> Vec<DocumentEntry> {
        if self.wish.from.is_none() || !self.wish.sha256_prefix.as_str().is_empty() {
            return Vec::new();
        }
        let mut entries = self.ask_everybody(key).await.unwrap_or_default();
        let known = |entry: &DocumentEntry| versions.iter().any(|version| version.document.id == entry.document.id);
        entries.retain(|entry| !known(entry));
        entries
    }

    /// Downloads the first of `versions` of which a holder delivers the bytes. When none does, tells why the first one,
    /// which was wanted most, could not be had.
    async fn first_to_be_had(
        &self,
        key: DocumentKey,
        versions: Vec<DocumentEntry>,
        started: impl Fn(&DocumentEntry),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Got, PeerError> {
        let mut first_error = None;
        let mut missed: Vec<(DocumentEntry, String)> = Vec::new();
        let mut versions = versions.into_iter().take(MAX_VERSIONS);
        let target = self.destination.open().await?;
        while let Some(entry) = versions.next() {
            started(&entry);
            let job = FetchJob {
                entry: &entry,
                target,
                replace: self.wish.replace,
                registry: self.client.address().ip(),
                progress,
            };
            match fetch(&self.context.dialer, job).await {
                Ok(fetched) => {
                    let passed_over = missed.iter().map(|(entry, _)| entry.clone());
                    return Ok(Got {
                        others: passed_over.chain(versions).collect(),
                        entry,
                        missed,
                        how: if fetched.was_there {
                            How::Present(fetched.path)
                        } else {
                            How::Fetched(fetched)
                        },
                    });
                }
                Err(FetchError::Store(error @ StoreError::Exists(_))) => {
                    return Err(PeerError::Kept(error.to_string()));
                }
                // Another version would not fit on the disk either.
                Err(error @ FetchError::Store(_)) => return Err(explain(key, error)),
                Err(error) => {
                    missed.push((entry, error.to_string()));
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(match first_error {
            Some(error) => explain(key, error),
            None => PeerError::NotFound(format!("no active peer has {key}")),
        })
    }

    /// The file that is there already, with its digest.
    async fn present(&self, key: DocumentKey) -> Result<Option<(PathBuf, Sha256)>, PeerError> {
        let target = self.destination.open().await?.clone();
        let existing = blocking::run(move || target.existing(key)).await;
        let existing =
            existing.map_err(|error| PeerError::system("looking at the target")(std::io::Error::other(error)))??;
        Ok(existing.map(|file| (file.path, file.sha256)))
    }

    /// The documents of `key` that fit the wish, the best one first; at least one.
    async fn find(&self, key: DocumentKey) -> Result<Vec<DocumentEntry>, PeerError> {
        let mut entries = match &self.wish.from {
            None => self.ask_everybody(key).await?,
            Some(from) => self.ask_one(key, from).await?,
        };
        entries.retain(|entry| self.wish.sha256_prefix.matches(&entry.document.id.sha256));
        if entries.is_empty() {
            let message = format!(
                "no active peer has {key} with a SHA-256 that starts with {}",
                self.wish.sha256_prefix
            );
            return Err(PeerError::NotFound(message));
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(rank(entry)));
        Ok(entries)
    }

    async fn ask_everybody(&self, key: DocumentKey) -> Result<Vec<DocumentEntry>, PeerError> {
        let query = LookupQuery {
            number: key.number,
            format: Some(key.format),
            sha256_prefix: DigestPrefix::default(),
            max_holders: shared_limits::DEFAULT_LOOKUP_HOLDERS,
        };
        match self.client.lookup(&query).await {
            Ok(entries) => Ok(entries),
            Err(CallError::Refused(failure)) if failure.reason == Reason::RfcNotFound => {
                Err(PeerError::NotFound(failure.message))
            }
            Err(error) => Err(self.context.registry_error(error)),
        }
    }

    /// What one peer holds, with it as the only holder.
    async fn ask_one(&self, key: DocumentKey, from: &str) -> Result<Vec<DocumentEntry>, PeerError> {
        let peer = self.peer(from).await?;
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
        let mut answers = self.client.list_documents(query).await.map_err(located)?;
        let mut entries = Vec::new();
        while let Some(mut entry) = answers.next().await.map_err(located)? {
            entry.holders = vec![Holder {
                id: peer.id,
                name: peer.name.clone(),
                address,
            }];
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(PeerError::NotFound(format!(
                "{shown} does not have {key}; `peer lookup {}` shows who has",
                key.number
            )));
        }
        Ok(entries)
    }

    async fn peer(&self, wanted: &str) -> Result<PeerInfo, PeerError> {
        let located = |error| self.context.registry_error(error);
        let by_id = wanted.parse::<SessionId>().ok();
        let by_address = wanted.parse::<SocketAddr>().ok();
        let by_name = wanted.parse::<PeerName>().ok();
        let mut peers = self.client.list_peers().await.map_err(located)?;
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
}

/// Says what failed, in a sentence that names the document.
fn explain(key: DocumentKey, error: FetchError) -> PeerError {
    let integrity = error.is_integrity();
    match error {
        FetchError::Store(error) => PeerError::Store(error),
        FetchError::Holders(_) if integrity => PeerError::Integrity(format!("{key}: {error}; nothing was saved")),
        FetchError::Holders(_) => PeerError::HoldersUnreachable(format!("{key}: {error}")),
    }
}
