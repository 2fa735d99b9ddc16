//! Facts on the first page of an RFC's text: what it obsoletes and updates, who wrote it and when, its abstract.
//!
//! A first page has two columns: to the left what the RFC is (`Obsoletes: 2818, 7230,` and so on), to the right who wrote it,
//! and when. The early ones have all kinds of pages; what does not look like either column tells nothing.

use std::borrow::Cow;

use p2p_ci::{
    document::{Format, RfcNumber, UnixSeconds},
    facts::{Facts, Issued, Line, Prose, Published, Reference, Series, Source, Status, Stream},
};

use crate::library::title;

/// The first bytes of a text in which its heading and its abstract are: two pages and more.
pub const HEAD_BYTES: usize = 12 * 1024;

/// Lines among which the heading ends.
const HEADING_LINES: usize = 60;

/// Spaces that part the columns.
const GAP: &str = "   ";

/// Lines of an abstract: a page has 58.
const ABSTRACT_LINES: usize = 120;

/// What the text of RFC `number` tells of it, given its first [`HEAD_BYTES`], and when it was last modified.
#[must_use]
pub fn parse(number: RfcNumber, head: &[u8], size_bytes: u64, as_of: Option<UnixSeconds>) -> Facts {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(head);
    let mut heading = Heading::default();
    let lines = text.lines().skip_while(|line| line.trim().is_empty());
    for line in lines.take(HEADING_LINES) {
        // The first empty line ends both columns; one of spaces has an empty place in the second.
        if line.is_empty() {
            break;
        }
        heading.read(line);
    }
    let mut issued = heading.issued;
    issued.title = title::of_file(Format::Txt, head, size_bytes);
    issued.summary = Prose::from_lossy(&abstract_of(&text));
    issued.formats = Line::from_lossy("TXT").into_iter().collect();
    issued.published_as = issued.status;
    Facts {
        number,
        source: Source::Text,
        as_of,
        issued: Some(Box::new(issued.bounded())),
    }
}

/// What lists of numbers can go on in the next line.
#[derive(Debug, Clone, Copy)]
enum Relation {
    Obsoletes,
    Updates,
}

#[derive(Debug, Default)]
struct Heading {
    issued: Issued,
    /// The list that may go on.
    open: Option<Relation>,
}

impl Heading {
    fn read(&mut self, line: &str) {
        let (left, right) = columns(line);
        if left.is_empty() {
            self.open = self.open.filter(|_| !right.is_empty());
        } else {
            self.read_left(left);
        }
        self.read_right(right);
    }

    fn read_left(&mut self, left: &str) {
        let (label, value) = left.split_once(':').unwrap_or(("", left));
        let known = match label.trim().to_ascii_lowercase().as_str() {
            "obsoletes" | "replaces" => Some(Relation::Obsoletes),
            "updates" => Some(Relation::Updates),
            "" if self.open.is_some() && is_list(value) => self.open,
            label => {
                self.read_label(label, value.trim());
                None
            }
        };
        self.open = known;
        let Some(relation) = known else { return };
        let references = numbers(value).map(Reference::to_rfc);
        match relation {
            Relation::Obsoletes => self.issued.obsoletes.extend(references),
            Relation::Updates => self.issued.updates.extend(references),
        }
    }

    fn read_label(&mut self, label: &str, value: &str) {
        match label {
            "category" | "categories" => self.issued.status = status_of(value, &self.issued.also),
            "std" | "bcp" | "fyi" => {
                let series = Series::ALL
                    .into_iter()
                    .find(|series| series.name().eq_ignore_ascii_case(label));
                let number = numbers(value).next();
                let also = series.zip(number).map(|(series, number)| Reference { series, number });
                self.issued.also.extend(also);
            }
            _ => {
                let lower = value.to_ascii_lowercase();
                let stream = match lower.as_str() {
                    "internet engineering task force (ietf)" => Some(Stream::Ietf),
                    "internet research task force (irtf)" => Some(Stream::Irtf),
                    "internet architecture board (iab)" => Some(Stream::Iab),
                    "independent submission" => Some(Stream::Independent),
                    _ => None,
                };
                self.issued.stream = self.issued.stream.or(stream);
            }
        }
    }

    fn read_right(&mut self, right: &str) {
        if let Ok(published) = right.parse::<Published>() {
            self.issued.published = Some(as_indexed(published));
        } else if is_author(right) {
            self.issued
                .authors
                .extend(Line::from_lossy(&right.replace(", Editor", ", Ed.")));
        }
    }
}

/// A date as the RFC Editor lists it: with the day on the first of April only.
fn as_indexed(date: Published) -> Published {
    let is_joke = date.day == Some(1) && date.month.is_some_and(|month| month.number() == 4);
    Published {
        day: date.day.filter(|_| is_joke),
        ..date
    }
}

/// The two columns of a line; a line that begins far to the right has the second one only.
fn columns(line: &str) -> (&str, &str) {
    let line = line.trim_end();
    let trimmed = line.trim_start();
    const RIGHT_COLUMN: usize = 36;
    if line.len() - trimmed.len() >= RIGHT_COLUMN {
        return ("", trimmed);
    }
    match trimmed.split_once(GAP) {
        Some((left, right)) => (left.trim_end(), right.trim_start()),
        None => (trimmed, ""),
    }
}

