//! What is shared: RFC numbers, formats, titles, and documents. Plain values without any I/O.

mod time;
mod title;

use std::{fmt, num::NonZeroU32, str::FromStr};

pub use self::{
    time::UnixSeconds,
    title::{Title, TitleError},
};
use crate::digest::Sha256;

/// The number of an RFC, 1 or more. Five digits exist since 2026, so nothing here assumes a width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RfcNumber(NonZeroU32);

/// Why a text or value is no RFC number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// RFC 0 does not exist.
    #[error("RFC numbers start at 1")]
    Zero,
    /// Digits, but too many of them.
    #[error("{0} is larger than any RFC number can be (4294967295)")]
    TooLarge(String),
    /// No number at all.
    #[error("\"{0}\" is no RFC number; write 9110, rfc9110 or \"RFC 9110\"")]
    NotANumber(String),
    /// A range that ends before it starts.
    #[error("the range {0} ends before it starts")]
    Backwards(String),
}

impl RfcNumber {
    /// The number `value`, unless it is 0.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number as an integer.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for RfcNumber {
    type Error = NumberError;

    fn try_from(value: u32) -> Result<Self, NumberError> {
        Self::new(value).ok_or(NumberError::Zero)
    }
}

impl fmt::Display for RfcNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RfcNumber {
    type Err = NumberError;

    /// Reads what people write: `9110`, `rfc9110`, `RFC 9110`, `rfc-9110`, `0791`.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let trimmed = text.trim();
        let digits = match trimmed.get(..3) {
            Some(prefix) if prefix.eq_ignore_ascii_case("rfc") => {
                trimmed.get(3..).unwrap_or_default().trim_start_matches([' ', '-'])
            }
            _ => trimmed,
        };
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NumberError::NotANumber(shorten(text)));
        }
        let value: u32 = digits.parse().map_err(|_| NumberError::TooLarge(shorten(digits)))?;
        Self::try_from(value)
    }
}

/// Bounds what an error message repeats of its input.
fn shorten(text: &str) -> String {
    const SHOWN_BYTES: usize = 40;
    crate::text::excerpt(text, SHOWN_BYTES)
}

/// An inclusive range of RFC numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RfcRange {
    /// The smallest number of the range.
    pub first: RfcNumber,
    /// The largest number of the range; not less than `first`.
    pub last: RfcNumber,
}

impl From<RfcNumber> for RfcRange {
    /// This number only.
    fn from(number: RfcNumber) -> Self {
        let (first, last) = (number, number);
        Self { first, last }
    }
}

impl RfcRange {
    /// Every number there can be.
    pub const ALL: Self = Self {
        first: RfcNumber(NonZeroU32::MIN),
        last: RfcNumber(NonZeroU32::MAX),
    };

    /// Whether `number` lies within the range.
    #[must_use]
    pub fn contains(&self, number: RfcNumber) -> bool {
        self.first <= number && number <= self.last
    }

    /// The same numbers in ascending ranges that neither overlap nor touch, so that nothing is asked for twice. No ranges
    /// mean all numbers.
    #[must_use]
    pub fn merged(ranges: &[Self]) -> Vec<Self> {
        let mut sorted = ranges.to_vec();
        sorted.sort_by_key(|range| range.first);
        let mut merged: Vec<Self> = Vec::new();
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.first.get() <= last.last.get().saturating_add(1) => {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        if merged.is_empty() {
            merged.push(Self::ALL);
        }
        merged
    }
}

impl fmt::Display for RfcRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            self.first.fmt(f)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for RfcRange {
    type Err = NumberError;

    /// Reads `1-999`, `9000-` (to the last), or a single number in any form that [`RfcNumber`] reads.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        match text.parse::<RfcNumber>() {
            Ok(number) => return Ok(number.into()),
            Err(error @ (NumberError::Zero | NumberError::TooLarge(_))) => return Err(error),
            Err(NumberError::NotANumber(_) | NumberError::Backwards(_)) => {}
        }
        // A number itself may be written `rfc-9110`, so the dash of a range is the last one.
        let not_a_range = || NumberError::NotANumber(shorten(text));
        let (first, last) = text.rsplit_once('-').ok_or_else(not_a_range)?;
        let first: RfcNumber = first.parse().map_err(|error| match error {
            NumberError::NotANumber(_) => not_a_range(),
            error @ (NumberError::Zero | NumberError::TooLarge(_) | NumberError::Backwards(_)) => error,
        })?;
        let last = if last.trim().is_empty() {
            Self::ALL.last
        } else {
            last.parse()?
        };
        if first > last {
            return Err(NumberError::Backwards(shorten(text)));
        }
        Ok(Self { first, last })
    }
}

/// The file formats in which an RFC is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Plain text: bytes, not necessarily UTF-8.
    Txt,
    /// HTML.
    Html,
    /// PDF.
    Pdf,
    /// RFCXML source (RFC 7991).
    Xml,
    /// The RFC Editor's metadata record, of which the newest version is preferred.
    Json,
}

impl Format {
    /// Every format, in the order in which they are listed.
    pub const ALL: [Self; 5] = [Self::Txt, Self::Html, Self::Pdf, Self::Xml, Self::Json];

