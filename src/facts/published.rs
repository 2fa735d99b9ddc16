//! When an RFC was published.

use std::{fmt, num::NonZeroU8, str::FromStr};

/// A month of the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(NonZeroU8);

/// The months' names, as the RFC Editor writes them.
const NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Letters by which a month's name is recognised.
const LETTERS: usize = 3;

impl Month {
    /// The month of that number, 1 to 12.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok().filter(|number| *number <= 12)?;
        NonZeroU8::new(number).map(Self)
    }

    /// Its number, 1 to 12.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0.get()
    }

    /// Its English name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0.get()) - 1).copied().unwrap_or_default()
    }
}

impl FromStr for Month {
    type Err = ();

    /// Reads a month's English name in any case, whole or its first letters, three at least: `April`, `APR`, `Sept.`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim_end_matches(['.', ',']);
        if text.len() < LETTERS {
            return Err(());
        }
        let is_it = |name: &&str| {
            name.get(..text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(text))
        };
        let at = NAMES.iter().position(is_it).ok_or(())?;
        u32::try_from(at + 1).ok().and_then(Self::new).ok_or(())
    }
}

/// A date as RFCs have it: the day only on the first of April, the month nearly always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    /// The year, of four digits.
    pub year: u16,
    /// The month.
    pub month: Option<Month>,
    /// The day of the month, 1 to 31.
    pub day: Option<u8>,
}

impl Published {
    /// A date, if it is one.
    #[must_use]
    pub fn new(year: u32, month: Option<Month>, day: Option<u32>) -> Option<Self> {
        let year = u16::try_from(year).ok().filter(|year| (1000..=9999).contains(year))?;
        let day = day
            .and_then(|day| u8::try_from(day).ok())
            .filter(|day| (1..=31).contains(day));
        let day = day.filter(|_| month.is_some());
        Some(Self { year, month, day })
    }
}

impl fmt::Display for Published {
    /// As the RFC Editor writes it: `April 1990`, `1 April 1990`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(day) = self.day {
            write!(f, "{day} ")?;
        }
        if let Some(month) = self.month {
            write!(f, "{} ", month.name())?;
        }
        self.year.fmt(f)
    }
}

impl FromStr for Published {
    type Err = ();

    /// Reads what RFCs and their records say: `April 1990`, `1 April 1990`, `April 1, 1990`, `1-Apr-90` of the early ones,
    /// `1990`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text
            .split([' ', '\t', '-', ','])
            .filter(|word| !word.is_empty())
            .collect();
        let (year, rest) = words.split_last().ok_or(())?;
        let number = |word: &str| {
            let digits = word.trim_end_matches("st").trim_end_matches("th");
            let is_number = digits.len() <= 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
            is_number.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let year = match (number(year).ok_or(())?, year.len()) {
            (year, 4) => year,
            // Two digits are of the century in which people wrote them so.
            (year, 2) if year >= 69 => 1900 + year,
            _ => return Err(()),
        };
        let (month, day) = match rest {
            [] => (None, None),
            [month] => (Some(month.parse()?), None),
            [one, other] => match (one.parse::<Month>(), other.parse::<Month>()) {
                (Ok(month), Err(())) => (Some(month), Some(number(other).ok_or(())?)),
                (Err(()), Ok(month)) => (Some(month), Some(number(one).ok_or(())?)),
                _ => return Err(()),
            },
            _ => return Err(()),
        };
        Self::new(year, month, day).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_rfcs_have_them() {
        for (text, shown) in [
            ("April 1990", "April 1990"),
            ("1 April 1990", "1 April 1990"),
            ("April 1, 1990", "1 April 1990"),
            ("1 Apr. 2004", "1 April 2004"),
            ("27-Sept-1971", "27 September 1971"),
            ("7-May-70", "7 May 1970"),
            ("JUNE 1974", "June 1974"),
            ("May 2026", "May 2026"),
            ("1969", "1969"),
        ] {
            assert_eq!(
                text.parse::<Published>().map(|date| date.to_string()),
                Ok(shown.into()),
                "{text}"
            );
        }
        for text in [
            "",
            "April",
            "Ap 1990",
            "April 19900",
            "12 34 1990",
            "April May 1990",
            "1 2 3 April 1990",
            "May 12",
        ] {
            assert!(text.parse::<Published>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_date_has_a_day_without_a_month() {
        assert_eq!(Published::new(1990, None, Some(1)).unwrap().to_string(), "1990");
        assert_eq!(Published::new(1990, Month::new(4), Some(32)).unwrap().day, None);
        assert_eq!(Month::new(13), None);
        assert!(Month::new(0).is_none() && Published::new(99_999, None, None).is_none());
    }
}
