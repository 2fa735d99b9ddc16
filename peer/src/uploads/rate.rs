//! How fast a peer may upload, as people type it.

use std::{fmt, str::FromStr, time::Duration};

use p2p_ci::limits::CHUNK_BYTES;

use crate::{
    limits::{MAX_UPLOADS_PER_SOURCE, SLOT_BYTES_PER_SECOND, UPLOAD_BURST},
    output::human,
};

/// What passes at most between two pieces of one upload: downloaders take a holder for dead that is silent for
/// [`HOLDER_SILENCE`](p2p_ci::limits::HOLDER_SILENCE), and a busy machine or a slow link takes its own time.
const LONGEST_ROUND: Duration = Duration::from_secs(4);

/// No network is faster; with it, no arithmetic on rates overflows.
const LARGEST_BYTES_PER_SECOND: u64 = 1 << 40;

/// The units, as rsync has them: powers of 1024, and of 1000 where a `B` alone follows.
const UNITS: [(&str, u64); 13] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
];

/// What a peer uploads at most, in bytes of chunks per second, compressed where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadRate(u64);

/// Why a text is no rate to upload at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// It is not how rates are written.
    #[error(
        "no rate; write bytes per second as 500k, 2M, 1.5MiB or 2000000 (k, M and G count by 1024, kB, MB and GB by 1000)"
    )]
    Unreadable,
    /// It is none at all.
    #[error("0 would upload nothing; leave the option out for no cap")]
    Zero,
    /// Downloaders would take the peer for dead.
    #[error(
        "less than {}k a second; downloaders would give up on so slow a peer (--max-uploads says how many uploads there \
         are at a time)",
        SLOT_BYTES_PER_SECOND / 1024
    )]
    TooSlow,
    /// No network carries it.
    #[error("more than any network carries; leave the option out for no cap")]
    TooFast,
}

impl UploadRate {
    /// Bytes per second.
    #[must_use]
    pub fn bytes_per_second(self) -> u64 {
        self.0
    }

    /// How many uploads there may be at a time, `max` at most: each with a share that no downloader gives up on.
    #[must_use]
    pub(super) fn slots(self, max: usize) -> usize {
        usize::try_from(self.0 / SLOT_BYTES_PER_SECOND).map_or(max, |slots| slots.min(max))
    }

    /// Bytes of documents that are sent in one turn where there are so many slots: so few that one source with as many
    /// uploads as it may have gets a piece for each of them in [`LONGEST_ROUND`]; at [`SLOT_BYTES_PER_SECOND`] that is
    /// 16 KiB. Shorter ones would pack worse for nothing.
    pub(super) fn piece_bytes(self, slots: usize) -> usize {
        let of_source = self.0 / (slots.max(1) as u64);
        let piece = of_source.saturating_mul(LONGEST_ROUND.as_secs()) / MAX_UPLOADS_PER_SOURCE as u64;
        usize::try_from(piece).map_or(CHUNK_BYTES, |piece| piece.min(CHUNK_BYTES))
    }

    /// Bytes that may be sent at once after a pause: what [`UPLOAD_BURST`] brings, or a piece if that is more, which may
    /// be a little longer when it is compressed.
    pub(super) fn burst_bytes(self, piece_bytes: usize) -> u64 {
        let millis = u64::try_from(UPLOAD_BURST.as_millis()).unwrap_or(u64::MAX);
        let piece = piece_bytes as u64;
        (self.0.saturating_mul(millis) / 1000).max(piece + piece / 8)
    }
}

impl fmt::Display for UploadRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human::rate(self.0, Duration::from_secs(1)))
    }
}

impl FromStr for UploadRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let text = text.strip_suffix("/s").unwrap_or(text);
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, unit) = text.split_at(text.find(|c| !is_digit(c)).unwrap_or(text.len()));
        let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
        let (_, unit) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or(RateError::Unreadable)?;
        let bytes = times(number, unit)?;
        match bytes {
            0 if number.contains(|c| matches!(c, '1'..='9')) => Err(RateError::TooSlow),
            0 => Err(RateError::Zero),
            _ if bytes < SLOT_BYTES_PER_SECOND => Err(RateError::TooSlow),
            _ if bytes > LARGEST_BYTES_PER_SECOND => Err(RateError::TooFast),
            _ => Ok(Self(bytes)),
        }
    }
}

