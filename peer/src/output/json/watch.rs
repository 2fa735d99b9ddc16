//! What `watch` prints.

use std::time::Duration;

use p2p_ci::message::{Changed, PeerLabel, WatchEvent};
use serde::Serialize;

use super::objects::{PeerObject, whole_millis};

/// Something that `watch` prints.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WatchLine<'a> {
    /// An active peer; part of a snapshot.
    Peer(PeerObject<'a>),
    /// The snapshot is complete.
    SnapshotEnd,
    /// A peer has registered.
    Joined(PeerObject<'a>),
    /// A peer has left or was lost.
    Left(LabelObject<'a>),
    /// A peer announced documents.
    Announced(ChangedObject<'a>),
    /// A peer withdrew documents.
    Withdrawn(ChangedObject<'a>),
    /// It became known whether a peer can be reached.
    Reachability {
        /// The peer.
        #[serde(flatten)]
        peer: LabelObject<'a>,
        /// The verdict.
        reachability: &'static str,
    },
    /// Events were lost; a new snapshot follows.
    Reset,
    /// The registry was lost.
    Disconnected {
        /// Why.
        reason: &'a str,
        /// When it is tried again.
        retry_in_ms: u64,
    },
    /// The registry is back; a new snapshot follows.
    Connected,
}

impl<'a> WatchLine<'a> {
    /// The registry was lost.
    #[must_use]
    pub fn disconnected(reason: &'a str, retry_in: Duration) -> Self {
        Self::Disconnected {
            reason,
            retry_in_ms: whole_millis(retry_in),
        }
    }
}

/// Something that `watch` prints, with the time at which it came.
#[derive(Debug, Serialize)]
pub struct WatchObject<'a> {
    /// What happened.
    #[serde(flatten)]
    pub line: WatchLine<'a>,
    /// When this machine heard of it, as RFC 3339 has it.
    pub time: String,
}

/// A peer by its id and name.
#[derive(Debug, Serialize)]
pub struct LabelObject<'a> {
    peer_id: String,
    name: &'a str,
}

impl<'a> From<&'a PeerLabel> for LabelObject<'a> {
    fn from(label: &'a PeerLabel) -> Self {
        Self {
            peer_id: label.id.to_string(),
            name: label.name.as_str(),
        }
    }
}

/// Documents of one format that came or went with one peer.
#[derive(Debug, Serialize)]
pub struct ChangedObject<'a> {
    #[serde(flatten)]
    peer: LabelObject<'a>,
    format: &'static str,
    ranges: Vec<String>,
}

impl<'a> From<&'a Changed> for ChangedObject<'a> {
    fn from(changed: &'a Changed) -> Self {
        Self {
            peer: LabelObject::from(&changed.peer),
            format: changed.format.extension(),
            ranges: changed.ranges.iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> From<&'a WatchEvent> for WatchLine<'a> {
    fn from(event: &'a WatchEvent) -> Self {
        match event {
            WatchEvent::Peer(peer) => Self::Peer(peer.into()),
            WatchEvent::SnapshotEnd => Self::SnapshotEnd,
            WatchEvent::Joined(peer) => Self::Joined(peer.into()),
            WatchEvent::Left(label) => Self::Left(label.into()),
            WatchEvent::Announced(changed) => Self::Announced(changed.into()),
            WatchEvent::Withdrawn(changed) => Self::Withdrawn(changed.into()),
            WatchEvent::Reachability(label, reachability) => Self::Reachability {
                peer: label.into(),
                reachability: reachability.as_str(),
            },
            WatchEvent::Reset => Self::Reset,
        }
    }
}
