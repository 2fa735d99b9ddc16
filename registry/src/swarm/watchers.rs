//! Who follows what happens: a bounded queue for each watcher, and a new snapshot for one that could not keep up.

use std::{collections::HashMap, sync::Arc};

use p2p_ci::message::WatchEvent;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

use crate::limits::{WATCH_PATIENCE, WATCH_QUEUE};

/// The events of one watcher.
pub(super) type Events = mpsc::Receiver<Arc<WatchEvent>>;

/// Every watcher. Lives within the swarm's lock, so that events are queued in the order in which they took effect.
#[derive(Debug)]
pub(super) struct Watchers {
    max: usize,
    last_id: u64,
    active: HashMap<u64, Watcher>,
}

#[derive(Debug)]
struct Watcher {
    queue: Queue,
    /// The last session, by order of registration, that its snapshot has shown. What happens to a later one is not
    /// queued: the snapshot will show the outcome.
    shown: u64,
}

#[derive(Debug)]
enum Queue {
    Open(mpsc::Sender<Arc<WatchEvent>>),
    /// It was full at this time, so events were lost. What is in it is still read, up to its end.
    Lost(Instant),
}

/// How a watcher stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// All its events are queued.
    Sound,
    /// Events were lost; this queue starts afresh, with a snapshot from the first session on.
    Reset(Events),
    /// It took too long to notice that events were lost, and has made room for others.
    Gone,
}

impl Watcher {
    fn new() -> (Self, Events) {
        let (queue, events) = mpsc::channel(WATCH_QUEUE);
        let watcher = Self {
            queue: Queue::Open(queue),
            shown: 0,
        };
        (watcher, events)
    }

    fn is_stuck(&self, now: Instant) -> bool {
        match self.queue {
            Queue::Open(_) => false,
            Queue::Lost(since) => now > since + WATCH_PATIENCE,
        }
    }
}

impl Watchers {
    /// Places for `max` watchers.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            last_id: 0,
            active: HashMap::new(),
        }
    }

    /// Whether nobody follows.
    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// How many places there are.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Adds a watcher, unless all places are taken.
    pub(super) fn add(&mut self, now: Instant) -> Option<(u64, Events)> {
        if self.active.len() >= self.max {
            self.active.retain(|_, watcher| !watcher.is_stuck(now));
        }
        if self.active.len() >= self.max {
            return None;
        }
        self.last_id += 1;
        let (watcher, events) = Watcher::new();
        self.active.insert(self.last_id, watcher);
        Some((self.last_id, events))
    }

    /// Removes a watcher.
    pub(super) fn remove(&mut self, id: u64) {
        self.active.remove(&id);
    }

    /// Queues what happened to the session with this place in the order of registration.
    pub(super) fn publish(&mut self, now: Instant, member: u64, event: impl FnOnce() -> WatchEvent) {
        if self.active.is_empty() {
            return;
        }
        let event = Arc::new(event());
        for watcher in self.active.values_mut() {
            let Queue::Open(queue) = &watcher.queue else {
                continue;
            };
            if member <= watcher.shown
                && let Err(TrySendError::Full(_)) = queue.try_send(Arc::clone(&event))
            {
                watcher.queue = Queue::Lost(now);
            }
        }
        self.active.retain(|_, watcher| !watcher.is_stuck(now));
    }

    /// Notes that a watcher's snapshot has shown every session up to `shown`, if it is sound.
    pub(super) fn show(&mut self, id: u64, shown: u64) -> Standing {
        let standing = self.standing(id);
        if let (Standing::Sound, Some(watcher)) = (&standing, self.active.get_mut(&id)) {
            watcher.shown = shown;
        }
        standing
    }

    /// How a watcher stands; one that lost events starts afresh.
    pub(super) fn standing(&mut self, id: u64) -> Standing {
        match self.active.get_mut(&id) {
            None => Standing::Gone,
            Some(Watcher {
                queue: Queue::Open(_), ..
            }) => Standing::Sound,
            Some(watcher) => {
                let (renewed, events) = Watcher::new();
                *watcher = renewed;
                Standing::Reset(events)
            }
        }
    }
}
