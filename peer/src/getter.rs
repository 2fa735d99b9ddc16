//! Gets one RFC by its number: who has it, which version to take, and from whom.

use std::path::PathBuf;

use p2p_ci::{
    digest::{DigestPrefix, Sha256},
    document::{DocumentKey, Format, RfcNumber, UnixSeconds},
    message::DocumentEntry,
    text::escaped,
};

use crate::{
    blocking,
    destination::Destination,
    directory::{Directory, Sighting},
    error::PeerError,
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
    /// Whether the registry told of it, as of [`Sighting::by_registry`].
    pub by_registry: bool,
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
    directory: Directory,
    destination: Destination,
    wish: Wish,
}

impl Getter {
    /// Gets what `wish` says into `destination`.
    #[must_use]
    pub fn new(directory: Directory, destination: Destination, wish: Wish) -> Self {
        Self {
            directory,
            destination,
            wish,
        }
    }

    /// Makes sure that the peer is active that the wish names, if it names one.
    ///
    /// # Errors
    ///
    /// As [`Directory::check_peer`].
    pub async fn check_holder(&self) -> Result<(), PeerError> {
        match &self.wish.from {
            Some(from) => self.directory.check_peer(from).await,
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
        let mut sighting = self.find(key).await?;
        let versions = &mut sighting.entries;
        let elsewhere = self.elsewhere(key, versions).await;
        let present = self.present(key).await?;
        if let Some((path, sha256)) = present {
            if let Some(at) = versions.iter().position(|entry| entry.document.id.sha256 == sha256) {
                let entry = versions.remove(at);
                versions.extend(elsewhere);
                return Ok(Got {
                    entry,
                    others: sighting.entries,
                    missed: Vec::new(),
                    how: How::Present(path),
                    by_registry: sighting.by_registry,
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
        let mut got = self.first_to_be_had(key, sighting, started, progress).await?;
        got.others.extend(elsewhere);
        Ok(got)
    }

    /// Where one peer is asked alone: versions that it does not have and others do. Who wants to know has not asked, so
    /// that they cannot be found out is no failure.
    async fn elsewhere(&self, key: DocumentKey, versions: &[DocumentEntry]) -> Vec<DocumentEntry> {
        if self.wish.from.is_none() || !self.wish.sha256_prefix.as_str().is_empty() {
            return Vec::new();
        }
        let everywhere = self.directory.find(key, None).await;
        let mut entries = everywhere.map(|sighting| sighting.entries).unwrap_or_default();
        let known = |entry: &DocumentEntry| versions.iter().any(|version| version.document.id == entry.document.id);
        entries.retain(|entry| !known(entry));
        entries
    }

    /// Downloads the first version of which a holder delivers the bytes. When none does, tells why the first one,
    /// which was wanted most, could not be had.
    async fn first_to_be_had(
        &self,
        key: DocumentKey,
        sighting: Sighting,
        started: impl Fn(&DocumentEntry),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Got, PeerError> {
        let mut first_error = None;
        let mut missed: Vec<(DocumentEntry, String)> = Vec::new();
        let mut versions = sighting.entries.into_iter().take(MAX_VERSIONS);
        let target = self.destination.open().await?;
        let context = self.directory.context();
        while let Some(entry) = versions.next() {
            started(&entry);
            let job = FetchJob {
                entry: &entry,
                target,
                replace: self.wish.replace,
                registry: self.directory.registry(),
                memory: &context.memory,
                progress,
            };
            match fetch(&context.dialer, job).await {
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
                        by_registry: sighting.by_registry,
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
    async fn find(&self, key: DocumentKey) -> Result<Sighting, PeerError> {
        let mut sighting = self.directory.find(key, self.wish.from.as_deref()).await?;
        let entries = &mut sighting.entries;
        entries.retain(|entry| self.wish.sha256_prefix.matches(&entry.document.id.sha256));
        if entries.is_empty() {
            let prefix = &self.wish.sha256_prefix;
            let nobody = format!("no active peer has {key}");
            let nobody = if prefix.as_str().is_empty() {
                nobody
            } else {
                format!("{nobody} with a SHA-256 that starts with {prefix}")
            };
            return Err(match self.directory.lost() {
                Some(lost) if !sighting.by_registry => {
                    PeerError::Offline(format!("{lost}; {nobody} among those known from before"))
                }
                _ => PeerError::NotFound(nobody),
            });
        }
        let now = UnixSeconds::now();
        entries.sort_by_key(|entry| std::cmp::Reverse(rank(entry, now)));
        Ok(sighting)
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
