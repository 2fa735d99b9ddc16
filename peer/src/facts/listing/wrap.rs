//! Words as lines of bounded width, broken where each form of the index breaks them.

/// Columns of a line: characters, as both the RFC Editor's old program and Python count.
const COLUMNS: usize = 73;

/// Spaces before every line of an entry but its first.
const INDENT: usize = 5;

/// Where a line may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// Between words.
    Spaces,
    /// There, after hyphens within words, and around dashes: as `textwrap.fill` of Python does.
    Hyphens,
}

/// What is never broken, unless it is longer than a line.
#[derive(Debug)]
struct Chunk {
    text: Vec<char>,
    /// Whether a space is before it, unless it begins a line.
    is_spaced: bool,
}

/// Lines of `number` and the words of `text`, without spaces at their ends. The number and what comes first of the text are
/// in one line, as that is how readers recognise an entry.
pub(super) fn wrapped(number: &str, text: &str, breaks: Breaks) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Line::first();
    let mut chunks = chunks_of(number, text, breaks).into_iter();
    let mut next = chunks.next();
    while let Some(chunk) = next.take() {
        let gap = usize::from(chunk.is_spaced && !line.is_fresh());
        let room = line.room().saturating_sub(gap);
        if chunk.text.len() <= room {
            line.push(gap, &chunk.text);
            next = chunks.next();
            continue;
        }
        // What fits into no line fills this one; then the rest of it begins the next one.
        let is_too_long = chunk.text.len() > line.width();
        let at = if is_too_long {
            split_at(&chunk.text, room, breaks)
        } else {
            0
        };
        let (now, later) = chunk.text.split_at(at);
        if !now.is_empty() {
            line.push(gap, now);
        }
        let is_spaced = now.is_empty() && chunk.is_spaced;
        let text = later.to_vec();
        lines.push(std::mem::replace(&mut line, Line::further()).text);
        next = Some(Chunk { text, is_spaced });
    }
    lines.push(line.text);
    lines
}

/// How much of a word that is longer than any line goes into one with `room`.
fn split_at(word: &[char], room: usize, breaks: Breaks) -> usize {
    let room = room.min(word.len());
    if breaks == Breaks::Spaces {
        return room;
    }
    let start = word.get(..room).unwrap_or_default();
    let hyphen = start.iter().rposition(|c| *c == '-');
    let is_worth_it = |at: &usize| start.iter().take(*at).any(|c| *c != '-');
    hyphen.filter(is_worth_it).map_or(room, |at| at + 1)
}

/// A line that is being filled.
struct Line {
    text: String,
    indent: usize,
    columns: usize,
}

impl Line {
    fn first() -> Self {
        Self::indented(0)
    }

    fn further() -> Self {
        Self::indented(INDENT)
    }

    fn indented(indent: usize) -> Self {
        Self {
            text: " ".repeat(indent),
            indent,
            columns: indent,
        }
    }

    fn is_fresh(&self) -> bool {
        self.columns == self.indent
    }

    /// Columns for words, in all.
    fn width(&self) -> usize {
        COLUMNS - self.indent
    }

    /// Columns that are left.
    fn room(&self) -> usize {
        COLUMNS.saturating_sub(self.columns)
    }

    fn push(&mut self, gap: usize, chars: &[char]) {
        self.text.extend(std::iter::repeat_n(' ', gap));
        self.text.extend(chars);
        self.columns += gap + chars.len();
    }
}

fn chunks_of(number: &str, text: &str, breaks: Breaks) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for word in text.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        let pieces = match breaks {
            Breaks::Spaces => vec![word.len()],
            Breaks::Hyphens => ends_of_pieces(&word),
        };
        let mut start = 0;
        for end in pieces {
            let text = word.get(start..end).unwrap_or_default().to_vec();
            let is_spaced = start == 0;
            chunks.push(Chunk { text, is_spaced });
            start = end;
        }
    }
    let mut first: Vec<char> = number.chars().collect();
    if let Some(chunk) = chunks.first() {
        first.push(' ');
        first.extend(&chunk.text);
    }
    let text = first;
    let is_spaced = false;
    chunks.splice(..1.min(chunks.len()), [Chunk { text, is_spaced }]);
    chunks
}

/// Where the pieces of a word end, ascending, as `TextWrapper.wordsep_re` of Python has it, but for digits of other scripts.
fn ends_of_pieces(word: &[char]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut start = 0;
    while start < word.len() {
        let end = match dash(word, start) {
            Some(end) => end,
            None => (start + 1..word.len())
                .find_map(|at| end_within(word, at))
                .unwrap_or(word.len()),
        };
        ends.push(end);
        start = end;
    }
    ends
}

/// Where a piece ends that has all before `at`, if it does there.
fn end_within(word: &[char], at: usize) -> Option<usize> {
    if is_hyphen_between_words(word, at) {
        return Some(at + 1);
    }
    dash(word, at).map(|_| at)
}

