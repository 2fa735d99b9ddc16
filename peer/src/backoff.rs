//! Pauses between attempts: exponential, with full jitter, and capped. Pure: the caller draws the random number.

use std::time::Duration;

/// The pauses of one series of attempts.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts a series whose `n`th pause is drawn from zero to `base · 2ⁿ`, but at most `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base: base.min(cap),
            cap,
            attempt: 0,
        }
    }

    /// The next pause; `fraction`, from 0 to 1, is drawn uniformly by the caller (full jitter: peers that lost the
    /// same registry come back spread over the whole span).
    pub fn next(&mut self, fraction: f64) -> Duration {
        let ceiling = self.ceiling();
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// The longest that the next pause can be.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        self.base
            .checked_mul(factor)
            .map_or(self.cap, |pause| pause.min(self.cap))
    }

    /// Begins a new series.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ceilings_never_shrink_nor_pass_the_cap(base_ms in 1_u64..5_000, cap_ms in 1_u64..60_000, fraction in 0.0..=1.0) {
            let cap = Duration::from_millis(cap_ms);
            let mut backoff = Backoff::new(Duration::from_millis(base_ms), cap);
            let mut before = Duration::ZERO;
            for _ in 0..100 {
                let ceiling = backoff.ceiling();
                prop_assert!(before <= ceiling && ceiling <= cap);
                prop_assert!(backoff.next(fraction) <= ceiling);
                before = ceiling;
            }
            prop_assert_eq!(before, cap);
            backoff.reset();
            prop_assert_eq!(backoff.ceiling(), Duration::from_millis(base_ms).min(cap));
        }
    }
}
