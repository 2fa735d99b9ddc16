//! The clocks that the library's plain threads read.

use std::time::{Duration, Instant, SystemTime};

/// How long a file must have been left alone before it counts as whole, unless it was renamed into place.
/// Copying tools write many times a second, so a second of silence is long; it keeps the promise that a change is seen
/// within two seconds.
pub(super) const SETTLE_TIME: Duration = Duration::from_secs(1);

/// The longest tick of a file system's clock, where it keeps more than seconds: two changes within one tick look like
/// one. Linux ticks 100 to 1,000 times a second.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// The time for measuring spans.
#[expect(
    clippy::disallowed_methods,
    reason = "the library runs on plain threads: a runtime's paused clock must not stop it"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The wall clock in nanoseconds since 1970-01-01 UTC, as file times are kept.
pub(super) fn wall_ns() -> i128 {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
    }
}
