//! What happens to a peer that shares, as people and programs are told.

use std::time::Duration;

use p2p_ci::{
    document::DocumentKey,
    failure::{Failure, Reason},
    text::escaped,
};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use super::sentence;
use crate::{
    commands::{Context, probe},
    config::JoinArgs,
    error::PeerError,
    limits,
    output::{Output, human, is_reader_gone, json::JoinEvent},
    state::{PeerState, StateDir, StateFile},
    uplink::NodeEvent,
};

/// How often people are told of announcements: a mirror makes one for each document.
const ANNOUNCED_INTERVAL: Duration = Duration::from_secs(1);

/// Sharing goes on, whether or not somebody reads about it.
pub(super) fn courtesy(told: Result<(), PeerError>) -> Result<(), PeerError> {
    match told {
        Err(error) if is_reader_gone(&error) => Ok(()),
        told => told,
    }
}

/// Tells people and programs what happens to the peer.
pub(super) struct Follower {
    context: Context,
    state: StateDir,
    /// The state file as long as it describes this peer.
    written: Option<StateFile>,
    events: broadcast::Receiver<NodeEvent>,
    output: Output,
    /// Why there is no session.
    reason: Option<Explained>,
    /// Why there is no session, as people were last told.
    told_loss: Option<String>,
    /// Whether there ever was a session to leave.
    was_registered: bool,
    /// What the registry said to the attempt that is about to be told as failed.
    refused: Option<String>,
    /// Why this peer, which never was registered, is not taken in, and until when that is borne.
    refusal: Option<(String, Instant)>,
    announced: Announced,
}

/// Why there is no session.
#[derive(Clone)]
struct Explained {
    /// As the session told it.
    told: String,
    /// As people and programs read it.
    shown: String,
}

/// Announcements that people were not told of yet.
#[derive(Default)]
struct Announced {
    keys: Vec<DocumentKey>,
    last_told: Option<Instant>,
}

impl Announced {
    /// When they may be told.
    fn due(&self) -> Instant {
        self.last_told
            .map_or_else(Instant::now, |last| last + ANNOUNCED_INTERVAL)
    }

    /// Waits until there are some and they may be told.
    async fn ready(&self) {
        if self.keys.is_empty() {
            std::future::pending().await
        } else {
            tokio::time::sleep_until(self.due()).await
        }
    }
}

impl Follower {
    pub(super) fn new(
        context: Context,
        state: StateDir,
        events: broadcast::Receiver<NodeEvent>,
        output: Output,
    ) -> Self {
        Self {
            context,
            state,
            written: None,
            events,
            output,
            reason: None,
            told_loss: None,
            was_registered: false,
            refused: None,
            refusal: None,
            announced: Announced::default(),
        }
    }

