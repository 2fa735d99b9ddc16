//! What a server knows of each connection: whether it is in use, and whether its answers are read.
//!
//! HTTP/2 lets a client open streams and never read them. What was handed over for such a stream stays in memory, out of
//! reach of every limit on requests at work; and nothing ends a connection on which nothing happens. A [`Ledger`] keeps
//! account of both for one server, and hangs up where an [`Allowance`] is used up.

mod answer;
mod places;

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use futures_core::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub(crate) use self::answer::Answer;
use self::places::Places;
use crate::{
    address, limits,
    turns::{Share, Turns},
};

/// How often connections are looked at. What they may hold until then is bounded by [`Allowance::unread_bytes`].
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a connection may cost that takes nothing and asks for nothing.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// How long an answer may wait to be read.
    pub unread: Duration,
    /// How many bytes of answers may wait for one [`address::accountable`] source, over all its connections.
    pub unread_bytes: usize,
    /// How long a connection may go without a request.
    pub idle: Duration,
    /// How long a ping may stay unanswered. It waits behind whatever was sent before.
    pub ping: Duration,
    /// Bytes of an answer that may wait in its stream when the next piece is taken. Only what is longer is kept account of to
    /// its last byte.
    pub sent_ahead_bytes: usize,
    /// Paths of methods whose answers are long: a source has [`limits::LONG_ANSWERS_PER_SOURCE`] at once, and others of its
    /// requests for them wait.
    pub long_answers: &'static [&'static str],
}

impl Allowance {
    /// For a server of documents: where the link is slow, what is on its way takes a while, and a client that has asked for a
    /// long one says nothing meanwhile.
    #[must_use]
    pub fn for_documents() -> Self {
        Self {
            ping: limits::UNREAD_ANSWER,
            sent_ahead_bytes: limits::DOCUMENTS_SENT_AHEAD_BYTES,
            ..Self::default()
        }
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            unread: limits::UNREAD_ANSWER,
            unread_bytes: limits::MAX_UNREAD_BYTES_PER_SOURCE,
            idle: limits::IDLE_CONNECTION,
            ping: limits::KEEPALIVE_TIMEOUT,
            sent_ahead_bytes: limits::ANSWERS_SENT_AHEAD_BYTES,
            long_answers: &[],
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An accepted connection, shared by its stream of bytes and by the requests that come on it. Handlers find it in a
/// request's extensions.
#[derive(Clone)]
pub struct Line(Arc<Inner>);

struct Inner {
    source: SocketAddr,
    hang_up: CancellationToken,
    usage: Mutex<Usage>,
    /// At the thread that serves the connection, where sources take turns.
    turns: OnceLock<Turns>,
}

/// What a connection is used for.
struct Usage {
    open_answers: usize,
    idle_since: Instant,
    /// Answers of which a piece was handed over and not taken yet.
    unread: Vec<Unread>,
    last_answer: u64,
}

/// A piece of an answer that was handed over and not taken yet.
struct Unread {
    answer: u64,
    since: Instant,
    bytes: usize,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl Line {
    /// A connection that came from `source`.
    #[must_use]
    pub(crate) fn new(source: SocketAddr) -> Self {
        Self(Arc::new(Inner {
            source: address::canonical(source),
            hang_up: CancellationToken::new(),
            usage: Mutex::new(Usage {
                open_answers: 0,
                idle_since: Instant::now(),
                unread: Vec::new(),
                last_answer: 0,
            }),
            turns: OnceLock::new(),
        }))
    }

    /// Has the requests of this connection wait for turns of its source; returns its own share of them.
    pub(crate) fn take_turns(&self, turns: &Turns) -> Share {
        self.0.turns.get_or_init(|| turns.clone()).of(self.0.source.ip())
    }

    fn share(&self) -> Option<Share> {
        self.0.turns.get().map(|turns| turns.of(self.0.source.ip()))
    }

    /// Where the connection came from, in canonical form.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        self.0.source
    }

    /// Is done when the connection is to end.
    pub(crate) fn hung_up(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.0.hang_up.clone().cancelled_owned())
    }

    fn hang_up(&self, why: &str) {
        if !self.0.hang_up.is_cancelled() {
            tracing::info!(source = %self.0.source, why, "closing a connection");
            self.0.hang_up.cancel();
        }
    }

    fn unread_bytes(&self) -> usize {
        self.usage().unread.iter().map(|piece| piece.bytes).sum()
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        lock(&self.0.usage)
    }

    /// Why the connection is to end at `now`, if it is.
    fn overdue(&self, now: Instant, allowance: &Allowance) -> Option<&'static str> {
        let usage = self.usage();
        let since = |then: Instant| now.saturating_duration_since(then);
        if usage.unread.iter().any(|piece| since(piece.since) > allowance.unread) {
            return Some("an answer is not read");
        }
        let is_idle = usage.open_answers == 0 && since(usage.idle_since) > allowance.idle;
        is_idle.then_some("nothing was asked for a long time")
    }
}

