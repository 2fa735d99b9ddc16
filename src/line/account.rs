//! What connections of one source cost together.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Allowance, Inner, Line, lock};
use crate::limits;

/// The account of one [`address::accountable`](crate::address::accountable) source.
pub(super) struct Account {
    /// Bytes of answers and requests that wait for the source to read, or to send, the rest.
    held_bytes: AtomicUsize,
    long_answers: Arc<Semaphore>,
    lines: Mutex<Vec<Weak<Inner>>>,
}

impl Account {
    /// Of a source that has no connection yet.
    pub(super) fn new() -> Self {
        Self {
            held_bytes: AtomicUsize::new(0),
            long_answers: Arc::new(Semaphore::new(limits::LONG_ANSWERS_PER_SOURCE)),
            lines: Mutex::default(),
        }
    }

    pub(super) fn enter(&self, line: &Line) {
        lock(&self.lines).push(Arc::downgrade(&line.0));
    }

    /// Hangs up on those connections that have used up their `allowance` at `now`.
    pub(super) fn look(&self, now: Instant, allowance: &Allowance) {
        lock(&self.lines).retain(|line| {
            let Some(line) = line.upgrade().map(Line) else {
                return false;
            };
            if let Some(why) = line.overdue(now, allowance) {
                line.hang_up(why);
            }
            true
        });
    }

    /// Adds to what is held for the source; returns how much that is now.
    pub(super) fn add(&self, bytes: usize) -> usize {
        let before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes)
    }

    /// Takes from what is held for the source.
    pub(super) fn let_go(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Hangs up on the connection for which most is held, unless those that are left are within what is allowed: what one of
    /// them held counts until its task has noticed that it is cut. Others of the same source may be others behind the same
    /// router.
    pub(super) fn cut_largest(&self, allowed_bytes: usize) {
        let lines: Vec<Line> = lock(&self.lines)
            .iter()
            .filter_map(Weak::upgrade)
            .map(Line)
            .filter(|line| !line.0.hang_up.is_cancelled())
            .collect();
        let held = lines.iter().map(|line| (line.usage().held_bytes(), line));
        if held.clone().map(|(bytes, _)| bytes).sum::<usize>() <= allowed_bytes {
            return;
        }
        if let Some((_, line)) = held.max_by_key(|(bytes, _)| *bytes) {
            line.hang_up("too much is held for it of answers that it does not read, or requests that it does not end");
        }
    }

    /// Waits for a place for a long answer, which is free again when what is returned is dropped. Who came first has it first.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It fails only where places are closed, which nobody does.
        Arc::clone(&self.long_answers).acquire_owned().await.ok()
    }
}
