//! What was found, as a person reads it.

use p2p_ci::text::escaped;

use crate::{
    output::{human, screen::Screen},
    search::{Hit, Passage},
};

/// Columns of a text for people, however wide their screen is. The line of an RFC itself is cut by the screen only.
const TEXT_COLUMNS: usize = 100;

/// What stands before the lines of a passage.
const INDENT: &str = "    ";

/// How a terminal begins and ends bold letters (ECMA-48, section 8.3.117: SGR).
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[22m";

/// How results look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    screen: Screen,
    is_marked: bool,
}

impl Look {
    /// On this screen: words are marked on a terminal only, and not where its user wants no colours.
    pub(super) fn of(screen: Screen) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Self {
            screen,
            is_marked: screen.columns.is_some() && !is_set("NO_COLOR") && !is_dumb,
        }
    }
}

/// What was found, and the lines in which it was.
pub(super) fn described(hit: &Hit, passage: &Passage, look: Look) -> String {
    let whole = look.screen.columns.unwrap_or(usize::MAX);
    let width = whole.min(TEXT_COLUMNS);
    let dash = if look.screen.unicode { '–' } else { '-' };
    let when_and_what = match hit.published.as_str() {
        "" => hit.status.clone(),
        published => format!("{published}, {}", hit.status),
    };
    let title = match hit.title.as_str() {
        "" => String::new(),
        title => format!(": {}", escaped(title)),
    };
    let mut lines = format!("RFC {}{title} ({})", hit.number, escaped(&when_and_what));
    let current: Vec<_> = hit
        .current
        .iter()
        .filter_map(|number| p2p_ci::document::RfcNumber::new(*number))
        .collect();
    if !current.is_empty() {
        lines.push_str(&format!(" {dash} obsolete, current: {}", human::rfcs(&current)));
    }
    let mut text = wrapped(&lines, "", "  ", whole);
    if !passage.section.is_empty() {
        text.extend(wrapped(&escaped(&passage.section).to_string(), "  ", INDENT, width));
    }
    if !passage.text.is_empty() {
        text.extend(wrapped(&marked(passage, look), INDENT, INDENT, width));
    }
    text.join("\n")
}

/// A passage's text, escaped, with its words marked where they are to be.
fn marked(passage: &Passage, look: Look) -> String {
    let mut text = String::new();
    let mut end = 0;
    let piece = |from: usize, to: usize| escaped(passage.text.get(from..to).unwrap_or_default()).to_string();
    for mark in passage.marks.iter().filter(|_| look.is_marked) {
        text += &piece(end, mark.start);
        text += &format!("{BOLD}{}{PLAIN}", piece(mark.start, mark.end));
        end = mark.end;
    }
    text + &piece(end, passage.text.len())
}

fn wrapped(text: &str, first: &str, rest: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest);
    let lines = textwrap::wrap(text, options).into_iter();
    lines.map(|line| line.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use p2p_ci::document::RfcNumber;

    use super::*;

    fn hit() -> Hit {
        Hit {
            number: RfcNumber::new(7230).unwrap(),
            score: 1.0,
            title: "HTTP\u{1b}[2J".to_owned(),
            published: "June 2014".to_owned(),
            year: Some(2014),
            status: "PROPOSED STANDARD".to_owned(),
            current: vec![9110, 9112],
        }
    }

    fn passage() -> Passage {
        Passage {
            section: "2.1. One".to_owned(),
            text: "a \u{1b}word\u{202e} here".to_owned(),
            marks: std::iter::once(3..7).collect(),
        }
    }

    #[test]
    fn what_was_found_is_shown_and_does_nothing() {
        let look = Look {
            screen: Screen::ENDLESS,
            is_marked: false,
        };
        assert_eq!(
            described(&hit(), &passage(), look),
            "RFC 7230: HTTP\\u{1b}[2J (June 2014, PROPOSED STANDARD) – obsolete, current: RFC 9110, RFC 9112\n  2.1. \
             One\n    a \\u{1b}word\\u{202e} here"
        );
        let look = Look {
            is_marked: true,
            ..look
        };
        let shown = described(&hit(), &passage(), look);
        assert!(
            shown.ends_with("    a \\u{1b}\u{1b}[1mword\u{1b}[22m\\u{202e} here"),
            "{shown}"
        );
    }

    #[test]
    fn lines_fit_the_screen() {
        let look = Look {
            screen: Screen {
                columns: Some(40),
                unicode: false,
            },
            is_marked: true,
        };
        let passage = Passage {
            text: "word ".repeat(40),
            marks: (0..40).map(|at| at * 5..at * 5 + 4).collect(),
            ..passage()
        };
        for line in described(&hit(), &passage, look).lines() {
            let plain = line.replace(BOLD, "").replace(PLAIN, "");
            assert!(plain.len() <= 40, "{plain:?}");
        }
    }
}
