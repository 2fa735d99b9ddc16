//! A token bucket: how many bytes may be sent by when. Pure: the time is passed in, counted from any fixed point.

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A bucket that fills at a rate, up to a burst. Over any time `t` no more comes out of it than `rate * t + burst`.
#[derive(Debug)]
pub(super) struct Bucket {
    bytes_per_second: u64,
    burst_bytes: u64,
    /// When it is full again if nothing more is taken.
    full_at: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(bytes_per_second: u64, burst_bytes: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            burst_bytes,
            full_at: Duration::ZERO,
        }
    }

    /// Takes `bytes`, or tells when they will be there. Of more than the burst, the rest is owed.
    pub(super) fn take(&mut self, bytes: u64, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now);
        let must_be_there = self.time_for(bytes.min(self.burst_bytes));
        let there_at = (full_at + must_be_there).saturating_sub(self.time_for(self.burst_bytes));
        if there_at > now {
            return Err(there_at);
        }
        self.full_at = full_at + self.time_for(bytes);
        Ok(())
    }

    /// How long that many bytes take to come in, rounded up, so that no rounding adds to the rate.
    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * NANOS_PER_SECOND).div_ceil(u128::from(self.bytes_per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_comes_at_once_and_the_rest_at_the_rate() {
        let mut bucket = Bucket::new(1000, 300);
        assert_eq!(bucket.take(300, SECOND), Ok(()));
        assert_eq!(bucket.take(100, SECOND), Err(SECOND + Duration::from_millis(100)));
        assert_eq!(bucket.take(100, SECOND + Duration::from_millis(100)), Ok(()));
        // What was not taken in a long time does not add up.
        assert_eq!(bucket.take(300, 100 * SECOND), Ok(()));
        assert_eq!(
            bucket.take(1, 100 * SECOND),
            Err(100 * SECOND + Duration::from_millis(1))
        );
    }

    #[test]
    fn more_than_a_burst_is_owed() {
        let mut bucket = Bucket::new(1000, 300);
        assert_eq!(bucket.take(1300, SECOND), Ok(()));
        assert_eq!(bucket.take(300, SECOND), Err(SECOND + Duration::from_millis(1300)));
    }

    proptest! {
        /// Whoever asks when, and whether or not it comes back when it was told to.
        #[test]
        fn never_more_than_rate_and_burst(
            rate in 1_u64..1 << 40,
            burst in 1_u64..1 << 24,
            wishes in prop::collection::vec((1_u64..1 << 24, 0_u64..200_000_000, any::<bool>()), 1..200),
        ) {
            let mut bucket = Bucket::new(rate, burst);
            let mut now = Duration::ZERO;
            let mut taken: Vec<(Duration, u64)> = Vec::new();
            for (bytes, pause, waits) in wishes {
                now += Duration::from_nanos(pause);
                let bytes = bytes.min(burst);
                if let Err(at) = bucket.take(bytes, now) {
                    prop_assert!(at > now);
                    if !waits {
                        continue;
                    }
                    now = at;
                    prop_assert_eq!(bucket.take(bytes, now), Ok(()), "it was told so");
                }
                taken.push((now, bytes));
            }
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0_u128;
                for (at, bytes) in &taken[first..] {
                    sum += u128::from(*bytes);
                    let most = u128::from(rate) * (*at - *from).as_nanos() / NANOS_PER_SECOND + u128::from(burst);
                    // A nanosecond's worth is lost by rounding the burst's time up.
                    prop_assert!(sum <= most + 1 + u128::from(rate) / NANOS_PER_SECOND, "{sum} of {most}");
                }
            }
        }
    }
}
