//! What an RFC is, and who has a say in it.

use std::{fmt, str::FromStr};

/// What an RFC is (RFC 2026 sections 4 and 5, RFC 6410).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Status {
    /// A full standard.
    InternetStandard,
    /// On the standards track until 2011, between the other two.
    DraftStandard,
    /// On the standards track.
    ProposedStandard,
    /// What the community does.
    BestCurrentPractice,
    /// For information.
    Informational,
    /// For experiments.
    Experimental,
    /// Of the past.
    Historic,
    /// From a time before there were any, or nobody says.
    #[default]
    Unknown,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::InternetStandard,
        Self::DraftStandard,
        Self::ProposedStandard,
        Self::BestCurrentPractice,
        Self::Informational,
        Self::Experimental,
        Self::Historic,
        Self::Unknown,
    ];

    /// As the RFC Editor writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InternetStandard => "INTERNET STANDARD",
            Self::DraftStandard => "DRAFT STANDARD",
            Self::ProposedStandard => "PROPOSED STANDARD",
            Self::BestCurrentPractice => "BEST CURRENT PRACTICE",
            Self::Informational => "INFORMATIONAL",
            Self::Experimental => "EXPERIMENTAL",
            Self::Historic => "HISTORIC",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Status {
    type Err = ();

    /// Reads what the RFC Editor writes, in any case and with any white space.
    fn from_str(text: &str) -> Result<Self, ()> {
        let words = || text.split_whitespace();
        let is_it = |name: &str| {
            let mut words = words();
            name.split(' ')
                .all(|word| words.next().is_some_and(|told| told.eq_ignore_ascii_case(word)))
                && words.next().is_none()
        };
        if is_it("STANDARD") {
            return Ok(Self::InternetStandard);
        }
        Self::ALL.into_iter().find(|status| is_it(status.name())).ok_or(())
    }
}

/// Who has a say in an RFC (RFC 9280 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The Internet Engineering Task Force.
    Ietf,
    /// The Internet Research Task Force.
    Irtf,
    /// The Internet Architecture Board.
    Iab,
    /// The Independent Submissions Editor.
    Independent,
    /// The RFC series itself.
    Editorial,
    /// From a time before there were any.
    Legacy,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 6] = [
        Self::Ietf,
        Self::Irtf,
        Self::Iab,
        Self::Independent,
        Self::Editorial,
        Self::Legacy,
    ];

    /// As the RFC Editor's index writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ietf => "IETF",
            Self::Irtf => "IRTF",
            Self::Iab => "IAB",
            Self::Independent => "INDEPENDENT",
            Self::Editorial => "Editorial",
            Self::Legacy => "Legacy",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Stream {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let is_it = |stream: &Self| stream.name().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(is_it).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        for status in Status::ALL {
            assert_eq!(status.name().to_lowercase().parse(), Ok(status));
        }
        assert_eq!(" Proposed\n Standard".parse(), Ok(Status::ProposedStandard));
        assert_eq!("Standard".parse(), Ok(Status::InternetStandard));
        for text in ["", "PROPOSED", "PROPOSED STANDARD X", "NOT ISSUED"] {
            assert_eq!(text.parse::<Status>(), Err(()), "{text}");
        }
        for stream in Stream::ALL {
            assert_eq!(stream.name().to_lowercase().parse(), Ok(stream));
        }
        assert_eq!("".parse::<Stream>(), Err(()));
    }
}
