//! The lines of an RFC that are shown of what was found in it, and the section that they stand in.

use std::{collections::HashMap, ops::Range};

use p2p_ci::{
    document::{DocumentKey, Format, RfcNumber},
    text::folded,
};
use tantivy::tokenizer::TextAnalyzer;

use super::{schema::analyzer, section::heading, text::Text, updating::bytes_of};
use crate::library::Library;

/// Lines of a passage at most.
const MAX_LINES: usize = 2;

/// Bytes of a passage at most: lines of real texts have 72 columns, others may have any number.
const MAX_PASSAGE_BYTES: usize = 240;

/// What each further time counts that a word is there.
const REPEATED: f32 = 0.1;

/// What a word counts that is the neighbour of another one.
const NEIGHBOUR: f32 = 0.5;

/// What words count in the heading of a section, for each of its passages.
const HEADING: f32 = 0.5;

/// What is left of a passage of a section that only says where something is, or who.
const BACK_MATTER: f32 = 0.3;

/// Words in headings of such sections.
const BACK_MATTERS: [&str; 6] = [
    "index",
    "references",
    "bibliography",
    "address",
    "contents",
    "acknowledg",
];

/// Lines of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passage {
    /// The heading of their section, such as `4.2.2. https URI Scheme`; empty where there is none.
    pub section: String,
    /// The lines, with their white space folded.
    pub text: String,
    /// The bytes of `text` that are words of the query, ascending.
    pub marks: Vec<Range<usize>>,
}

/// Finds passages for one query.
pub struct Passages {
    analyzer: TextAnalyzer,
    worths: HashMap<String, f32>,
}

impl std::fmt::Debug for Passages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passages")
            .field("worths", &self.worths)
            .finish_non_exhaustive()
    }
}

impl Passages {
    /// Looks for words by what they are worth.
    #[must_use]
    pub fn new(worths: HashMap<String, f32>) -> Self {
        Self {
            analyzer: analyzer(),
            worths,
        }
    }

    /// The best passage of an RFC's text as it is now in the folder; nothing where none of the words is in it.
    /// Blocks.
    pub fn of(&mut self, library: &Library, number: RfcNumber) -> Passage {
        let key = DocumentKey {
            number,
            format: Format::Txt,
        };
        let bytes = library.get(key).and_then(|document| bytes_of(library, &document));
        bytes.map(|bytes| self.best(&Text::of(&bytes))).unwrap_or_default()
    }

    /// The best passage of a text.
    fn best(&mut self, text: &Text) -> Passage {
        let words: Vec<Vec<Found>> = text.lines.iter().map(|line| self.found(line)).collect();
        let mut best: Option<(f32, usize, usize)> = None;
        let (mut in_heading, mut part) = (0.0, 1.0);
        for start in 0..text.lines.len() {
            if let Some(heading) = heading_at(text, start) {
                let found = [self.found(&heading)];
                in_heading = self.score(&found) * HEADING;
                part = if is_back_matter(&heading) { BACK_MATTER } else { 1.0 };
                continue;
            }
            let is_text = |at: &usize| text.lines.get(*at).is_some_and(|line| !line.is_empty());
            let length = (start..start + MAX_LINES).take_while(is_text).count();
            let words = words.get(start..start + length).unwrap_or_default();
            // What begins with a line without any is no better than the line after it.
            if words.first().is_none_or(Vec::is_empty) {
                continue;
            }
            let score = (self.score(words) + in_heading) * part;
            if best.is_none_or(|(best, ..)| score > best) {
                best = Some((score, start, length));
            }
        }
        let Some((_, start, length)) = best else {
            return Passage::default();
        };
        let shown = text.lines.get(start..start + length).unwrap_or_default().join(" ");
        let shown = folded(&shown, MAX_PASSAGE_BYTES);
        Passage {
            section: section_of(text, start),
            marks: self.found(&shown).into_iter().map(|found| found.bytes).collect(),
            text: shown,
        }
    }

    /// What some lines are worth together.
    fn score(&self, lines: &[Vec<Found>]) -> f32 {
        let mut seen: HashMap<&str, u32> = HashMap::new();
        let mut score = 0.0;
        for line in lines {
            let mut before: Option<usize> = None;
            for found in line {
                let worth = self.worths.get(&found.word).copied().unwrap_or(0.0);
                let times = seen.entry(&found.word).or_insert(0);
                score += if *times == 0 { worth } else { worth * REPEATED };
                *times += 1;
                if before.is_some_and(|before| before + 1 == found.position) {
                    score += worth * NEIGHBOUR;
                }
                before = Some(found.position);
            }
        }
        score
    }

