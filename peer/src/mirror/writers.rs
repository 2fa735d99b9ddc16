//! Threads that check and store documents while others arrive.
//!
//! They are plain threads, as all that they do blocks, and take documents in groups, so that waking one costs little for
//! each document. Where work that blocks is [done in place](blocking::is_done_in_place), one task does it instead.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use p2p_ci::document::Document;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Shared, budget::Room, origin::Origin};
use crate::{
    blocking,
    fetch::blocking as blocking_for_target,
    library::{Body, StoreError, Stored},
};

/// Threads that store: hashing and the file system keep two cores busy, and the network needs one, too.
const THREADS: usize = 2;

/// Groups that wait for a thread. Their bytes are bounded by the memory budget of the whole mirror.
const QUEUED_GROUPS: usize = 16;

/// Bytes of a group: about a dozen RFCs.
pub(super) const GROUP_BYTES: u64 = 512 * 1024;

/// Documents of a group, however short they are.
const GROUP_DOCUMENTS: usize = 64;

/// A document whose bytes are all here.
pub(super) struct Arrived {
    /// Its place in the plan.
    pub(super) index: usize,
    pub(super) document: Document,
    pub(super) body: Body,
    /// Its memory, taken from the budget until it is stored.
    pub(super) _room: Room,
}

/// Documents of one holder.
pub(super) struct Group {
    pub(super) origin: Arc<Origin>,
    pub(super) documents: Vec<Arrived>,
    pub(super) bytes: u64,
}

impl Group {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self {
            origin,
            documents: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn add(&mut self, arrived: Arrived) {
        self.bytes += arrived.body.len();
        self.documents.push(arrived);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= GROUP_BYTES || self.documents.len() >= GROUP_DOCUMENTS
    }
}

/// Where groups are handed in.
pub(super) type Intake = mpsc::Sender<Group>;

/// Those at work. They end when every [`Intake`] is dropped.
pub(super) enum Writers {
    Threads(Vec<JoinHandle<()>>),
    Task(JoinSet<()>),
}

impl Writers {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// When not a single one can be started.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<(Intake, Self)> {
        let (intake, groups) = mpsc::channel(QUEUED_GROUPS);
        if blocking::is_done_in_place() {
            let mut task = JoinSet::new();
            task.spawn(store_in_place(Arc::clone(shared), groups));
            return Ok((intake, Self::Task(task)));
        }
        let groups = Arc::new(Mutex::new(groups));
        let mut threads = Vec::new();
        for number in 1..=THREADS {
            let (shared, groups) = (Arc::clone(shared), Arc::clone(&groups));
            let thread = thread::Builder::new().name(format!("store {number}"));
            match thread.spawn(move || store_groups(&shared, &groups)) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok((intake, Self::Threads(threads)))
    }

    /// Waits until everything that was handed in is stored. A panic of theirs goes on here.
    ///
    /// # Errors
    ///
    /// When the process is ending.
    pub(super) async fn join(self) -> Result<(), StoreError> {
        match self {
            Self::Threads(threads) => {
                let join = || threads.into_iter().try_for_each(JoinHandle::join);
                let joined = blocking_for_target(|| Ok(join())).await?;
                joined.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
            }
            Self::Task(mut task) => {
                if let Some(Err(error)) = task.join_next().await
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
        Ok(())
    }
}

async fn store_in_place(shared: Arc<Shared>, mut groups: mpsc::Receiver<Group>) {
    let failed = shared.failed.clone().drop_guard();
    while let Some(group) = groups.recv().await {
        store(&shared, group);
    }
    failed.disarm();
}

fn store_groups(shared: &Shared, groups: &Mutex<mpsc::Receiver<Group>>) {
    // A panic ends the mirror, which would wait for ever for what this thread had in hand.
    let failed = shared.failed.clone().drop_guard();
    loop {
        // Held while waiting: the other thread would only wait as well.
        let next = groups.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(group) = next else { break };
        store(shared, group);
    }
    failed.disarm();
}

fn store(shared: &Shared, group: Group) {
    let Group {
        origin,
        documents,
        bytes,
    } = group;
    if let Err(error) = shared.target.check_space(bytes) {
        return shared.fail(error);
    }
    let mut stored: Vec<(Arrived, Stored)> = Vec::with_capacity(documents.len());
    for arrived in documents {
        if !shared.plan().is_open(arrived.index) {
            continue;
        }
        match shared.target.store(&arrived.document, &arrived.body, shared.replace) {
            Ok(at) => stored.push((arrived, at)),
            Err(StoreError::Integrity { key, problem }) => {
                tracing::warn!(holder = %origin.holder.name, document = %key, %problem, "holder sent wrong bytes");
                shared.wrong(&origin, arrived.index, &problem.to_string());
            }
            Err(StoreError::Exists(path)) => shared.kept(arrived.index, &path),
            Err(error) => {
                shared.fail(error);
                break;
            }
        }
    }
    let adopted = stored
        .iter()
        .map(|(arrived, at)| (arrived.document.clone(), at, &arrived.body));
    shared.library.adopt_all(adopted);
    shared.stored(
        &origin,
        stored
            .iter()
            .map(|(arrived, at)| (arrived.index, &arrived.document, at.was_there)),
    );
    // Only now is their memory free.
    drop(stored);
}
