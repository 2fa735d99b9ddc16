//! What of an RFC's text is worth finding: without what every page repeats, and without the table of contents.

use std::{borrow::Cow, collections::BTreeSet};

/// Of a text, so many bytes are looked at: the longest real one has 1.5 MB.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// Lines of a table of contents at most; the longest real one has about 400. One that does not end by then is none.
const MAX_CONTENTS_LINES: usize = 600;

/// Dots in a row that lead to a page's number.
const LEADER: &str = "....";

/// The same, with spaces between them.
const SPACED_LEADER: &str = ". . . .";

/// The lines of a text that were kept: no line is empty twice in a row, and none ends in white space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text {
    pub(super) lines: Vec<String>,
}

impl Text {
    /// Reads a text. Whatever is no UTF-8 is replaced, and control characters are spaces.
    #[must_use]
    pub(super) fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let bytes = bytes.get(..MAX_TEXT_BYTES).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let mut pages = Pages::default();
        for line in text.split('\n') {
            let mut parts = line.split('\u{c}');
            pages.add(parts.next().unwrap_or_default());
            for part in parts {
                pages.at_top = true;
                pages.add(part);
            }
        }
        Self {
            lines: without_contents(pages.lines),
        }
    }

    /// The numbers of the RFCs that it names: `RFC 791`, `[RFC0791]`, `RFC-791`.
    #[must_use]
    pub(super) fn cited(&self) -> BTreeSet<u32> {
        let text = self.joined();
        let after = text
            .match_indices("RFC")
            .filter_map(|(at, found)| text.get(at + found.len()..));
        let numbers = after.filter_map(|rest| {
            let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '#'));
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest.get(..end)?.parse().ok()
        });
        numbers.collect()
    }

    /// All of it.
    #[must_use]
    pub(super) fn joined(&self) -> String {
        self.lines.join("\n")
    }
}

/// Puts pages together.
#[derive(Debug, Default)]
struct Pages {
    lines: Vec<String>,
    /// Whether the next line may be the one that each page begins with.
    at_top: bool,
    /// Whether a page has ended since the last line that was kept.
    is_broken: bool,
}

impl Pages {
    fn add(&mut self, line: &str) {
        let line = if line.contains(char::is_control) {
            Cow::from(line.replace(char::is_control, " "))
        } else {
            Cow::from(line)
        };
        let line = line.trim_end();
        if line.is_empty() {
            if self.lines.last().is_some_and(|last| !last.is_empty()) {
                self.lines.push(String::new());
            }
            return;
        }
        if is_footer(line) {
            self.at_top = true;
            self.is_broken = true;
            return;
        }
        if std::mem::take(&mut self.at_top) && is_header(line) {
            self.is_broken = true;
            return;
        }
        // A paragraph goes on where the page before ended.
        let goes_on = line.trim_start().starts_with(|c: char| c.is_lowercase());
        if std::mem::take(&mut self.is_broken) && goes_on && self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
        self.lines.push(line.to_owned());
    }
}

/// `Fielding, et al.            Standards Track                     [Page 1]`
fn is_footer(line: &str) -> bool {
    let Some((_, page)) = line.strip_suffix(']').and_then(|line| line.rsplit_once('[')) else {
        return false;
    };
    let mut words = page.split_whitespace();
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("page"))
        && words
            .next()
            .is_some_and(|number| number.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        && words.next().is_none()
}

/// `RFC 2616                        HTTP/1.1                       June 1999`
fn is_header(line: &str) -> bool {
    let rest = line.get(..3).filter(|start| start.eq_ignore_ascii_case("rfc"));
    let number = rest.and_then(|_| line.get(3..)).unwrap_or_default().trim_start();
    number.starts_with(|c: char| c.is_ascii_digit()) && line.contains("   ")
}

/// `1.1    Purpose......................................................7`
fn is_led(line: &str) -> bool {
    let before = line.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, 'i' | 'v' | 'x'));
    let before = before.trim_end();
    before.ends_with('.') && (before.contains(LEADER) || before.contains(SPACED_LEADER))
}

