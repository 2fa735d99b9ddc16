//! Quantities as people read them: rates, spans and points of time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use p2p_ci::document::{RfcNumber, RfcRange, UnixSeconds};

const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 60 * SECONDS_PER_MINUTE;
const SECONDS_PER_DAY: u64 = 24 * SECONDS_PER_HOUR;

/// How fast `bytes` came in `span`: `12.3 MB/s`, in powers of 1000 as networks count.
#[must_use]
pub fn rate(bytes: u64, span: Duration) -> String {
    // Less than a millisecond cannot be told from none, and says nothing about a network.
    rate_of(exact(bytes) / span.as_secs_f64().max(0.001))
}

/// The same for a number of bytes per second.
#[must_use]
pub fn rate_of(per_second: f64) -> String {
    let (number, unit) = scaled(per_second);
    format!("{number:.1} {unit}/s")
}

/// `512 bytes`, `494.5 MB`, in powers of 1000 as networks and disks count.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    match scaled(exact(bytes)) {
        (_, "B") => count(bytes, "byte"),
        (number, unit) => format!("{number:.1} {unit}"),
    }
}

fn scaled(bytes: f64) -> (f64, &'static str) {
    const UNITS: [&str; 3] = ["kB", "MB", "GB"];
    let mut shown = (bytes, "B");
    for unit in UNITS {
        if shown.0 < 999.95 {
            break;
        }
        shown = (shown.0 / 1000.0, unit);
    }
    shown
}

/// As many as an `f64` can hold exactly; far more than any document has.
fn exact(bytes: u64) -> f64 {
    let [high, low] = [bytes >> 32, bytes & 0xffff_ffff].map(|half| u32::try_from(half).map_or(0.0, f64::from));
    high * 4_294_967_296.0 + low
}

/// `1 document`, `2 documents`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// How many numbers there are in `ranges`.
#[must_use]
pub fn numbers(ranges: &[RfcRange]) -> u64 {
    let numbers = ranges
        .iter()
        .map(|range| u64::from(range.last.get() - range.first.get()) + 1);
    numbers.sum()
}

/// Ranges that one line names: with them and a sentence, less than 300 bytes.
pub const SHOWN_RUNS: usize = 8;

/// Ranges in one line: `1-100, 102`. Of more than `shown`, the numbers in the others are counted: `1-100, 102 and 17 more`.
#[must_use]
pub fn runs(ranges: &[RfcRange], shown: usize) -> String {
    let (shown, hidden) = ranges.split_at_checked(shown).unwrap_or((ranges, &[]));
    let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
    let more = match numbers(hidden) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// RFCs that one line names.
pub const SHOWN_RFCS: usize = 8;

/// RFCs in one line: `RFC 9110, RFC 9112`. Of more than [`SHOWN_RFCS`], the others are counted: `RFC 1, … and 17 more`.
#[must_use]
pub fn rfcs(numbers: &[RfcNumber]) -> String {
    let (shown, hidden) = numbers.split_at_checked(SHOWN_RFCS).unwrap_or((numbers, &[]));
    let shown: Vec<String> = shown.iter().map(|number| format!("RFC {number}")).collect();
    let more = match hidden.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// A span: `0.04 s`, `3.2 s`, `3 min`, `2 h`, `5 d`. The larger, the coarser.
#[must_use]
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{:.2} s", span.as_secs_f64()),
        1..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 10..SECONDS_PER_MINUTE => format!("{seconds} s"),
        seconds @ SECONDS_PER_MINUTE..SECONDS_PER_HOUR => format!("{} min", seconds / SECONDS_PER_MINUTE),
        seconds @ SECONDS_PER_HOUR..SECONDS_PER_DAY => format!("{} h", seconds / SECONDS_PER_HOUR),
        seconds => format!("{} d", seconds / SECONDS_PER_DAY),
    }
}

