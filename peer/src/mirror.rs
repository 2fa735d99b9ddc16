//! Fetches everything that the peers around hold and that a folder lacks, from many of them at a time.
//!
//! The registry's list says who holds what; each holder is given documents by its own worker, and what one holder
//! fails to deliver goes back into the plan for the others. Every document is complete and checked before it gets its
//! name, so a mirror can be interrupted at any time and run again.

mod arriving;
mod budget;
mod choice;
mod listing;
mod neighbours;
mod order;
mod origin;
mod pace;
mod plan;
mod summary;
#[cfg(test)]
mod tests;
mod worker;
mod writers;

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    document::{Document, Format, RfcRange},
    message::Holder,
    text::escaped,
    transport::Dialer,
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use self::{
    budget::Budget,
    neighbours::{Neighbours, News},
    order::Order,
    origin::Origin,
    plan::{Fallback, Plan},
    worker::Worker,
    writers::{Intake, Writers},
};
pub use self::{
    choice::Compress,
    plan::{Cause, Problem},
    summary::{Given, Summary},
};
use crate::{
    fetch::{HolderError, blocking},
    known,
    library::{Library, StoreError, Target},
    limits,
};

/// What to mirror.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these numbers; all when empty.
    pub ranges: Vec<RfcRange>,
    /// Only these formats; all when empty.
    pub formats: Vec<Format>,
}

/// Where to, and from whom.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// How connections are made.
    pub dialer: Dialer,
    /// What the folder holds; told of each document that arrives.
    pub library: Library,
    /// The same folder, to write to.
    pub target: Target,
    /// What to mirror.
    pub selection: Selection,
    /// Replaces files whose bytes differ from those of the peers.
    pub replace: bool,
    /// When holders are asked to compress what they send.
    pub compress: Compress,
    /// What is known of holders that lied.
    pub known: known::Memory,
    /// Ends the mirror early.
    pub stop: CancellationToken,
}

/// Follows a mirror.
pub trait Observer: Send + Sync + 'static {
    /// So much is to be fetched.
    fn planned(&self, documents: u64, bytes: u64);
    /// Bytes arrived.
    fn received(&self, bytes: u64);
    /// A document is stored.
    fn stored(&self, document: &Document, holder: &Holder);
    /// Something that people should know.
    fn note(&self, line: &str);
}

/// Why a mirror could not go on.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] CallError),
    /// No thread could be started that stores what arrives.
    #[error("cannot start a thread: {0}")]
    Threads(io::Error),
}

/// How often it is looked whether a holder can be asked that could not before.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long it is waited before the registry is watched again that has ended a watch, or had no room for one.
const WATCH_PAUSE: Duration = Duration::from_secs(5);

/// What workers and writers share.
struct Shared {
    dialer: Dialer,
    registry: IpAddr,
    target: Target,
    library: Library,
    replace: bool,
    compress: Compress,
    known: known::Memory,
    stop: CancellationToken,
    /// Ends everything because the target has failed.
    failed: CancellationToken,
    failure: Mutex<Option<StoreError>>,
    budget: Budget,
    plan: Mutex<Plan>,
    order: Order,
    /// Something came or failed, so that the plan should be looked at again.
    changed: Notify,
    /// Whether everything that is wanted is in the plan.
    is_listed: AtomicBool,
    summary: Mutex<Summary>,
    observer: Arc<dyn Observer>,
    began: Instant,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        lock(&self.summary)
    }

    /// The time by which the plan goes.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Documents of one holder are stored.
    fn stored<'a>(&self, origin: &Origin, documents: impl Iterator<Item = (usize, &'a Document, bool)>) {
        let mut plan = self.plan();
        let (there, fresh): (Vec<_>, Vec<_>) = documents
            .filter(|(index, ..)| plan.done(*index))
            .partition(|(_, _, was_there)| *was_there);
        drop(plan);
        let fresh = fresh.into_iter().map(|(_, document, _)| document);
        let mut summary = self.summary();
        summary.note(&origin.holder.name, fresh.clone());
        summary.present += there.len() as u64;
        drop(summary);
        // Whoever follows may draw; nobody else has to wait for that.
        fresh.for_each(|document| self.observer.stored(document, &origin.holder));
        self.changed.notify_waiters();
    }

    /// A holder has sent wrong bytes.
    fn wrong(&self, origin: &Origin, index: usize, what: &str) {
        if self.known.strike(&origin.holder) {
            origin.ban();
        }
        let problem = Problem {
            message: format!("{}: wrong bytes, {what}", origin.holder.name),
            cause: Cause::WrongBytes,
        };
        self.plan().failed(index, origin.holder.id, problem);
        self.changed.notify_waiters();
    }

    /// A file of other bytes is in a document's place.
    fn kept(&self, index: usize, path: &Path) {
        if !self.plan().done(index) {
            return;
        }
        self.summary().kept += 1;
        self.observer.note(&format!(
            "{} has other bytes than the peers'; left as it is (--force replaces it)",
            escaped(&path.to_string_lossy())
        ));
    }

    /// The target has failed; no holder could help.
    fn fail(&self, error: StoreError) {
        lock(&self.failure).get_or_insert(error);
        self.failed.cancel();
    }

    /// Tells of versions that nobody delivered.
    fn tell_fallbacks(&self) {
        for Fallback { missed, problem, next } in self.plan().take_fallbacks() {
            self.observer.note(&format!(
                "{}: SHA-256 {}, which was to be taken, could not be had: {}; tried {}",
                missed.key,
                missed.sha256.fmt_short(),
                problem.message,
                next.sha256.fmt_short(),
            ));
        }
    }
}