/// Leaves out lines of dots that lead to a page, and the table of contents of texts that have no pages: what is indented
/// between its heading and the next line at the left margin.
fn without_contents(lines: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(lines.len());
    let mut skipped_to = 0;
    for (at, line) in lines.iter().enumerate() {
        if at < skipped_to || is_led(line) {
            continue;
        }
        if line.eq_ignore_ascii_case("table of contents") {
            let rest = lines.get(at + 1..).unwrap_or_default();
            let ends = |line: &String| !line.is_empty() && !line.starts_with(' ') && !is_led(line);
            if let Some(length) = rest.iter().take(MAX_CONTENTS_LINES).position(ends) {
                skipped_to = at + 1 + length;
                continue;
            }
        }
        if !line.is_empty() || kept.last().is_some_and(|last| !last.is_empty()) {
            kept.push(line.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn read(text: &str) -> String {
        Text::of(text.as_bytes()).joined()
    }

    #[test]
    fn what_pages_repeat_is_left_out() {
        let text = "A paragraph that goes\n\n\n\nFielding, et al.            Standards Track                     [Page 1]\n\
            \u{c}\nRFC 2616                        HTTP/1.1                       June 1999\n\n\non on the next page.\n\n\
            Waitzman                                                        [Page iv]\n\u{c}RFC 1149             Avian         \
            1 April 1990\n\n\nAnother one.\n";
        assert_eq!(
            read(text),
            "A paragraph that goes\non on the next page.\n\nAnother one.\n"
        );
        assert_eq!(Text::of(b"\0\n").lines, [""; 0], "nothing is left of what nobody sees");
        let kept = "See [Page 3] of it\nRFC 2616 says so\nas does [Page]";
        assert_eq!(read(kept), kept);
    }

    #[test]
    fn tables_of_contents_are_left_out() {
        let led = "Table of Contents\n\n   1   Introduction ...................7\n   1.1 Purpose. . . . . . . . 8\n\n1   Introduction\n\n   Text.";
        assert_eq!(read(led), "1   Introduction\n\n   Text.");
        let plain =
            "Table of Contents\n\n   1.  Introduction\n     1.1.  Purpose\n\n1.  Introduction\n\n   And so on ...";
        assert_eq!(read(plain), "1.  Introduction\n\n   And so on ...");
        let endless = format!("Table of Contents\n{}", "   all of it is indented\n".repeat(1000));
        assert!(read(&endless).len() > endless.len() / 2);
    }

    #[test]
    fn real_texts_keep_what_they_say() {
        let bytes = include_bytes!("../../../xtask/samples/bob/rfc2616.txt");
        let text = Text::of(bytes);
        assert!(text.lines.iter().any(|line| line == "10.4.5 404 Not Found"));
        assert!(!text.lines.iter().any(|line| is_footer(line) || is_led(line)));
        let repeated = text.lines.iter().filter(|line| line.ends_with("June 1999"));
        assert!(repeated.count() <= 1, "the first page only");
        assert!(text.joined().len() > bytes.len() / 2);
    }

    #[test]
    fn what_a_text_cites_is_found() {
        let text =
            Text::of(b"RFC 791, [RFC0792], RFC-793; RFC\n   2119 and RFC 2119. RFCs, RFC x, RFC 99999999999, 768");
        assert_eq!(Vec::from_iter(text.cited()), [791, 792, 793, 2119]);
    }

    proptest! {
        #[test]
        fn any_bytes_make_lines(bytes in vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(0xc), Just(b'.'), Just(b' ')], 0..400)) {
            let text = Text::of(&bytes);
            for line in &text.lines {
                prop_assert!(!line.contains(char::is_control) && line.trim_end() == line);
            }
            prop_assert!(!text.lines.windows(2).any(|two| two.iter().all(String::is_empty)));
        }
    }
}
