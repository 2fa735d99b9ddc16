//! How fast a holder delivers, and how much to ask it for ahead of that. Pure: the time is passed in.

use std::time::Duration;

use p2p_ci::limits::MAX_OUTSTANDING_DOWNLOADS;

/// Requests that are on their way at first, and at least: one is being sent, one is being read.
const FEWEST: usize = 4;

/// How far ahead of what it delivers a holder is asked: long against a round trip, and short enough that little has to
/// be asked of others when it stalls.
const AHEAD: Duration = Duration::from_millis(500);

/// The shortest wait over which a rate means something.
const MEASURABLE: Duration = Duration::from_millis(50);

/// How much of what was measured is forgotten when there is enough of it.
const FORGET: u32 = 2;

/// Time over which the rate is measured.
const MEMORY: Duration = Duration::from_secs(4);

/// What one holder delivered. Only time that was spent waiting for it counts: it is not slow because the disk is.
#[derive(Debug)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
    /// Grows with each document that came, as far as the rate allows.
    allowed: usize,
    /// The mean length of documents that came.
    mean_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            waited: Duration::ZERO,
            bytes: 0,
            allowed: FEWEST,
            mean_bytes: 0,
        }
    }
}

impl Pace {
    /// Bytes came.
    pub(super) fn received(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The holder was waited for.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
        if self.waited >= MEMORY {
            self.waited /= FORGET;
            self.bytes /= u64::from(FORGET);
        }
    }

    /// A document of that length is complete.
    pub(super) fn completed(&mut self, size_bytes: u64) {
        self.allowed = (self.allowed + 1).min(MAX_OUTSTANDING_DOWNLOADS);
        self.mean_bytes = match self.mean_bytes {
            0 => size_bytes,
            mean => (mean.saturating_mul(7).saturating_add(size_bytes)) / 8,
        };
    }

    /// How fast the holder delivers; `None` until it was waited for long enough to tell.
    fn bytes_per_second(&self) -> Option<u64> {
        if self.waited < MEASURABLE {
            return None;
        }
        let millis = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX).max(1);
        Some(self.bytes.saturating_mul(1000) / millis)
    }

    /// How many requests should be on their way.
    pub(super) fn outstanding(&self) -> usize {
        let Some(rate) = self.bytes_per_second() else {
            return self.allowed;
        };
        let millis = u64::try_from(AHEAD.as_millis()).unwrap_or(u64::MAX);
        let ahead_bytes = rate.saturating_mul(millis) / 1000;
        let documents = usize::try_from(ahead_bytes / self.mean_bytes.max(1)).unwrap_or(usize::MAX);
        documents.clamp(FEWEST, self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(documents: u32, size_bytes: u64, waited: Duration, outstanding: usize) {
        let mut pace = Pace::default();
        assert_eq!((pace.outstanding(), pace.bytes_per_second()), (FEWEST, None));
        for _ in 0..documents {
            pace.waited(waited / documents);
            pace.received(size_bytes);
            pace.completed(size_bytes);
        }
        assert_eq!(pace.outstanding(), outstanding, "{pace:?}");
    }

    #[test]
    fn a_fast_holder_is_asked_for_as_much_as_the_protocol_allows() {
        check(100, 50_000, Duration::from_millis(100), MAX_OUTSTANDING_DOWNLOADS);
        check(100, 50_000, Duration::ZERO, MAX_OUTSTANDING_DOWNLOADS);
    }

    #[test]
    fn a_slow_holder_is_asked_for_little_ahead() {
        // 12 MB/s, which is 100 Mbit/s: 6 MB ahead would be 120 documents.
        check(100, 50_000, Duration::from_millis(417), MAX_OUTSTANDING_DOWNLOADS);
        // 1 MB/s: half a megabyte ahead.
        check(100, 50_000, Duration::from_secs(5), 10);
        check(100, 50_000, Duration::from_secs(500), FEWEST);
    }

    #[test]
    fn what_is_long_past_counts_little() {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.received(1_000_000);
            pace.waited(Duration::from_secs(1));
        }
        for _ in 0..60 {
            pace.received(1_000);
            pace.waited(Duration::from_secs(1));
        }
        assert!(pace.bytes_per_second().is_some_and(|rate| rate < 3_000), "{pace:?}");
    }

    #[test]
    fn nothing_overflows() {
        let mut pace = Pace::default();
        pace.received(u64::MAX);
        pace.received(u64::MAX);
        pace.completed(u64::MAX);
        pace.completed(u64::MAX);
        pace.waited(Duration::MAX);
        assert!(pace.outstanding() >= FEWEST);
    }
}
