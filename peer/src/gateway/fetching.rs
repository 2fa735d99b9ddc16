//! What is not here: looked up, fetched, verified and stored, once however many ask for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_ci::{
    digest::DigestPrefix,
    document::{Document, DocumentKey, Format, RfcRange, UnixSeconds},
    facts::{Facts, Reference},
    message::{IndexFilter, ListQuery, Listed},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::beyond::{Beyond, Brought};
use crate::{
    blocking,
    commands::Context,
    destination::Destination,
    directory::Directory,
    error::{Exit, PeerError},
    facts::inquiry::inquire,
    getter::{Getter, Wish},
    library::Library,
    limits::{ASK_PATIENCE, MAX_FETCHES},
    versions::choose,
};

/// How long a document that nobody has is not asked for again: a page that names it ten times asks once.
const MISS_MEMORY: Duration = Duration::from_secs(2);

/// How long one may take: a browser gives up after that, too.
const FETCH_PATIENCE: Duration = Duration::from_secs(60);

/// How long a peer may take to announce what it has just stored, and how often it is looked whether it has.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(10);
const ANNOUNCED_LOOK: Duration = Duration::from_millis(200);

/// Holders of each document that a listing is asked for: they decide which of several versions is taken.
const LISTED_HOLDERS: usize = 8;

/// How one ended. What failed is shared by all who wait.
type Fetched = Result<Document, Arc<PeerError>>;

/// A folder that documents are stored in, and the library that it is of.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) library: Library,
    pub(super) destination: Destination,
}

impl Shelf {
    /// Has the library take note of what was stored in its folder.
    pub(super) async fn adopted(&self, document: Document) -> Document {
        let (library, stored) = (self.library.clone(), document.clone());
        let adopted = blocking::run(move || library.adopt(stored)).await;
        // What cannot be adopted is found by the next look at the folder, as everything is that is stored there.
        if let Ok(Err(error)) = adopted {
            tracing::debug!(document = %document.id.key, %error, "stored, and yet to be found");
        }
        self.library.get(document.id.key).unwrap_or(document)
    }
}

/// The end of a flight, for all who wait for it.
type Landing = watch::Receiver<Option<Fetched>>;

/// A document that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Which one.
    pub key: DocumentKey,
    /// Whether another site passed this wish on, which must not come back to it.
    pub is_relayed: bool,
}

/// Fetches what a library lacks. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: Context,
    shelf: Shelf,
    beyond: Option<Beyond>,
    flights: Mutex<HashMap<Wanted, Landing>>,
    tasks: TaskTracker,
    /// Ends what is under way.
    stop: CancellationToken,
}

