//! One holder's share of a mirror: a stream of requests kept full, and documents checked and stored as they arrive.

use std::{collections::VecDeque, sync::Arc};

use p2p_ci::{
    address,
    client::{
        CallError,
        file_transfer::{FileTransferClient, ManyAnswers, ManySender},
    },
    document::{Document, UnixSeconds},
    failure::Reason,
    message::{DownloadPart, DownloadQuery, Holder, ManyPart},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    Shared,
    plan::{Problem, Task},
};
use crate::{
    fetch::{HolderError, allowance, busy_for, is_lie},
    library::{StoreError, Stored},
    limits,
};

/// Unit of the memory budget: permits are counted in KiB so that they fit a semaphore.
const BUDGET_UNIT_BYTES: u64 = 1024;

/// Documents of one holder that wait for the disk.
const STORES_UNDER_WAY: usize = 4;

/// Wrong documents after which a holder is not asked any more.
const MAX_LIES: u32 = 3;

/// The memory that documents take between network and disk, of all holders together.
pub(super) fn memory_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limits::WINDOW_BUDGET_BYTES / BUDGET_UNIT_BYTES as usize))
}

/// Why a worker ended before its holder had nothing more to give.
pub(super) enum Stopped {
    /// The holder is of no more use.
    Holder(HolderError),
    /// The target is of no more use, to anybody.
    Store(StoreError),
}

impl<E: Into<HolderError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Holder(error.into())
    }
}

/// A document that is arriving.
struct Arriving {
    document: Document,
    modified: Option<UnixSeconds>,
    /// One buffer of the announced length: chunks would keep the network's buffers alive, however small they are.
    bytes: Vec<u8>,
    /// Its memory, taken from the budget until it is stored.
    _permit: OwnedSemaphorePermit,
}

/// What became of a stored document.
type Settled = (usize, Document, Result<Stored, StoreError>);

