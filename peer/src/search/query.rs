//! What people type to find an RFC, read so that everything means something.
//!
//! Words, `"phrases"`, `-excluded` ones, `author:`, `title:`, `keyword:`, `abstract:`, `status:` and `year:`. Whatever else
//! stands there is taken for words; what has neither letters nor digits means nothing.

#[cfg(test)]
mod tests;
mod values;

use p2p_ci::{document::RfcNumber, facts::Status};

pub use self::values::{StatusWanted, Years};

/// The longest query that is read: several times the longest that somebody types.
const MAX_QUERY_BYTES: usize = 2048;

/// Parts of a query at most. Each costs a look into every field.
const MAX_CLAUSES: usize = 64;

/// Why a query finds nothing whatever there is: what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing was typed.
    #[error("there is nothing to search for: write some words, such as `congestion control`")]
    Empty,
    /// All of it is to be left out.
    #[error("there are only words to leave out: write some to find, too")]
    OnlyExcluded,
    /// It is too long to be meant.
    #[error("the query is too long: write up to {MAX_CLAUSES} words in up to {MAX_QUERY_BYTES} bytes")]
    TooLong,
    /// No RFC has this status.
    #[error(
        "{0} is no status; there are internet-standard, draft-standard, proposed-standard, bcp, informational, \
         experimental, historic and unknown"
    )]
    NoStatus(String),
    /// This is no year.
    #[error("{0} is no year and no range of years; write 2015, 2010-2015, 2010- or -1999")]
    NoYears(String),
}

/// Where a part of a query is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Anywhere.
    All,
    /// In the title.
    Title,
    /// Among the authors.
    Author,
    /// Among the keywords.
    Keyword,
    /// In the abstract.
    Abstract,
}

/// A part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Where it is looked for.
    pub scope: Scope,
    /// The words. More than one stand next to each other.
    pub text: String,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Words of which most must be there.
    pub words: Vec<String>,
    /// What must be there.
    pub required: Vec<Clause>,
    /// What must not be there.
    pub excluded: Vec<Clause>,
    /// One of these, if there are any.
    pub statuses: Vec<Status>,
    /// Published then.
    pub years: Option<Years>,
    /// The RFC that is named, which is the first that is shown: `rfc 9110`, or a number alone.
    pub named: Option<RfcNumber>,
    /// Numbers among other words: an RFC if its title fits, or any number.
    pub numbers: Vec<RfcNumber>,
    /// Whether words are looked for in titles only.
    pub is_title_only: bool,
}

/// The words of a command line as a query: where there are several, one with spaces in it is a phrase.
#[must_use]
pub fn joined(words: &[String]) -> String {
    let is_phrase = |word: &&String| words.len() > 1 && word.contains(char::is_whitespace) && !word.contains(is_quote);
    let written = words.iter().map(|word| match is_phrase(&word) {
        true => format!("\"{word}\""),
        false => word.clone(),
    });
    written.collect::<Vec<_>>().join(" ")
}

impl Asked {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// [`QueryError`] where nothing can be found whatever there is.
    pub fn read(text: &str) -> Result<Self, QueryError> {
        Self::default().reading(text)
    }

