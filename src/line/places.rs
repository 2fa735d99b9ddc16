//! Places for long answers: each holds a page and more for as long as it is on its way, so a source has few at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock;
use crate::limits;

/// The places of every [`address::accountable`](crate::address::accountable) source that has taken one.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<IpAddr, Arc<Semaphore>>>);

impl Places {
    /// Waits for a place, which is free again when what is returned is dropped. Who came first has it first.
    pub(super) async fn take(&self, source: IpAddr) -> Option<OwnedSemaphorePermit> {
        let fresh = || Arc::new(Semaphore::new(limits::LONG_ANSWERS_PER_SOURCE));
        let of_source = Arc::clone(lock(&self.0).entry(source).or_insert_with(fresh));
        // It fails only where places are closed, which nobody does.
        of_source.acquire_owned().await.ok()
    }

    /// Forgets sources that neither have a place nor wait for one.
    pub(super) fn forget_unused(&self) {
        lock(&self.0).retain(|_, of_source| Arc::strong_count(of_source) > 1);
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use super::*;

    #[tokio::test]
    async fn a_source_waits_for_a_place_of_its_own_and_is_forgotten_without_one() {
        let (greedy, modest): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..limits::LONG_ANSWERS_PER_SOURCE {
            taken.push(places.take(greedy).await);
        }
        let mut waiting = pin!(places.take(greedy));
        let is_waiting = futures_util::poll!(waiting.as_mut()).is_pending();
        assert!(is_waiting, "one more than there are");
        let modest = places.take(modest).await;

        places.forget_unused();
        assert_eq!(lock(&places.0).len(), 2);
        taken.pop();
        let Poll::Ready(_last) = futures_util::poll!(waiting.as_mut()) else {
            panic!("a place is free");
        };
        drop(modest);
        places.forget_unused();
        assert_eq!(lock(&places.0).len(), 1, "who waits or has a place is known");
    }
}
