//! How long a client gives a request (gRPC over HTTP/2, `grpc-timeout`).

use std::time::Duration;

use http::HeaderMap;

/// The most digits of a `grpc-timeout`.
const MOST_DIGITS: usize = 8;

/// What the headers of a request say; `None` where they say nothing, or nothing that can be understood.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > MOST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parsed(value: &[u8]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_bytes(value).unwrap());
        of(&headers)
    }

    #[test]
    fn each_unit_is_understood() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("250m", Duration::from_millis(250)),
            ("7u", Duration::from_micros(7)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parsed(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_sets_none() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "123456789S",
            "1SS",
            "1\u{b5}",
        ] {
            assert_eq!(parsed(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(of(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_header_can_have_is_too_much(value in proptest::collection::vec(32_u8..127, 0..20)) {
            parsed(&value);
        }
    }
}