/// All connections of one server.
#[derive(Debug, Clone)]
pub(crate) struct Ledger(Arc<Accounts>);

struct Accounts {
    allowance: Allowance,
    lines: Mutex<Vec<Weak<Inner>>>,
    unread_bytes: Mutex<HashMap<IpAddr, usize>>,
    places: Places,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("allowance", &self.allowance)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self(Arc::new(Accounts {
            allowance,
            lines: Mutex::default(),
            unread_bytes: Mutex::default(),
            places: Places::default(),
        }))
    }

    /// What each connection may cost.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.0.allowance
    }

    /// Keeps account of a connection from now on.
    pub(crate) fn enter(&self, line: &Line) {
        lock(&self.0.lines).push(Arc::downgrade(&line.0));
    }

    /// Looks at all connections again and again, and hangs up on those that have used up their allowance.
    pub(crate) async fn watch(self) {
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = look.tick().await;
            self.0.places.forget_unused();
            lock(&self.0.lines).retain(|line| {
                let Some(line) = line.upgrade().map(Line) else {
                    return false;
                };
                if let Some(why) = line.overdue(now, &self.0.allowance) {
                    line.hang_up(why);
                }
                true
            });
        }
    }

    /// Adds to what waits to be read by `source`; returns how much that is now.
    fn add(&self, source: IpAddr, bytes: usize) -> usize {
        let mut unread = lock(&self.0.unread_bytes);
        let of_source = unread.entry(source).or_default();
        *of_source += bytes;
        *of_source
    }

    /// Hangs up on the connection of `source` that reads least of its answers, unless those that are left are within the
    /// allowance: what one of them held counts until its task has noticed that it is cut. Others of the same source may be
    /// others behind the same router.
    fn cut_largest(&self, source: IpAddr) {
        let lines = self.lines();
        let of_source = lines
            .iter()
            .filter(|line| !line.0.hang_up.is_cancelled() && address::accountable(line.source().ip()) == source)
            .map(|line| (line.unread_bytes(), line));
        if of_source.clone().map(|(bytes, _)| bytes).sum::<usize>() <= self.0.allowance.unread_bytes {
            return;
        }
        if let Some((_, line)) = of_source.max_by_key(|(bytes, _)| *bytes) {
            line.hang_up("too much of its answers is not read");
        }
    }

    fn lines(&self) -> Vec<Line> {
        lock(&self.0.lines).iter().filter_map(Weak::upgrade).map(Line).collect()
    }

    /// Takes from what waits to be read by `source`.
    fn take(&self, source: IpAddr, bytes: usize) {
        let mut unread = lock(&self.0.unread_bytes);
        if let Some(of_source) = unread.get_mut(&source) {
            *of_source = of_source.saturating_sub(bytes);
            if *of_source == 0 {
                unread.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests;