    /// The words of a line that are looked for.
    fn found(&mut self, line: &str) -> Vec<Found> {
        let mut all = Vec::new();
        if !self.may_hold(line) {
            return all;
        }
        let worths = &self.worths;
        let mut stream = self.analyzer.token_stream(line);
        stream.process(&mut |token| {
            if worths.contains_key(&token.text) {
                all.push(Found {
                    word: token.text.clone(),
                    position: token.position,
                    bytes: token.offset_from..token.offset_to,
                });
            }
        });
        all
    }

    /// Whether a line begins a word as one of those that are looked for does: reading its words takes ten times as long.
    fn may_hold(&self, line: &str) -> bool {
        if !line.is_ascii() {
            return true;
        }
        let mut is_inside = false;
        for (at, byte) in line.bytes().enumerate() {
            let is_word = byte.is_ascii_alphanumeric();
            if is_word && !is_inside {
                let rest = line.get(at..).unwrap_or_default();
                let begins = |word: &String| {
                    let start = word.get(..2).unwrap_or(word);
                    rest.get(..start.len())
                        .is_some_and(|rest| rest.eq_ignore_ascii_case(start))
                };
                if self.worths.keys().any(begins) {
                    return true;
                }
            }
            is_inside = is_word;
        }
        false
    }
}

/// A word that is looked for, in a line.
#[derive(Debug)]
struct Found {
    word: String,
    position: usize,
    bytes: Range<usize>,
}

/// The heading that a line is.
fn heading_at(text: &Text, at: usize) -> Option<String> {
    let line = |at: Option<usize>| at.and_then(|at| text.lines.get(at)).map_or("", String::as_str);
    heading(line(at.checked_sub(1)), line(Some(at)), line(Some(at + 1)))
}

fn is_back_matter(heading: &str) -> bool {
    let heading = heading.to_ascii_lowercase();
    // `Author's Address` is one, `3.2 Addresses in Headers` is not.
    let is_short = heading.split(' ').count() <= 3;
    is_short && BACK_MATTERS.iter().any(|word| heading.contains(word))
}

/// The heading before a line.
fn section_of(text: &Text, at: usize) -> String {
    let before = (0..at).rev().find_map(|at| heading_at(text, at));
    before
        .map(|heading| folded(&heading, MAX_PASSAGE_BYTES))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const RFC_2616: &[u8] = include_bytes!("../../../xtask/samples/bob/rfc2616.txt");

    fn passages(words: &[&str]) -> Passages {
        Passages::new(words.iter().map(|word| ((*word).to_owned(), 1.0)).collect())
    }

    fn marked(passage: &Passage) -> Vec<&str> {
        passage.marks.iter().map(|mark| &passage.text[mark.clone()]).collect()
    }

    #[test]
    fn the_best_lines_are_found_with_their_section() {
        let passage = passages(&["reason", "phrase", "textual"]).best(&Text::of(RFC_2616));
        assert_eq!(passage.section, "6.1.1 Status Code and Reason Phrase");
        assert!(passage.text.contains("textual"), "{passage:?}");
        assert!(marked(&passage).contains(&"textual"), "{passage:?}");
        let passage = passages(&["teapot"]).best(&Text::of(RFC_2616));
        assert_eq!(passage, Passage::default(), "nothing is shown of what is not there");
    }

    #[test]
    fn words_are_marked_in_all_their_forms() {
        let text = "1. One\n\n   Nothing here.\n\n2. Two\n\n   CONNECTIONS are\n   connected.\n   Not shown.\n";
        let passage = passages(&["connect"]).best(&Text::of(text.as_bytes()));
        assert_eq!(passage.section, "2. Two");
        assert_eq!(passage.text, "CONNECTIONS are connected.");
        assert_eq!(marked(&passage), ["CONNECTIONS", "connected"]);
    }

    #[test]
    fn what_only_leads_elsewhere_is_shown_last() {
        let text = "1. Teapots\n\n   A pot.\n\nIndex\n\n   pot pot pot\n";
        let passage = passages(&["pot", "teapot"]).best(&Text::of(text.as_bytes()));
        assert_eq!(
            (passage.section.as_str(), passage.text.as_str()),
            ("1. Teapots", "A pot.")
        );
    }

    proptest! {
        #[test]
        fn marks_are_words_of_the_passage(
            lines in vec("[ a-cA-C\u{e9}\u{1b}.]{0,90}", 0..20),
            words in vec("[a-c]{1,3}", 0..4),
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let passage = passages(&words).best(&Text::of(lines.join("\n").as_bytes()));
            prop_assert!(passage.text.len() <= MAX_PASSAGE_BYTES);
            let mut end = 0;
            for mark in &passage.marks {
                prop_assert!(mark.start >= end && passage.text.get(mark.clone()).is_some());
                end = mark.end;
            }
        }
    }
}