impl Mirror {
    /// Fetches what is missing now.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the registry cannot be asked. What single holders do, and that the target cannot be written to,
    /// is in the summary.
    pub async fn run(&self, client: &RegistryClient, observer: Arc<dyn Observer>) -> Result<Summary, MirrorError> {
        let shared = Arc::new(self.shared(client.address().ip(), observer));
        let (intake, writers) = Writers::start(&shared).map_err(MirrorError::Threads)?;
        let listed = tokio::select! {
            (listed, ()) = async { tokio::join!(listing::fill(self, &shared, client), work(&shared, intake)) } => listed,
            never = follow(&shared, client) => match never {},
        };
        let target = self.target.clone();
        let finished = match writers.join().await {
            Ok(()) => blocking(move || target.finish()).await,
            Err(error) => Err(error),
        };
        let failed = lock(&shared.failure).take().or(finished.err());
        if failed.is_none() {
            listed?;
        }
        shared.tell_fallbacks();
        let mut summary = std::mem::take(&mut *shared.summary());
        summary.failures.extend(shared.plan().failures());
        summary.interrupted = self.stop.is_cancelled();
        summary.left = shared.plan().open();
        summary.failed = failed;
        Ok(summary)
    }

    fn shared(&self, registry: IpAddr, observer: Arc<dyn Observer>) -> Shared {
        Shared {
            dialer: Arc::clone(&self.dialer),
            registry,
            target: self.target.clone(),
            library: self.library.clone(),
            replace: self.replace,
            compress: self.compress,
            known: self.known.clone(),
            stop: self.stop.clone(),
            failed: CancellationToken::new(),
            failure: Mutex::new(None),
            budget: Budget::default(),
            plan: Mutex::default(),
            order: Order::default(),
            changed: Notify::new(),
            is_listed: AtomicBool::new(false),
            summary: Mutex::default(),
            observer,
            began: Instant::now(),
        }
    }
}

/// Runs a worker for each holder that has something to give, until nothing more is to be had, or it is stopped.
async fn work(shared: &Arc<Shared>, intake: Intake) {
    let mut workers = JoinSet::new();
    loop {
        if !shared.stop.is_cancelled() {
            let idle = shared.plan().idle_holders(shared.now());
            for holder in idle {
                if shared.known.is_banned(&holder) {
                    let problem = Problem {
                        message: format!("{}: {}", holder.name, HolderError::Banned),
                        cause: Cause::Other,
                    };
                    shared.plan().lost(holder.id, &problem);
                } else if workers.len() < limits::MIRROR_HOLDERS {
                    shared.plan().set_active(holder.id, true);
                    workers.spawn(Worker::new(Arc::clone(shared), holder, intake.clone()).run());
                }
            }
        }
        let is_listed = shared.is_listed.load(Ordering::Acquire);
        // Not when nobody is asked just now: what is being checked may turn out to be wrong, and is then wanted from others.
        if workers.is_empty() && is_listed && shared.plan().is_over() {
            return;
        }
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            () = shared.failed.cancelled() => break,
            Some(ended) = workers.join_next() => if let Err(error) = ended && error.is_panic() {
                std::panic::resume_unwind(error.into_panic());
            },
            () = shared.changed.notified(), if !is_listed => {}
            () = tokio::time::sleep(LOOK_INTERVAL) => if is_listed && shared.plan().is_over() {
                break;
            },
        }
    }
    workers.shutdown().await;
}

/// Adds peers to the plan that announce what is wanted while it runs. Where the registry has no room for one more who
/// watches, the holders that were known at first have to do.
async fn follow(shared: &Shared, client: &RegistryClient) -> Infallible {
    loop {
        match watch(shared, client).await {
            Ok(()) => tracing::info!("the registry has ended the watch"),
            Err(error) => tracing::info!(%error, "cannot watch the registry"),
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

async fn watch(shared: &Shared, client: &RegistryClient) -> Result<(), CallError> {
    let mut neighbours = Neighbours::default();
    let mut events = client.watch().await?;
    while let Some(event) = events.next().await? {
        for News { holder, format, ranges } in neighbours.apply(event) {
            shared.plan().announced(&holder, format, &ranges);
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
