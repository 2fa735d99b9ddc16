//! How long many things took, counted by how long: constant in size, and noting one takes a few nanoseconds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Each doubling of a time has as many buckets, so that what is told is at most a quarter too long.
const BUCKETS_OF_DOUBLING: usize = 4;

/// Microseconds up to 2^24, which is 16 seconds; what took longer is in the last bucket.
const DOUBLINGS: usize = 24;

const BUCKETS: usize = DOUBLINGS * BUCKETS_OF_DOUBLING;

/// Times since the last look.
#[derive(Debug)]
pub struct Histogram([AtomicU64; BUCKETS]);

/// What a histogram showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many were noted.
    pub count: u64,
    /// The time that half of them did not exceed.
    pub p50: Duration,
    /// The time that all but one in a hundred did not exceed.
    pub p99: Duration,
    /// The time that none of them exceeded.
    pub max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// The bucket of a time. Below four microseconds, each has one of its own.
fn bucket_of(time: Duration) -> usize {
    let micros = usize::try_from(time.as_micros()).unwrap_or(usize::MAX);
    let doubling = micros.max(1).ilog2() as usize;
    let bucket = match doubling.checked_sub(2) {
        None => micros,
        Some(shift) => doubling * BUCKETS_OF_DOUBLING + (micros >> shift) % BUCKETS_OF_DOUBLING,
    };
    bucket.min(BUCKETS - 1)
}

/// The longest time, in whole microseconds, that is in a bucket.
fn longest_in(bucket: usize) -> Duration {
    let (doubling, part) = (bucket / BUCKETS_OF_DOUBLING, bucket % BUCKETS_OF_DOUBLING);
    let micros = match doubling.checked_sub(2) {
        None => bucket,
        Some(shift) => ((BUCKETS_OF_DOUBLING + part + 1) << shift) - 1,
    };
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

impl Histogram {
    /// Notes how long one took.
    pub fn note(&self, time: Duration) {
        if let Some(count) = self.0.get(bucket_of(time)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sums up what was noted since the last time, and begins anew; `None` when nothing was.
    pub fn take(&self) -> Option<Summary> {
        let counts = self.0.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
        let count: u64 = counts.iter().sum();
        let quantile = |of_hundred: u64| {
            let mut before = 0;
            let bucket = counts.iter().position(|of_bucket| {
                before += of_bucket;
                before * 100 >= count * of_hundred
            });
            bucket.map(longest_in).unwrap_or_default()
        };
        (count > 0).then(|| Summary {
            count,
            p50: quantile(50),
            p99: quantile(99),
            max: quantile(100),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn what_is_told_is_never_too_short_and_at_most_a_quarter_too_long() {
        for time in (0..5000).chain([9_999, 123_456, 9_999_999]) {
            let told = longest_in(bucket_of(micros(time)));
            assert!(
                told >= micros(time) && told <= micros(time + time / 4),
                "{time}: {told:?}"
            );
        }
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_what_was_noted_since_the_last_look() {
        let histogram = Histogram::default();
        assert_eq!(histogram.take(), None);
        (0..980).for_each(|_| histogram.note(micros(3)));
        (0..19).for_each(|_| histogram.note(micros(1000)));
        histogram.note(micros(60_000));
        let expected = Summary {
            count: 1000,
            p50: micros(3),
            p99: micros(1023),
            max: micros(65_535),
        };
        assert_eq!(histogram.take(), Some(expected));
        assert_eq!(histogram.take(), None);
    }
}
