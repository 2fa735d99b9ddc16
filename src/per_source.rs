//! Something that all connections of one source share, for as long as one of them is there.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::address;

/// Sources of which traces may be left before the first look for those that are gone.
const FIRST_SWEEP: usize = 64;

/// A `T` for each [`address::accountable`] source, known while somebody has it in hand.
pub(crate) struct PerSource<T>(Mutex<Known<T>>);

struct Known<T> {
    of_sources: HashMap<IpAddr, Weak<T>>,
    /// So many sources are known when those that are gone are looked for. It is twice what was left the last time, so that a
    /// new source costs the same however many there are.
    sweep_at: usize,
}

impl<T> Default for PerSource<T> {
    fn default() -> Self {
        Self(Mutex::new(Known {
            of_sources: HashMap::new(),
            sweep_at: FIRST_SWEEP,
        }))
    }
}

impl<T> fmt::Debug for PerSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerSource").finish_non_exhaustive()
    }
}

impl<T> PerSource<T> {
    /// What the source of `ip` has; a `fresh` one if nobody has it in hand.
    pub(crate) fn of(&self, ip: IpAddr, fresh: impl FnOnce() -> T) -> Arc<T> {
        let source = address::accountable(ip);
        let mut known = self.known();
        if let Some(of_source) = known.of_sources.get(&source).and_then(Weak::upgrade) {
            return of_source;
        }
        if known.of_sources.len() >= known.sweep_at {
            known.of_sources.retain(|_, of_source| of_source.strong_count() > 0);
            known.sweep_at = FIRST_SWEEP.max(2 * known.of_sources.len());
        }
        let of_source = Arc::new(fresh());
        known.of_sources.insert(source, Arc::downgrade(&of_source));
        of_source
    }

    /// What those sources have that are there.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.known().of_sources.values().filter_map(Weak::upgrade).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_source_has_the_same_one_until_nobody_has_it_in_hand() {
        let per_source = PerSource::default();
        let (near, far) = ("2001:db8::1".parse().unwrap(), "2001:db8:1::1".parse().unwrap());
        let first = per_source.of(near, || 1);
        let neighbour = "2001:db8::2".parse().unwrap();
        assert_eq!(*per_source.of(neighbour, || 2), 1, "of the same network");
        assert_eq!(*per_source.of(far, || 3), 3);
        assert_eq!(per_source.all(), [Arc::clone(&first)], "the other one is gone");
        drop(first);
        assert_eq!(*per_source.of(near, || 4), 4);
    }

    #[test]
    fn sources_that_are_gone_leave_no_more_behind_than_there_are() {
        let per_source = PerSource::default();
        let source = |index: u32| Ipv4Addr::from(index).into();
        let kept: Vec<_> = (0..1_000).map(|index| per_source.of(source(index), || index)).collect();
        for index in 1_000..100_000 {
            per_source.of(source(index), || index);
        }
        let known = per_source.known().of_sources.len();
        assert!(known <= 2 * kept.len() + 1, "{known} sources");
        assert_eq!(per_source.all().len(), kept.len(), "those that are there are known");
        drop(kept);
        for index in 0..10_000 {
            per_source.of(source(index), || index);
        }
        assert!(per_source.known().of_sources.len() <= FIRST_SWEEP + 1);
    }
}
