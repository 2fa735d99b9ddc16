//! Turns at a thread: no source of connections keeps those of others waiting.
//!
//! All connections that a thread serves are tasks in one queue, and so are the requests on them; each waits for all that are
//! ready. A source with hundreds of connections, each full of requests, would have everybody else wait for thousands of
//! requests. So each source has a few turns in a round, for reading, writing and answering; what it has beyond waits for
//! the next round. A round is over when whatever was ready has run, so that nobody waits where nobody else wants the
//! thread.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::{limits, per_source::PerSource};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The turns at one thread; clones are about the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    round: AtomicU64,
    accounts: PerSource<Mutex<Account>>,
    /// Those with connections that wait. Whoever has one of them locked may lock this, and not the other way round.
    waiting: Mutex<Vec<Arc<Mutex<Account>>>>,
    /// The round is to end.
    wanted: Notify,
}

/// What a source has taken of a round, and which of its connections wait for the next one.
#[derive(Debug, Default)]
struct Account {
    round: u64,
    taken: usize,
    waiting: VecDeque<Seat>,
    /// Whether it is among those with connections that wait.
    is_listed: bool,
}

impl Account {
    /// Turns that were taken of `round`.
    fn taken_of(&mut self, round: u64) -> &mut usize {
        if self.round != round {
            self.round = round;
            self.taken = 0;
        }
        &mut self.taken
    }
}

/// Where somebody waits: who is to be woken, if anybody.
type Seat = Arc<Mutex<Option<Waker>>>;

impl Turns {
    /// The share of a connection that comes from `ip`.
    pub(crate) fn of(&self, ip: IpAddr) -> Share {
        Share {
            turns: self.clone(),
            account: self.0.accounts.of(ip, Mutex::default),
            seat: None,
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
        self.0.round.fetch_add(1, Ordering::Relaxed);
        let mut woken = Vec::new();
        let had_waiting = std::mem::take(&mut *lock(&self.0.waiting));
        for account in had_waiting {
            let mut of_source = lock(&account);
            let count = of_source.waiting.len().min(limits::TURNS_PER_SOURCE);
            woken.extend(of_source.waiting.drain(..count));
            of_source.is_listed = !of_source.waiting.is_empty();
            if of_source.is_listed {
                lock(&self.0.waiting).push(Arc::clone(&account));
            }
        }
        for seat in woken {
            // Not while it is locked: whoever is woken may look at once.
            let waker = lock(&seat).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        !lock(&self.0.waiting).is_empty()
    }

    fn round(&self) -> u64 {
        self.0.round.load(Ordering::Relaxed)
    }
}

/// What a connection, or a request on it, has of the turns of its source.
#[derive(Debug)]
pub(crate) struct Share {
    turns: Turns,
    account: Arc<Mutex<Account>>,
    /// Where it has waited, if it ever did.
    seat: Option<Seat>,
}

impl Share {
    /// A share of the same source for somebody who waits by himself.
    pub(crate) fn another(&self) -> Self {
        Self {
            turns: self.turns.clone(),
            account: Arc::clone(&self.account),
            seat: None,
        }
    }

    /// Whether the source has a turn left; if not, the task is woken when it may have one.
    pub(crate) fn poll_left(&mut self, cx: &Context<'_>) -> Poll<()> {
        if let Some(seat) = &self.seat
            && let Some(waker) = &mut *lock(seat)
        {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        let mut account = lock(&self.account);
        if *account.taken_of(self.turns.round()) < limits::TURNS_PER_SOURCE {
            return Poll::Ready(());
        }
        let seat = self.seat.get_or_insert_default();
        *lock(seat) = Some(cx.waker().clone());
        account.waiting.push_back(Arc::clone(seat));
        if !account.is_listed {
            account.is_listed = true;
            lock(&self.turns.0.waiting).push(Arc::clone(&self.account));
        }
        Poll::Pending
    }

    /// Takes a turn that is left.
    pub(crate) fn take(&self) {
        let mut account = lock(&self.account);
        let taken = account.taken_of(self.turns.round());
        *taken += 1;
        if *taken == limits::TURNS_PER_SOURCE {
            self.turns.0.wanted.notify_one();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(seat) = &self.seat else {
            return;
        };
        // What is gone needs no turn.
        if lock(seat).take().is_some() {
            lock(&self.account).waiting.retain(|other| !Arc::ptr_eq(other, seat));
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

    fn turn(share: &mut Share, waker: &Waker) -> bool {
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
        let mut crowd: Vec<Share> = (0..3 * limits::TURNS_PER_SOURCE).map(|_| turns.of(greedy)).collect();
        let served = |crowd: &mut [Share]| {
            crowd
                .iter_mut()
                .map(|share| turn(share, &waker))
                .filter(|had| *had)
                .count()
        };
        assert_eq!(served(&mut crowd), limits::TURNS_PER_SOURCE);
        assert!(turn(&mut turns.of(modest), &waker), "others have turns of their own");

        assert!(turns.end_round(), "a round is not enough for all");
        assert_eq!(
            bell.0.load(Ordering::Relaxed),
            limits::TURNS_PER_SOURCE,
            "who cannot have a turn sleeps on"
        );
        let (first, others) = crowd.split_at_mut(limits::TURNS_PER_SOURCE);
        assert_eq!(served(others), limits::TURNS_PER_SOURCE, "who has waited comes first");
        assert_eq!(served(first), 0);
    }

    #[test]
    fn who_is_gone_takes_no_turn_and_leaves_nothing_behind() {
        let source: IpAddr = "10.0.0.1".parse().unwrap();
        let turns = Turns::default();
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut crowd: Vec<Share> = (0..2 * limits::TURNS_PER_SOURCE).map(|_| turns.of(source)).collect();
        assert_eq!(
            crowd
                .iter_mut()
                .map(|share| turn(share, &waker))
                .filter(|had| *had)
                .count(),
            limits::TURNS_PER_SOURCE
        );
        drop(crowd);
        assert!(!turns.end_round());
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        assert!(lock(&turns.0.waiting).is_empty());
        assert!(turns.0.accounts.all().is_empty());
    }

    #[tokio::test]
    async fn a_crowd_that_always_wants_more_lets_others_in_after_each_round() {
        let source: IpAddr = "10.0.0.1".parse().unwrap();
        let turns = Turns::default();
        let _passing = tokio::spawn(turns.clone().pass());
        let taken = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 * limits::TURNS_PER_SOURCE {
            let (mut share, taken) = (turns.of(source), Arc::clone(&taken));
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
