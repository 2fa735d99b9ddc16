//! Which RFCs a command line of `get` asks for.

use std::collections::BTreeSet;

use p2p_ci::{
    document::{RfcNumber, RfcRange},
    facts::Reference,
};

use crate::{
    commands::hints::{Hints, tell_members},
    error::PeerError,
    limits,
    output::Output,
    wanted::{Wanted, WantedWord},
};

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
    /// What is asked for by numbers; nothing is known of subseries yet.
    ///
    /// # Errors
    ///
    /// [`PeerError::Usage`] when it is too much.
    pub(super) fn by_number(words: &[WantedWord]) -> Result<Self, PeerError> {
        Self::new(words, |_| Vec::new())
    }

    /// What is asked for by somebody who knows which RFCs each subseries is, as people are told.
    ///
    /// # Errors
    ///
    /// As [`by_number`](Self::by_number).
    pub(super) fn knowing(words: &[WantedWord], hints: &Hints, output: &mut Output) -> Result<Self, PeerError> {
        Self::new(words, |series| {
            let members = hints.members(series);
            if !members.is_empty() {
                tell_members(series, &members, output);
            }
            members
        })
    }

    fn new(words: &[WantedWord], mut members: impl FnMut(Reference) -> Vec<RfcNumber>) -> Result<Self, PeerError> {
        let mut wishes = Self::default();
        let (mut met, mut met_series) = (BTreeSet::new(), BTreeSet::new());
        let mut count = 0;
        for word in words {
            let (numbers, in_range) = match word {
                WantedWord::Numbers(Wanted { range, .. }) => {
                    check_count(count + count_of(*range))?;
                    let numbers = (range.first.get()..=range.last.get()).filter_map(RfcNumber::new);
                    (numbers.collect(), range.first != range.last)
                }
                WantedWord::Subseries(series) if !met_series.insert(*series) => continue,
                WantedWord::Subseries(series) => {
                    let members = members(*series);
                    wishes.unknown.extend(members.is_empty().then_some(*series));
                    (members, false)
                }
            };
            count += numbers.len() as u64;
            check_count(count)?;
            let new = numbers.into_iter().filter(|number| met.insert(*number));
            wishes.asked.extend(new.map(|number| Asked { number, in_range }));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(words: &str, members: &[(&str, std::ops::Range<u32>)]) -> Result<Wishes, PeerError> {
        let words: Vec<WantedWord> = words.split_whitespace().map(|word| word.parse().unwrap()).collect();
        Wishes::new(&words, |series| {
            let known = members.iter().find(|(name, _)| name.parse() == Ok(series));
            let numbers = known.map(|(_, numbers)| numbers.clone()).unwrap_or_default();
            numbers.filter_map(RfcNumber::new).collect()
        })
    }

    fn numbers(wishes: &Wishes) -> Vec<(u32, bool)> {
        let asked = wishes.asked.iter();
        asked.map(|asked| (asked.number.get(), asked.in_range)).collect()
    }

    #[test]
    fn words_keep_their_order_and_each_rfc_comes_once() {
        let wishes = wishes("9 bcp14 2-4 7 fyi1 9 std3 fyi1", &[("bcp14", 3..5), ("std3", 20..22)]).unwrap();
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
    fn too_much_is_refused_whoever_makes_it_so() {
        assert_eq!(wishes("1-999 5000", &[]).unwrap().asked.len(), 1000);
        let claimed = [("bcp14", 1..u32::from(u16::MAX))];
        for words in ["1-1000 5000", "1-", "1- 1-", "5 bcp14", "bcp14"] {
            let told = wishes(words, &claimed).unwrap_err().to_string();
            assert!(told.starts_with("more than 1000 RFCs"), "{words}: {told}");
        }
    }
}
