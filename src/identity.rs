//! Who takes part: peer names, session ids, and the secret with which a peer takes its own session over.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    limits,
    text::{hex, hex_digits},
};

/// The name that a peer chose for people to read: letters, digits, `.`, `_` and `-`, starting with a letter or digit.
/// Clones share the text: a registry names each peer in many answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(Arc<str>);

/// Why a text is no peer name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer name has 1 to {max} characters out of letters, digits, '.', '_' and '-', starts with a letter or digit, and is no id of 32 hexadecimal digits", max = limits::MAX_NAME_BYTES)]
pub struct NameError;

impl PeerName {
    /// The text; safe to show as it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let starts_well = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        // Whoever is asked for a peer by such a text could not tell a name from a session's id.
        let is_id = parse_id(text).is_ok();
        if text.len() > limits::MAX_NAME_BYTES || !starts_well || !text.bytes().all(allowed) || is_id {
            return Err(NameError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Bytes in an id that the registry draws at random: 128 bits cannot be guessed, nor collide by chance.
const ID_BYTES: usize = 16;

/// A text that is no id of 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id has 32 lower-case hexadecimal digits")]
pub struct IdError;

fn parse_id(text: &str) -> Result<[u8; ID_BYTES], IdError> {
    if text.len() != 2 * ID_BYTES || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(IdError);
    }
    u128::from_str_radix(text, 16)
        .map(u128::to_be_bytes)
        .map_err(|_| IdError)
}

fn fmt_id(id: &[u8; ID_BYTES], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&hex(id))
}

/// The public id of one session of a peer. A peer that registers anew gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; ID_BYTES]);

impl SessionId {
    /// An id from random bytes; the caller draws them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// All its digits, as [`Display`](fmt::Display) has them.
    pub(crate) fn digits(&self) -> [u8; 2 * ID_BYTES] {
        let mut digits = [0; 2 * ID_BYTES];
        for (place, byte) in digits.as_chunks_mut().0.iter_mut().zip(self.0) {
            *place = hex_digits(byte);
        }
        digits
    }

    /// The first 8 digits, for logs and tables.
    #[must_use]
    pub fn fmt_short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_id(&self.0, f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.fmt_short())
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_id(text).map(Self)
    }
}

/// The secret that proves to the registry that a session is one's own. Never shown in logs.
#[derive(Clone, Copy)]
pub struct ResumeToken([u8; ID_BYTES]);

impl ResumeToken {
    /// A token from random bytes; the caller draws them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The token as it goes over the wire.
    #[must_use]
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }
}

impl PartialEq for ResumeToken {
    /// Takes the same time wherever the tokens differ, so that timing tells a guesser nothing.
    fn eq(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
    }
}

impl Eq for ResumeToken {}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken(secret)")
    }
}

impl FromStr for ResumeToken {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_id(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["alice", "7", "a-b_c.d", &"x".repeat(64)] {
            assert_eq!(name.parse::<PeerName>().unwrap().as_str(), name);
        }
        for name in [
            "",
            "-a",
            ".a",
            "a b",
            "a\u{1b}[0m",
            "é",
            &"x".repeat(65),
            &"a0".repeat(16),
        ] {
            assert_eq!(name.parse::<PeerName>(), Err(NameError), "{name}");
        }
    }

    #[test]
    fn ids_round_trip_and_reject_everything_else() {
        let id = SessionId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "0",
            "+00102030405060708090a0b0c0d0eff",
            "000102030405060708090A0B0C0D0EFF",
            &"é".repeat(16),
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn tokens_stay_secret() {
        let token = ResumeToken::from_bytes([7; 16]);
        assert!(!format!("{token:?}").contains('7'));
        assert_eq!(token.reveal().parse::<ResumeToken>().unwrap(), token);
        assert_ne!(ResumeToken::from_bytes([8; 16]), token);
    }
}