/// A decimal number of units, without what is less than a byte.
fn times(number: &str, unit: u64) -> Result<u64, RateError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(RateError::Unreadable);
    }
    let mut bytes: u64 = 0;
    for digit in whole.chars().filter_map(|c| c.to_digit(10)) {
        let more = bytes.checked_mul(10).and_then(|bytes| bytes.checked_add(digit.into()));
        bytes = more.ok_or(RateError::TooFast)?;
    }
    let mut bytes = bytes.checked_mul(unit).ok_or(RateError::TooFast)?;
    let mut numerator: u64 = 0;
    let mut denominator: u64 = 1;
    // More digits than that are less than a byte of any unit.
    for digit in fraction.chars().take(15).filter_map(|c| c.to_digit(10)) {
        numerator = numerator * 10 + u64::from(digit);
        denominator *= 10;
    }
    let part = u128::from(numerator) * u128::from(unit) / u128::from(denominator);
    bytes = bytes.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use p2p_ci::limits::HOLDER_SILENCE;

    use super::*;
    use crate::limits::SLOWEST_BYTES_PER_SECOND;

    #[test]
    fn rates_are_read_as_people_type_them() {
        let table = [
            ("500k", 512_000),
            ("500K", 512_000),
            ("500kB", 500_000),
            ("2M", 2_097_152),
            ("10MiB", 10_485_760),
            ("10 MB/s", 10_000_000),
            ("1.5M", 1_572_864),
            (".5m", 524_288),
            ("1.M", 1_048_576),
            ("1000000", 1_000_000),
            ("1000000b", 1_000_000),
            ("12.5mb", 12_500_000),
            ("1g", 1 << 30),
            ("1t", 1 << 40),
            ("32k", 32_768),
            ("33000.999", 33_000),
            ("1.000000000000000000000000000000009g", 1 << 30),
        ];
        for (text, bytes) in table {
            let rate: UploadRate = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rate.bytes_per_second(), bytes, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_apart() {
        let unreadable = [
            "",
            "k",
            ".",
            ".k",
            "fast",
            "-1M",
            "+1M",
            "1e6",
            "1,5M",
            "1.5.5M",
            "10Mbit",
            "1 M B",
            "M1",
            "0x10",
            "\u{1b}[2J",
            "٣M",
        ];
        for text in unreadable {
            assert_eq!(text.parse::<UploadRate>(), Err(RateError::Unreadable), "{text}");
        }
        for text in ["0", "0k", "0.0M", "000"] {
            assert_eq!(text.parse::<UploadRate>(), Err(RateError::Zero), "{text}");
        }
        for text in ["1", "8", "0.5", "31k", "32767"] {
            assert_eq!(text.parse::<UploadRate>(), Err(RateError::TooSlow), "{text}");
        }
        let long = "9".repeat(1000);
        for text in [
            "1.1t",
            "18446744073709551616",
            "99999999999g",
            &long,
            &format!("{long}T"),
        ] {
            assert_eq!(text.parse::<UploadRate>(), Err(RateError::TooFast), "{text}");
        }
    }

    #[test]
    fn each_source_gets_what_no_downloader_gives_up_on() {
        let slowest: UploadRate = "32k".parse().unwrap();
        assert_eq!((slowest.slots(32), slowest.piece_bytes(1)), (1, 16 * 1024));
        for text in ["32k", "100k", "500k", "1M", "20M", "1G", "1T"] {
            for max in [1, 32, 1024] {
                let rate: UploadRate = text.parse().unwrap();
                let slots = rate.slots(max);
                assert!((1..=max).contains(&slots), "{text}: {slots} of {max}");
                let of_source = rate.bytes_per_second() / slots as u64;
                let most = MAX_UPLOADS_PER_SOURCE as u64;
                assert!(of_source >= SLOWEST_BYTES_PER_SECOND * most, "{text}");
                let piece = rate.piece_bytes(slots);
                assert!((16 * 1024..=CHUNK_BYTES).contains(&piece), "{text}: {piece}");
                let round = Duration::from_secs(piece as u64 * most) / u32::try_from(of_source.min(1 << 30)).unwrap();
                assert!(round <= HOLDER_SILENCE / 2, "{text}: {round:?}");
                assert!(rate.burst_bytes(piece) > piece as u64, "{text}");
            }
        }
    }
}