impl Fetcher {
    /// Fetches into `destination`, which is the folder of `library`; what nobody around has, from `beyond`.
    #[must_use]
    pub fn new(context: Context, library: Library, destination: Destination, beyond: Option<Beyond>) -> Self {
        Self {
            inner: Arc::new(Inner {
                context,
                shelf: Shelf { library, destination },
                beyond,
                flights: Mutex::default(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
            }),
        }
    }

    /// Fetches a document, or waits for it with all others who want it. It goes on when whoever asked is gone.
    ///
    /// # Errors
    ///
    /// [`PeerError`] of every kind.
    pub async fn fetch(&self, wanted: Wanted) -> Fetched {
        let key = wanted.key;
        let mut landing = self.join(wanted)?;
        let gone = || Arc::new(PeerError::Broken("fetching a document"));
        let landed = landing.wait_for(Option::is_some);
        let landed = tokio::time::timeout(FETCH_PATIENCE, landed).await.map_err(|_| {
            let told = format!(
                "{key}: it takes more than {} s; try again later",
                FETCH_PATIENCE.as_secs()
            );
            Arc::new(PeerError::HoldersUnreachable(told))
        })?;
        landed.map_err(|_| gone())?.clone().unwrap_or_else(|| Err(gone()))
    }

    /// What others know of an RFC, or of all of a subseries.
    pub async fn inquire(&self, wanted: Reference) -> Vec<Facts> {
        match inquire(&self.inner.context, &[wanted], true, ASK_PATIENCE).await {
            Ok(inquired) => inquired.catalogue.iter().collect(),
            Err(error) => {
                tracing::debug!(%wanted, %error, "nobody was asked");
                Vec::new()
            }
        }
    }

    /// The documents of a range and a format that the registry knows of, of each the version that would be fetched.
    ///
    /// # Errors
    ///
    /// [`PeerError::Registry`].
    pub async fn list(&self, range: RfcRange, format: Format) -> Result<Vec<Document>, PeerError> {
        let context = &self.inner.context;
        let client = context.connect().await?;
        let located = |error| context.registry_error(error);
        let filter = IndexFilter {
            range,
            format: Some(format),
        };
        let query = ListQuery {
            filter,
            peer: None,
            max_holders: LISTED_HOLDERS,
        };
        let mut listed = client.list_documents(query).await.map_err(located)?;
        let mut entries = Vec::new();
        while let Some(Listed { entry, .. }) = listed.next().await.map_err(located)? {
            entries.push(entry);
        }
        let chosen = choose(entries, UnixSeconds::now());
        Ok(chosen.into_iter().map(|chosen| chosen.entry.document).collect())
    }

    /// Ends what is being fetched, and takes no more; nothing half is left behind.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// What is under way; begins with it if nobody has.
    fn join(&self, wanted: Wanted) -> Result<Landing, Arc<PeerError>> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&wanted) {
            return Ok(flight.clone());
        }
        if flights.len() >= MAX_FETCHES {
            let told = format!(
                "{}: {MAX_FETCHES} others are being fetched; try again in a moment",
                wanted.key
            );
            return Err(Arc::new(PeerError::HoldersUnreachable(told)));
        }
        let (landed, flight) = watch::channel(None);
        flights.insert(wanted, flight.clone());
        drop(flights);
        let fetcher = self.clone();
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(stop.run_until_cancelled_owned(async move {
            // Taken off the list even when fetching panics.
            let _flight = Flight(&fetcher, wanted);
            let fetched = fetcher.fetch_now(wanted).await.map_err(Arc::new);
            let is_missing = fetched.is_err();
            // Whoever asked may be gone.
            let _ = landed.send(Some(fetched));
            if is_missing {
                tokio::time::sleep(MISS_MEMORY).await;
            }
        }));
        Ok(flight)
    }

    async fn fetch_now(&self, wanted: Wanted) -> Result<Document, PeerError> {
        let nobody = match self.ask_peers(wanted.key).await {
            Err(error) if matches!(error.exit(), Exit::NotFound | Exit::Unreachable) => error,
            ended => return ended,
        };
        let Some(beyond) = &self.inner.beyond else {
            return Err(nobody);
        };
        match beyond.get(wanted.key, wanted.is_relayed, &self.inner.shelf).await? {
            Some(Brought::Here(document)) => Ok(document),
            Some(Brought::Elsewhere) => self.once_shared(wanted.key).await,
            None => Err(nobody),
        }
    }

    /// Gets what another peer has just stored, and is about to announce.
    async fn once_shared(&self, key: DocumentKey) -> Result<Document, PeerError> {
        let deadline = Instant::now() + ANNOUNCED_WITHIN;
        loop {
            match self.ask_peers(key).await {
                Err(error) if error.exit() == Exit::NotFound && Instant::now() < deadline => {
                    tokio::time::sleep(ANNOUNCED_LOOK).await;
                }
                ended => return ended,
            }
        }
    }

    async fn ask_peers(&self, key: DocumentKey) -> Result<Document, PeerError> {
        let inner = &*self.inner;
        let directory = Directory::open(inner.context.clone(), true).await?;
        let wish = Wish {
            format: key.format,
            from: None,
            sha256_prefix: DigestPrefix::default(),
            replace: false,
        };
        let getter = Getter::new(directory, inner.shelf.destination.clone(), wish);
        let got = getter.get(key.number, |_| {}, &|_| {}).await?;
        tracing::info!(document = %key, "fetched for a reader");
        Ok(inner.shelf.adopted(got.entry.document).await)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Wanted, Landing>> {
        self.inner.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place on the list of what is being fetched.
struct Flight<'a>(&'a Fetcher, Wanted);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.flights().remove(&self.1);
    }
}
