//! Points in time.

use std::time::SystemTime;

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
}
