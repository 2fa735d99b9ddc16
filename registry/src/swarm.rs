//! The swarm: a handle on the index that sessions, lookups and watchers share.
//!
//! One std mutex guards index and watchers together. It is held for microseconds, for a millisecond when a list of the
//! whole series comes into use or falls out of it, and never across an await, and what happens is queued for the watchers while it is held,
//! so that all of them see one order. Answers are spelled out after it is free. A panic while it is held poisons nothing
//! for others: the next one goes on with what is there.

mod convergence;
mod listing;
mod membership;
#[cfg(test)]
mod tests;
mod watch;
mod watchers;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_ci::{
    address,
    document::{DocumentKey, Format, UnixSeconds},
    fingerprint::Fingerprint,
    identity::{PeerName, ResumeToken, SessionId},
    limits::{HEARTBEAT_INTERVAL, MAX_BATCH_DOCUMENTS},
    message::{Changed, PeerLabel, Reachability, WatchEvent, Welcome, ranges_of},
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    convergence::Convergence,
    watch::Page,
    watchers::{Standing, Watchers},
};
pub use self::{
    listing::{Documents, Lookups, Peers},
    membership::Membership,
    watch::Watch,
};
use crate::{
    bucket::{Bucket, Buckets},
    error::{RegistryError, StreamEnd},
    index::{Change, Index, IndexLimits, Joining, Member, Refusal},
    limits::{
        ADOPT_BURST, ADOPT_PER_SECOND, PEERS_PER_PAGE, RECONNECT_SPREAD_BASE, RECONNECT_SPREAD_MAX,
        RECONNECT_SPREAD_PER_SESSION,
    },
};

/// How much the swarm takes.
#[derive(Debug, Clone, Copy)]
pub struct SwarmLimits {
    /// What the index takes.
    pub index: IndexLimits,
    /// At most so many watchers.
    pub watchers: usize,
}

/// A handle on the swarm; clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct Swarm(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    index: Index,
    rng: StdRng,
    /// How each registered session learns that another one has taken over.
    superseded: HashMap<SessionId, CancellationToken>,
    watchers: Watchers,
    /// How much each source may have without announcing it.
    adoptions: Buckets,
    started: Instant,
    convergence: Convergence,
}

/// A peer that wants to be registered.
#[derive(Debug, Clone)]
pub struct Application {
    /// The name that it chose.
    pub name: PeerName,
    /// The address to hand out, or `None` for an observer.
    pub address: Option<SocketAddr>,
    /// The source of its stream.
    pub source: SocketAddr,
    /// The secret of an earlier session.
    pub resume_token: Option<ResumeToken>,
}

/// Random bytes from the system.
fn random<const N: usize>() -> Result<[u8; N], StreamEnd> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        StreamEnd::Internal("no random numbers")
    })?;
    Ok(bytes)
}

/// The span over which peers spread their return when this registry restarts.
fn reconnect_spread(sessions: usize) -> Duration {
    let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
    RECONNECT_SPREAD_PER_SESSION
        .saturating_mul(sessions)
        .saturating_add(RECONNECT_SPREAD_BASE)
        .min(RECONNECT_SPREAD_MAX)
}

