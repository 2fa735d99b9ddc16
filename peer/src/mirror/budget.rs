//! The memory that documents take between network and disk, of all holders together.
//!
//! Room is taken for a whole document before its bytes come, so that what has begun can always be finished. Whoever
//! announces a large document and then hardly sends it would keep everybody else waiting; so those who wait are counted,
//! and whoever receives can see that they have waited for long.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};

use crate::limits;

/// Unit of the budget: permits are counted in KiB so that they fit a semaphore.
const UNIT_BYTES: u64 = 1024;

/// How long somebody may wait for room until those give theirs up who hardly use it; and how long a document must have been
/// on its way for that. Holders hang up after 75 s in which nobody reads what they send.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Room for one document, until it is stored.
pub(super) type Room = OwnedSemaphorePermit;

/// The budget.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    waiting: watch::Sender<Waiting>,
}

/// Those who wait for room.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    count: usize,
    /// When the first of them came, or the last of them got what it waited for.
    since: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            units: Arc::new(Semaphore::new(limits::WINDOW_BUDGET_BYTES / UNIT_BYTES as usize)),
            waiting: watch::Sender::default(),
        }
    }
}

impl Budget {
    /// Room for so many bytes, if there is.
    pub(super) fn try_take(&self, size_bytes: u64) -> Option<Room> {
        Arc::clone(&self.units).try_acquire_many_owned(units(size_bytes)).ok()
    }

    /// Waits for room for so many bytes; `None` only where there is no budget any more.
    pub(super) async fn take(&self, size_bytes: u64) -> Option<Room> {
        let _waits = Waits::new(&self.waiting);
        Arc::clone(&self.units).acquire_many_owned(units(size_bytes)).await.ok()
    }

    /// Is done while somebody has waited for [`PATIENCE`] and nobody got room meanwhile.
    pub(super) async fn is_short(&self) {
        let mut waiting = self.waiting.subscribe();
        loop {
            let since = waiting.borrow_and_update().since;
            let patience_ends = async {
                match since {
                    Some(since) => sleep_until(since + PATIENCE).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = patience_ends => return,
                // The sender lives as long as this budget.
                _ = waiting.changed() => {}
            }
        }
    }
}

fn units(size_bytes: u64) -> u32 {
    u32::try_from(size_bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// One who waits, until this is dropped.
struct Waits<'a>(&'a watch::Sender<Waiting>);

impl<'a> Waits<'a> {
    fn new(waiting: &'a watch::Sender<Waiting>) -> Self {
        waiting.send_modify(|waiting| {
            waiting.count += 1;
            waiting.since.get_or_insert_with(Instant::now);
        });
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| {
            waiting.count -= 1;
            waiting.since = (waiting.count > 0).then(Instant::now);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const ALL: u64 = limits::WINDOW_BUDGET_BYTES as u64;

    #[tokio::test(start_paused = true)]
    async fn it_is_short_once_somebody_has_waited_for_long_in_vain() {
        let memory = Budget::default();
        let all = memory.try_take(ALL).unwrap();
        assert!(memory.try_take(1).is_none());
        let is_short = || timeout(10 * PATIENCE, memory.is_short());
        assert!(is_short().await.is_err(), "nobody waits");
        let began = Instant::now();
        let mut one = Box::pin(memory.take(1));
        assert!(timeout(PATIENCE / 2, &mut one).await.is_err());
        is_short().await.unwrap();
        assert_eq!(began.elapsed(), PATIENCE);
        drop(all);
        let _room = one.await.unwrap();
        assert!(is_short().await.is_err(), "it has got its room");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_not_short_where_those_who_wait_get_room_by_and_by() {
        let memory = Budget::default();
        let mut held: Vec<Room> = (0..4).map(|_| memory.try_take(ALL / 4).unwrap()).collect();
        let waiting = async {
            tokio::join!(memory.take(ALL / 4), memory.take(ALL / 4), memory.take(ALL / 4));
        };
        let giving = async {
            while held.pop().is_some() {
                sleep(PATIENCE / 2).await;
            }
        };
        let short = tokio::select! {
            ((), ()) = async { tokio::join!(waiting, giving) } => false,
            () = memory.is_short() => true,
        };
        assert!(!short);
    }
}
