//! The cap on what this peer uploads in all, and the turns of those who download under it.
//!
//! Whoever wants to send takes a [`Seat`] and waits for its turn with each piece. Nothing runs beside them: one of those
//! who wait looks at the clock for all, and hands that on when its own turn has come.

mod bucket;
mod turns;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_ci::address;
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    time::Instant,
};

use self::{
    bucket::Bucket,
    turns::{StreamId, Turns},
};
use super::UploadRate;

/// The cap of one peer; clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Cap(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Held by the one who looks at the clock.
    clock: AsyncMutex<()>,
    began: Instant,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    turns: Turns,
    /// How those who wait are told that it is their turn.
    waiting: HashMap<StreamId, oneshot::Sender<()>>,
}

impl Cap {
    /// A cap of `rate`, with bursts of so many bytes.
    pub(super) fn new(rate: UploadRate, burst_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                bucket: Bucket::new(rate.bytes_per_second(), burst_bytes),
                turns: Turns::new(burst_bytes),
                waiting: HashMap::new(),
            }),
            clock: AsyncMutex::new(()),
            began: Instant::now(),
        }))
    }

    /// A place among those who take turns, for one stream to `ip`.
    pub(super) fn seat(&self, ip: IpAddr) -> Seat {
        Seat {
            id: self.lock().turns.enter(address::accountable(ip)),
            cap: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same by the clock; see [`State::give_turns`].
    fn give_turns(&self) -> Option<Instant> {
        let next = self.lock().give_turns(self.0.began.elapsed());
        next.map(|next| self.0.began + next)
    }

    /// Gives turns, also to others, until it is the turn of the one who is told by `turn`.
    async fn watch_clock(&self, turn: &mut oneshot::Receiver<()>) {
        loop {
            let next = self.give_turns();
            match (turn.try_recv(), next) {
                (Err(oneshot::error::TryRecvError::Empty), Some(next)) => tokio::time::sleep_until(next).await,
                _ => return,
            }
        }
    }
}

impl State {
    /// Lets a stream wait; returns what tells it that it is its turn.
    fn wait(&mut self, id: StreamId, bytes: u64) -> oneshot::Receiver<()> {
        let (sender, turn) = oneshot::channel();
        self.turns.wait(id, bytes);
        self.waiting.insert(id, sender);
        turn
    }

    /// Gives turns to all who can have them now; returns when the next one can, if somebody waits.
    fn give_turns(&mut self, now: Duration) -> Option<Duration> {
        loop {
            let (id, bytes) = self.turns.first()?;
            if let Err(next) = self.bucket.take(bytes, now) {
                return Some(next);
            }
            self.turns.serve(id);
            if let Some(turn) = self.waiting.remove(&id) {
                // Who no longer waits has given up; see `Waiting`.
                let _ = turn.send(());
            }
        }
    }
}

/// A place among those who take turns, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    cap: Cap,
    id: StreamId,
}

impl Seat {
    /// Waits until `bytes` may be sent. Gives up when the returned future is dropped.
    pub(super) async fn turn(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let mut turn = self.cap.lock().wait(self.id, bytes);
        let _waiting = Waiting(self);
        tokio::select! {
            biased;
            _ = &mut turn => {}
            _clock = self.cap.0.clock.lock() => self.cap.watch_clock(&mut turn).await,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.cap.lock().turns.leave(self.id);
    }
}

/// Ends a wait that is not over.
struct Waiting<'a>(&'a Seat);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Seat { cap, id } = self.0;
        let mut state = cap.lock();
        if state.waiting.remove(id).is_some() {
            state.turns.give_up(*id);
        }
    }
}

#[cfg(test)]
mod tests;
