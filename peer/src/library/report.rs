//! What a look at the folder found: counts, reasons and hints, for people and programs.

use std::{fmt, path::Path, time::Duration};

use p2p_ci::{document::DocumentKey, limits};

use super::error::shown;

/// Warnings that a report keeps; the rest is only counted.
const MAX_WARNINGS: usize = 20;

/// Paths that a report keeps for each reason, and files that it tells one by one: what fits a small terminal. The rest
/// is only counted.
const MAX_EXAMPLES: usize = 10;

/// How far a scan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanProgress {
    /// Files hashed so far.
    pub files_done: u64,
    /// Files to hash in all.
    pub files_total: u64,
    /// Bytes of the files hashed so far, as stored.
    pub bytes_done: u64,
    /// Bytes of all files to hash, as stored.
    pub bytes_total: u64,
}

/// Why something that lies in the folder is not shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// Its name names no document.
    OtherName,
    /// Its name starts with a dot.
    Hidden,
    /// Its name is not UTF-8.
    NotUtf8,
    /// A symbolic link that leads out of the folder.
    OutsideLink,
    /// A symbolic link that leads nowhere.
    BrokenLink,
    /// A symbolic link to a folder; folders are entered by their own name only.
    FolderLink,
    /// A pipe, a socket or a device.
    Special,
    /// Larger than a document may be, packed or unpacked.
    TooLarge,
    /// It may not be read.
    Unreadable,
    /// Named `.gz`, but no sound gzip file (RFC 1952).
    BadGzip,
    /// Still being written; it is looked at again.
    BeingWritten,
    /// A folder below the depth that is looked at, or one too many.
    TooDeep,
    /// One document more than a peer can announce.
    Excess,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::OtherName,
        Self::Hidden,
        Self::NotUtf8,
        Self::OutsideLink,
        Self::BrokenLink,
        Self::FolderLink,
        Self::Special,
        Self::TooLarge,
        Self::Unreadable,
        Self::BadGzip,
        Self::BeingWritten,
        Self::TooDeep,
        Self::Excess,
    ];

    /// What a count of these is a count of.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherName => "with another name",
            Self::Hidden => "hidden",
            Self::NotUtf8 => "with a name that is not UTF-8",
            Self::OutsideLink => "linking out of the folder",
            Self::BrokenLink => "linking nowhere",
            Self::FolderLink => "linking to a folder",
            Self::Special => "no regular file",
            Self::TooLarge => "too large",
            Self::Unreadable => "unreadable",
            Self::BadGzip => "damaged gzip",
            Self::BeingWritten => "still being written",
            Self::TooDeep => "too deep a folder",
            Self::Excess => "beyond what a peer can announce",
        }
    }

    /// What keeps a file from being shared that is named like a document, and what to do; `None` for what nobody expects
    /// to be shared.
    const fn withholds(self) -> Option<&'static str> {
        match self {
            Self::OtherName | Self::Hidden | Self::NotUtf8 | Self::TooDeep => None,
            Self::OutsideLink => Some("it is a link that leads out of the shared folder"),
            Self::BrokenLink => Some("it is a link that leads nowhere"),
            Self::FolderLink => Some("it is a link to a folder"),
            Self::Special => Some("it is a pipe, a socket or a device"),
            Self::TooLarge => Some("it has more than 16 MiB, which no document has"),
            Self::Unreadable => Some("it cannot be read; check its permissions"),
            Self::BadGzip => Some("it is no sound gzip file; copy it anew"),
            Self::BeingWritten => Some("it is being written, and shared soon after that has ended"),
            Self::Excess => Some("a peer cannot announce that many documents; share them from several folders"),
        }
    }
}

// What `SkipReason::TooLarge` tells.
const _: () = assert!(limits::MAX_DOCUMENT_BYTES == 16 * 1024 * 1024);

/// What was left out of the library, counted by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    reasons: Vec<(SkipReason, u64, Vec<String>)>,
}

impl Skipped {
    /// Counts one more.
    pub(super) fn add(&mut self, reason: SkipReason, path: &Path) {
        let path = shown(path);
        tracing::debug!(path, "not shared: {}", reason.as_str());
        self.count_one(reason, path);
    }

