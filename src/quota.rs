//! Places that are few: so many in all, and so many for each source.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::address;

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub struct QuotaLimits {
    /// At most so many in all.
    pub total: usize,
    /// At most so many for each [`address::accountable`] source; 0 means no such limit.
    pub per_source: usize,
    /// Whether the limit for each source spares loopback: whatever comes from there is of this very machine.
    pub spare_loopback: bool,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    Total,
    /// This source has all that it may have.
    Source(IpAddr),
}

/// Counts places by source; clones count the same ones.
#[derive(Debug, Clone)]
pub struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: QuotaLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl Quota {
    /// All places free.
    #[must_use]
    pub fn new(limits: QuotaLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            taken: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits that it keeps.
    #[must_use]
    pub fn limits(&self) -> QuotaLimits {
        self.0.limits
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().total
    }

    /// Takes a place for `ip`.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn take(&self, ip: IpAddr) -> Result<Place, Full> {
        let limits = self.0.limits;
        let source = address::accountable(ip);
        let mut taken = self.lock();
        let of_source = taken.by_source.get(&source).copied().unwrap_or_default();
        if taken.total >= limits.total {
            return Err(Full::Total);
        }
        let is_spared = limits.per_source == 0 || (limits.spare_loopback && ip.is_loopback());
        if of_source >= limits.per_source && !is_spared {
            return Err(Full::Source(source));
        }
        taken.total += 1;
        taken.by_source.insert(source, of_source + 1);
        Ok(Place {
            quota: self.clone(),
            source,
        })
    }
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    quota: Quota,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.lock();
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

    fn quota(spare_loopback: bool) -> Quota {
        Quota::new(QuotaLimits {
            total: 3,
            per_source: 2,
            spare_loopback,
        })
    }

    #[test]
    fn a_source_has_only_so_many_places_and_gets_them_back() {
        let quota = quota(true);
        let first = quota.take(ip("192.0.2.1")).unwrap();
        let _second = quota.take(ip("192.0.2.1")).unwrap();
        assert_eq!(
            quota.take(ip("192.0.2.1")).unwrap_err(),
            Full::Source(ip("192.0.2.1")),
            "two per source"
        );
        let _third = quota.take(ip("192.0.2.2")).unwrap();
        assert_eq!(quota.take(ip("192.0.2.3")).unwrap_err(), Full::Total, "three in all");
        drop(first);
        assert!(quota.take(ip("192.0.2.1")).is_ok());
        assert_eq!(quota.taken(), 2);
    }

    #[test]
    fn a_whole_subnet_of_ipv6_is_one_source() {
        let quota = quota(true);
        let _places = ["2001:db8::1", "2001:db8::2"].map(|text| quota.take(ip(text)).unwrap());
        assert!(matches!(quota.take(ip("2001:db8::3")), Err(Full::Source(_))));
    }

    #[test]
    fn loopback_is_spared_only_where_that_is_wanted() {
        for spared in [true, false] {
            let quota = quota(spared);
            let places: Vec<_> = (0..3).map(|_| quota.take(ip("127.0.0.1"))).collect();
            assert_eq!(places.iter().all(Result::is_ok), spared);
        }
    }
}
