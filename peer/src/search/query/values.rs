//! A status and years, as people type them.

use std::str::FromStr;

use p2p_ci::{facts::Status, text::excerpt};

use super::QueryError;

/// Bytes that an error repeats of its input.
const SHOWN_BYTES: usize = 40;

/// The first year of an RFC, and the last that a number of four digits can name.
const YEARS: (u32, u32) = (1969, 9999);

/// A status as people type it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusWanted(pub Status);

/// The years in which an RFC was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Years {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl FromStr for StatusWanted {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let words = text.replace(['-', '_', '+'], " ");
        let short = words.trim().to_ascii_lowercase();
        let status = match short.as_str() {
            "std" | "full" | "full standard" | "internet" => Status::InternetStandard,
            "draft" => Status::DraftStandard,
            "proposed" | "ps" => Status::ProposedStandard,
            "bcp" | "best" => Status::BestCurrentPractice,
            "info" => Status::Informational,
            "exp" => Status::Experimental,
            "historical" => Status::Historic,
            _ => words
                .parse()
                .map_err(|()| QueryError::NoStatus(excerpt(text, SHOWN_BYTES)))?,
        };
        Ok(Self(status))
    }
}

impl FromStr for Years {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let wrong = || QueryError::NoYears(excerpt(text, SHOWN_BYTES));
        let year = |text: &str| -> Result<u32, QueryError> {
            let is_one = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            let year: u32 = is_one.then(|| text.parse().ok()).flatten().ok_or_else(wrong)?;
            Ok(year)
        };
        let text = text.trim();
        let (first, last) = match text.split_once(['-', '\u{2013}', '\u{2212}']) {
            None => (year(text)?, year(text)?),
            Some(("", "")) => return Err(wrong()),
            Some(("", last)) => (YEARS.0, year(last)?),
            Some((first, "")) => (year(first)?, YEARS.1),
            Some((first, last)) => (year(first)?, year(last)?),
        };
        if first > last {
            Err(wrong())
        } else {
            Ok(Self { first, last })
        }
    }
}
