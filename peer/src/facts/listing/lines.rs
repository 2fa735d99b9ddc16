//! Indexes of one line for each RFC, as readers keep them that make their own out of `rfc-index.txt`.

use std::io::{self, Write};

use p2p_ci::{
    facts::{Reference, Series},
    text::escaped,
};

use super::entry::{Style, told};
use crate::facts::Catalogue;

/// What lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// `0010 Documentation conventions. S.D. Crocker. …`: entries of the old form, whole.
    Numbered,
    /// `RFC0010: Documentation conventions. S.D. Crocker. …` without the formats, and after those of all RFCs
    /// `STD0013: Domain names - concepts and facilities; … (RFC1034, RFC1035)`.
    Labelled,
}

/// Writes all RFCs of a catalogue, ascending. Each line is one write.
///
/// # Errors
///
/// Those of `out`.
pub fn write_lines(catalogue: &Catalogue, lines: Lines, mut out: impl Write) -> io::Result<()> {
    for facts in catalogue.iter() {
        let number = Style::Legacy.number(facts.number);
        let told = told(&facts, Style::Legacy);
        let words: Vec<&str> = told.split_whitespace().collect();
        let told = words.join(" ");
        let line = match lines {
            Lines::Numbered => format!("{number} {told}\n"),
            // There is nothing to read.
            Lines::Labelled if facts.issued.is_none() => continue,
            Lines::Labelled => format!("RFC{number}: {}\n", without_formats(&told)),
        };
        out.write_all(line.as_bytes())?;
    }
    if lines == Lines::Labelled {
        for set in catalogue.all_subseries().filter(|set| set.series == Series::Std) {
            out.write_all(line_of(catalogue, set).as_bytes())?;
        }
    }
    out.flush()
}

fn without_formats(told: &str) -> String {
    let Some((before, rest)) = told.split_once(" (Format: ") else {
        return told.to_owned();
    };
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// What a standard consists of.
fn line_of(catalogue: &Catalogue, set: Reference) -> String {
    let members = catalogue.members(set);
    let titles: Vec<String> = members
        .iter()
        .filter_map(|number| catalogue.get(*number)?.issued)
        .map(|issued| escaped(issued.title.as_str()).to_string())
        .collect();
    let ids: Vec<String> = members
        .iter()
        .map(|number| Reference::to_rfc(*number).padded())
        .collect();
    format!("{}: {} ({})\n", set.padded(), titles.join("; "), ids.join(", "))
}

#[cfg(test)]
mod tests {
    use p2p_ci::{
        document::{RfcNumber, Title, UnixSeconds},
        facts::{Facts, Issued, Line, Source},
    };

    use super::*;

    #[test]
    fn each_rfc_has_one_line() {
        let mut catalogue = Catalogue::default();
        for (number, title, also) in [
            (1034, "Domain names (Format: odd", "STD13"),
            (14, "", ""),
            (10_052, "Later", "BCP14"),
            (1035, "More of\u{202e} them", "STD13"),
        ] {
            let issued = Issued {
                title: Title::from_lossy(title),
                formats: Line::from_lossy("TXT").into_iter().collect(),
                also: also.parse().into_iter().collect(),
                ..Issued::default()
            };
            let facts = Facts {
                number: RfcNumber::new(number).unwrap(),
                source: Source::Index,
                as_of: None,
                issued: (!title.is_empty()).then(|| Box::new(issued)),
            };
            catalogue.learn(facts, UnixSeconds(1));
        }
        let written = |lines| {
            let mut bytes = Vec::new();
            write_lines(&catalogue, lines, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(
            written(Lines::Numbered).lines().collect::<Vec<_>>(),
            [
                "0014 Not Issued.",
                "1034 Domain names (Format: odd. (Format: TXT) (Also STD0013) (Status: UNKNOWN) (DOI: 10.17487/RFC1034)",
                "1035 More of\\u{202e} them. (Format: TXT) (Also STD0013) (Status: UNKNOWN) (DOI: 10.17487/RFC1035)",
                "10052 Later. (Format: TXT) (Also BCP0014) (Status: UNKNOWN) (DOI: 10.17487/RFC10052)",
            ]
        );
        assert_eq!(
            written(Lines::Labelled).lines().skip(1).collect::<Vec<_>>(),
            [
                "RFC1035: More of\\u{202e} them. (Also STD0013) (Status: UNKNOWN) (DOI: 10.17487/RFC1035)",
                "RFC10052: Later. (Also BCP0014) (Status: UNKNOWN) (DOI: 10.17487/RFC10052)",
                "STD0013: Domain names (Format: odd; More of\\u{202e} them (RFC1034, RFC1035)",
            ]
        );
    }
}
