//! Turns at a thread: no source of connections keeps those of others waiting.
//!
//! All connections that a thread serves are tasks in one queue, and so are the requests on them; each waits for all that are
//! ready. A source with hundreds of connections, each full of requests, would have everybody else wait for thousands of
//! requests. So each source has a few turns in a round, for reading, writing and answering; what it has beyond waits for
//! the next round. A round is over when whatever was ready has run, so that nobody waits where nobody else wants the
//! thread.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::{address, limits};

/// Sources of which turns are remembered before a round ends for that reason alone.
const REMEMBERED_SOURCES: usize = 1024;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The turns at one thread; clones are about the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    accounts: Mutex<HashMap<IpAddr, Account>>,
    /// A round is to end.
    wanted: Notify,
}

/// What a source has taken of this round, and which of its connections wait for the next one.
#[derive(Debug, Default)]
struct Account {
    taken: usize,
    waiting: VecDeque<Seat>,
}

/// Where a connection waits: who is to be woken, if it does.
type Seat = Arc<Mutex<Option<Waker>>>;

impl Turns {
    /// The share of a connection that comes from `ip`.
    pub(crate) fn of(&self, ip: IpAddr) -> Share {
        Share {
            turns: self.clone(),
            source: address::accountable(ip),
            seat: Seat::default(),
        }
    }

    /// Ends rounds, one after the other, for ever. This runs on the thread that the turns are for, after whatever is ready when
    /// the end of a round is wanted.
    pub(crate) async fn pass(self) {
        loop {
            self.0.wanted.notified().await;
            while self.end_round() {
                // To the end of the queue: those who were woken come first, and then whoever else is ready.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Gives every source new turns, and wakes as many of its connections as can have one; says whether some still wait.
    fn end_round(&self) -> bool {
        let mut woken = Vec::new();
        let mut some_wait = false;
        lock(&self.0.accounts).retain(|_, account| {
            account.taken = 0;
            let count = account.waiting.len().min(limits::TURNS_PER_SOURCE);
            woken.extend(account.waiting.drain(..count));
            some_wait |= !account.waiting.is_empty();
            !account.waiting.is_empty()
        });
        for seat in woken {
            // Not while it is locked: whoever is woken may look at once.
            let waker = lock(&seat).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        some_wait
    }
}

/// What a connection has of the turns of its source.
#[derive(Debug)]
pub(crate) struct Share {
    turns: Turns,
    source: IpAddr,
    seat: Seat,
}

impl Share {
    /// Whether the source has a turn left; if not, the task is woken when it may have one.
    pub(crate) fn poll_left(&self, cx: &Context<'_>) -> Poll<()> {
        let mut seat = lock(&self.seat);
        if let Some(waker) = &mut *seat {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        let mut accounts = lock(&self.turns.0.accounts);
        match accounts.get_mut(&self.source) {
            Some(account) if account.taken >= limits::TURNS_PER_SOURCE => {
                *seat = Some(cx.waker().clone());
                account.waiting.push_back(Arc::clone(&self.seat));
                Poll::Pending
            }
            Some(_) | None => Poll::Ready(()),
        }
    }

    /// Takes a turn that is left.
    pub(crate) fn take(&self) {
        let mut accounts = lock(&self.turns.0.accounts);
        let account = accounts.entry(self.source).or_default();
        account.taken += 1;
        if account.taken == limits::TURNS_PER_SOURCE || accounts.len() == REMEMBERED_SOURCES {
            self.turns.0.wanted.notify_one();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if lock(&self.seat).take().is_none() {
            return;
        }
        // What is gone needs no turn.
        if let Some(account) = lock(&self.turns.0.accounts).get_mut(&self.source) {
            account.waiting.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn turn(share: &Share, waker: &Waker) -> bool {
        let is_left = share.poll_left(&Context::from_waker(waker)).is_ready();
        if is_left {
            share.take();
        }
        is_left
    }

    #[test]
    fn a_source_has_its_turns_whatever_others_take() {
        let (greedy, modest): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let turns = Turns::default();
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let crowd: Vec<Share> = (0..3 * limits::TURNS_PER_SOURCE).map(|_| turns.of(greedy)).collect();
        let served = |crowd: &[Share]| crowd.iter().filter(|share| turn(share, &waker)).count();
        assert_eq!(served(&crowd), limits::TURNS_PER_SOURCE);
        assert!(turn(&turns.of(modest), &waker), "others have turns of their own");

        assert!(turns.end_round(), "a round is not enough for all");
        assert_eq!(
            bell.0.load(Ordering::Relaxed),
            limits::TURNS_PER_SOURCE,
            "who cannot have a turn sleeps on"
        );
        let (first, others) = crowd.split_at(limits::TURNS_PER_SOURCE);
        assert_eq!(served(others), limits::TURNS_PER_SOURCE, "who has waited comes first");
        assert_eq!(served(first), 0);
    }

    #[test]
    fn who_is_gone_takes_no_turn_and_leaves_nothing_behind() {
        let source: IpAddr = "10.0.0.1".parse().unwrap();
        let turns = Turns::default();
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let crowd: Vec<Share> = (0..2 * limits::TURNS_PER_SOURCE).map(|_| turns.of(source)).collect();
        assert_eq!(
            crowd.iter().filter(|share| turn(share, &waker)).count(),
            limits::TURNS_PER_SOURCE
        );
        drop(crowd);
        assert!(!turns.end_round());
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        assert!(lock(&turns.0.accounts).is_empty());
    }

    #[tokio::test]
    async fn a_crowd_that_always_wants_more_lets_others_in_after_each_round() {
        let source: IpAddr = "10.0.0.1".parse().unwrap();
        let turns = Turns::default();
        let _passing = tokio::spawn(turns.clone().pass());
        let taken = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 * limits::TURNS_PER_SOURCE {
            let (share, taken) = (turns.of(source), Arc::clone(&taken));
            tokio::spawn(async move {
                loop {
                    std::future::poll_fn(|cx| share.poll_left(cx)).await;
                    share.take();
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..100 {
            let before = taken.load(Ordering::Relaxed);
            tokio::task::yield_now().await;
            let meanwhile = taken.load(Ordering::Relaxed) - before;
            assert!(meanwhile <= 2 * limits::TURNS_PER_SOURCE, "{meanwhile} turns");
        }
        assert!(
            taken.load(Ordering::Relaxed) > 20 * limits::TURNS_PER_SOURCE,
            "rounds end by themselves"
        );
    }
}