/// The end of the dash at `at`: two hyphens or more between words.
fn dash(word: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).and_then(|before| word.get(before));
    let rest = word.get(at..)?;
    let hyphens = rest.iter().take_while(|c| **c == '-').count();
    let after = rest.get(hyphens);
    let is_dash = hyphens >= 2 && before.is_some_and(is_word_or_mark) && after.is_some_and(is_word);
    is_dash.then_some(at + hyphens)
}

/// Whether a hyphen is at `at`, behind two letters, or behind a letter and a hyphen and a third one, and before two letters
/// between which there may be a hyphen.
fn is_hyphen_between_words(word: &[char], at: usize) -> bool {
    let is = |at: Option<usize>, test: fn(&char) -> bool| at.and_then(|at| word.get(at)).is_some_and(test);
    let is_hyphen = |c: &char| *c == '-';
    let behind_two = is(at.checked_sub(1), is_letter) && is(at.checked_sub(2), is_letter);
    let behind_initials =
        is(at.checked_sub(1), is_word_or_mark) && is(at.checked_sub(2), is_hyphen) && is(at.checked_sub(3), is_letter);
    let second = at + 2 + usize::from(is(Some(at + 2), is_hyphen));
    is(Some(at), is_hyphen)
        && (behind_two || behind_initials)
        && is(Some(at + 1), is_letter)
        && is(Some(second), is_letter)
}

fn is_word(c: &char) -> bool {
    c.is_alphanumeric() || *c == '_'
}

fn is_letter(c: &char) -> bool {
    is_word(c) && !c.is_ascii_digit()
}

fn is_word_or_mark(c: &char) -> bool {
    is_word(c) || matches!(c, '!' | '"' | '\'' | '&' | '.' | ',' | '?')
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn pieces_are_those_of_python() {
        // As `TextWrapper().wordsep_re.split` of Python 3.11 has them, without those that are empty.
        for (word, pieces) in [
            ("Host-IMP", "Host-|IMP"),
            ("IMP-to-host", "IMP-|to-|host"),
            ("T-1", "T-1"),
            ("Y-G.", "Y-G."),
            ("ab-1", "ab-1"),
            ("a-b-cd", "a-b-|cd"),
            ("x--y", "x|--|y"),
            ("--x", "--x"),
            ("use...--right", "use...|--|right"),
            ("10-bit-wide", "10-bit-|wide"),
            ("draft-ietf-a-b", "draft-|ietf-|a-b"),
            ("draft-ietf-a-bc", "draft-|ietf-|a-|bc"),
            ("-ab-cd-", "-ab-|cd-"),
            ("(semi-colon)", "(semi-|colon)"),
            ("état-major", "état-|major"),
        ] {
            let word: Vec<char> = word.chars().collect();
            let mut start = 0;
            let mut shown = Vec::new();
            for end in ends_of_pieces(&word) {
                shown.push(word[start..end].iter().collect::<String>());
                start = end;
            }
            assert_eq!(shown.join("|"), pieces);
        }
    }

    #[test]
    fn lines_end_where_each_form_ends_them() {
        let text = "Interconnection of networks in the Network-independent Host-and-IMP-Control of Things";
        assert_eq!(
            wrapped("0018", text, Breaks::Spaces),
            [
                "0018 Interconnection of networks in the Network-independent",
                "     Host-and-IMP-Control of Things",
            ]
        );
        assert_eq!(
            wrapped("18", text, Breaks::Hyphens),
            [
                "18 Interconnection of networks in the Network-independent Host-and-IMP-",
                "     Control of Things"
            ]
        );
        let exact = format!("{} b", "a".repeat(COLUMNS - 5));
        assert_eq!(wrapped("0001", &exact, Breaks::Spaces)[1], "     b");
        assert_eq!(wrapped("0001", "", Breaks::Spaces), ["0001"]);
    }

    #[test]
    fn no_word_is_too_long_and_none_leaves_its_number_alone() {
        for length in 50..300 {
            for breaks in [Breaks::Spaces, Breaks::Hyphens] {
                let lines = wrapped("4294967295", &format!("{} b", "é".repeat(length)), breaks);
                assert!(lines[0].starts_with("4294967295 é"), "{lines:?}");
                assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_sticks_out(
            words in vec("[a-zé,.-]{1,12}|[a-z-]{60,160}", 0..60), number in 1_u32..200_000, hyphens: bool,
        ) {
            let breaks = if hyphens { Breaks::Hyphens } else { Breaks::Spaces };
            let lines = wrapped(&number.to_string(), &words.join(" "), breaks);
            for (at, line) in lines.iter().enumerate() {
                prop_assert!(line.chars().count() <= COLUMNS && !line.ends_with(' ') && !line.trim().is_empty());
                let indent = line.len() - line.trim_start().len();
                prop_assert_eq!(indent, if at == 0 { 0 } else { INDENT });
            }
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeezed(&lines.join(" ")), format!("{number}{}", words.concat()));
        }
    }
}