/// Whether a line holds nothing but numbers of RFCs.
fn is_list(text: &str) -> bool {
    let word = |word: &str| {
        let word = word.trim_end_matches([',', '.', ';']);
        let digits = word.strip_prefix("RFC").unwrap_or(word);
        digits.is_empty() || digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    text.split_whitespace().all(|part| word(part) || part == "and")
}

/// The numbers of a list such as `2818, RFC 7230, 7231 (if approved)`.
fn numbers(text: &str) -> impl Iterator<Item = RfcNumber> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.strip_prefix("RFC").unwrap_or(word))
        .filter(|word| !word.is_empty() && word.bytes().all(|digit| digit.is_ascii_digit()))
        .filter_map(|digits| digits.parse().ok().and_then(RfcNumber::new))
}

/// What a category says. On the standards track, only a standard has a number of its own among the standards.
fn status_of(category: &str, also: &[Reference]) -> Status {
    let lower: Cow<'_, str> = category.to_ascii_lowercase().into();
    let is_std = also.iter().any(|reference| reference.series == Series::Std);
    match lower.as_ref() {
        "standards track" | "standards-track" if is_std => Status::InternetStandard,
        "standards track" | "standards-track" => Status::ProposedStandard,
        "best current practice" => Status::BestCurrentPractice,
        other => other.parse().unwrap_or_default(),
    }
}

/// Whether a text is a name as RFCs have them: initials, then a family name, perhaps `Ed.`: `P. van der Stok, Ed.`.
fn is_author(text: &str) -> bool {
    const MOST_BYTES: usize = 60;
    let name = text.trim_end_matches([',', '.']);
    let name = name
        .strip_suffix(", Ed")
        .or(name.strip_suffix(", Editor"))
        .unwrap_or(name);
    let mut words = name.split_whitespace();
    let is_initials = |word: &str| {
        word.split(['.', '-'])
            .filter(|part| !part.is_empty())
            .all(|part| part.chars().count() <= 2 && part.starts_with(char::is_uppercase))
            && word.ends_with('.')
    };
    let first = words.next().is_some_and(is_initials);
    let family = words.rfind(|word| !is_initials(word));
    first
        && text.len() <= MOST_BYTES
        && !text.contains(['@', ':', '('])
        && family.is_some_and(|family| family.chars().any(char::is_alphabetic))
}

/// The lines under the heading `Abstract`, up to the next line that is not set in.
fn abstract_of(text: &str) -> String {
    let is_heading = |line: &&str| {
        line.trim()
            .trim_end_matches(['.', ':'])
            .eq_ignore_ascii_case("abstract")
    };
    let mut lines = text.lines();
    let Some(heading) = lines.find(is_heading) else {
        return String::new();
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let body = lines.take_while(|line| line.trim().is_empty() || indent(line) > indent(heading));
    // A page may end within: its last line and the next one's first are not set in, or hold the number of a page.
    let body: Vec<&str> = body.take(ABSTRACT_LINES).collect();
    body.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(number: u32, text: &str) -> Issued {
        let number = RfcNumber::new(number).unwrap();
        let facts = parse(number, text.as_bytes(), text.len() as u64, None);
        assert_eq!((facts.number, facts.source), (number, Source::Text));
        *facts.issued.unwrap()
    }

    fn shown(references: &[Reference]) -> String {
        let shown: Vec<String> = references
            .iter()
            .map(|reference| reference.number.to_string())
            .collect();
        shown.join(" ")
    }

    #[test]
    fn both_columns_of_a_first_page_are_read() {
        let issued = facts(9110, include_str!("../../../xtask/samples/alice/rfc9110.txt"));
        assert_eq!(issued.title.as_str(), "HTTP Semantics");
        assert_eq!(shown(&issued.obsoletes), "2818 7230 7231 7232 7233 7235 7538 7615 7694");
        assert_eq!(shown(&issued.updates), "3864");
        assert_eq!(issued.also.first().unwrap().to_string(), "STD 97");
        let authors: Vec<&str> = issued.authors.iter().map(Line::as_str).collect();
        assert_eq!(authors, ["R. Fielding, Ed.", "M. Nottingham, Ed.", "J. Reschke, Ed."]);
        assert_eq!(issued.published.unwrap().to_string(), "June 2022");
        assert_eq!(
            (issued.status, issued.stream),
            (Status::InternetStandard, Some(Stream::Ietf))
        );
        assert!(
            issued
                .summary
                .as_str()
                .starts_with("The Hypertext Transfer Protocol (HTTP) is a stateless application-")
        );
        assert!(issued.summary.as_str().ends_with("portions of 7230."));
    }

    #[test]
    fn pages_of_every_age_tell_what_they_tell() {
        let issued = facts(2119, include_str!("../../../xtask/samples/bob/rfc2119.txt"));
        assert_eq!(issued.also.first().unwrap().to_string(), "BCP 14");
        assert_eq!(issued.status, Status::BestCurrentPractice);
        let issued = facts(1, include_str!("../../../xtask/samples/alice/rfc1.txt"));
        assert!(issued.obsoletes.is_empty() && issued.also.is_empty());
        for text in [
            "",
            "\n\n\n",
            "\u{c}",
            "Obsoletes:",
            "Abstract",
            "STD: x\nUpdates: 0, 99999999999",
            ":::\n   :",
        ] {
            let issued = facts(1, text);
            assert!(issued.obsoletes.is_empty() && issued.updates.is_empty(), "{text}");
        }
    }

    #[test]
    fn names_are_told_from_places() {
        for name in [
            "R. Fielding, Ed.",
            "P. van der Stok",
            "J.K. Reynolds",
            "L-N. Hamer",
            "T. O'Reilly",
        ] {
            assert!(is_author(name), "{name}");
        }
        for other in [
            "",
            "Adobe",
            "Columbia U.",
            "AT&T",
            "June 2002",
            "USC/ISI",
            "A.",
            "U.S.A. (x) y",
            "Request for X",
        ] {
            assert!(!is_author(other), "{other}");
        }
    }
}
