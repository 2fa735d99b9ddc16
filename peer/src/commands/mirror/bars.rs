//! What is shown of a mirror while it goes on, and noted for its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use p2p_ci::{document::Document, message::Holder, text::escaped};

use super::SHOWN_FAILURES;
use crate::{
    mirror::{Observer, Summary},
    output::{Output, progress::Progress},
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The progress bar of a mirror, and what people should be told once it is gone.
pub(super) struct Bars {
    bar: Progress,
    notes: Mutex<Notes>,
    /// Documents and bytes of the rounds before this one.
    before: Mutex<(u64, u64)>,
}

#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    left_out: u64,
    /// Whether everything has been said once.
    are_old: bool,
}

impl Bars {
    pub(super) fn new(output: &Output) -> Self {
        Self {
            bar: Progress::mirror(output, 0, 0),
            notes: Mutex::default(),
            before: Mutex::default(),
        }
    }

    /// Begins another round after what this summary tells; what the first one noted is not noted again.
    pub(super) fn another_round(&self, summary: &Summary) {
        *lock(&self.before) = (summary.fetched, summary.bytes);
        lock(&self.notes).are_old = true;
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish();
    }

    /// What was noted.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = lock(&self.notes);
        let mut lines = std::mem::take(&mut notes.lines);
        if notes.left_out > 0 {
            lines.push(format!("and {} more such lines", notes.left_out));
        }
        lines
    }
}

impl Observer for Bars {
    fn planned(&self, documents: u64, bytes: u64) {
        let (documents_before, bytes_before) = *lock(&self.before);
        self.bar.expect(documents_before + documents, bytes_before + bytes);
    }

    fn received(&self, bytes: u64) {
        self.bar.advance(bytes);
    }

    fn stored(&self, document: &Document, holder: &Holder) {
        self.bar.document_done(holder.name.as_str(), document.size_bytes);
    }

    fn note(&self, line: &str) {
        let line = escaped(line).to_string();
        let mut notes = lock(&self.notes);
        if notes.are_old && (notes.lines.contains(&line) || notes.left_out > 0) {
            return;
        }
        if notes.lines.len() < SHOWN_FAILURES {
            notes.lines.push(line);
        } else {
            notes.left_out += 1;
        }
    }
}
