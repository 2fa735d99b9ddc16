//! What really happened in a simulation: what hosts and faults did, and what a client saw, each with its time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_ci::{document::DocumentKey, identity::SessionId, message::Reachability};

/// A time of the simulation, from its beginning.
pub(crate) type Time = Duration;

/// The time as it is on the host that asks.
pub(crate) fn now() -> Time {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// One peer.
#[derive(Debug, Default)]
pub(crate) struct PeerTruth {
    /// Since when its process does not run.
    pub(crate) down_since: Option<Time>,
    /// Whether it ended as it was told to, instead of being killed.
    pub(crate) has_left: bool,
    /// The session that it believes to have.
    pub(crate) session: Option<Session>,
    /// What was ever in its folder.
    pub(crate) ever: BTreeSet<u32>,
    /// What was taken out of its folder, and when.
    pub(crate) removed: BTreeMap<DocumentKey, Time>,
}

/// A session, as its peer sees it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Since when others are told of the peer.
    pub(crate) reachable_since: Option<Time>,
    /// What the registry acknowledged, and when.
    pub(crate) announced: BTreeMap<DocumentKey, Time>,
}

/// How a client came to know something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// It asked for everything.
    Look,
    /// It was told of each change.
    Watch,
}

/// What a client knew.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) source: Source,
    pub(crate) began: Time,
    /// The active peers, by name.
    pub(crate) peers: BTreeMap<String, (SessionId, Reachability)>,
    /// Who holds what.
    pub(crate) holders: BTreeMap<DocumentKey, BTreeSet<String>>,
    /// The peers of whose documents it knew nothing.
    pub(crate) unknown: BTreeSet<String>,
}

/// A download that a peer was told to make.
#[derive(Debug, Clone)]
pub(crate) struct Download {
    pub(crate) peer: usize,
    /// Of what; everything if there is none.
    pub(crate) number: Option<u32>,
    pub(crate) began: Time,
    /// When it ended, and why without the document if so.
    pub(crate) ended: Option<(Time, Result<(), String>)>,
}

/// Everything of one simulation.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) peers: Vec<PeerTruth>,
    /// Not yet looked at by the checker.
    pub(crate) views: Vec<View>,
    /// What a client was told that cannot be, after what it was told before.
    pub(crate) untrue: Vec<String>,
    pub(crate) downloads: Vec<Download>,
    /// What the liar sent instead of documents.
    pub(crate) lies: usize,
    /// Whether the registry has ended, as it was told to.
    pub(crate) registry_has_ended: bool,
    pub(crate) trace: Vec<String>,
}

impl Truth {
    /// Adds a line to the trace.
    pub(crate) fn tell(&mut self, time: Time, what: impl AsRef<str>) {
        self.trace.push(format!("{:9.3} {}", time.as_secs_f64(), what.as_ref()));
    }
}

/// The truth, shared by all hosts. One thread runs them all.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedTruth(Arc<Mutex<Truth>>);

impl SharedTruth {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Truth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