impl Swarm {
    /// An empty swarm.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn new(limits: SwarmLimits) -> Result<Self, RegistryError> {
        Ok(Self(Arc::new(Mutex::new(State {
            index: Index::new(limits.index),
            rng: StdRng::from_seed(random()?),
            superseded: HashMap::new(),
            watchers: Watchers::new(limits.watchers),
            adoptions: Buckets::of(Bucket::full(ADOPT_BURST, ADOPT_PER_SECOND)),
            started: Instant::now(),
            convergence: Convergence::starting(Instant::now()),
        }))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of registered sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.lock().index.session_count()
    }

    /// Registers a peer for as long as the membership lives.
    ///
    /// # Errors
    ///
    /// Those of [`Index::join`], and when the system gives no random numbers.
    pub fn join(&self, application: Application) -> Result<(Membership, Welcome), RegistryError> {
        let Application {
            name,
            address,
            source,
            resume_token,
        } = application;
        let label = PeerLabel {
            id: SessionId::from_bytes(random()?),
            name,
        };
        let token = ResumeToken::from_bytes(random()?);
        let superseded = CancellationToken::new();
        let joining = Joining {
            label: label.clone(),
            token,
            resume: resume_token,
            address,
            account: address::accountable(source.ip()),
            // For people to read; nothing is decided by it.
            registered: UnixSeconds::now(),
        };
        let session_count = self.lock().join(joining, superseded.clone())?;
        let welcome = Welcome {
            session_id: label.id,
            resume_token: token,
            observed: source,
            address,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            reconnect_spread: reconnect_spread(session_count),
            known_formats: Vec::new(),
        };
        Ok((Membership::new(self.clone(), label, source.ip(), superseded), welcome))
    }

    /// Notes whether others can reach a session; says whether that is news.
    pub fn set_reachability(&self, id: SessionId, reachability: Reachability) -> bool {
        let mut state = self.lock();
        let changed = state.index.set_reachability(id, reachability);
        if let Some(Member { number, label }) = &changed {
            state.publish(*number, || WatchEvent::Reachability(label.clone(), reachability));
        }
        changed.is_some()
    }

    /// Follows what happens, until `stop`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::TooManyWatchers`].
    pub fn watch(&self, stop: CancellationToken) -> Result<Watch, RegistryError> {
        let mut state = self.lock();
        let limit = state.watchers.max();
        let (id, events) = state
            .watchers
            .add(Instant::now())
            .ok_or(RegistryError::TooManyWatchers { limit })?;
        drop(state);
        Ok(Watch::new(self.clone(), id, events, stop))
    }

    /// The next page of a watcher's snapshot, behind the session with number `after`.
    fn snapshot_page(&self, watcher: u64, after: u64) -> Page {
        let mut state = self.lock();
        let peers = state.index.peers(after, PEERS_PER_PAGE);
        // After the last page, whatever joins is an event.
        let shown = peers.last().map_or(u64::MAX, |peer| peer.number);
        match state.watchers.show(watcher, shown) {
            Standing::Sound => Page::Peers(peers),
            broken @ (Standing::Reset(_) | Standing::Gone) => Page::Broken(broken),
        }
    }

    fn watcher_standing(&self, watcher: u64) -> Standing {
        self.lock().watchers.standing(watcher)
    }

    fn unwatch(&self, watcher: u64) {
        self.lock().watchers.remove(watcher);
    }
}

impl State {
    fn publish(&mut self, member: u64, event: impl FnOnce() -> WatchEvent) {
        self.watchers.publish(Instant::now(), member, event);
    }

    /// Registers a session, tells those that it supersedes, and returns how many sessions there are now.
    fn join(&mut self, joining: Joining, superseded: CancellationToken) -> Result<usize, RegistryError> {
        let id = joining.label.id;
        let joined = self.index.join(joining)?;
        for old in joined.superseded {
            if let Some(superseded) = self.superseded.remove(&old.label.id) {
                superseded.cancel();
            }
            self.publish(old.number, || WatchEvent::Left(old.label));
        }
        self.superseded.insert(id, superseded);
        self.convergence.arrived(Instant::now());
        if let Some(peer) = self.index.peer(id) {
            self.publish(joined.number, || WatchEvent::Joined(peer.into_info()));
        }
        Ok(self.index.session_count())
    }

    /// How long peers may still be on their way back; `None` once they no longer are.
    fn converging(&mut self) -> Option<Duration> {
        self.convergence.left(Instant::now())
    }

    /// Ends a session, unless it has ended already.
    fn leave(&mut self, id: SessionId) {
        self.superseded.remove(&id);
        if let Some(Member { number, label }) = self.index.leave(id) {
            self.publish(number, || WatchEvent::Left(label));
        }
    }

    /// Lists a session of `source` with every document of a list; says whether it is known and may be used now.
    fn adopt(&mut self, id: SessionId, source: IpAddr, fingerprint: &Fingerprint) -> Result<bool, Refusal> {
        let elapsed = self.started.elapsed();
        if !self.index.knows(fingerprint) || !self.adoptions.try_spend(source, fingerprint.count, elapsed) {
            return Ok(false);
        }
        let change = self.index.adopt(id, fingerprint)?;
        if let Some(change) = &change {
            self.publish_change(change, WatchEvent::Announced);
        }
        Ok(change.is_some())
    }

    /// Queues an event for each format among the documents that changed; several for more ranges than one announcement
    /// could have.
    fn publish_change(&mut self, change: &Change, event: impl Fn(Changed) -> WatchEvent) {
        if self.watchers.is_empty() {
            return;
        }
        for format in Format::ALL {
            let of_format = |key: &&DocumentKey| key.format == format;
            let ranges = ranges_of(change.keys.iter().filter(of_format).map(|key| key.number));
            for ranges in ranges.chunks(MAX_BATCH_DOCUMENTS) {
                let (peer, ranges) = (change.member.label.clone(), ranges.to_vec());
                self.publish(change.member.number, || event(Changed { peer, format, ranges }));
            }
        }
    }
}
