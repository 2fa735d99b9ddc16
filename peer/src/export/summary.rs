//! What an export has done.

use crate::library::StoreError;

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already.
    Present,
    /// It shares its blocks with the document's file until either is written to.
    Cloned,
    /// It is the document's file, by another name.
    Linked,
    /// It was copied, packed or unpacked.
    Copied,
    /// It was made: an index, a set, a record.
    Made,
}

/// What an export has done.
#[derive(Debug, Default)]
pub struct Summary {
    /// Files that were there already.
    pub present: u64,
    /// Files that share blocks with the documents' files.
    pub cloned: u64,
    /// Files that are the documents' files by another name.
    pub linked: u64,
    /// Documents that were copied.
    pub copied: u64,
    /// Indexes, sets and records.
    pub made: u64,
    /// Bytes of what is new, whether they take space or not.
    pub bytes: u64,
    /// Files of others that were left alone although they have other bytes than they should, or are in the way.
    pub kept: Vec<String>,
    /// Files that could not be made, each with the reason.
    pub failed: Vec<String>,
    /// Files that are gone since their documents are.
    pub removed: u64,
    /// Sets of RFCs that are left out, since not all of their texts are here.
    pub incomplete: u64,
    /// Files that were not come to, as the export ended early.
    pub left: u64,
    /// What ended the export early, other than its user.
    pub stopped: Option<StoreError>,
    /// Whether its user ended it.
    pub is_interrupted: bool,
}

impl Summary {
    /// Counts a file.
    pub fn count(&mut self, outcome: Outcome, bytes: u64) {
        let count = match outcome {
            Outcome::Present => &mut self.present,
            Outcome::Cloned => &mut self.cloned,
            Outcome::Linked => &mut self.linked,
            Outcome::Copied => &mut self.copied,
            Outcome::Made => &mut self.made,
        };
        *count += 1;
        if outcome != Outcome::Present {
            self.bytes += bytes;
        }
    }

    /// Files that are new.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.cloned + self.linked + self.copied + self.made
    }

    /// Whether nothing in the target is another than before, and nobody need know anything.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let is_unchanged = self.exported() == 0 && self.removed == 0;
        is_unchanged && self.failed.is_empty() && self.stopped.is_none()
    }
}
