//! What `export` prints.

use std::{path::Path, time::Duration};

use serde::Serialize;

use super::objects::whole_millis;
use crate::export::{Layout, Summary};

/// The last line of `export`.
#[derive(Debug, Serialize)]
pub struct ExportObject {
    summary: ExportSummary,
}

/// What an export did.
#[derive(Debug, Serialize)]
struct ExportSummary {
    layout: String,
    target: String,
    /// Files that are new: the sum of the next four.
    exported: u64,
    cloned: u64,
    linked: u64,
    copied: u64,
    made: u64,
    present: u64,
    kept: u64,
    failed: u64,
    removed: u64,
    left: u64,
    /// Sets of RFCs that lack a text.
    incomplete: u64,
    bytes: u64,
    duration_ms: u64,
}

impl ExportObject {
    /// What was done in a target, and how long it took.
    #[must_use]
    pub fn new(summary: &Summary, layout: Layout, target: &Path, took: Duration) -> Self {
        Self {
            summary: ExportSummary {
                layout: layout.name(),
                target: target.to_string_lossy().into_owned(),
                exported: summary.exported(),
                cloned: summary.cloned,
                linked: summary.linked,
                copied: summary.copied,
                made: summary.made,
                present: summary.present,
                kept: summary.kept.len() as u64,
                failed: summary.failed.len() as u64,
                removed: summary.removed,
                left: summary.left,
                incomplete: summary.incomplete,
                bytes: summary.bytes,
                duration_ms: whole_millis(took),
            },
        }
    }
}
