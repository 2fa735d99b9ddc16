//! One holder's share of a mirror: a stream of requests kept full, and documents that are handed on as they arrive.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use p2p_ci::{
    address,
    client::{
        CallError,
        file_transfer::{FileTransferClient, ManyAnswers, ManySender},
    },
    document::Document,
    failure::Reason,
    message::{Compression, DownloadQuery, Holder, ManyBody, ManyPart, ManyQuery},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    Shared,
    arriving::{Arriving, Asked},
    budget::Room,
    choice::Choice,
    origin::Origin,
    pace::Pace,
    plan::{Cause, Problem},
    writers::{Arrived, Group, Intake},
};
use crate::{
    fetch::{HolderError, allowance, busy_for, earns_strike},
    limits,
    packing::Unpacker,
};

/// How long a holder is kept that has nothing to be asked for now: it may have something a moment later, but its slot is
/// wanted by others.
const IDLE_PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked whether there is something to ask for, beside whenever something came or failed.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Documents that a holder may send so slowly that others waited for their room; then it is not asked any more.
const MAX_HELD_UP: u32 = 1;

/// The holder that is asked, and what it was asked for.
pub(super) struct Worker {
    shared: Arc<Shared>,
    origin: Arc<Origin>,
    intake: Intake,
    asked: VecDeque<Asked>,
    next_id: u64,
    arriving: Option<Arriving>,
    group: Group,
    pace: Pace,
    choice: Choice,
    /// Takes memory once the holder compresses something.
    unpacker: Option<Unpacker>,
    /// How long the front document was waited for.
    waited: Duration,
    /// Documents that were given up because others waited for their room.
    held_up: u32,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, holder: Holder, intake: Intake) -> Self {
        let choice = Choice::new(shared.compress, holder.address.ip().is_loopback());
        let origin = Arc::new(Origin::new(holder));
        Self {
            shared,
            group: Group::new(Arc::clone(&origin)),
            origin,
            intake,
            asked: VecDeque::new(),
            next_id: 1,
            arriving: None,
            pace: Pace::default(),
            choice,
            unpacker: None,
            waited: Duration::ZERO,
            held_up: 0,
        }
    }

    /// Fetches from the holder until it has nothing more that is wanted, or nothing for a while.
    pub(super) async fn run(mut self) {
        let ended = self.fetch_all().await;
        self.flush().await;
        let holder = &self.origin.holder;
        if let Err(error) = ended {
            tracing::info!(holder = %holder.name, address = %holder.address, %error, "holder failed");
            if earns_strike(&error) {
                self.shared.known.strike(holder);
            }
            let problem = Problem {
                message: format!("{}: {error}", holder.name),
                cause: Cause::of(&error),
            };
            self.shared.plan().lost(holder.id, &problem);
        } else {
            self.shared.plan().set_active(holder.id, false);
        }
        self.shared.changed.notify_waiters();
    }

    async fn fetch_all(&mut self) -> Result<(), HolderError> {
        let address = self.origin.holder.address;
        if !address::reaches(self.shared.registry, address.ip()) {
            return Err(HolderError::Narrow(address.ip()));
        }
        let client = FileTransferClient::connect(&self.shared.dialer, address, limits::MAX_WINDOW_BYTES).await?;
        let Some(first) = self.next_request() else {
            return Ok(());
        };
        let (sender, mut answers) = patiently(&client, first).await?;
        let mut idle_since = None;
        loop {
            let shared = Arc::clone(&self.shared);
            let changed = shared.changed.notified();
            if self.origin.is_banned() {
                return Err(HolderError::Banned);
            }
            self.fill(&sender).await?;
            if self.asked.is_empty() {
                self.flush().await;
                let since = *idle_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= IDLE_PATIENCE || !self.is_of_use() {
                    return Ok(());
                }
                // Nothing is lost if the time passes: the plan is looked at either way.
                let _ = timeout(LOOK_INTERVAL, changed).await;
                continue;
            }
            idle_since = None;
            let part = self.next(&mut answers).await?;
            self.take(part).await?;
        }
    }

    fn is_of_use(&self) -> bool {
        if self.shared.stop.is_cancelled() {
            return false;
        }
        !self.shared.is_listed.load(Ordering::Acquire) || self.shared.plan().is_of_use(self.origin.holder.id)
    }

    /// Keeps enough requests on their way.
    async fn fill(&mut self, sender: &ManySender) -> Result<(), HolderError> {
        while self.asked.len() < self.pace.outstanding() {
            let Some((id, query)) = self.next_request() else { break };
            sender.ask(id, &query).await?;
        }
        Ok(())
    }

    /// Takes the next document out of the plan, and says what to ask for.
    fn next_request(&mut self) -> Option<(u64, ManyQuery)> {
        if self.shared.stop.is_cancelled() {
            return None;
        }
        let task = self.shared.plan().take(self.origin.holder.id, self.shared.now())?;
        let document = DownloadQuery {
            key: task.document.id.key,
            sha256: Some(task.document.id.sha256),
            offset: 0,
        };
        let compression = self.choice.compression();
        let id = self.next_id;
        self.next_id += 1;
        self.asked.push_back(Asked { id, task, compression });
        Some((id, ManyQuery { document, compression }))
    }

    /// The next part of an answer. Where it is not here yet, what has arrived is handed on before it is waited for.
    async fn next(&mut self, answers: &mut ManyAnswers) -> Result<ManyPart, HolderError> {
        let next = answers.next();
        tokio::pin!(next);
        let part = match poll_immediate(&mut next).await {
            Some(part) => part,
            None => {
                self.flush().await;
                let size_bytes = self.asked.front().map_or(0, |asked| asked.task.document.size_bytes);
                let patience = allowance(size_bytes).saturating_sub(self.waited);
                let began = Instant::now();
                let part = loop {
                    let is_on_its_way = self.arriving.as_ref().and_then(Arriving::may_be_given_up_at);
                    let others_wait = async {
                        match is_on_its_way {
                            Some(time) => tokio::join!(sleep_until(time), self.shared.budget.is_short()),
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        part = &mut next => break part,
                        _ = others_wait => self.give_up()?,
                        () = sleep_until(began + patience) => return Err(HolderError::Slow),
                    }
                };
                self.waited += began.elapsed();
                self.pace.waited(began.elapsed());
                self.choice.waited(began.elapsed());
                part
            }
        };
        part?.ok_or_else(|| self.short())
    }

    /// The holder has ended well, with too little.
    fn short(&self) -> HolderError {
        HolderError::Short {
            sent_bytes: self.arriving.as_ref().map_or(0, Arriving::received_bytes),
            asked_bytes: self.asked.front().map_or(0, |asked| asked.task.document.size_bytes),
        }
    }

    async fn take(&mut self, answer: ManyPart) -> Result<(), HolderError> {
        let document = match self.asked.front() {
            Some(asked) if asked.id == answer.request_id => &asked.task.document,
            _ => return Err(lied("an answer to something that it was not asked now")),
        };
        match answer.part {
            Ok(ManyBody::Header(header)) => {
                if self.arriving.is_some() {
                    return Err(lied("two headers"));
                }
                if header.id != document.id || header.size_bytes != document.size_bytes {
                    return Err(lied("another document than the one that was asked for"));
                }
                let room = self.room_for(header.size_bytes).await?;
                self.arriving = Some(Arriving::new(header.modified, room));
            }
            Ok(ManyBody::Chunk(chunk)) => {
                let wire_bytes = chunk.len() as u64;
                self.push(chunk, wire_bytes, false)?;
            }
            Ok(ManyBody::ZstdChunk(piece)) => {
                let chunk = self.unpack(&piece)?;
                self.push(chunk, piece.len() as u64, true)?;
                // A quarter of a millisecond, in which others wait; there may be many of these here already.
                tokio::task::yield_now().await;
            }
            Err(failure) if failure.reason == Reason::ShuttingDown => {
                return Err(HolderError::Call(CallError::Refused(failure)));
            }
            Err(failure) => {
                let problem = Problem {
                    message: format!("{}: {failure}", self.origin.holder.name),
                    cause: Cause::of(&HolderError::Call(CallError::Refused(failure))),
                };
                self.arriving = None;
                if let Some(Asked { task, .. }) = self.asked.pop_front() {
                    self.shared.plan().failed(task.index, self.origin.holder.id, problem);
                    self.shared.changed.notify_waiters();
                }
                self.waited = Duration::ZERO;
            }
        }
        self.hand_on_if_complete().await;
        Ok(())
    }

    /// Makes bytes of a piece of the holder's frame. All pieces come here, in their order, whatever becomes of their
    /// documents. Done here and not by those who store: they take documents in any order.
    fn unpack(&mut self, piece: &[u8]) -> Result<Bytes, HolderError> {
        let (Some(asked), Some(arriving)) = (self.asked.front(), &self.arriving) else {
            return Err(lied("bytes before it said of what"));
        };
        if asked.compression == Compression::None {
            return Err(lied("compressed bytes that nobody asked for"));
        }
        let left = asked.task.document.size_bytes.saturating_sub(arriving.received_bytes());
        let unpacker = match &mut self.unpacker {
            Some(unpacker) => unpacker,
            none => none.insert(Unpacker::new().map_err(not_here)?),
        };
        unpacker.unpack(piece, left).map_err(|error| lied(error.to_string()))
    }

    /// Adds bytes to the document that is arriving.
    fn push(&mut self, chunk: Bytes, wire_bytes: u64, is_compressed: bool) -> Result<(), HolderError> {
        let (Some(asked), Some(arriving)) = (self.asked.front(), &mut self.arriving) else {
            return Err(lied("bytes before it said of what"));
        };
        let size_bytes = chunk.len() as u64;
        let left = asked
            .task
            .document
            .size_bytes
            .checked_sub(arriving.received_bytes() + size_bytes);
        let left = left.ok_or_else(|| lied("more bytes than it announced"))?;
        self.shared.observer.received(size_bytes);
        self.pace.received(size_bytes);
        self.choice.received(size_bytes, wire_bytes, is_compressed);
        arriving.push(chunk, left);
        Ok(())
    }

    async fn room_for(&mut self, size_bytes: u64) -> Result<Room, HolderError> {
        if let Some(room) = self.shared.budget.try_take(size_bytes) {
            return Ok(room);
        }
        // What this worker keeps back may be just what is missing.
        self.flush().await;
        self.shared.budget.take(size_bytes).await.ok_or(HolderError::Slow)
    }

    /// Gives up the document that is arriving, for the sake of those who wait for its room. What is still to come of it is
    /// received and dropped: the next one comes behind it.
    fn give_up(&mut self) -> Result<(), HolderError> {
        let (Some(Asked { task, .. }), Some(arriving)) = (self.asked.front(), &mut self.arriving) else {
            return Ok(());
        };
        self.held_up += 1;
        if self.held_up > MAX_HELD_UP || arriving.crawls() {
            return Err(HolderError::Slow);
        }
        arriving.give_up();
        let problem = Problem {
            message: format!("{}: so slow that others waited for it", self.origin.holder.name),
            cause: Cause::Other,
        };
        self.shared.plan().failed(task.index, self.origin.holder.id, problem);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn hand_on_if_complete(&mut self) {
        let Some(Asked { task, .. }) = self.asked.front() else {
            return;
        };
        let is_complete = |arriving: &Arriving| arriving.received_bytes() == task.document.size_bytes;
        if !self.arriving.as_ref().is_some_and(is_complete) {
            return;
        }
        let (Some(arriving), Some(Asked { task, .. })) = (self.arriving.take(), self.asked.pop_front()) else {
            return;
        };
        self.waited = Duration::ZERO;
        self.pace.completed(task.document.size_bytes);
        let modified = arriving.modified.or(task.document.modified);
        let Some((body, room)) = arriving.into_kept() else {
            return;
        };
        self.shared.plan().arrived(task.index, self.origin.holder.id);
        self.group.add(Arrived {
            index: task.index,
            document: Document {
                modified,
                ..task.document
            },
            body,
            _room: room,
        });
        if self.group.is_full() {
            self.flush().await;
        }
    }

    /// Hands on what has arrived.
    async fn flush(&mut self) {
        if self.group.documents.is_empty() {
            return;
        }
        let next = Group::new(Arc::clone(&self.origin));
        let group = std::mem::replace(&mut self.group, next);
        // Nobody takes it once the target has failed, which ends the whole mirror.
        let _ = self.intake.send(group).await;
    }
}

/// Opens a stream of downloads, waiting for a slot where all are taken.
async fn patiently(
    client: &FileTransferClient,
    (id, query): (u64, ManyQuery),
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

fn lied(what: impl Into<String>) -> HolderError {
    HolderError::Lied(what.into())
}

fn not_here(error: std::io::Error) -> HolderError {
    HolderError::Call(CallError::Violation(format!("cannot decode what it sends: {error}")))
}