    /// Reads a query, in addition to what is asked for already.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn reading(self, text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLong);
        }
        let mut asked = self;
        let mut rest = text;
        let mut count = 0;
        while let Some((part, after)) = next_part(rest) {
            rest = after;
            count += 1;
            if count > MAX_CLAUSES {
                return Err(QueryError::TooLong);
            }
            asked.take(part)?;
        }
        asked.name_rfc();
        if asked.is_empty() {
            return Err(match asked.excluded.is_empty() {
                true => QueryError::Empty,
                false => QueryError::OnlyExcluded,
            });
        }
        Ok(asked)
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.required.is_empty() && self.statuses.is_empty() && self.years.is_none()
    }

    fn take(&mut self, part: Part<'_>) -> Result<(), QueryError> {
        let Part {
            is_excluded,
            field,
            text,
            is_quoted,
        } = part;
        if !text.contains(char::is_alphanumeric) {
            return Ok(());
        }
        let scope = match field {
            Some(Field::Status) => {
                let StatusWanted(status) = text.parse()?;
                self.statuses.push(status);
                return Ok(());
            }
            Some(Field::Year) => {
                self.years = Some(text.parse()?);
                return Ok(());
            }
            Some(Field::In(scope)) => scope,
            None => Scope::All,
        };
        let text = text.to_owned();
        if is_excluded {
            self.excluded.push(Clause { scope, text });
        } else if is_quoted || scope != Scope::All {
            self.required.push(Clause { scope, text });
        } else {
            self.words.push(text);
        }
        Ok(())
    }

    /// Finds the RFC that is named among the words.
    fn name_rfc(&mut self) {
        let digits = |word: &str| -> Option<RfcNumber> {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            word.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| word.parse().ok())?
        };
        let is_rfc = |word: &str| {
            word.trim_matches(|c: char| !c.is_alphanumeric())
                .eq_ignore_ascii_case("rfc")
        };
        let mut words = Vec::new();
        let mut all = std::mem::take(&mut self.words).into_iter().peekable();
        while let Some(word) = all.next() {
            if is_rfc(&word)
                && let Some(number) = all.peek().and_then(|next| digits(next))
            {
                self.named = self.named.or(Some(number));
                continue;
            }
            let lower = word.to_ascii_lowercase();
            let glued = lower
                .strip_prefix("rfc")
                .map(|rest| rest.trim_start_matches(['-', '_', '#', '.', ':']));
            let glued = glued
                .map(|rest| rest.strip_suffix(".txt").unwrap_or(rest))
                .and_then(digits);
            if let Some(number) = glued {
                self.named = self.named.or(Some(number));
                words.push(number.to_string());
                continue;
            }
            self.numbers.extend(digits(&word));
            words.push(word);
        }
        if let ([_], [number], true) = (&words[..], &self.numbers[..], self.required.is_empty()) {
            self.named = self.named.or(Some(*number));
        }
        self.words = words;
    }
}

#[derive(Debug, Clone, Copy)]
enum Field {
    In(Scope),
    Status,
    Year,
}

/// Fields by the names that people give them.
const FIELDS: [(&str, Field); 11] = [
    ("author", Field::In(Scope::Author)),
    ("authors", Field::In(Scope::Author)),
    ("by", Field::In(Scope::Author)),
    ("title", Field::In(Scope::Title)),
    ("keyword", Field::In(Scope::Keyword)),
    ("keywords", Field::In(Scope::Keyword)),
    ("abstract", Field::In(Scope::Abstract)),
    ("status", Field::Status),
    ("is", Field::Status),
    ("year", Field::Year),
    ("date", Field::Year),
];

#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    is_excluded: bool,
    field: Option<Field>,
    text: &'a str,
    is_quoted: bool,
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

/// Where words end: white space, and what nobody sees.
fn is_gap(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// The next part of a query, and what follows it.
fn next_part(text: &str) -> Option<(Part<'_>, &str)> {
    let text = text.trim_start_matches(is_gap);
    if text.is_empty() {
        return None;
    }
    let unsigned = text.trim_start_matches(['-', '\u{2212}', '\u{2013}']);
    // A sign of its own excludes nothing.
    let is_excluded = unsigned.len() < text.len() && unsigned.starts_with(|c: char| c.is_alphanumeric() || is_quote(c));
    let text = if is_excluded { unsigned } else { text };
    let named = text.split_once(':').and_then(|(name, rest)| {
        let is_it = |(known, _): &&(&str, Field)| known.eq_ignore_ascii_case(name);
        let (_, field) = FIELDS.iter().find(is_it)?;
        rest.starts_with(|c| !is_gap(c)).then_some((*field, rest))
    });
    let (field, text) = match named {
        Some((field, rest)) => (Some(field), rest),
        None => (None, text),
    };
    let (text, rest, is_quoted) = match text.strip_prefix(is_quote) {
        // One that nobody closed goes to the end.
        Some(inner) => {
            let (phrase, rest) = inner.split_once(is_quote).unwrap_or((inner, ""));
            (phrase, rest, true)
        }
        None => {
            let end = text.find(|c| is_gap(c) || is_quote(c)).unwrap_or(text.len());
            let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
            (word, rest, false)
        }
    };
    let part = Part {
        is_excluded,
        field,
        text,
        is_quoted,
    };
    Some((part, rest))
}
