//! RFCs as people ask for them on a command line: `9110`, `rfc9110`, `1-10`, names of files such as `rfc9110.txt`, and
//! subseries such as `bcp14`.

use std::str::FromStr;

use p2p_ci::{
    document::{Format, RfcNumber, RfcRange},
    facts::{Reference, Series},
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

/// One word of a command line that asks for RFCs by their numbers, or for those of a subseries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedWord {
    /// RFCs with these numbers.
    Numbers(Wanted),
    /// All RFCs of a subseries, such as BCP 14.
    Subseries(Reference),
}

/// Why a word asks for no RFCs: what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WantedError(String);

impl Wanted {
    /// Each of the numbers, ascending: as many as there can be where the range is open.
    pub fn each(&self) -> impl Iterator<Item = RfcNumber> + use<> {
        (self.range.first.get()..=self.range.last.get()).filter_map(RfcNumber::new)
    }

    /// Whether it asks for several RFCs.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.range.first != self.range.last
    }

    /// The single RFC that is asked for.
    ///
    /// # Errors
    ///
    /// When it is a range, with `instead` as what to do.
    pub fn single(self, instead: &str) -> Result<WantedNumber, WantedError> {
        let Self { range, format } = self;
        if self.is_range() {
            return Err(WantedError(format!("{range} is a range; {instead}")));
        }
        let number = range.first;
        Ok(WantedNumber { number, format })
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

impl WantedWord {
    /// The format, where the word is the name of a file.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Numbers(wanted) => wanted.format,
            Self::Subseries(_) => None,
        }
    }

    /// The RFC or the subseries that is asked for by itself, unless it is a range.
    #[must_use]
    pub fn reference(&self) -> Option<Reference> {
        match self {
            Self::Numbers(wanted) => (!wanted.is_range()).then(|| Reference::to_rfc(wanted.range.first)),
            Self::Subseries(series) => Some(*series),
        }
    }

    /// The same, if it is no range.
    ///
    /// # Errors
    ///
    /// As [`Wanted::single`].
    pub fn no_range(self, instead: &str) -> Result<Self, WantedError> {
        match self {
            Self::Numbers(wanted) => wanted.single(instead).map(|_| self),
            Self::Subseries(_) => Ok(self),
        }
    }
}

impl FromStr for WantedWord {
    type Err = WantedError;

    /// Reads whatever [`Wanted`] reads, and subseries as [`Reference`] reads them.
    fn from_str(text: &str) -> Result<Self, WantedError> {
        match text.parse::<Reference>() {
            Ok(reference) if reference.series.is_subseries() => return Ok(Self::Subseries(reference)),
            Ok(_) | Err(_) => {}
        }
        let error = match text.parse() {
            Ok(wanted) => return Ok(Self::Numbers(wanted)),
            Err(error) => error,
        };
        if let Some(separated) = separated::<Self>(text) {
            return Err(WantedError(separated));
        }
        let begins_with = |name: &str| {
            let start = text.trim_start().get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        if Series::ALL
            .iter()
            .any(|series| series.is_subseries() && begins_with(series.name()))
        {
            let shown = shortened(text);
            return Err(WantedError(format!(
                "\"{shown}\" names no subseries; write bcp14, std97 or fyi36"
            )));
        }
        Err(error)
    }
}

/// What to write instead of words with commas between them.
fn separated<T: FromStr>(text: &str) -> Option<String> {
    let has_many = text.contains(',') && text.split(',').all(|part| part.is_empty() || part.parse::<T>().is_ok());
    has_many.then(|| format!("separate with spaces: {}", shortened(&text.replace(',', " "))))
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
    if let Some(separated) = separated::<Wanted>(text) {
        return Some(separated);
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
    fn subseries_are_understood() {
        for (text, shown) in [
            ("bcp14", "BCP 14"),
            ("BCP 14", "BCP 14"),
            ("Std-97", "STD 97"),
            ("fyi0036", "FYI 36"),
        ] {
            let WantedWord::Subseries(reference) = text.parse().unwrap() else {
                panic!("{text}")
            };
            assert_eq!(reference.to_string(), shown);
        }
        for text in ["9110", "RFC 9110", "1-10", "rfc9110.txt", "9000-"] {
            let word: WantedWord = text.parse().unwrap();
            assert_eq!(word, WantedWord::Numbers(text.parse().unwrap()));
        }
        let mistake = |text: &str| text.parse::<WantedWord>().unwrap_err().to_string();
        for text in [
            "bcp",
            "bcpx",
            "bcp0",
            "BCP-",
            "std97.txt",
            "bcp14-16",
            "fyi 99999999999",
        ] {
            let told = format!("\"{text}\" names no subseries; write bcp14, std97 or fyi36");
            assert_eq!(mistake(text), told);
        }
        assert_eq!(mistake("bcp14,rfc1,2-3"), "separate with spaces: bcp14 rfc1 2-3");
        // Whatever is no subseries is told as where none can be asked for.
        for text in [
            "9110,9111",
            "1..10",
            "-5",
            "rfc5.ps",
            "ien1",
            "nic6716",
            "bc\u{e9}",
            "\u{1b}bcp1",
        ] {
            assert_eq!(mistake(text), text.parse::<Wanted>().unwrap_err().to_string());
        }
        let word: WantedWord = "1-10".parse().unwrap();
        assert!(word.no_range("list shows it").is_err());
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
            let word = text.parse::<WantedWord>().map(drop);
            let series = format!("bcp{text}").parse::<WantedWord>().map(drop);
            for error in [text.parse::<Wanted>().map(drop), word, series].into_iter().filter_map(Result::err) {
                let told = error.to_string();
                prop_assert_eq!(escaped(&told).to_string(), told.clone());
                prop_assert!(told.len() <= 700, "{}", told);
            }
        }
    }
}