    /// Where it tells what happens.
    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Tells what happens until the peer is of no more use.
    pub(super) async fn follow(&mut self, args: &JoinArgs) -> Result<(), PeerError> {
        let mut serving = None;
        loop {
            let received = tokio::select! {
                received = self.events.recv() => received,
                reason = borne(&self.refusal) => return Err(PeerError::Refused(reason)),
                () = self.announced.ready() => {
                    self.tell_announced()?;
                    continue;
                }
            };
            let event = match received {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events passed by unseen");
                    continue;
                }
                Err(RecvError::Closed) => return Ok(()),
            };
            match &event {
                NodeEvent::Broken(part) => return Err(PeerError::Broken(part)),
                NodeEvent::Serving(address) => serving = Some(*address),
                NodeEvent::Registered { name, .. } => {
                    self.was_registered = true;
                    self.refusal = None;
                    if let Some(address) = serving {
                        // Commands that are started elsewhere look for it.
                        let root = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
                        let root = root.to_string_lossy().into_owned();
                        self.write_state(PeerState {
                            pid: std::process::id(),
                            name: name.clone(),
                            address,
                            root,
                        });
                    }
                }
                // Only a newcomer gives up: one that was registered before is wanted back by somebody.
                NodeEvent::Refused(failure) if !self.was_registered => {
                    if !may_pass(failure) {
                        return Err(PeerError::Refused(failure.message.clone()));
                    }
                    self.refused = Some(failure.message.clone());
                }
                NodeEvent::Disconnected { reason, retry_in } => {
                    self.bear(*retry_in);
                    self.explain(reason).await;
                }
                NodeEvent::Reachability(_)
                | NodeEvent::Announced(_)
                | NodeEvent::Withdrawn(_)
                | NodeEvent::Rejected(..)
                | NodeEvent::Refused(_)
                | NodeEvent::Left => {}
            }
            self.tell(&event)?;
        }
    }

    /// Notes until when a refusal is borne, which is tried again after `retry_in`: at least once more, however long this
    /// peer has been waiting for the registry before.
    fn bear(&mut self, retry_in: Duration) {
        let before = self.refusal.take();
        if let Some(reason) = self.refused.take() {
            let patience = limits::TAKEN_PATIENCE.max(retry_in + limits::REPLY_TIMEOUT);
            let until = before.map_or_else(|| Instant::now() + patience, |(_, until)| until);
            self.refusal = Some((reason, until));
        }
    }

    /// Finds out why there is no session, if it is for another reason than before.
    async fn explain(&mut self, reason: &str) {
        if self.reason.as_ref().is_some_and(|known| known.told == reason) {
            return;
        }
        let stranger = if self.was_registered || self.refusal.is_some() {
            None
        } else {
            probe::stranger(&self.context).await
        };
        self.reason = Some(Explained {
            told: reason.to_owned(),
            shown: stranger.map_or_else(|| reason.to_owned(), |error| error.to_string()),
        });
    }

    /// Sharing goes on without this file; only `peer healthcheck` needs it.
    fn write_state(&mut self, state: PeerState) {
        let result = match &self.written {
            Some(file) => file.update(&state),
            None => StateFile::create(&self.state, &state).map(|file| self.written = Some(file)),
        };
        if let Err(error) = result {
            self.output.message(error);
        }
    }

    /// Tells that the peer has left, if it ever was there. A key may have ended it.
    pub(super) fn left(&mut self) -> Result<(), PeerError> {
        self.output.wipe_key();
        if self.was_registered {
            self.tell(&NodeEvent::Left)
        } else {
            Ok(())
        }
    }

    fn tell(&mut self, event: &NodeEvent) -> Result<(), PeerError> {
        let told = if self.output.is_json() {
            self.tell_programs(event)
        } else {
            self.tell_people(event)
        };
        courtesy(told)
    }

    fn tell_programs(&mut self, event: &NodeEvent) -> Result<(), PeerError> {
        let count = |keys: &[DocumentKey]| keys.len() as u64;
        match event {
            NodeEvent::Serving(address) => self.output.object(&JoinEvent::Serving { address: *address }),
            NodeEvent::Registered { name, welcome } => self.output.object(&JoinEvent::registered(
                name.as_str(),
                welcome.session_id,
                welcome.address,
            )),
            NodeEvent::Reachability(notice) => self.output.object(&JoinEvent::reachability(
                notice.reachability,
                notice.address,
                &notice.detail,
            )),
            NodeEvent::Announced(keys) => self.output.object(&JoinEvent::Announced { documents: count(keys) }),
            NodeEvent::Withdrawn(keys) => self.output.object(&JoinEvent::Withdrawn { documents: count(keys) }),
            NodeEvent::Disconnected { reason, retry_in } => {
                let reason = self.reason.as_ref().map_or(reason, |reason| &reason.shown);
                self.output.object(&JoinEvent::disconnected(reason, *retry_in))
            }
            NodeEvent::Left => self.output.object(&JoinEvent::Left),
            NodeEvent::Rejected(..) | NodeEvent::Refused(_) | NodeEvent::Broken(_) => Ok(()),
        }
    }

    fn tell_people(&mut self, event: &NodeEvent) -> Result<(), PeerError> {
        if let NodeEvent::Announced(keys) = event {
            self.announced.keys.extend(keys);
            return if self.announced.due() <= Instant::now() {
                self.tell_announced()
            } else {
                Ok(())
            };
        }
        self.tell_announced()?;
        let line = match event {
            // `Disconnected` follows and says the same.
            NodeEvent::Refused(_) => return Ok(()),
            NodeEvent::Disconnected { retry_in, .. } => return self.tell_loss(*retry_in),
            NodeEvent::Serving(_)
            | NodeEvent::Registered { .. }
            | NodeEvent::Reachability(_)
            | NodeEvent::Announced(_)
            | NodeEvent::Withdrawn(_)
            | NodeEvent::Rejected(..)
            | NodeEvent::Left
            | NodeEvent::Broken(_) => sentence(event),
        };
        self.told_loss = None;
        self.output.lines(escaped(&line))
    }

    /// Tells why there is no session, and what is done about it. What is still so is said once.
    fn tell_loss(&mut self, retry_in: Duration) -> Result<(), PeerError> {
        let reason = self.reason.clone().map(|reason| reason.shown).unwrap_or_default();
        if self.told_loss.as_ref() == Some(&reason) {
            return Ok(());
        }
        let line = match &self.refusal {
            Some((_, until)) => {
                let left = until.saturating_duration_since(Instant::now());
                format!("not registered: {reason}; trying for {}", human::span(rounded(left)))
            }
            None => sentence(&NodeEvent::Disconnected {
                reason: reason.clone(),
                retry_in,
            }),
        };
        self.told_loss = Some(reason);
        self.output.lines(escaped(&line))
    }

    /// Tells of the announcements that were not told yet.
    fn tell_announced(&mut self) -> Result<(), PeerError> {
        let keys = std::mem::take(&mut self.announced.keys);
        if keys.is_empty() {
            return Ok(());
        }
        self.announced.last_told = Some(Instant::now());
        courtesy(self.output.lines(escaped(&sentence(&NodeEvent::Announced(keys)))))
    }
}

/// A span that has only just begun to run out, as it was meant.
fn rounded(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs_f64().round() as u64)
}

/// Whether a refusal may be over soon: a name is free once its former bearer is known to be gone, and a registry that is
/// full or about to end may not be so for long.
fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        Reason::NameTaken
            | Reason::AddressTaken
            | Reason::Overloaded
            | Reason::LimitExceeded
            | Reason::ShuttingDown
            | Reason::Internal
    )
}

/// Waits until a refusal has been borne for long enough; for ever where there is none.
async fn borne(refusal: &Option<(String, Instant)>) -> String {
    match refusal {
        Some((reason, until)) => {
            tokio::time::sleep_until(*until).await;
            reason.clone()
        }
        None => std::future::pending().await,
    }
}
