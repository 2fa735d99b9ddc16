//! Spans of time, from and to the wire.
//!
//! Own code, since the conversion of `prost-types` negates what it refuses, which overflows for `i64::MIN` seconds.

use std::time::Duration;

/// No span that this protocol tells is longer; anything beyond is taken for this.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// A span of time that somebody else told: one that is negative or out of form counts as none at all, one that is too
/// long as an hour.
#[must_use]
pub fn decode_duration(duration: prost_types::Duration) -> Duration {
    /// The range of `google.protobuf.Duration.nanos`.
    const MAX_NANOS: u32 = 999_999_999;
    match (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) {
        (Ok(seconds), Ok(nanos @ 0..=MAX_NANOS)) => Duration::new(seconds, nanos).min(MAX_DURATION),
        _ => Duration::ZERO,
    }
}

/// A span of time to tell others.
#[must_use]
pub fn encode_duration(duration: Duration) -> prost_types::Duration {
    let told = duration.min(MAX_DURATION);
    prost_types::Duration {
        seconds: i64::try_from(told.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(told.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_span_that_others_tell_does_harm() {
        let decoded = |seconds, nanos| decode_duration(prost_types::Duration { seconds, nanos });
        assert_eq!(decoded(2, 500_000_000), Duration::from_millis(2500));
        assert_eq!(decoded(i64::MIN, 0), Duration::ZERO);
        assert_eq!(decoded(i64::MIN, i32::MIN), Duration::ZERO);
        assert_eq!(decoded(0, -1), Duration::ZERO);
        assert_eq!(decoded(1, i32::MAX), Duration::ZERO);
        assert_eq!(decoded(i64::MAX, 999_999_999), MAX_DURATION);
    }

    proptest! {
        #[test]
        fn every_span_up_to_an_hour_comes_back(nanos in 0..=3_600_000_000_000_u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(decode_duration(encode_duration(duration)), duration);
        }

        #[test]
        fn any_span_is_taken(seconds: i64, nanos: i32) {
            let decoded = decode_duration(prost_types::Duration { seconds, nanos });
            prop_assert!(decoded <= MAX_DURATION);
        }
    }
}