/// How long ago `time` was by this machine's clock, in whole units: `12 s`, `3 min`. Times to come are `0 s` ago.
#[must_use]
pub fn ago(time: UnixSeconds) -> String {
    let now = seconds_now();
    let then = u64::try_from(time.0).unwrap_or(0);
    match now.saturating_sub(then) {
        seconds @ 0..10 => format!("{seconds} s"),
        seconds => span(Duration::from_secs(seconds)),
    }
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// Now, by this machine's clock, as [`utc`] shows it.
#[must_use]
pub fn utc_now() -> String {
    utc(UnixSeconds(i64::try_from(seconds_now()).unwrap_or(i64::MAX)))
}

/// A point of time in UTC as RFC 3339 has it: `2026-07-01T12:00:03Z`. Years beyond its range are shown as its bounds.
#[must_use]
pub fn utc(time: UnixSeconds) -> String {
    /// 0001-01-01T00:00:00Z.
    const FIRST: i64 = -62_135_596_800;
    /// 9999-12-31T23:59:59Z.
    const LAST: i64 = 253_402_300_799;
    let seconds = time.0.clamp(FIRST, LAST);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
///
/// Years are counted from 1 March, so that a leap day is the last day of its year and the months before it have lengths
/// that repeat every five.
fn civil(days: i64) -> (i64, i64, i64) {
    /// Days in 400 years, after which the calendar repeats.
    const ERA: i64 = 146_097;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let (era, day_of_era) = ((days + EPOCH).div_euclid(ERA), (days + EPOCH).rem_euclid(ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: what [`civil`] turns round.
#[must_use]
pub fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
    /// Days in 400 years.
    const ERA: i64 = 146_097;
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let (month, day) = (i64::from(month), i64::from(day));
    // January and February belong to the year before.
    let year = year - i64::from(month <= 2);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        for days in (-1_000_000..1_000_000).step_by(997) {
            let (year, month, day) = civil(days);
            let (month, day) = (u32::try_from(month).unwrap(), u32::try_from(day).unwrap());
            assert_eq!(days_since_1970(year, month, day), days);
        }
    }

    #[test]
    fn rates_and_spans_are_short() {
        let second = Duration::from_secs(1);
        assert_eq!(rate(12_300_000, second), "12.3 MB/s");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(494_493_945), "494.5 MB");
        assert_eq!(rate(999, second), "999.0 B/s");
        assert_eq!(rate(999_960, second), "1.0 MB/s");
        assert_eq!(rate(u64::MAX, Duration::ZERO), "18446744073709.6 GB/s");
        assert_eq!(span(Duration::from_millis(42)), "0.04 s");
        assert_eq!(span(Duration::from_millis(3210)), "3.2 s");
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(3599)), "59 min");
        assert_eq!(span(Duration::from_secs(86_400)), "1 d");
        assert_eq!(
            (count(1, "peer").as_str(), count(0, "peer").as_str()),
            ("1 peer", "0 peers")
        );
    }

    #[test]
    fn times_are_those_of_date() {
        // By `date -u -d @N +%FT%TZ`.
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_782_907_203, "2026-07-01T12:00:03Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::MIN, "0001-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, expected) in table {
            assert_eq!(utc(UnixSeconds(seconds)), expected);
        }
    }

    #[test]
    fn runs_are_bounded() {
        let ranges: Vec<RfcRange> = ["1-100", "102", "105-106"].map(|range| range.parse().unwrap()).into();
        assert_eq!(runs(&ranges, 3), "1-100, 102, 105-106");
        assert_eq!(runs(&ranges, 2), "1-100, 102 and 2 more");
        assert_eq!(numbers(&ranges), 103);
        let many: Vec<RfcNumber> = (1..=11).filter_map(RfcNumber::new).collect();
        assert_eq!(rfcs(&many[..2]), "RFC 1, RFC 2");
        assert!(rfcs(&many[..8]).ends_with("RFC 7, RFC 8"));
        assert!(rfcs(&many).ends_with("RFC 8 and 3 more"));
    }

    #[test]
    fn clocks_may_differ() {
        assert_eq!(ago(UnixSeconds(i64::MAX)), "0 s");
        assert!(ago(UnixSeconds(i64::MIN)).ends_with(" d"));
    }
}
