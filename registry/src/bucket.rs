//! A budget that fills up by itself: so much at once, and so much each second afterwards. Pure; time is passed in.

use std::{collections::HashMap, net::IpAddr, time::Duration};

/// How much may be spent now.
#[derive(Debug, Clone)]
pub struct Bucket {
    capacity: u32,
    per_second: u32,
    level: f64,
    updated: Duration,
}

impl Bucket {
    /// A full bucket that holds `capacity` and gains `per_second`.
    #[must_use]
    pub fn full(capacity: u32, per_second: u32) -> Self {
        Self {
            capacity,
            per_second,
            level: f64::from(capacity),
            updated: Duration::ZERO,
        }
    }

    /// Whether `amount` may be spent at `now`, a time since some fixed moment.
    ///
    /// # Errors
    ///
    /// How long to wait until it may.
    pub fn check(&mut self, amount: u32, now: Duration) -> Result<(), Duration> {
        let gained = now.saturating_sub(self.updated).as_secs_f64() * f64::from(self.per_second);
        self.level = f64::from(self.capacity).min(self.level + gained);
        self.updated = self.updated.max(now);
        let missing = f64::from(amount) - self.level;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / f64::from(self.per_second.max(1))));
        }
        Ok(())
    }

    /// Spends what was checked before.
    pub fn spend(&mut self, amount: u32) {
        self.level -= f64::from(amount);
    }
}

/// Buckets that are kept before those are looked for that are full again.
const MANY_SOURCES: usize = 1024;

/// A bucket for each source. One that is full again is as good as none, and is forgotten.
#[derive(Debug)]
pub struct Buckets {
    full: Bucket,
    by_source: HashMap<IpAddr, Bucket>,
    /// At this size full ones are looked for; twice what was left last time, so that looking costs little for each.
    forget_at: usize,
}

impl Buckets {
    /// For each source a bucket like this one.
    #[must_use]
    pub fn of(full: Bucket) -> Self {
        Self {
            full,
            by_source: HashMap::new(),
            forget_at: MANY_SOURCES,
        }
    }

    /// Spends `amount` of what `source` has at `now`, a time since some fixed moment; says whether it had as much.
    pub fn try_spend(&mut self, source: IpAddr, amount: u32, now: Duration) -> bool {
        if self.by_source.len() >= self.forget_at {
            self.by_source
                .retain(|_, bucket| bucket.check(bucket.capacity, now).is_err());
            self.forget_at = MANY_SOURCES.max(2 * self.by_source.len());
        }
        let bucket = self.by_source.entry(source).or_insert_with(|| self.full.clone());
        let has_it = bucket.check(amount, now).is_ok();
        if has_it {
            bucket.spend(amount);
        }
        has_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_rate() {
        let second = Duration::from_secs(1);
        let mut bucket = Bucket::full(1000, 100);
        for _ in 0..4 {
            assert_eq!(bucket.check(250, Duration::ZERO), Ok(()));
            bucket.spend(250);
        }
        assert_eq!(bucket.check(250, Duration::ZERO), Err(Duration::from_millis(2500)));
        assert_eq!(bucket.check(250, 2 * second), Err(Duration::from_millis(500)));
        assert_eq!(bucket.check(250, Duration::from_millis(2500)), Ok(()));
        bucket.spend(250);
        assert_eq!(bucket.check(1000, 3600 * second), Ok(()), "full again");
        assert!(bucket.check(1001, 7200 * second).is_err(), "never more than full");
    }

    #[test]
    fn each_source_has_a_bucket_of_its_own_and_full_ones_are_forgotten() {
        let source = |index: u32| IpAddr::from(index.to_be_bytes());
        let mut buckets = Buckets::of(Bucket::full(10, 1));
        let now = Duration::from_secs(3600);
        assert!(buckets.try_spend(source(1), 10, now));
        assert!(!buckets.try_spend(source(1), 1, now));
        assert!(buckets.try_spend(source(2), 10, now));
        for index in 0..2000 {
            let later = now + Duration::from_secs(u64::from(index));
            assert!(buckets.try_spend(source(100 + index), 10, later));
            assert!(buckets.by_source.len() <= MANY_SOURCES);
        }
        assert!(
            !buckets.try_spend(source(2099), 1, now + Duration::from_secs(1999)),
            "not forgotten too early"
        );
    }

    #[test]
    fn what_is_not_spent_stays_and_time_never_runs_back() {
        let mut bucket = Bucket::full(10, 1);
        assert_eq!(bucket.check(10, Duration::from_secs(5)), Ok(()));
        assert_eq!(bucket.check(10, Duration::from_secs(5)), Ok(()));
        bucket.spend(10);
        assert!(bucket.check(1, Duration::from_secs(1)).is_err());
        assert_eq!(bucket.check(1, Duration::from_secs(6)), Ok(()));
    }
}
