//! `rfc-index.txt`: entries of a few lines each, behind a page that explains them.

use std::io::{self, Write};

use super::{
    entry::{Style, told},
    wrap::{Breaks, wrapped},
};
use crate::{facts::Catalogue, output::human};

/// What is before the first entry. It has as many lines as in the RFC Editor's index, since some readers pass over them by
/// their number, and none of them begins with a number. The first line that says `CREATED ON` gets the day.
const HEADING: &str = include_str!("heading.txt");

/// What of the heading stands for the day.
const DAY: &str = "mm/dd/yyyy";

/// Writes `rfc-index.txt`: all RFCs of a catalogue, ascending. Each entry is one write.
///
/// The day in it is that of the newest facts, so the same facts make the same bytes.
///
/// # Errors
///
/// Those of `out`.
pub fn write_txt(catalogue: &Catalogue, style: Style, mut out: impl Write) -> io::Result<()> {
    out.write_all(heading(catalogue).as_bytes())?;
    for (at, facts) in catalogue.iter().enumerate() {
        let breaks = match style {
            Style::Legacy => Breaks::Spaces,
            Style::Since2026 => Breaks::Hyphens,
        };
        let lines = wrapped(&style.number(facts.number), &told(&facts, style), breaks);
        let gap = if at == 0 { "" } else { "\n" };
        let end = match style {
            Style::Legacy => " \n",
            Style::Since2026 => "\n",
        };
        out.write_all(format!("{gap}{}{end}", lines.join("\n")).as_bytes())?;
    }
    out.flush()
}

