//! Fetches everything that the peers around hold and that a folder lacks, from many of them at a time.
//!
//! The registry's list says who holds what; each holder is given documents by its own worker, and what one holder
//! fails to deliver goes back into the plan for the others. Every document is complete and checked before it gets its
//! name, so a mirror can be interrupted at any time and run again.

mod plan;
mod worker;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use p2p_ci::{
    client::{CallError, registry::RegistryClient},
    document::{Document, DocumentId, Format, RfcRange},
    identity::PeerName,
    limits as shared_limits,
    message::{DocumentEntry, Holder, IndexFilter, ListQuery},
    text::escaped,
    transport::Dialer,
};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::plan::Problem;
use self::{
    plan::{Fallback, Plan},
    worker::Worker,
};
use crate::{
    library::{Library, StoreError, Target},
    limits,
    versions::{Chosen, choose, is_tie},
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

/// Why a mirror could not go on.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] CallError),
    /// The target cannot be written to.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the workers share.
struct Shared {
    dialer: Dialer,
    registry: IpAddr,
    target: Target,
    library: Library,
    replace: bool,
    stop: CancellationToken,
    memory: Arc<Semaphore>,
    plan: Mutex<Plan>,
    summary: Mutex<Summary>,
    observer: Arc<dyn Observer>,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, document: &Document, holder: &Holder) {
        if let Err(error) = self.library.adopt(document.clone()) {
            // It is found by the next look at the folder instead.
            tracing::debug!(%error, "a fetched document is not shared yet");
        }
        let mut summary = self.summary();
        summary.fetched += 1;
        summary.bytes += document.size_bytes;
        *summary.by_holder.entry(holder.name.clone()).or_default() += 1;
        drop(summary);
        self.observer.stored(document, holder);
    }

    fn kept(&self, path: &Path) {
        self.summary().kept += 1;
        self.observer.note(&format!(
            "{} has other bytes than the peers'; left as it is (--force replaces it)",
            escaped(&path.to_string_lossy())
        ));
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
    /// [`MirrorError`] when the registry cannot be asked, or the target cannot be written to. What single holders do
    /// is in the summary.
    pub async fn run(&self, client: &RegistryClient, observer: Arc<dyn Observer>) -> Result<Summary, MirrorError> {
        let mut summary = Summary::default();
        let mut plan = Plan::default();
        for chosen in choose(self.list(client).await?) {
            self.consider(chosen, &mut plan, &mut summary, &*observer);
        }
        plan.order_rarest_first();
        let (documents, bytes) = plan.totals();
        observer.planned(documents, bytes);
        let shared = Arc::new(Shared {
            dialer: Arc::clone(&self.dialer),
            registry: client.address().ip(),
            target: self.target.clone(),
            library: self.library.clone(),
            replace: self.replace,
            stop: self.stop.clone(),
            memory: worker::memory_budget(),
            plan: Mutex::new(plan),
            summary: Mutex::new(summary),
            observer,
        });
        let worked = work(&shared).await;
        let target = self.target.clone();
        let finished = tokio::task::spawn_blocking(move || target.finish()).await;
        worked?;
        if let Ok(finished) = finished {
            finished?;
        }
        shared.tell_fallbacks();
        let mut summary = std::mem::take(&mut *shared.summary());
        summary.failures.extend(shared.plan().failures());
        summary.interrupted = self.stop.is_cancelled();
        Ok(summary)
    }

    /// Everything that the registry knows of the selection.
    async fn list(&self, client: &RegistryClient) -> Result<Vec<DocumentEntry>, CallError> {
        let format = match self.selection.formats.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let mut entries = Vec::new();
        for range in RfcRange::merged(&self.selection.ranges) {
            let filter = IndexFilter { range, format };
            let query = ListQuery {
                filter,
                peer: None,
                max_holders: shared_limits::MAX_HOLDERS,
            };
            let mut answers = client.list_documents(query).await?;
            while let Some(entry) = answers.next().await? {
                let formats = &self.selection.formats;
                if formats.is_empty() || formats.contains(&entry.document.id.key.format) {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }

    /// Decides whether a document is missing.
    fn consider(&self, chosen: Chosen, plan: &mut Plan, summary: &mut Summary, observer: &dyn Observer) {
        if !chosen.others.is_empty() {
            summary.contested += 1;
        }
        let Chosen { entry, others } = &chosen;
        match self.library.get(entry.document.id.key) {
            Some(held) if held.id == entry.document.id => summary.present += 1,
            Some(held) if !self.replace => {
                summary.kept += 1;
                observer.note(&format!(
                    "{} has other bytes here (SHA-256 {}) than at most peers ({}); left as it is (--force replaces it)",
                    held.id.key,
                    held.id.sha256.fmt_short(),
                    entry.document.id.sha256.fmt_short()
                ));
            }
            Some(_) | None => {
                if let Some(line) = contest(entry, others) {
                    observer.note(&line);
                }
                plan.add(chosen);
            }
        }
    }
}

/// Says which of several versions is taken, and why; `None` where there is only one.
fn contest(entry: &DocumentEntry, others: &[DocumentEntry]) -> Option<String> {
    let best = others.first()?;
    let told = |entry: &DocumentEntry| {
        let holders = entry.holder_count;
        format!("SHA-256 {}, {holders} holders", entry.document.id.sha256.fmt_short())
    };
    let why = if is_tie(entry, best) {
        "a tie, which the smaller digest wins"
    } else {
        "held more widely"
    };
    Some(format!(
        "{} exists with different bytes: took {} ({why}), not {}; `peer get --sha256` takes another",
        entry.document.id.key,
        told(entry),
        told(best),
    ))
}

/// Runs a worker for each holder that has something to give, until no holder has.
async fn work(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let mut workers = JoinSet::new();
    let mut busy = BTreeMap::new();
    loop {
        let idle = shared.plan().holders_with_work();
        for holder in idle {
            if workers.len() < limits::MIRROR_HOLDERS && !busy.contains_key(&holder.id) && !shared.stop.is_cancelled() {
                let id = holder.id;
                let task = workers.spawn(Worker::new(Arc::clone(shared), holder).run());
                busy.insert(id, task.id());
            }
        }
        let ended = tokio::select! {
            ended = workers.join_next_with_id() => ended,
            () = shared.stop.cancelled(), if !workers.is_empty() => {
                workers.shutdown().await;
                return Ok(());
            }
        };
        let (task, result) = match ended {
            Some(Ok(ended)) => ended,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(error)) => (error.id(), Ok(())),
            None => return Ok(()),
        };
        busy.retain(|_, id| *id != task);
        result?;
    }
}