    /// The format's file name extension, which is also how users write it.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Xml => "xml",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.extension())
    }
}

/// A format that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no format; use txt, html, pdf, xml or json")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        Self::ALL
            .into_iter()
            .find(|format| format.extension().eq_ignore_ascii_case(text))
            .ok_or_else(|| FormatError(shorten(text)))
    }
}

/// Which RFC in which format: what a library holds at most one document of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    /// The RFC's number.
    pub number: RfcNumber,
    /// The format of the bytes.
    pub format: Format,
}

impl DocumentKey {
    /// The flat file name under which the document is stored: `rfc9110.txt`, without padding (RFC Editor convention).
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("rfc{}.{}", self.number, self.format.extension())
    }
}

impl fmt::Display for DocumentKey {
    /// `RFC 9110`, and the format where it is not plain text: `RFC 9110 (html)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Format::Txt => write!(f, "RFC {}", self.number),
            Format::Html | Format::Pdf | Format::Xml | Format::Json => {
                write!(f, "RFC {} ({})", self.number, self.format)
            }
        }
    }
}

/// A document's whole identity: two documents with the same id have the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// Which RFC in which format.
    pub key: DocumentKey,
    /// The digest of the bytes.
    pub sha256: Sha256,
}

/// A document's identity and the length that an announcer claims for it.
///
/// One digest has one length, so of two claims that differ in it one is a lie. A registry, which has no bytes, cannot
/// know which, and keeps both apart; whoever downloads finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentClaim {
    /// Which bytes.
    pub id: DocumentId,
    /// How many they are said to be.
    pub size_bytes: u64,
}

/// One document, with what its announcer claims about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Number, format and digest.
    pub id: DocumentId,
    /// Length of the bytes.
    pub size_bytes: u64,
    /// The title, possibly empty.
    pub title: Title,
    /// When the bytes were last modified, if known.
    pub modified: Option<UnixSeconds>,
}

impl Document {
    /// What the announcer claims the bytes to be.
    #[must_use]
    pub const fn claim(&self) -> DocumentClaim {
        DocumentClaim {
            id: self.id,
            size_bytes: self.size_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn number(text: &str) -> u32 {
        text.parse::<RfcNumber>().unwrap().get()
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for text in ["9110", "rfc9110", "RFC 9110", " Rfc-9110 ", "009110"] {
            assert_eq!(number(text), 9110, "{text}");
        }
        for value in [1, 9999, 10_000, 10_052, 100_000, u32::MAX] {
            assert_eq!(number(&value.to_string()), value);
        }
    }

    #[test]
    fn bad_numbers_are_told_apart() {
        assert_eq!("0".parse::<RfcNumber>(), Err(NumberError::Zero));
        assert_eq!(
            "4294967296".parse::<RfcNumber>(),
            Err(NumberError::TooLarge("4294967296".into()))
        );
        for text in ["", "rfc", "rfc-2616x", "-1", "1.5", "٣", "é", "rf"] {
            assert!(
                matches!(text.parse::<RfcNumber>(), Err(NumberError::NotANumber(_))),
                "{text}"
            );
        }
        assert!(
            "\u{1b}[31m"
                .repeat(1000)
                .parse::<RfcNumber>()
                .unwrap_err()
                .to_string()
                .len()
                < 300
        );
    }

    #[test]
    fn ranges_are_inclusive_and_may_be_open() {
        let range: RfcRange = "1-999".parse().unwrap();
        assert_eq!((range.first.get(), range.last.get()), (1, 999));
        assert_eq!("rfc9110".parse::<RfcRange>().unwrap().to_string(), "9110");
        assert_eq!("rfc-9110".parse::<RfcRange>().unwrap().to_string(), "9110");
        assert_eq!("9000-".parse::<RfcRange>().unwrap().last.get(), u32::MAX);
        assert!(matches!("9-1".parse::<RfcRange>(), Err(NumberError::Backwards(_))));
        let whole = NumberError::NotANumber("rfc-2616x".to_owned());
        assert_eq!(
            "rfc-2616x".parse::<RfcRange>(),
            Err(whole),
            "the message repeats what was typed"
        );
        assert_eq!("0".parse::<RfcRange>(), Err(NumberError::Zero));
        for text in ["-", "-5", "a-b", "1-99999999999", "0-5"] {
            assert!(text.parse::<RfcRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn merged_ranges_name_each_number_once_and_in_order() {
        for (ranges, expected) in [
            ("", "1-4294967295"),
            ("9110 1-999 998-1000 1001", "1-1001 9110"),
            ("5- 7 4294967295", "5-4294967295"),
            ("1-9 3-4", "1-9"),
        ] {
            let parsed: Vec<RfcRange> = ranges.split_whitespace().map(|range| range.parse().unwrap()).collect();
            let shown: Vec<String> = RfcRange::merged(&parsed).iter().map(ToString::to_string).collect();
            assert_eq!(shown.join(" "), expected);
        }
    }

    #[test]
    fn formats_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.extension().to_uppercase().parse(), Ok(format));
        }
        assert!("ps".parse::<Format>().is_err());
    }
}
