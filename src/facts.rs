//! What is known about an RFC beside its bytes: who wrote it and when, what it is, and what it stands to others.
//!
//! Documents never change, facts do: an RFC becomes obsolete by another one, gets errata, moves along the standards track.
//! So they travel apart from documents, and of several claims about one RFC the newest holds ([`Facts::supersedes`]). All
//! of them are claims: nobody signs any. They are bounded, and shown through [`text::escaped`] only.

mod published;
mod reference;
mod standing;

pub use self::{
    published::{Month, Published},
    reference::{Reference, ReferenceError, Series},
    standing::{Status, Stream},
};
use crate::{
    document::{RfcNumber, Title, UnixSeconds},
    limits, text,
};

/// A line of text that somebody claims: folded, without control characters, at most [`limits::MAX_FACT_LINE_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Line(Box<str>);

impl Line {
    /// Makes a line out of any text; `None` when nothing is left of it.
    #[must_use]
    pub fn from_lossy(text: &str) -> Option<Self> {
        let line = text::folded(text, limits::MAX_FACT_LINE_BYTES);
        (!line.is_empty()).then(|| Self(line.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Paragraphs of text that somebody claims, with an empty line between them; otherwise as [`Line`], and at most
/// [`limits::MAX_FACT_PROSE_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Prose(Box<str>);

impl Prose {
    /// Makes paragraphs out of any text: empty lines part them, all other white space is folded.
    #[must_use]
    pub fn from_lossy(text: &str) -> Self {
        let mut prose = String::new();
        let lines: Vec<&str> = text.lines().collect();
        for paragraph in lines.split(|line| line.trim().is_empty()) {
            let gap = if prose.is_empty() { "" } else { "\n\n" };
            let room = limits::MAX_FACT_PROSE_BYTES.saturating_sub(prose.len() + gap.len());
            let paragraph = text::folded(&paragraph.join(" "), room);
            if !paragraph.is_empty() {
                prose.push_str(gap);
                prose.push_str(&paragraph);
            }
        }
        Self(prose.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where facts come from, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The first page of the RFC itself, which knows nothing of what came later.
    Text,
    /// The RFC Editor's index of all RFCs.
    Index,
    /// The RFC Editor's metadata record.
    Record,
}

/// What somebody claims to know about one RFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The RFC.
    pub number: RfcNumber,
    /// Where this comes from.
    pub source: Source,
    /// When that was written; unknown for many files.
    pub as_of: Option<UnixSeconds>,
    /// What there is to tell; `None` for a number that was never used.
    pub issued: Option<Box<Issued>>,
}

/// What somebody claims to know about an RFC that was published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Issued {
    /// The title.
    pub title: Title,
    /// The authors as the RFC Editor writes them: `R. Fielding, Ed.`.
    pub authors: Vec<Line>,
    /// When it was published.
    pub published: Option<Published>,
    /// What it is today.
    pub status: Status,
    /// What it was when it was published.
    pub published_as: Status,
    /// Who has a say in it.
    pub stream: Option<Stream>,
    /// The group that wrote it.
    pub group: Option<Line>,
    /// What it takes the place of.
    pub obsoletes: Vec<Reference>,
    /// What took its place.
    pub obsoleted_by: Vec<Reference>,
    /// What it changes.
    pub updates: Vec<Reference>,
    /// What changed it.
    pub updated_by: Vec<Reference>,
    /// What else it is: BCP 14.
    pub also: Vec<Reference>,
    /// Formats in which it was published, as the index names them: TXT, HTML, PDF, XML, PS.
    pub formats: Vec<Line>,
    /// How many pages it has.
    pub pages: Option<u32>,
    /// Words that describe it.
    pub keywords: Vec<Line>,
    /// What it says in short.
    pub summary: Prose,
    /// Its Digital Object Identifier, such as `10.17487/RFC9110`.
    pub doi: Option<Line>,
    /// The draft that became it.
    pub draft: Option<Line>,
    /// Whether errors were reported.
    pub has_errata: bool,
}

impl Facts {
    /// Whether these hold against other ones about the same RFC, `now`.
    ///
    /// What the RFC itself says yields to whatever the RFC Editor says. Then the newest holds, if it is not from a time to
    /// come; at one time, the metadata record.
    #[must_use]
    pub fn supersedes(&self, other: &Self, now: UnixSeconds) -> bool {
        self.rank(now) > other.rank(now)
    }

    /// About how much memory these take, in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        /// A text, a reference, and the rest of it all.
        const LINE: usize = size_of::<Line>();
        const REFERENCE: usize = size_of::<Reference>();
        const FIXED: usize = size_of::<Facts>() + size_of::<Issued>();
        let Some(issued) = self.issued.as_deref() else {
            return FIXED;
        };
        let lists = [&issued.authors, &issued.formats, &issued.keywords];
        let single = [&issued.group, &issued.doi, &issued.draft];
        let lines = lists.into_iter().flatten().chain(single.into_iter().flatten());
        let references = [
            &issued.obsoletes,
            &issued.obsoleted_by,
            &issued.updates,
            &issued.updated_by,
            &issued.also,
        ];
        let in_lines: usize = lines.map(|line| LINE + line.as_str().len()).sum();
        let in_references: usize = references.iter().map(|list| list.len() * REFERENCE).sum();
        FIXED + issued.title.as_str().len() + issued.summary.as_str().len() + in_lines + in_references
    }

    fn rank(&self, now: UnixSeconds) -> (bool, Option<UnixSeconds>, Source) {
        let as_of = self.as_of.filter(|as_of| !as_of.is_to_come(now));
        (self.source != Source::Text, as_of, self.source)
    }
}

impl Issued {
    /// RFCs that took its place, as far as it knows.
    pub fn successors(&self) -> impl Iterator<Item = RfcNumber> {
        self.obsoleted_by.iter().filter_map(Reference::rfc)
    }

    /// Keeps of each list what a message has room for. Nothing real is cut.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.authors.truncate(limits::MAX_FACT_ENTRIES);
        self.keywords.truncate(limits::MAX_FACT_ENTRIES);
        self.formats.truncate(limits::MAX_FACT_ENTRIES);
        for references in [
            &mut self.obsoletes,
            &mut self.obsoleted_by,
            &mut self.updates,
            &mut self.updated_by,
            &mut self.also,
        ] {
            references.sort_unstable();
            references.dedup();
            references.truncate(limits::MAX_FACT_ENTRIES);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(source: Source, as_of: Option<i64>) -> Facts {
        Facts {
            number: RfcNumber::new(9110).unwrap(),
            source,
            as_of: as_of.map(UnixSeconds),
            issued: None,
        }
    }

    #[test]
    fn the_newest_holds_and_the_rfc_itself_yields_to_everybody() {
        let now = UnixSeconds(1_000_000);
        let in_order = [
            facts(Source::Text, None),
            facts(Source::Text, Some(now.0)),
            facts(Source::Index, None),
            facts(Source::Record, Some(now.0 + 24 * 60 * 60 + 1)),
            facts(Source::Record, Some(1)),
            facts(Source::Index, Some(2)),
            facts(Source::Record, Some(2)),
            facts(Source::Index, Some(now.0 + 24 * 60 * 60)),
        ];
        for pair in in_order.windows(2) {
            let [weaker, stronger] = pair else { unreachable!() };
            assert!(stronger.supersedes(weaker, now), "{stronger:?} against {weaker:?}");
            assert!(!weaker.supersedes(stronger, now), "{weaker:?} against {stronger:?}");
        }
        let one = facts(Source::Record, Some(1));
        assert!(!one.supersedes(&one, now), "what is the same changes nothing");
    }

    #[test]
    fn texts_of_others_are_bounded_and_clean() {
        assert_eq!(
            Line::from_lossy(" R.\r\n Fielding\u{1b} ").unwrap().as_str(),
            "R. Fielding"
        );
        assert_eq!(Line::from_lossy(" \u{7} \n"), None);
        let long = Line::from_lossy(&"é".repeat(1000)).unwrap();
        assert_eq!(long.as_str().len(), limits::MAX_FACT_LINE_BYTES);
        let prose = Prose::from_lossy("  One\r\nof two.\r\n\r\n \n\u{1b}[2J\nTwo.");
        assert_eq!(prose.as_str(), "One of two.\n\n[2J Two.");
        let paragraph = format!("{}\n\n", "a".repeat(3000));
        assert!(Prose::from_lossy(&paragraph.repeat(100)).as_str().len() <= limits::MAX_FACT_PROSE_BYTES);
        assert!(!Prose::from_lossy(&"b".repeat(100_000)).is_empty());
    }
}
