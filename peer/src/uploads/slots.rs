//! Upload slots: how many downloads there are at a time, in all and for one source.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use p2p_ci::{
    address,
    failure::{Failure, Reason},
};

use crate::limits::MAX_UPLOADS_PER_SOURCE;

/// When to try a peer again whose upload slots are all taken.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// The slots of one peer.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            taken: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many slots are taken.
    pub(super) fn taken(&self) -> u32 {
        u32::try_from(self.lock().total).unwrap_or(u32::MAX)
    }

    /// Takes a slot. Loopback is this very machine, whose user may take them all.
    pub(super) fn take(&self, ip: IpAddr) -> Result<Slot, Failure> {
        let source = address::accountable(ip);
        let mut taken = self.lock();
        let of_source = taken.by_source.get(&source).copied().unwrap_or_default();
        if taken.total >= self.max {
            let message = format!(
                "all {} upload slots of this peer are taken; try another holder",
                self.max
            );
            return Err(busy(message));
        }
        if of_source >= MAX_UPLOADS_PER_SOURCE && !ip.is_loopback() {
            let message = format!(
                "{source} has {MAX_UPLOADS_PER_SOURCE} upload slots of this peer already, which is all for one address; \
                 end a download first, or try another holder"
            );
            return Err(busy(message));
        }
        taken.total += 1;
        taken.by_source.insert(source, of_source + 1);
        Ok(Slot {
            slots: self.clone(),
            source,
        })
    }
}

fn busy(message: String) -> Failure {
    Failure::new(Reason::Overloaded, message).with_retry_after(BUSY_RETRY)
}

/// A slot, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    source: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(of_source) = taken.by_source.get_mut(&self.source) {
            *of_source = of_source.saturating_sub(1);
            if *of_source == 0 {
                taken.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_has_its_share_and_gets_it_back() {
        let slots = Slots::new(MAX_UPLOADS_PER_SOURCE + 1);
        let mut greedy: Vec<Slot> = (0..MAX_UPLOADS_PER_SOURCE)
            .map(|_| slots.take(ip("10.0.0.1")).unwrap())
            .collect();
        let failure = slots.take(ip("10.0.0.1")).unwrap_err();
        assert_eq!(failure.reason, Reason::Overloaded);
        assert_eq!(failure.retry_after, Some(BUSY_RETRY));
        let _other = slots.take(ip("10.0.0.2")).unwrap();
        assert!(slots.take(ip("10.0.0.3")).is_err(), "all are taken");
        greedy.pop();
        let _again = slots.take(ip("10.0.0.1")).unwrap();
        drop(greedy);
        assert_eq!(slots.taken(), 2);
    }

    #[test]
    fn the_machine_itself_may_take_them_all() {
        let slots = Slots::new(2 * MAX_UPLOADS_PER_SOURCE);
        let taken: Vec<_> = (0..2 * MAX_UPLOADS_PER_SOURCE)
            .map(|_| slots.take(ip("127.0.0.1")))
            .collect();
        assert!(taken.iter().all(Result::is_ok));
        assert!(slots.take(ip("127.0.0.1")).is_err());
    }
}
