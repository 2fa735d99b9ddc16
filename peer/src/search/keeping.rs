//! Keeps the index of a shared folder up to date while a peer shares it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use p2p_ci::text::escaped;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    error::SearchError,
    place::Place,
    updating::{Pace, Updated, fingerprint, is_fresh, update},
};
use crate::{
    blocking::{Haste, apart},
    facts::{Gatherer, SharedCatalogue, store},
    library::Library,
    state::StateDir,
    uplink::LinkState,
};

/// How long the folder is left alone after a round, whatever changes there: a mirror stores a thousand RFCs a second, and each
/// round ends with writing to the disk.
const PAUSE: Duration = Duration::from_secs(10);

/// How often it is looked whether something is new of which no event tells, such as facts that were learnt from others.
const INTERVAL: Duration = Duration::from_secs(60);

/// Keeps an index up to date until it is dropped.
#[derive(Debug)]
pub struct Keeping {
    place: Place,
    cancel: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Indexes `library` once the registry knows this peer, and again whenever it changes, at the lowest priority.
    ///
    /// # Errors
    ///
    /// When the folder is gone.
    pub fn start(
        library: Library,
        catalogue: SharedCatalogue,
        state: &StateDir,
        link: watch::Receiver<LinkState>,
    ) -> io::Result<Self> {
        let place = Place::of(state.path(), &library.root().canonicalize()?);
        let cancel = Arc::new(AtomicBool::new(false));
        let round = Round {
            place: place.clone(),
            library,
            catalogue,
            state: state.clone(),
            gatherer: Gatherer::default(),
            cancel: Arc::clone(&cancel),
        };
        let task = tokio::spawn(keep(round, link));
        Ok(Self { place, cancel, task })
    }

    /// Where the index is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

async fn keep(mut round: Round, mut link: watch::Receiver<LinkState>) {
    // An error means that the peer ends, and this task with it.
    if link
        .wait_for(|link| matches!(link, LinkState::Registered { .. }))
        .await
        .is_err()
    {
        return;
    }
    let mut version = round.library.version();
    let mut told = String::new();
    loop {
        version.mark_unchanged();
        let working = apart("search index", Haste::None, move || {
            let updated = round.update();
            (round, updated)
        });
        let updated;
        (round, updated) = match working.await {
            Some(done) => done,
            // It has panicked, and said so; what this peer shares is served all the same.
            None => return,
        };
        if let Err(error) = updated {
            let error = escaped(&error.to_string()).to_string();
            if error != told {
                tracing::warn!("{error}");
            }
            told = error;
        }
        tokio::time::sleep(PAUSE).await;
        // An error means that the library is gone, and this task with it.
        let _ = tokio::time::timeout(INTERVAL, version.changed()).await;
    }
}

/// What a round of looking and reading needs.
#[derive(Debug)]
struct Round {
    place: Place,
    library: Library,
    catalogue: SharedCatalogue,
    state: StateDir,
    gatherer: Gatherer,
    cancel: Arc<AtomicBool>,
}

impl Round {
    fn update(&mut self) -> Result<Updated, SearchError> {
        let made_of = fingerprint(&self.library, &store::file_of(self.state.path()));
        if is_fresh(&self.place, made_of) {
            return Ok(Updated::default());
        }
        // What a text says of itself is to be known before it is read.
        self.gatherer.gather(&self.library, &self.catalogue, &self.cancel);
        let updated = update(
            &self.place,
            &self.library,
            &self.catalogue,
            made_of,
            Pace::Leisurely,
            &|_, _| {},
            &self.cancel,
        )?;
        if updated.is_remade {
            tracing::warn!("the search index could not be used, and was made anew");
        }
        tracing::info!(
            added = updated.added,
            removed = updated.removed,
            "search index is up to date"
        );
        Ok(updated)
    }
}
