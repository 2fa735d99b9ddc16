//! RFCs as people ask for them on a command line: `9110`, `rfc9110`, `1-10`, and names of files such as `rfc9110.txt`.

use std::str::FromStr;

use p2p_ci::{
    document::{Format, RfcNumber, RfcRange},
    text::excerpt,
};

use crate::{error::PeerError, library::FileName};

/// Bytes that an error repeats of its input: enough to recognise it.
const SHOWN_BYTES: usize = 40;

/// One word of a command line that asks for RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The numbers.
    pub range: RfcRange,
    /// The format, where the word is the name of a file.
    pub format: Option<Format>,
}

/// One word of a command line that asks for a single RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedNumber {
    /// The number.
    pub number: RfcNumber,
    /// The format, where the word is the name of a file.
    pub format: Option<Format>,
}

/// Why a word asks for no RFCs: what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WantedError(String);

impl Wanted {
    /// The single RFC that is asked for.
    ///
    /// # Errors
    ///
    /// When it is a range, with `instead` as what to do.
    pub fn single(self, instead: &str) -> Result<WantedNumber, WantedError> {
        let Self { range, format } = self;
        if range.first == range.last {
            let number = range.first;
            Ok(WantedNumber { number, format })
        } else {
            Err(WantedError(format!("{range} is a range; {instead}")))
        }
    }
}

impl FromStr for Wanted {
    type Err = WantedError;

    /// Reads whatever [`RfcRange`] reads, and the names of files that hold RFCs.
    fn from_str(text: &str) -> Result<Self, WantedError> {
        if let Some(name) = FileName::parse(text) {
            return Ok(Self {
                range: name.key.number.into(),
                format: Some(name.key.format),
            });
        }
        let error = match text.parse() {
            Ok(range) => return Ok(Self { range, format: None }),
            Err(error) => error,
        };
        Err(WantedError(advice(text).unwrap_or_else(|| error.to_string())))
    }
}

/// What was meant by some of the words that make no sense.
fn advice(text: &str) -> Option<String> {
    // Shown as the number that it is: around one, any white space is read, and some of it acts on a terminal.
    let number = |text: &str| text.parse::<RfcNumber>().ok();
    if let Some(positive) = text.strip_prefix('-').and_then(number) {
        return Some(format!(
            "RFC numbers start at 1; write {positive}, or 1-{positive} for all up to it"
        ));
    }
    if text.split(',').count() > 1
        && text
            .split(',')
            .all(|part| part.is_empty() || part.parse::<Wanted>().is_ok())
    {
        return Some(format!("separate with spaces: {}", shortened(&text.replace(',', " "))));
    }
    let (first, last) = text.split_once("..")?;
    let last = last.trim_start_matches('=');
    let (first, last) = (number(first)?, number(last)?);
    Some(format!("for a range, write {first}-{last}"))
}

/// Bounds what an error repeats of its input.
pub fn shortened(text: &str) -> String {
    excerpt(text, SHOWN_BYTES)
}

/// The one format that is asked for: what `--format` says, or what all of the words are names of files of.
///
/// # Errors
///
/// [`PeerError::Usage`] when they contradict each other, or when only some of the words tell a format.
pub fn format_of(
    words: impl IntoIterator<Item = Option<Format>>,
    option: Option<Format>,
) -> Result<Option<Format>, PeerError> {
    let words: Vec<Option<Format>> = words.into_iter().collect();
    let Some(named) = words.iter().flatten().next().copied() else {
        return Ok(option);
    };
    let others = words.iter().flatten().find(|format| **format != named);
    let mistake = match (option, others) {
        (Some(option), _) if option != named => {
            format!("a file name says {named}, but --format says {option}; leave one of them out")
        }
        (_, Some(other)) => format!("the file names are of {named} and of {other}; ask for one format at a time"),
        (None, None) if words.contains(&None) => {
            format!("one is the name of a {named} file, another is not; give --format, or ask for them one at a time")
        }
        (_, None) => return Ok(Some(named)),
    };
    Err(PeerError::Usage(mistake))
}

#[cfg(test)]
mod tests {
    use p2p_ci::text::escaped;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[track_caller]
    fn mistake(text: &str) -> String {
        text.parse::<Wanted>().unwrap_err().to_string()
    }

    #[test]
    fn names_of_files_are_understood() {
        for (text, range, format) in [
            ("9110", "9110", None),
            ("1-10", "1-10", None),
            ("rfc9110.txt", "9110", Some(Format::Txt)),
            ("RFC0791.HTML", "791", Some(Format::Html)),
            ("rfc1.txt.gz", "1", Some(Format::Txt)),
        ] {
            let wanted: Wanted = text.parse().unwrap();
            assert_eq!((wanted.range.to_string().as_str(), wanted.format), (range, format));
        }
    }

    #[test]
    fn near_misses_are_put_right() {
        assert_eq!(mistake("9110,9111"), "separate with spaces: 9110 9111");
        assert_eq!(mistake("1..10"), "for a range, write 1-10");
        assert_eq!(mistake("1..=10"), "for a range, write 1-10");
        assert_eq!(mistake("1..\n10\u{85}"), "for a range, write 1-10");
        assert_eq!(
            mistake("-5"),
            "RFC numbers start at 1; write 5, or 1-5 for all up to it"
        );
        assert!(mistake("rfc5.ps").contains("is no RFC number"));
        let range: Wanted = "1-10".parse().unwrap();
        let told = range.single("`peer list 1-10` shows ranges").unwrap_err().to_string();
        assert_eq!(told, "1-10 is a range; `peer list 1-10` shows ranges");
    }

    #[test]
    fn formats_must_agree() {
        let (txt, html) = (Some(Format::Txt), Some(Format::Html));
        assert_eq!(format_of([None, None], html).unwrap(), html);
        assert_eq!(format_of([txt, txt], None).unwrap(), txt);
        assert_eq!(format_of([txt, None], txt).unwrap(), txt);
        assert_eq!(format_of([], None).unwrap(), None);
        for (words, option) in [([txt, txt], html), ([txt, html], None), ([txt, None], None)] {
            assert!(format_of(words, option).is_err());
        }
    }

    /// Any characters. What proptest draws as a `String` holds none of those that act.
    fn any_text() -> impl Strategy<Value = String> {
        vec(any::<char>(), 0..64).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_answered_shortly(text in any_text()) {
            if let Err(error) = text.parse::<Wanted>() {
                let told = error.to_string();
                prop_assert_eq!(escaped(&told).to_string(), told.clone());
                prop_assert!(told.len() <= 700, "{}", told);
            }
        }
    }
}
