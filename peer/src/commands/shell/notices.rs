//! What happens meanwhile: to the registration, and to what is shared.

use std::time::Duration;

use p2p_ci::{identity::PeerName, message::Reachability, shutdown::Signals, text::escaped};
use tokio::sync::broadcast::error::TryRecvError;

use super::Shell;
use crate::{
    commands::{join::sentence, probe},
    error::PeerError,
    output::Output,
    state::{PeerState, StateFile},
    uplink::NodeEvent,
};

/// How long a new shell waits to be registered and known to be reachable before it shows the prompt all the same: longer
/// than connecting (5 s) or connecting back (3 s) may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(6);

impl Shell {
    /// Waits until the registration has failed, or has succeeded and the registry has tried to connect back, and tells
    /// what happens meanwhile. Returns the signal that ended the wait, if one did.
    pub(super) async fn settle(&mut self, signals: &mut Signals, output: &mut Output) -> Option<&'static str> {
        let patience = tokio::time::sleep(SETTLE_TIMEOUT);
        tokio::pin!(patience);
        loop {
            let mut event = tokio::select! {
                event = self.events.recv() => event.ok()?,
                name = signals.next() => return Some(name),
                () = &mut patience => return None,
            };
            if let NodeEvent::Disconnected { reason, .. } = &mut event
                && let Some(error) = probe::stranger(&self.context).await
            {
                *reason = error.to_string();
            }
            if let Some(notice) = self.note(&event, output) {
                output.message(notice);
            }
            if settles(&event) {
                return None;
            }
        }
    }

    /// Tells what has happened since the last time, while no prompt is shown.
    ///
    /// What was announced one after the other is told as one: a download of many makes many announcements.
    pub(super) fn tell_what_happened(&mut self, output: &mut Output) {
        let mut happened: Vec<NodeEvent> = Vec::new();
        loop {
            match self.events.try_recv() {
                Ok(NodeEvent::Announced(more)) if matches!(happened.last(), Some(NodeEvent::Announced(_))) => {
                    if let Some(NodeEvent::Announced(keys)) = happened.last_mut() {
                        keys.extend(more);
                    }
                }
                Ok(event) => happened.push(event),
                Err(TryRecvError::Lagged(missed)) => output.message(format_args!("{missed} notices were missed")),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        for event in happened {
            if let Some(notice) = self.note(&event, output) {
                output.message(notice);
            }
        }
    }

    /// Takes note of an event; returns what to tell about it. Of attempts that fail one after the other, only the first
    /// is told.
    pub(super) fn note(&mut self, event: &NodeEvent, output: &mut Output) -> Option<String> {
        match event {
            NodeEvent::Registered { .. } => self.told_of_loss = false,
            NodeEvent::Disconnected { .. } if std::mem::replace(&mut self.told_of_loss, true) => return None,
            // `Disconnected` follows and says the same.
            NodeEvent::Refused(_) => return None,
            NodeEvent::Serving(_)
            | NodeEvent::Reachability(_)
            | NodeEvent::Announced(_)
            | NodeEvent::Withdrawn(_)
            | NodeEvent::Rejected(..)
            | NodeEvent::Disconnected { .. }
            | NodeEvent::Left => {}
            NodeEvent::Broken(part) => self.broken = Some(part),
        }
        if let NodeEvent::Registered { name, .. } = event
            && let Err(error) = self.write_state(name.clone())
        {
            output.message(format_args!("peer healthcheck will not find this peer: {error}"));
        }
        Some(escaped(&sentence(event)).to_string())
    }

    fn write_state(&mut self, name: PeerName) -> Result<(), PeerError> {
        let Some(address) = *self.node.address().borrow() else {
            return Ok(());
        };
        let root = self.library.root().to_string_lossy().into_owned();
        let state = PeerState {
            pid: std::process::id(),
            name,
            address,
            root,
        };
        match &self.state_file {
            Some(file) => file.update(&state),
            None => {
                self.state_file = Some(StateFile::create(&self.state_dir, &state)?);
                Ok(())
            }
        }
    }
}

/// Whether nothing more is to be expected of a new session than what happens to any.
fn settles(event: &NodeEvent) -> bool {
    match event {
        NodeEvent::Reachability(notice) => notice.reachability != Reachability::Pending,
        NodeEvent::Disconnected { .. } | NodeEvent::Left | NodeEvent::Broken(_) => true,
        NodeEvent::Serving(_)
        | NodeEvent::Registered { .. }
        | NodeEvent::Announced(_)
        | NodeEvent::Withdrawn(_)
        | NodeEvent::Rejected(..)
        | NodeEvent::Refused(_) => false,
    }
}
