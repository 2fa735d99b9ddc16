//! Which RFCs a command line of `get` asks for.

use std::collections::BTreeSet;

use p2p_ci::{
    document::{RfcNumber, RfcRange},
    facts::Reference,
};

use super::following::Known;
use crate::{error::PeerError, limits, wanted::WantedWord};

/// An RFC that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) number: RfcNumber,
    /// Whether it was asked for as one of a range.
    pub(super) in_range: bool,
}

/// What a command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Each RFC once, in the order in which they were asked for.
    pub(super) asked: Vec<Asked>,
    /// Subseries of which it is not known what RFCs they are.
    pub(super) unknown: Vec<Reference>,
}

impl Wishes {
    /// What words ask for: as they say by themselves, or to somebody who knows more.
    ///
    /// # Errors
    ///
    /// [`PeerError::Usage`] when it is too much.
    pub(super) fn new(words: &[WantedWord], mut known: Option<&mut Known<'_>>) -> Result<Self, PeerError> {
        let mut wishes = Self::default();
        let (mut met, mut met_series) = (BTreeSet::new(), BTreeSet::new());
        let mut count = 0;
        for word in words {
            let (numbers, range): (Vec<RfcNumber>, _) = match word {
                WantedWord::Numbers(wanted) => {
                    check_count(count + count_of(wanted.range))?;
                    (wanted.each().collect(), wanted.is_range().then_some(wanted.range))
                }
                WantedWord::Subseries(series) if !met_series.insert(*series) => continue,
                WantedWord::Subseries(series) => {
                    let members = known.as_deref_mut().map(|known| known.members(*series));
                    let members = members.unwrap_or_default();
                    wishes.unknown.extend(members.is_empty().then_some(*series));
                    (members, None)
                }
            };
            count += numbers.len() as u64;
            check_count(count)?;
            let numbers = match known.as_deref_mut() {
                Some(known) => known.followed(numbers, range),
                None => numbers,
            };
            let new = numbers.into_iter().filter(|number| met.insert(*number));
            let in_range = range.is_some();
            wishes.asked.extend(new.map(|number| Asked { number, in_range }));
            check_followed(wishes.asked.len())?;
        }
        Ok(wishes)
    }
}

fn count_of(range: RfcRange) -> u64 {
    u64::from(range.last.get() - range.first.get()) + 1
}

/// Bounds how many RFCs one command line may ask for.
fn check_count(count: u64) -> Result<(), PeerError> {
    if count > limits::MAX_GET_NUMBERS as u64 {
        return Err(PeerError::Usage(format!(
            "more than {} RFCs; `peer mirror` fetches many at once",
            limits::MAX_GET_NUMBERS
        )));
    }
    Ok(())
}

/// Bounds how many RFCs those may lead to.
fn check_followed(count: usize) -> Result<(), PeerError> {
    if count > limits::MAX_FOLLOWED_NUMBERS {
        return Err(PeerError::Usage(format!(
            "what took their place is more than {} RFCs; ask for fewer at a time",
            limits::MAX_FOLLOWED_NUMBERS
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use p2p_ci::{
        document::UnixSeconds,
        facts::{Facts, Issued, Source},
    };

    use super::*;
    use crate::{
        commands::hints::Hints,
        facts::Catalogue,
        output::{Output, screen::Screen},
    };

    /// What somebody knows of an RFC: what took its place, and the subseries that it belongs to.
    fn facts(number: u32, obsoleted_by: &[u32], also: &[&str]) -> Facts {
        let references = obsoleted_by.iter().copied().filter_map(RfcNumber::new);
        Facts {
            number: RfcNumber::new(number).unwrap(),
            source: Source::Record,
            as_of: None,
            issued: Some(Box::new(Issued {
                obsoleted_by: references.map(Reference::to_rfc).collect(),
                also: also.iter().map(|series| series.parse().unwrap()).collect(),
                ..Issued::default()
            })),
        }
    }

    fn of_series(series: &str, numbers: Range<u32>) -> impl Iterator<Item = Facts> {
        numbers.map(move |number| facts(number, &[], &[series]))
    }

    fn wishes(words: &str, known: impl IntoIterator<Item = Facts>, follows: bool) -> Result<Wishes, PeerError> {
        let words: Vec<WantedWord> = words.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let mut catalogue = Catalogue::default();
        for facts in known {
            catalogue.learn(facts, UnixSeconds::now());
        }
        let hints = Hints::knowing(catalogue);
        let mut output = Output::new(Vec::new(), Vec::new(), false, Screen::ENDLESS);
        Wishes::new(
            &words,
            Some(&mut Known {
                hints: &hints,
                follows,
                output: &mut output,
            }),
        )
    }

    fn numbers(wishes: &Wishes) -> Vec<(u32, bool)> {
        let asked = wishes.asked.iter();
        asked.map(|asked| (asked.number.get(), asked.in_range)).collect()
    }

    #[test]
    fn words_keep_their_order_and_each_rfc_comes_once() {
        let known = of_series("bcp14", 3..5).chain(of_series("std3", 20..22));
        let wishes = wishes("9 bcp14 2-4 7 fyi1 9 std3 fyi1", known, false).unwrap();
        let expected = [
            (9, false),
            (3, false),
            (4, false),
            (2, true),
            (7, false),
            (20, false),
            (21, false),
        ];
        assert_eq!(numbers(&wishes), expected);
        let unknown: Vec<String> = wishes.unknown.iter().map(Reference::to_string).collect();
        assert_eq!(unknown, ["FYI 1"]);
    }

    #[test]
    fn what_took_their_place_is_got_once_and_in_theirs() {
        let known = || {
            [
                facts(2, &[30, 31], &[]),
                facts(3, &[31], &["bcp14"]),
                facts(30, &[40], &[]),
                // A circle without a way out, and one with.
                facts(5, &[6], &[]),
                facts(6, &[5], &[]),
                facts(7, &[8, 50], &[]),
                facts(8, &[7], &[]),
            ]
        };
        let followed = |words: &str| numbers(&wishes(words, known(), true).unwrap());
        assert_eq!(followed("9 2 1"), [(9, false), (31, false), (40, false), (1, false)]);
        assert_eq!(followed("40 2 bcp14"), [(40, false), (31, false)]);
        assert_eq!(followed("1-3"), [(1, true), (31, true), (40, true)]);
        assert_eq!(followed("5 7"), [(5, false), (50, false)]);
        let unfollowed = numbers(&wishes("2 bcp14", known(), false).unwrap());
        assert_eq!(unfollowed, [(2, false), (3, false)]);
    }

    #[test]
    fn too_much_is_refused_whoever_makes_it_so() {
        assert_eq!(wishes("1-999 5000", [], false).unwrap().asked.len(), 1000);
        for words in ["1-1000 5000", "1-", "1- 1-", "1-990 bcp14"] {
            let told = wishes(words, of_series("bcp14", 2000..2020), false)
                .unwrap_err()
                .to_string();
            assert!(told.starts_with("more than 1000 RFCs"), "{words}: {told}");
        }
        // Everybody is said to be followed by a hundred others.
        let successors = |number: u32| (1..=100).map(|n| 10_000 + 100 * number + n).collect::<Vec<u32>>();
        let known = (1..=30).map(|number| facts(number, &successors(number), &[]));
        let told = wishes("1-30", known, true).unwrap_err().to_string();
        assert!(
            told.starts_with("what took their place is more than 2000 RFCs"),
            "{told}"
        );
    }
}
