//! Progress bars on stderr, for as long as something lasts that a person waits for.
//!
//! Where stderr is no terminal, or results are JSON, nothing is drawn, and the same calls do nothing.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use p2p_ci::text::escaped;

use super::Output;
use crate::error::PeerError;

/// How often a bar is drawn while nothing arrives, so that a stall shows as a falling rate.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// The looks of every bar; in ASCII, because a terminal's locale is unknown.
const TEMPLATE: &str = "{msg} [{bar:20}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}{left}";

/// A bar on stderr. Dropping it removes it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    documents: AtomicU64,
    /// 0 for a bar that counts no documents.
    total_documents: AtomicU64,
}

impl Progress {
    /// No bar.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            documents: AtomicU64::new(0),
            total_documents: AtomicU64::new(0),
        }
    }

    /// A bar for one download of `size_bytes`.
    #[must_use]
    pub fn download(output: &Output, label: &str, size_bytes: u64) -> Self {
        Self::new(output, size_bytes, escaped(label).to_string(), 0)
    }

    /// One bar for many downloads together.
    #[must_use]
    pub fn mirror(output: &Output, total_documents: u64, total_bytes: u64) -> Self {
        Self::new(output, total_bytes, counted(0, total_documents), total_documents)
    }

    fn new(output: &Output, total_bytes: u64, message: String, total_documents: u64) -> Self {
        if !output.shows_progress() {
            return Self::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr()).with_message(message);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> ").with_key("left", write_time_left));
        }
        bar.enable_steady_tick(REDRAW_INTERVAL);
        Self {
            bar,
            documents: AtomicU64::new(0),
            total_documents: AtomicU64::new(total_documents),
        }
    }

    /// Says how much there is in all, once that is known.
    pub fn expect(&self, total_documents: u64, total_bytes: u64) {
        self.total_documents.store(total_documents, Ordering::Relaxed);
        self.bar.set_length(total_bytes);
        self.bar
            .set_message(counted(self.documents.load(Ordering::Relaxed), total_documents));
    }

    /// Says how far something has come whose total may still grow.
    pub fn set(&self, bytes_done: u64, bytes_total: u64) {
        self.bar.set_length(bytes_total);
        self.bar.set_position(bytes_done);
    }

    /// Says that `bytes` more have arrived.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Says that `bytes` of those that arrived do not count: they were wrong, and come again.
    pub fn set_back(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    /// Says that one more document is complete.
    pub fn document_done(&self) {
        let documents = self.documents.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total_documents.load(Ordering::Relaxed);
        if total > 0 {
            self.bar.set_message(counted(documents, total));
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes a line of results to `output` while the bar steps aside.
    ///
    /// # Errors
    ///
    /// As [`Output::lines`].
    pub fn println(&self, output: &mut Output, line: impl fmt::Display) -> Result<(), PeerError> {
        self.suspend(|| output.lines(line))
    }

    /// Does `write` while the bar steps aside; for whatever else writes to the terminal.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

/// Says how long it takes until everything is there, once something is.
fn write_time_left(state: &ProgressState, text: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // A bar that cannot be written is not worth a failure.
        let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
    }
}

fn counted(documents: u64, total: u64) -> String {
    format!("{documents}/{total} documents")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::screen::Screen;

    #[test]
    fn without_a_terminal_nothing_is_drawn_and_lines_still_come() {
        let lines = crate::output::tests::Buffer::default();
        let mut output = Output::new(lines.clone(), std::io::sink(), false, Screen::ENDLESS);
        let progress = Progress::mirror(&output, 2, 10);
        assert!(progress.bar.is_hidden());
        progress.advance(4);
        progress.document_done();
        progress.println(&mut output, "RFC 1: saved").unwrap();
        progress.finish();
        assert_eq!(lines.text(), "RFC 1: saved\n");
    }

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        assert_eq!(counted(3, 9148), "3/9148 documents");
    }
}
