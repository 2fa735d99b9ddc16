//! SHA-256 digests (FIPS 180-4): the part of a document's identity that every user can check with `sha256sum`.

use std::{fmt, str::FromStr};

use sha2::Digest as _;

use crate::text::hex;

/// Bytes in a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// The SHA-256 digest of a document's bytes. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; DIGEST_BYTES]);

/// Why a text is no digest or no digest prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// A digest must have 64 digits.
    #[error("a SHA-256 digest has 64 hexadecimal digits, not {0}")]
    Length(usize),
    /// A prefix must have 1 to 64 digits.
    #[error("a digest prefix has 1 to 64 hexadecimal digits, not {0}")]
    PrefixLength(usize),
    /// Something else than 0-9, a-f.
    #[error("a SHA-256 digest consists of hexadecimal digits only")]
    NotHex,
}

impl Sha256 {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// The first 12 digits, enough for people to tell digests apart.
    #[must_use]
    pub fn fmt_short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({})", self.fmt_short())
    }
}

impl FromStr for Sha256 {
    type Err = DigestError;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        if text.len() != 2 * DIGEST_BYTES {
            return Err(DigestError::Length(text.chars().count()));
        }
        let mut bytes = [0; DIGEST_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = pair
                .iter()
                .try_fold(0, |value, digit| Some(value << 4 | hex_value(*digit)?))
                .ok_or(DigestError::NotHex)?;
        }
        Ok(Self(bytes))
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The leading digits of a digest, with which a user chooses among documents of one number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DigestPrefix(String);

impl DigestPrefix {
    /// Whether `digest` starts with these digits.
    #[must_use]
    pub fn matches(&self, digest: &Sha256) -> bool {
        // Nearly every question leaves the digest open, and is not worth spelling one out.
        self.0.is_empty() || digest.to_string().starts_with(&self.0)
    }

    /// The digits, in lower case. Empty for the prefix of every digest (the default).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DigestPrefix {
    type Err = DigestError;

    /// Reads 1 to 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        if text.is_empty() || text.len() > 2 * DIGEST_BYTES {
            return Err(DigestError::PrefixLength(text.chars().count()));
        }
        if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(DigestError::NotHex);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Computes a digest from pieces.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-4 example: the digest of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digest_of_pieces_is_digest_of_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Sha256::of(b"abc"));
        assert_eq!(Sha256::of(b"abc").to_string(), ABC);
    }

    #[test]
    fn parses_both_cases_and_rejects_the_rest() {
        assert_eq!(ABC.parse(), Ok(Sha256::of(b"abc")));
        assert_eq!(ABC.to_uppercase().parse(), Ok(Sha256::of(b"abc")));
        assert_eq!("".parse::<Sha256>(), Err(DigestError::Length(0)));
        assert_eq!(ABC[1..].parse::<Sha256>(), Err(DigestError::Length(63)));
        assert_eq!(ABC.replace('b', "g").parse::<Sha256>(), Err(DigestError::NotHex));
        assert_eq!("é".repeat(32).parse::<Sha256>(), Err(DigestError::NotHex));
    }

    #[test]
    fn prefixes_match_their_digests_only() {
        let digest = Sha256::of(b"abc");
        assert!("BA7".parse::<DigestPrefix>().unwrap().matches(&digest));
        assert!(ABC.parse::<DigestPrefix>().unwrap().matches(&digest));
        assert!(!"ba8".parse::<DigestPrefix>().unwrap().matches(&digest));
        assert!(DigestPrefix::default().matches(&digest));
        assert_eq!("".parse::<DigestPrefix>(), Err(DigestError::PrefixLength(0)));
        assert_eq!("xyz".parse::<DigestPrefix>(), Err(DigestError::NotHex));
    }
}
