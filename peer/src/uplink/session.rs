//! One session with the registry, from `welcome` to its end.

use std::collections::HashMap;

use p2p_ci::{
    client::{
        CallError,
        registry::{RegistryClient, SessionReceiver, SessionSender},
    },
    document::{Document, DocumentKey, Format},
    failure::{Failure, Reason},
    message::{Hello, PeerRequest, RegistryReply, Welcome},
};
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, interval_at},
};

use super::{
    Command, Keeper, LinkState, NodeEvent, SessionEnd, refuse,
    sync::{Batch, Refusals, Sync},
};
use crate::limits;

/// How long the registry may take to confirm that this peer has left.
const LEAVE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// Heartbeats are sent no more often than this, whatever the registry asks for: each costs both sides a message.
const SHORTEST_HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(1);

/// And no more seldom: that a request was not answered is noticed when the next heartbeat is due.
const LONGEST_HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(60);

/// What an unanswered request was about.
enum Pending {
    Batch(Batch),
    Heartbeat,
    Command(oneshot::Sender<Result<RegistryReply, CallError>>),
}

/// An open session.
pub(super) struct Session {
    sender: SessionSender,
    receiver: SessionReceiver,
    heartbeat_interval: std::time::Duration,
    next_id: u64,
    pending: HashMap<u64, (Pending, Instant)>,
    sync: Sync,
    /// What was confirmed since people were last told.
    announced: Vec<DocumentKey>,
    withdrawn: Vec<DocumentKey>,
    naming: Naming,
}

/// Whether the registry can know this peer's lists by their fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// It knew all that there was to tell so far.
    Known,
    /// It was told of documents, and not yet of which lists they are.
    Due,
    /// It was told of the first lists; heartbeats tell the later ones.
    Done,
}

impl Session {
    /// Says hello and waits for the welcome. `documents` are those that `hello` has fingerprints of.
    pub(super) async fn open(
        client: &RegistryClient,
        hello: Hello,
        documents: Vec<Document>,
    ) -> Result<(Self, Welcome), CallError> {
        const HELLO_ID: u64 = 1;
        let (sender, mut receiver) = client.register(HELLO_ID, PeerRequest::Hello(hello)).await?;
        let first = tokio::time::timeout(limits::REPLY_TIMEOUT, receiver.next())
            .await
            .map_err(|_| CallError::TimedOut {
                what: "the registry's welcome".to_owned(),
            })??;
        let Some((HELLO_ID, RegistryReply::Welcome(welcome))) = first else {
            return Err(CallError::Violation(
                "it answered hello with something else than welcome".to_owned(),
            ));
        };
        let sync = Sync::knowing(documents, &welcome.known_formats);
        let session = Self {
            sender,
            receiver,
            heartbeat_interval: welcome.heartbeat_interval.clamp(SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT),
            next_id: HELLO_ID + 1,
            pending: HashMap::new(),
            announced: sync.told().collect(),
            sync,
            withdrawn: Vec::new(),
            naming: Naming::Known,
        };
        Ok((session, welcome))
    }

    /// Keeps the session until it ends.
    pub(super) async fn run(mut self, keeper: &mut Keeper) -> SessionEnd {
        let end = self.keep(keeper).await;
        for (_, (pending, _)) in self.pending {
            if let Pending::Command(answer) = pending {
                refuse(Command {
                    request: PeerRequest::Leave,
                    answer,
                });
            }
        }
        end
    }

