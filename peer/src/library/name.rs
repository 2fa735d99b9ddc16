//! Which file names say that a file is a document.

use p2p_ci::document::{DocumentKey, Format, RfcNumber};

/// Digits in a name's number: as many as the largest number has, so padding to any usual width fits.
const MAX_NUMBER_DIGITS: usize = 10;

/// What a file name like `rfc791.txt`, `rfc0791.txt`, `RFC791.TXT` or `rfc791.txt.gz` says.
///
/// The grammar is `rfc`, digits, a dot, the extension of a format, and perhaps `.gz`, in any case. Everything else is
/// no document: `rfc-index.txt`, `rfc791(1).txt`, `rfc791.txt~`, `rfc17a.txt`, `rfc8650-8659-range.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileName {
    /// Which RFC in which format.
    pub key: DocumentKey,
    /// Whether the bytes are packed with gzip (RFC 1952).
    pub compressed: bool,
    /// Whether the number is padded with zeros.
    pub padded: bool,
    /// Whether the name is in lower case, as the RFC Editor writes it.
    pub lower_case: bool,
}

impl FileName {
    /// Reads a file name; `None` when it names no document.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (prefix, rest) = name.split_at_checked(3)?;
        if !prefix.eq_ignore_ascii_case("rfc") {
            return None;
        }
        let (digits, extension) = rest.split_once('.')?;
        if digits.is_empty() || digits.len() > MAX_NUMBER_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit())
        {
            return None;
        }
        let number = RfcNumber::new(digits.parse().ok()?)?;
        let extension = extension.to_ascii_lowercase();
        let (extension, compressed) = match extension.strip_suffix(".gz") {
            Some(inner) => (inner, true),
            None => (extension.as_str(), false),
        };
        let format = Format::ALL.into_iter().find(|format| format.extension() == extension)?;
        Some(Self {
            key: DocumentKey { number, format },
            compressed,
            padded: digits.starts_with('0'),
            lower_case: !name.bytes().any(|byte| byte.is_ascii_uppercase()),
        })
    }

    /// Orders the names of one document within a folder: the least is the one that is shared. `rfc791.txt` comes
    /// before `RFC791.TXT`, both before `rfc0791.txt`, and all of them before `rfc791.txt.gz`.
    #[must_use]
    pub(super) fn rank(&self) -> (bool, bool, bool) {
        (self.compressed, self.padded, !self.lower_case)
    }
}
