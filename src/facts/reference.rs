//! What RFCs call each other, and the series that they belong to.

use std::{fmt, str::FromStr};

use crate::{document::RfcNumber, text::excerpt};

/// A series of documents that RFCs refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Series {
    /// Requests for Comments.
    Rfc,
    /// Internet Standards (RFC 7100 and before).
    Std,
    /// Best Current Practices (RFC 1818).
    Bcp,
    /// For Your Information (RFC 1150, concluded by RFC 6360).
    Fyi,
    /// Internet Experiment Notes, 1977 to 1982.
    Ien,
    /// Documents of the Network Information Center, up to 1970s.
    Nic,
    /// RARE Technical Reports.
    Rtr,
}

impl Series {
    /// Every series.
    pub const ALL: [Self; 7] = [
        Self::Rfc,
        Self::Std,
        Self::Bcp,
        Self::Fyi,
        Self::Ien,
        Self::Nic,
        Self::Rtr,
    ];

    /// The series' short name in capital letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc => "RFC",
            Self::Std => "STD",
            Self::Bcp => "BCP",
            Self::Fyi => "FYI",
            Self::Ien => "IEN",
            Self::Nic => "NIC",
            Self::Rtr => "RTR",
        }
    }

    /// Whether its members are sets of RFCs.
    #[must_use]
    pub const fn is_subseries(self) -> bool {
        matches!(self, Self::Std | Self::Bcp | Self::Fyi)
    }
}

/// One document of a series: `BCP 14`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The series.
    pub series: Series,
    /// Its number there, 1 or more.
    pub number: RfcNumber,
}

/// A text that names no document of a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no document; write RFC9110, BCP14, STD97 or FYI36")]
pub struct ReferenceError(String);

impl Reference {
    /// The RFC of that number.
    #[must_use]
    pub const fn to_rfc(number: RfcNumber) -> Self {
        let series = Series::Rfc;
        Self { series, number }
    }

    /// The number, where it is an RFC.
    #[must_use]
    pub fn rfc(&self) -> Option<RfcNumber> {
        (self.series == Series::Rfc).then_some(self.number)
    }

    /// As the RFC Editor's index wrote it until 2026: `RFC0020`, `BCP0014`, but `IEN30`.
    #[must_use]
    pub fn padded(&self) -> String {
        match self.series {
            Series::Rfc | Series::Std | Series::Bcp | Series::Fyi | Series::Rtr => {
                format!("{}{:04}", self.series.name(), self.number.get())
            }
            Series::Ien | Series::Nic => self.unpadded(),
        }
    }

    /// As the RFC Editor's index writes it since: `RFC20`, `BCP14`.
    #[must_use]
    pub fn unpadded(&self) -> String {
        format!("{}{}", self.series.name(), self.number)
    }
}

impl fmt::Display for Reference {
    /// For people: `BCP 14`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.series.name(), self.number)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads `BCP0014`, `bcp14`, `BCP 14` and `bcp-14`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        const SHOWN_BYTES: usize = 40;
        let error = || ReferenceError(excerpt(text, SHOWN_BYTES));
        let (name, digits) = text.trim().split_at_checked(3).ok_or_else(error)?;
        let series = Series::ALL
            .into_iter()
            .find(|series| series.name().eq_ignore_ascii_case(name))
            .ok_or_else(error)?;
        let digits = digits.trim_start_matches([' ', '-']);
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(error());
        }
        let number = digits.parse().ok().and_then(RfcNumber::new).ok_or_else(error)?;
        Ok(Self { series, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_in_every_spelling() {
        for (text, shown, padded, unpadded) in [
            ("RFC0020", "RFC 20", "RFC0020", "RFC20"),
            (" RFC10052", "RFC 10052", "RFC10052", "RFC10052"),
            ("bcp14", "BCP 14", "BCP0014", "BCP14"),
            ("Std-97", "STD 97", "STD0097", "STD97"),
            (" NIC 6716", "NIC 6716", "NIC6716", "NIC6716"),
            ("IEN0030", "IEN 30", "IEN30", "IEN30"),
            ("RTR12", "RTR 12", "RTR0012", "RTR12"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), shown);
            assert_eq!(
                (reference.padded(), reference.unpadded()),
                (padded.into(), unpadded.into())
            );
        }
        for text in [
            "",
            "RFC",
            "RFC0",
            "RFC-x",
            "XYZ1",
            "14",
            "RFC99999999999",
            "é14",
            "RFC1 2",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
