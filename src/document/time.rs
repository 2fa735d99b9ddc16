//! Points in time.

use std::time::SystemTime;

/// By how much the clock of whoever wrote something may be ahead of ours: whatever time zone it was mistaken for.
const MAX_AHEAD_S: i64 = 24 * 60 * 60;

/// A point in time in whole seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub i64);

impl UnixSeconds {
    /// Now, by the clock of this machine, which may be wrong and may be set.
    #[must_use]
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(i64::try_from(since_1970.unwrap_or_default().as_secs()).unwrap_or(i64::MAX))
    }

    /// Whether nobody can have written anything then, `now`: not even by a clock of another time zone.
    #[must_use]
    pub fn is_to_come(self, now: Self) -> bool {
        self.0 > now.0.saturating_add(MAX_AHEAD_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ahead_may_be_a_mistake_and_more_is_to_come() {
        let now = UnixSeconds(1_000_000);
        assert!(!UnixSeconds(now.0 + MAX_AHEAD_S).is_to_come(now));
        assert!(UnixSeconds(now.0 + MAX_AHEAD_S + 1).is_to_come(now));
        assert!(!UnixSeconds(i64::MAX).is_to_come(UnixSeconds(i64::MAX)), "no overflow");
    }
}