    async fn keep(&mut self, keeper: &mut Keeper) -> SessionEnd {
        let mut version = keeper.library.version();
        let mut heartbeat = interval_at(Instant::now() + self.heartbeat_interval, self.heartbeat_interval);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut address_check = interval(limits::ADDRESS_CHECK_INTERVAL);
        let mut reconsider = interval_at(
            Instant::now() + limits::RECONSIDER_INTERVAL,
            limits::RECONSIDER_INTERVAL,
        );
        version.mark_changed();
        // When the library is to be compared with what was told, if it has changed, and not before when.
        let (mut aim_at, mut may_aim) = (None, Instant::now());
        loop {
            let retry_at = self.sync.retry_at();
            let step = tokio::select! {
                biased;
                () = keeper.stop.cancelled() => { self.leave().await; return SessionEnd::Left; }
                reply = self.receiver.next() => self.take(reply, keeper),
                Ok(()) = version.changed(), if aim_at.is_none() => { aim_at = Some(may_aim); Ok(()) }
                () = sleep_until(aim_at), if aim_at.is_some() => {
                    aim_at = None;
                    may_aim = Instant::now() + limits::ANNOUNCE_INTERVAL;
                    self.sync.aim(keeper.library.snapshot());
                    Ok(())
                }
                () = sleep_until(retry_at), if retry_at.is_some() => { self.sync.resume(); Ok(()) }
                Some(command) = keeper.commands.recv() => self.send(command.request, Pending::Command(command.answer)).await,
                _ = reconsider.tick() => {
                    if self.sync.reconsider() {
                        self.sync.aim(keeper.library.snapshot());
                    }
                    Ok(())
                }
                _ = heartbeat.tick() => self.heartbeat(keeper.share.upload_count()).await,
                _ = address_check.tick() => if keeper.share.must_move().await { Err(SessionEnd::Moved) } else { Ok(()) },
            };
            let step = match step {
                Ok(()) => self.announce_next(keeper).await,
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn send(&mut self, request: PeerRequest, pending: Pending) -> Result<(), SessionEnd> {
        let id = self.next_id;
        self.next_id += 1;
        self.pending.insert(id, (pending, Instant::now()));
        match self.sender.send(id, request).await {
            Ok(()) => Ok(()),
            // The stream's own end says why; it is next to be received.
            Err(CallError::Unreachable { .. }) => Ok(()),
            Err(error) => Err(SessionEnd::Lost(error)),
        }
    }

    async fn heartbeat(&mut self, upload_count: u32) -> Result<(), SessionEnd> {
        let late = self
            .pending
            .values()
            .any(|(_, since)| since.elapsed() > limits::REPLY_TIMEOUT);
        if late {
            return Err(SessionEnd::Lost(CallError::TimedOut {
                what: "the registry's answer".to_owned(),
            }));
        }
        let heartbeat = PeerRequest::Heartbeat {
            upload_count,
            fingerprints: self.sync.fingerprints(),
        };
        self.send(heartbeat, Pending::Heartbeat).await
    }

    /// Sends the next batch of changes once the one before is confirmed.
    async fn announce_next(&mut self, keeper: &Keeper) -> Result<(), SessionEnd> {
        if let Some(batch) = self.sync.next_batch() {
            return self.send(batch.request(), Pending::Batch(batch)).await;
        }
        if self.sync.is_quiet() {
            if let Some(Refusals { keys, why }) = self.sync.take_refusals() {
                tracing::warn!(documents = keys.len(), %why, "the registry does not take all documents");
                keeper.tell(NodeEvent::Rejected(keys, why));
            }
            // A whole series takes dozens of batches, and is one piece of news.
            let withdrawn = std::mem::take(&mut self.withdrawn);
            let announced = std::mem::take(&mut self.announced);
            for (keys, event) in [
                (withdrawn, NodeEvent::Withdrawn as fn(_) -> _),
                (announced, NodeEvent::Announced),
            ] {
                if !keys.is_empty() {
                    keeper.tell(event(keys));
                }
            }
        }
        if self.naming == Naming::Due && self.sync.is_settled() {
            // At once, so that whoever joins next with the same list need not send it.
            self.naming = Naming::Done;
            return self.heartbeat(keeper.share.upload_count()).await;
        }
        Ok(())
    }

    fn take(
        &mut self,
        received: Result<Option<(u64, RegistryReply)>, CallError>,
        keeper: &Keeper,
    ) -> Result<(), SessionEnd> {
        let (id, reply) = match received {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                let detail = "it ended the session".to_owned();
                return Err(SessionEnd::Lost(CallError::Unreachable {
                    address: "the registry".to_owned(),
                    detail,
                }));
            }
            Err(error) => return Err(SessionEnd::Lost(error.at(&keeper.config.registry))),
        };
        if id == 0 {
            return notice(reply, keeper);
        }
        match self.pending.remove(&id) {
            Some((Pending::Batch(batch), _)) => self.take_batch(batch, reply),
            Some((Pending::Command(answer), _)) => {
                let reply = if let RegistryReply::Failed(failure) = reply {
                    Err(CallError::Refused(failure))
                } else {
                    Ok(reply)
                };
                // Whoever asked may have given up meanwhile.
                let _ = answer.send(reply);
                Ok(())
            }
            Some((Pending::Heartbeat, _)) => {
                self.take_heartbeat(&reply, keeper);
                Ok(())
            }
            None => Err(SessionEnd::Lost(CallError::Violation(format!(
                "it answered request {id}, which is not open"
            )))),
        }
    }

    /// Tells formats from the beginning of which the registry has something else than it was told.
    fn take_heartbeat(&mut self, reply: &RegistryReply, keeper: &Keeper) {
        if let RegistryReply::HeartbeatAck { mismatched, .. } = reply
            && !mismatched.is_empty()
        {
            let afresh = self.sync.begin_afresh(mismatched, keeper.library.snapshot());
            let shown = |formats: &[Format]| formats.iter().map(Format::to_string).collect::<Vec<_>>().join(", ");
            let (formats, announcing) = (shown(mismatched), shown(&afresh));
            tracing::warn!(formats, announcing, "the registry has something else than it was told");
        }
    }

    fn take_batch(&mut self, batch: Batch, reply: RegistryReply) -> Result<(), SessionEnd> {
        match reply {
            RegistryReply::Announced(_) | RegistryReply::Withdrawn(_) => {
                match &batch {
                    Batch::Announce(documents) => {
                        self.announced.extend(documents.iter().map(|document| document.id.key));
                        if self.naming == Naming::Known {
                            self.naming = Naming::Due;
                        }
                    }
                    Batch::Withdraw(keys) => self.withdrawn.extend(keys),
                    // What was there is announced again in a moment.
                    Batch::Reset(_) => {}
                }
                self.sync.confirmed(batch);
                Ok(())
            }
            RegistryReply::Failed(failure) => {
                self.sync.refused(batch, &failure);
                Ok(())
            }
            RegistryReply::Welcome(_)
            | RegistryReply::HeartbeatAck { .. }
            | RegistryReply::Found(_)
            | RegistryReply::Page(_)
            | RegistryReply::Left
            | RegistryReply::Reachability(_)
            | RegistryReply::ShuttingDown => Err(SessionEnd::Lost(CallError::Violation(
                "it answered an announcement with something else".to_owned(),
            ))),
        }
    }

    async fn leave(&mut self) {
        let left = async {
            self.sender.send(self.next_id, PeerRequest::Leave).await.ok()?;
            while !matches!(
                self.receiver.next().await,
                Ok(Some((_, RegistryReply::Left))) | Ok(None) | Err(_)
            ) {}
            Some(())
        };
        if tokio::time::timeout(LEAVE_TIMEOUT, left).await.is_err() {
            tracing::debug!("the registry did not confirm that this peer left");
        }
    }
}

/// A message that answers no request.
fn notice(reply: RegistryReply, keeper: &Keeper) -> Result<(), SessionEnd> {
    match reply {
        RegistryReply::Reachability(told) => {
            keeper.state.send_modify(|state| {
                if let LinkState::Registered { reachability, .. } = state {
                    *reachability = Some(told.clone());
                }
            });
            keeper.tell(NodeEvent::Reachability(told));
            Ok(())
        }
        RegistryReply::ShuttingDown => Err(SessionEnd::Lost(CallError::Refused(Failure::new(
            Reason::ShuttingDown,
            "the registry is shutting down",
        )))),
        RegistryReply::Welcome(_)
        | RegistryReply::Announced(_)
        | RegistryReply::Withdrawn(_)
        | RegistryReply::HeartbeatAck { .. }
        | RegistryReply::Found(_)
        | RegistryReply::Page(_)
        | RegistryReply::Left
        | RegistryReply::Failed(_) => {
            tracing::debug!("the registry answered a request without an id");
            Ok(())
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
