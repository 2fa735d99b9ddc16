//! What a server knows of each connection: whether it is in use, whether its answers are read and its requests end.
//!
//! HTTP/2 lets a client open streams and never read them, or send all but the end of what it asks. What is held for such a
//! stream stays in memory, out of reach of every limit on requests at work; and nothing ends a connection on which nothing
//! happens. A [`Ledger`] keeps account of both for one server, and hangs up where an [`Allowance`] is used up.

mod account;
mod answer;
mod arriving;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_core::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::account::Account;
pub(crate) use self::{answer::Answer, arriving::Arriving};
use crate::{address, limits, per_source::PerSource};

/// How often connections are looked at. What is held for them until then is bounded by [`Allowance::held_bytes`].
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a connection may cost that takes nothing and asks for nothing, as far as servers differ in it. What is the same for
/// all of them is in [`limits`]: [`limits::LONG_ANSWERS_PER_SOURCE`], and from how many bytes on a request counts.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// How long an answer may wait to be read.
    pub unread: Duration,
    /// How many bytes may be held for one [`address::accountable`] source, over all its connections: of answers that it does
    /// not read, and of requests that it does not end.
    pub held_bytes: usize,
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
            held_bytes: limits::MAX_HELD_BYTES_PER_SOURCE,
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
}

/// What a connection is used for.
struct Usage {
    open_answers: usize,
    idle_since: Instant,
    /// Answers of which a piece was handed over and not taken yet.
    unread: Vec<Unread>,
    last_answer: u64,
    /// What is held of requests that have not ended.
    arriving_bytes: usize,
}

impl Usage {
    /// What counts of `arriving_bytes`: not the one message that every connection may be sending, the largest of any server.
    fn counted(arriving_bytes: usize) -> usize {
        arriving_bytes.saturating_sub(limits::MAX_REGISTRY_REQUEST_BYTES)
    }

    fn held_bytes(&self) -> usize {
        let unread: usize = self.unread.iter().map(|piece| piece.bytes).sum();
        unread + Self::counted(self.arriving_bytes)
    }
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
                arriving_bytes: 0,
            }),
        }))
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

#[derive(Debug)]
struct Accounts {
    allowance: Allowance,
    of_sources: PerSource<Account>,
}

impl Ledger {
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self(Arc::new(Accounts {
            allowance,
            of_sources: PerSource::default(),
        }))
    }

    /// What each connection may cost.
    pub(crate) fn allowance(&self) -> &Allowance {
        &self.0.allowance
    }

    /// Keeps account of a connection from now on.
    pub(crate) fn enter(&self, line: &Line) -> Arc<Entry> {
        let account = self.0.of_sources.of(line.source().ip(), Account::new);
        account.enter(line);
        Arc::new(Entry {
            allowance: self.0.allowance,
            line: line.clone(),
            account,
        })
    }

    /// Looks at all connections again and again, and hangs up on those that have used up their allowance.
    pub(crate) async fn watch(self) {
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = look.tick().await;
            for account in self.0.of_sources.all() {
                account.look(now, &self.0.allowance);
            }
        }
    }
}

/// A connection in the ledger.
pub(crate) struct Entry {
    allowance: Allowance,
    line: Line,
    account: Arc<Account>,
}

impl Entry {
    /// The connection.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Of a request on its way, `now` bytes are held, and not `before` any more.
    fn arriving(&self, before: usize, now: usize) {
        let is_too_much = {
            // What is added by one thread, another one takes away: the sum must follow in the same order.
            let mut usage = self.line.usage();
            let counted_before = Usage::counted(usage.arriving_bytes);
            usage.arriving_bytes = (usage.arriving_bytes + now).saturating_sub(before);
            let counted_now = Usage::counted(usage.arriving_bytes);
            match counted_now.checked_sub(counted_before) {
                Some(more) => self.account.add(more) > self.allowance.held_bytes,
                None => {
                    self.account.let_go(counted_before - counted_now);
                    false
                }
            }
        };
        if is_too_much {
            self.account.cut_largest(self.allowance.held_bytes);
        }
    }

    fn hold(&self, bytes: usize) {
        if self.account.add(bytes) > self.allowance.held_bytes {
            self.account.cut_largest(self.allowance.held_bytes);
        }
    }
}

#[cfg(test)]
mod tests;