/// The holder that is asked, and what it was asked for.
pub(super) struct Worker {
    shared: Arc<Shared>,
    holder: Holder,
    asked: VecDeque<(u64, Task)>,
    next_id: u64,
    arriving: Option<Arriving>,
    stores: JoinSet<Settled>,
    lies: u32,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, holder: Holder) -> Self {
        Self {
            shared,
            holder,
            asked: VecDeque::new(),
            next_id: 1,
            arriving: None,
            stores: JoinSet::new(),
            lies: 0,
        }
    }

    /// Fetches from the holder until it has nothing more that is wanted.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let ended = self.fetch_all().await;
        while let Some(stored) = self.stores.join_next().await {
            self.settle(stored)?;
        }
        match ended {
            Ok(()) => Ok(()),
            Err(Stopped::Store(error)) => Err(error),
            Err(Stopped::Holder(error)) => {
                tracing::info!(holder = %self.holder.name, address = %self.holder.address, %error, "holder failed");
                let asked: Vec<usize> = self.asked.iter().map(|(_, task)| task.index).collect();
                let problem = Problem {
                    message: format!("{}: {error}", self.holder.name),
                    integrity: is_lie(&error),
                };
                self.shared.plan().lost(self.holder.id, &asked, &problem);
                Ok(())
            }
        }
    }

    async fn fetch_all(&mut self) -> Result<(), Stopped> {
        if !address::reaches(self.shared.registry, self.holder.address.ip()) {
            return Err(Stopped::Holder(HolderError::Narrow(self.holder.address.ip())));
        }
        let window = limits::MAX_WINDOW_BYTES;
        let client = FileTransferClient::connect(&self.shared.dialer, self.holder.address, window).await?;
        let Some(first) = self.next_request() else {
            return Ok(());
        };
        let (sender, mut answers) = patiently(&client, first).await?;
        let mut sender = Some(sender);
        let mut deadline = (0, Instant::now());
        loop {
            self.fill(&mut sender).await?;
            let Some((id, task)) = self.asked.front() else {
                return Ok(());
            };
            if deadline.0 != *id {
                deadline = (*id, Instant::now() + allowance(task.document.size_bytes));
            }
            let part = timeout_at(deadline.1, answers.next()).await;
            let part = part.map_err(|_| HolderError::Slow)??;
            let Some(part) = part else {
                return Err(lied("fewer documents than it was asked for"));
            };
            self.take(part).await?;
        }
    }

    /// Keeps enough requests on their way. Once there is nothing more to ask, the stream is half-closed.
    async fn fill(&mut self, sender: &mut Option<ManySender>) -> Result<(), Stopped> {
        while self.asked.len() < limits::MIRROR_OUTSTANDING {
            let Some(open) = sender else { break };
            let Some((id, query)) = self.next_request() else {
                *sender = None;
                break;
            };
            open.ask(id, &query).await?;
        }
        Ok(())
    }

    /// Takes the next document out of the plan, and says what to ask for.
    fn next_request(&mut self) -> Option<(u64, DownloadQuery)> {
        if self.shared.stop.is_cancelled() {
            return None;
        }
        let task = self.shared.plan().take(self.holder.id)?;
        let query = DownloadQuery {
            key: task.document.id.key,
            sha256: Some(task.document.id.sha256),
            offset: 0,
        };
        let id = self.next_id;
        self.next_id += 1;
        self.asked.push_back((id, task));
        Some((id, query))
    }

    async fn take(&mut self, answer: ManyPart) -> Result<(), Stopped> {
        match self.asked.front() {
            Some((id, _)) if *id == answer.request_id => {}
            _ => return Err(lied("an answer to something that it was not asked now")),
        }
        match answer.part {
            Ok(DownloadPart::Header(header)) => {
                let Some((_, task)) = self.asked.front() else {
                    return Ok(());
                };
                if self.arriving.is_some() {
                    return Err(lied("two headers"));
                }
                if header.id != task.document.id || header.size_bytes != task.document.size_bytes {
                    return Err(lied("another document than the one that was asked for"));
                }
                let kib = u32::try_from(header.size_bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX);
                let permit = Arc::clone(&self.shared.memory)
                    .acquire_many_owned(kib)
                    .await
                    .map_err(|_| HolderError::Slow)?;
                let document = task.document.clone();
                self.arriving = Some(Arriving {
                    document,
                    modified: header.modified,
                    bytes: Vec::with_capacity(usize::try_from(header.size_bytes).unwrap_or_default()),
                    _permit: permit,
                });
            }
            Ok(DownloadPart::Chunk(chunk)) => {
                let Some(arriving) = &mut self.arriving else {
                    return Err(lied("bytes before it said of what"));
                };
                if (arriving.bytes.len() + chunk.len()) as u64 > arriving.document.size_bytes {
                    return Err(lied("more bytes than it announced"));
                }
                self.shared.observer.received(chunk.len() as u64);
                arriving.bytes.extend_from_slice(&chunk);
            }
            Err(failure) => {
                if failure.reason == Reason::ShuttingDown {
                    return Err(Stopped::Holder(HolderError::Call(p2p_ci::client::CallError::Refused(
                        failure,
                    ))));
                }
                self.arriving = None;
                let integrity = failure.reason == Reason::DocumentChanged;
                if let Some((_, task)) = self.asked.pop_front() {
                    let problem = Problem {
                        message: format!("{}: {failure}", self.holder.name),
                        integrity,
                    };
                    self.shared.plan().failed(task.index, self.holder.id, problem);
                }
            }
        }
        self.store_if_complete().await
    }

    /// Hands a complete document to the disk, without waiting for it unless much waits already.
    async fn store_if_complete(&mut self) -> Result<(), Stopped> {
        let complete = self
            .arriving
            .as_ref()
            .is_some_and(|arriving| arriving.bytes.len() as u64 == arriving.document.size_bytes);
        if !complete {
            return Ok(());
        }
        let (Some(arriving), Some((_, task))) = (self.arriving.take(), self.asked.pop_front()) else {
            return Ok(());
        };
        let (target, replace, index) = (self.shared.target.clone(), self.shared.replace, task.index);
        self.stores.spawn_blocking(move || {
            let stored = store(&target, &arriving, replace);
            (index, arriving.document, stored)
        });
        while self.stores.len() >= STORES_UNDER_WAY {
            let Some(stored) = self.stores.join_next().await else {
                break;
            };
            self.settle(stored).map_err(Stopped::Store)?;
        }
        if self.lies >= MAX_LIES {
            Err(lied(format!("{MAX_LIES} documents with wrong bytes")))
        } else {
            Ok(())
        }
    }

    fn settle(&mut self, stored: Result<Settled, tokio::task::JoinError>) -> Result<(), StoreError> {
        let (index, document, result) = match stored {
            Ok(stored) => stored,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Ok(()),
        };
        match result {
            Ok(Stored { was_there: false, .. }) => {
                self.shared.plan().done(index);
                self.shared.stored(&document, &self.holder);
                Ok(())
            }
            Ok(Stored { was_there: true, .. }) => {
                self.shared.plan().done(index);
                self.shared.summary().present += 1;
                Ok(())
            }
            Err(StoreError::Integrity { key, problem }) => {
                self.lies += 1;
                tracing::warn!(holder = %self.holder.name, document = %key, %problem, "holder sent wrong bytes");
                let message = format!("{}: wrong bytes, {problem}", self.holder.name);
                self.shared.plan().failed(
                    index,
                    self.holder.id,
                    Problem {
                        message,
                        integrity: true,
                    },
                );
                Ok(())
            }
            Err(StoreError::Exists(path)) => {
                self.shared.plan().done(index);
                self.shared.kept(&path);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Opens a stream of downloads, waiting for a slot where all are taken.
async fn patiently(
    client: &FileTransferClient,
    (id, query): (u64, DownloadQuery),
) -> Result<(ManySender, ManyAnswers), CallError> {
    let patience_ends = Instant::now() + limits::BUSY_PATIENCE;
    loop {
        let error = match client.download_many(id, &query).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        match busy_for(&error) {
            Some(pause) if Instant::now() < patience_ends => tokio::time::sleep(pause).await,
            Some(_) | None => return Err(error),
        }
    }
}

fn lied(what: impl Into<String>) -> Stopped {
    Stopped::Holder(HolderError::Lied(what.into()))
}

fn store(target: &crate::library::Target, arriving: &Arriving, replace: bool) -> Result<Stored, StoreError> {
    let mut part = target.begin(arriving.document.id, arriving.document.size_bytes)?;
    part.write(&arriving.bytes)?;
    part.commit(arriving.modified.or(arriving.document.modified), replace)
}