    fn count_one(&mut self, reason: SkipReason, path: String) {
        let index = match self.reasons.iter().position(|(known, _, _)| *known == reason) {
            Some(index) => index,
            None => {
                self.reasons.push((reason, 0, Vec::new()));
                self.reasons.sort_by_key(|(known, _, _)| *known);
                self.reasons
                    .iter()
                    .position(|(known, _, _)| *known == reason)
                    .unwrap_or(0)
            }
        };
        if let Some((_, count, examples)) = self.reasons.get_mut(index) {
            *count += 1;
            if examples.len() < MAX_EXAMPLES {
                examples.push(path);
            }
        }
    }

    /// Adds the counts of another part of the same look.
    pub(super) fn absorb(&mut self, other: &Self) {
        for (reason, count, examples) in &other.reasons {
            examples
                .iter()
                .for_each(|example| self.count_one(*reason, example.clone()));
            let unnamed = count.saturating_sub(u64::try_from(examples.len()).unwrap_or(u64::MAX));
            if let Some((_, total, _)) = self.reasons.iter_mut().find(|(known, _, _)| known == reason) {
                *total += unnamed;
            }
        }
    }

    /// How many were left out for this reason.
    #[must_use]
    pub fn count(&self, reason: SkipReason) -> u64 {
        self.reasons
            .iter()
            .find(|(known, _, _)| *known == reason)
            .map_or(0, |(_, count, _)| *count)
    }

    /// How many were left out in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.reasons.iter().map(|(_, count, _)| count).sum()
    }

    /// Each reason that occurred with its count and up to ten paths below the root, escaped.
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u64, &[String])> {
        self.reasons
            .iter()
            .map(|(reason, count, examples)| (*reason, *count, examples.as_slice()))
    }
}

impl Skipped {
    /// What the folder's owner should know: the files that are named like documents and yet not shared, each with its
    /// reason, one a line. Of many, ten are named, of every reason some, and the rest is counted.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let withheld = || {
            let reasons = self.reasons.iter();
            reasons.filter_map(|(reason, count, examples)| Some((reason.withholds()?, *count, examples)))
        };
        let mut turns: Vec<(usize, String)> = withheld()
            .flat_map(|(why, _, examples)| {
                let told = examples.iter().map(move |path| format!("{path} is not shared: {why}"));
                told.enumerate()
            })
            .collect();
        turns.sort_by_key(|(turn, _)| *turn);
        turns.truncate(MAX_EXAMPLES);
        let mut lines: Vec<String> = turns.into_iter().map(|(_, line)| line).collect();
        let total: u64 = withheld().map(|(_, count, _)| count).sum();
        let more = total.saturating_sub(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        if more > 0 {
            lines.push(format!("and {more} more that are not shared"));
        }
        lines
    }
}

impl fmt::Display for Skipped {
    /// One line: `17 with another name, 1 too large (rfc9.txt)`. Empty when nothing was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (reason, count, examples)) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{count} {}", reason.as_str())?;
            let ordinary = matches!(reason, SkipReason::OtherName | SkipReason::Hidden);
            if let Some(example) = examples.first().filter(|_| !ordinary) {
                write!(f, " ({example})")?;
            }
        }
        Ok(())
    }
}

/// What a look at the folder found, and what it changed.
#[derive(Debug, Clone, Default)]
pub struct ScanReport {
    /// Documents that the library holds now.
    pub documents: usize,
    /// Bytes of these documents, unpacked.
    pub document_bytes: u64,
    /// Files that were hashed.
    pub hashed: u64,
    /// Bytes of the files that were hashed, as stored.
    pub hashed_bytes: u64,
    /// Files whose digest was known already.
    pub cached: u64,
    /// Documents that are new, ascending.
    pub added: Vec<DocumentKey>,
    /// Documents of which the digest, the time or the title is another one now, ascending.
    pub changed: Vec<DocumentKey>,
    /// Documents that are gone, ascending.
    pub removed: Vec<DocumentKey>,
    /// What was left out.
    pub skipped: Skipped,
    /// Files that name a document which another file with a better name provides.
    pub shadowed: u64,
    /// What the folder's owner should know: one sentence each, escaped, at most 300 bytes, at most twenty.
    pub warnings: Vec<String>,
    /// What to do when the folder shows little or nothing, if there is advice.
    pub hint: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl ScanReport {
    /// Keeps a warning, unless there are enough of them.
    pub(super) fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }

    /// Whether the set of documents is another one than before.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !(self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty())
    }
}