fn heading(catalogue: &Catalogue) -> String {
    let newest = catalogue.newest().map(human::utc);
    let day = newest.as_deref().and_then(|time| {
        let (day, _) = time.split_once('T')?;
        let (year, day) = day.split_once('-')?;
        Some(format!("{}/{year}", day.replace('-', "/")))
    });
    HEADING.replacen(DAY, day.as_deref().unwrap_or("unknown"), 1)
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        document::{RfcNumber, Title, UnixSeconds},
        facts::{Facts, Issued, Line, Source, Status},
    };
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Lines before the first entry of the RFC Editor's index.
    const HEADING_LINES: usize = 66;

    const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().filter_map(|text| Line::from_lossy(text)).collect()
    }

    fn facts(number: u32, issued: Option<Issued>) -> Facts {
        Facts {
            number: RfcNumber::new(number).unwrap(),
            source: Source::Record,
            as_of: Some(UnixSeconds(1_674_259_200)),
            issued: issued.map(Box::new),
        }
    }

    fn catalogue(all: impl IntoIterator<Item = Facts>) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for facts in all {
            catalogue.learn(facts, NOW);
        }
        catalogue
    }

    fn written(catalogue: &Catalogue, style: Style) -> String {
        let mut bytes = Vec::new();
        write_txt(catalogue, style, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn parsed(texts: &[&str]) -> Vec<p2p_ci::facts::Reference> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn conventions() -> Issued {
        Issued {
            title: Title::from_lossy("Documentation conventions"),
            authors: lines(&["S.D. Crocker"]),
            published: "July 1969".parse().ok(),
            obsoletes: parsed(&["RFC3"]),
            obsoleted_by: parsed(&["RFC16"]),
            updated_by: parsed(&["RFC24", "RFC27", "RFC30"]),
            also: parsed(&["BCP14", "STD1"]),
            formats: lines(&["HTML", "TXT"]),
            ..Issued::default()
        }
    }

    fn titled(title: &str) -> Issued {
        Issued {
            title: Title::from_lossy(title),
            ..Issued::default()
        }
    }

    /// Where entries begin and end for rfc-mode of Emacs: at `^[0-9]+ `, and at the first line from there on that ends with
    /// a space; `None` where there is no such line, of which it makes an error.
    fn entries_of_rfc_mode(index: &str) -> Option<Vec<(u32, String)>> {
        let mut entries = Vec::new();
        let mut lines = index.split('\n');
        while let Some(first) = lines.next() {
            let digits = first.len() - first.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = first.split_at(digits);
            if number.is_empty() || !rest.starts_with(' ') {
                continue;
            }
            let (mut entry, mut line) = (first.to_owned(), first);
            while !line.ends_with(' ') {
                line = lines.next()?;
                entry.push(' ');
                entry.push_str(line);
            }
            let words: Vec<&str> = entry.split_whitespace().collect();
            let words = words.join(" ");
            let (_, title) = words.split_once(' ')?;
            let end = title.find(". ").or(title.strip_suffix('.').map(str::len))?;
            entries.push((number.parse().ok()?, title.get(..end)?.to_owned()));
        }
        Some(entries)
    }

    #[test]
    fn the_heading_has_as_many_lines_as_readers_pass_over() {
        for style in [Style::Legacy, Style::Since2026] {
            let index = written(&catalogue([facts(1, Some(titled("Host Software")))]), style);
            let heading: Vec<&str> = index.lines().take(HEADING_LINES).collect();
            assert!(heading.contains(&"(CREATED ON: 01/21/2023.)"));
            assert!(
                !heading
                    .iter()
                    .any(|line| line.starts_with(|c: char| c.is_ascii_digit()) || line.ends_with(' '))
            );
            let first = index.lines().nth(HEADING_LINES).unwrap();
            assert!(first.contains("1 Host Software. "), "{first}");
        }
        let unknown = written(&Catalogue::default(), Style::Legacy);
        assert!(unknown.contains("\n(CREATED ON: unknown.)\n") && unknown.lines().count() == HEADING_LINES);
    }

    #[test]
    fn entries_are_those_of_either_form() {
        let all = catalogue([
            facts(10, Some(conventions())),
            facts(14, None),
            facts(100_000, Some(titled("Host-to-host"))),
            facts(9999, Some(titled("A Title"))),
            facts(10_052, None),
        ]);
        let entries = |style| {
            let index = written(&all, style);
            let entries: Vec<&str> = index.split_inclusive('\n').skip(HEADING_LINES).collect();
            entries.concat()
        };
        assert_eq!(
            entries(Style::Legacy),
            "0010 Documentation conventions. S.D. Crocker. July 1969. (Format: TXT,\n     \
                  HTML) (Obsoletes RFC0003) (Obsoleted by RFC0016) (Updated by\n     \
                  RFC0024, RFC0027, RFC0030) (Also STD0001, BCP0014) (Status: UNKNOWN)\n     \
                  (DOI: 10.17487/RFC0010) \n\n\
             0014 Not Issued. \n\n\
             9999 A Title. (Status: UNKNOWN) (DOI: 10.17487/RFC9999) \n\n\
             10052 Not Issued. \n\n\
             100000 Host-to-host. (Status: UNKNOWN) (DOI: 10.17487/RFC100000) \n"
        );
        assert_eq!(
            entries(Style::Since2026),
            "10 Documentation conventions. S.D. Crocker. July 1969. (Format: TXT,\n     \
                  HTML) (Obsoletes RFC3) (Obsoleted by RFC16) (Updated by RFC24,\n     \
                  RFC27, RFC30) (Also STD1,BCP14) (Status: UNKNOWN) (DOI:\n     \
                  10.17487/RFC0010)\n\n\
             14 Not Issued.\n\n\
             9999 A Title. (Status: UNKNOWN) (DOI: 10.17487/RFC9999)\n\n\
             10052 Not Issued.\n\n\
             100000 Host-to-host. (Status: UNKNOWN) (DOI: 10.17487/RFC100000)\n"
        );
    }

    #[test]
    fn formats_are_in_the_order_of_the_time() {
        for (number, expected) in [
            (8649, "(Format: TXT, PS, PDF, HTML, XML, odd)"),
            (8650, "(Format: HTML, TXT, PS, PDF, XML, odd)"),
        ] {
            let issued = Issued {
                formats: lines(&["odd", "XML", "HTML", "PDF", "PS", "TXT"]),
                status: Status::Historic,
                ..titled("x")
            };
            assert!(told(&facts(number, Some(issued)), Style::Legacy).contains(expected));
        }
    }

    #[test]
    fn what_others_claim_breaks_no_entry() {
        let hostile = Issued {
            authors: lines(&["\u{1b}[31m", "A. B. \u{202e}", "0002 Not Issued. "]),
            doi: Line::from_lossy("x\u{2066}"),
            ..titled("0001 \u{9b} <b>&amp; \r\n0003 \u{2067}")
        };
        let double_spaced = Title::try_from(" ends  with spaces   ".to_owned()).unwrap();
        let all = catalogue([
            facts(1, Some(hostile)),
            facts(
                2,
                Some(Issued {
                    title: double_spaced,
                    ..Issued::default()
                }),
            ),
            facts(3, Some(Issued::default())),
            facts(4, Some(titled(&"x".repeat(500)))),
        ]);
        let index = written(&all, Style::Legacy);
        assert!(!index.contains(|c: char| c.is_control() && c != '\n'));
        assert!(index.contains("A. B. \\u{202e}, 0002 Not") && index.contains("(DOI: x\\u{2066})"));
        let entries = entries_of_rfc_mode(&index).unwrap();
        let titles: Vec<&str> = entries.iter().map(|(_, title)| title.as_str()).collect();
        assert_eq!(
            titles[..3],
            ["0001 <b>&amp; 0003 \\u{2067}", "ends with spaces", "Untitled"]
        );
        assert!(titles[3].starts_with(&"x".repeat(60)));
    }

    proptest! {
        /// Whatever titles and authors are, a reader of the old form finds each RFC once, in order.
        #[test]
        fn readers_of_the_old_form_find_every_entry(
            all in vec((1_u32..200_000, "[ -~é]{0,90}", vec("[ -~]{0,40}", 0..8), any::<bool>()), 0..12),
        ) {
            let all = catalogue(all.iter().map(|(number, title, authors, is_issued)| {
                let authors: Vec<&str> = authors.iter().map(String::as_str).collect();
                let issued = Issued { authors: lines(&authors), ..titled(title) };
                facts(*number, is_issued.then_some(issued))
            }));
            let index = written(&all, Style::Legacy);
            let found = entries_of_rfc_mode(&index).unwrap();
            let found: Vec<u32> = found.into_iter().map(|(number, _)| number).collect();
            let expected: Vec<u32> = all.iter().map(|facts| facts.number.get()).collect();
            prop_assert_eq!(found, expected);
            let new = written(&all, Style::Since2026);
            prop_assert!(!new.lines().any(|line| line.ends_with(' ') || line.chars().count() > 79));
        }
    }
}
