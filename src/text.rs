//! How strings of others are shown: nothing they hold can move a cursor, recolour a terminal or reverse a line.

use std::fmt;

/// Shows `text` with every character escaped that could act on a terminal or mislead its reader.
///
/// Escaped as `\u{…}` are the control characters C0, C1 and DEL, the line and paragraph separators, and Unicode's
/// bidirectional controls (Unicode Standard Annex #9). Escaping is idempotent and keeps everything else as it is.
#[must_use]
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// The same of each line of a text: the ends of lines stay.
#[must_use]
pub fn escaped_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| escaped(line).to_string()).collect();
    lines.join("\n")
}

/// The start of `text`, escaped: at most `most_bytes` bytes, and a `…` where something is left out. How an error repeats what
/// it is about: escapes are up to eight times as long as what they stand for.
#[must_use]
pub fn excerpt(text: &str, most_bytes: usize) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let piece = escaped(c.encode_utf8(&mut [0; 4])).to_string();
        if shown.len() + piece.len() > most_bytes {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

/// Any text as one line: white space is folded, control characters are dropped, the rest is cut at `most_bytes`.
#[must_use]
pub fn folded(text: &str, most_bytes: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        let start = line.len();
        if start > 0 {
            line.push(' ');
        }
        let before = line.len();
        line.extend(word.chars().filter(|c| !c.is_control()));
        // Nothing is left of a word that was control characters only.
        if line.len() == before {
            line.truncate(start);
        }
        if line.len() > most_bytes {
            break;
        }
    }
    let mut end = line.len().min(most_bytes);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line.truncate(line.trim_end().len());
    line
}

/// A byte as two lower-case hexadecimal digits.
pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0xf].map(|value| match value {
        0..10 => b'0' + value,
        _ => b'a' + value - 10,
    })
}

/// Bytes as two lower-case hexadecimal digits each. Answers spell out thousands of ids and digests, for which the
/// formatter of the standard library takes several times as long.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| hex_digits(*byte)).collect();
    // Digits are text.
    String::from_utf8(digits).unwrap_or_default()
}

/// The [`fmt::Display`] of a string of somebody else.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| {
            if is_active(c) {
                write!(f, "{}", c.escape_unicode())
            } else {
                f.write_char(c)
            }
        })
    }
}

fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn what_acts_is_escaped_and_the_rest_stays() {
        assert_eq!(escaped("HTTP Semantics – é").to_string(), "HTTP Semantics – é");
        assert_eq!(escaped("\u{1b}]0;x\u{7}").to_string(), "\\u{1b}]0;x\\u{7}");
        assert_eq!(
            escaped("a\u{202e}b\u{9b}31m\n").to_string(),
            "a\\u{202e}b\\u{9b}31m\\u{a}"
        );
    }

    #[test]
    fn lines_end_where_they_did() {
        assert_eq!(escaped_lines("a\u{1b}[2J\r\n\nb\n"), "a\\u{1b}[2J\\u{d}\n\nb\n");
    }

    /// Any characters. What proptest draws as a `String` holds none of those that act.
    fn any_text() -> impl Strategy<Value = String> {
        vec(any::<char>(), 0..64).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn nothing_active_comes_out_and_twice_is_once(text in any_text()) {
            let once = escaped(&text).to_string();
            prop_assert!(!once.chars().any(is_active));
            prop_assert_eq!(escaped(&once).to_string(), once);
        }
    }

    #[test]
    fn an_excerpt_is_short_however_much_is_escaped() {
        assert_eq!(excerpt("rfc9110", 7), "rfc9110");
        assert_eq!(excerpt("rfc9110x", 7), "rfc9110…");
        assert_eq!(excerpt("a\u{202e}b", 9), "a\\u{202e}…");
        assert_eq!(excerpt("\u{202e}", 7), "…", "no escape is cut");
        assert_eq!(excerpt("ééé", 5), "éé…", "nor is a character");
    }

    #[test]
    fn bytes_are_two_digits_each() {
        assert_eq!(hex(&[0x00, 0x0f, 0x9a, 0xff]), "000f9aff");
        assert_eq!(hex(&[]), "");
    }
}
