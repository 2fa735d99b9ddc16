//! Progress bars on stderr, for as long as something lasts that a person waits for.
//!
//! Where stderr is no terminal, or results are JSON, nothing is drawn, and the same calls do nothing.

mod shares;
mod stderr;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use p2p_ci::text::escaped;
use unicode_width::UnicodeWidthStr as _;

use self::{
    shares::Shares,
    stderr::{Stderr, columns},
};
use super::{Output, human, screen::Screen};
use crate::error::PeerError;

/// How often a bar is drawn while nothing arrives, so that a stall shows as a falling rate.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// The looks of every bar: one line, or two with the peers' shares, put together here since they depend on the terminal's
/// width.
const TEMPLATE: &str = "{lines}";

/// How often a bar is drawn at most, in times per second.
const REDRAW_RATE: u8 = 20;

/// Columns of the bar itself, where there is room.
const BAR_COLUMNS: usize = 20;

/// A bar of fewer columns says nothing, and other things go first.
const LEAST_BAR_COLUMNS: usize = 5;

/// A bar on stderr. Dropping it removes it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    label: Arc<Mutex<String>>,
    documents: AtomicU64,
    /// 0 for a bar that counts no documents.
    total_documents: AtomicU64,
    shares: Arc<Mutex<Shares>>,
}

impl Progress {
    /// No bar.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            label: Arc::default(),
            documents: AtomicU64::new(0),
            total_documents: AtomicU64::new(0),
            shares: Arc::default(),
        }
    }

    /// A bar for one download of `size_bytes`.
    #[must_use]
    pub fn download(output: &Output, label: &str, size_bytes: u64) -> Self {
        Self::new(output, size_bytes, escaped(label).to_string(), 0)
    }

    /// One bar for many downloads together, and the shares of the peers beneath it.
    #[must_use]
    pub fn mirror(output: &Output, total_documents: u64, total_bytes: u64) -> Self {
        Self::new(output, total_bytes, counted(0, total_documents), total_documents)
    }

    fn new(output: &Output, total_bytes: u64, label: String, total_documents: u64) -> Self {
        if !output.shows_progress() {
            return Self::hidden();
        }
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Stderr::default()), REDRAW_RATE);
        let bar = ProgressBar::with_draw_target(Some(total_bytes), target);
        let label = Arc::new(Mutex::new(label));
        let shares = Arc::<Mutex<Shares>>::default();
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            let (label, shares) = (Arc::clone(&label), Arc::clone(&shares));
            let lines = move |state: &ProgressState, text: &mut dyn fmt::Write| {
                let columns = columns();
                let label = lock(&label).clone();
                let mut lines = Amounts::of(state).line(&label, columns);
                if let Some(shares) = lock(&shares).line(columns) {
                    lines.push('\n');
                    lines.push_str(&shares);
                }
                // A bar that cannot be written is not worth a failure.
                let _ = text.write_str(&lines);
            };
            bar.set_style(style.with_key("lines", lines));
        }
        bar.enable_steady_tick(REDRAW_INTERVAL);
        Self {
            bar,
            label,
            documents: AtomicU64::new(0),
            total_documents: AtomicU64::new(total_documents),
            shares,
        }
    }

    fn relabel(&self, label: String) {
        *lock(&self.label) = label;
    }

    /// Says how much there is in all, once that is known.
    pub fn expect(&self, total_documents: u64, total_bytes: u64) {
        self.total_documents.store(total_documents, Ordering::Relaxed);
        self.bar.set_length(total_bytes);
        self.relabel(counted(self.documents.load(Ordering::Relaxed), total_documents));
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

    /// Says that one more document is complete, of `bytes` that came from the peer of that name.
    pub fn document_done(&self, from: &str, bytes: u64) {
        if self.bar.is_hidden() {
            return;
        }
        lock(&self.shares).add(from, bytes);
        let documents = self.documents.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total_documents.load(Ordering::Relaxed);
        if total > 0 {
            self.relabel(counted(documents, total));
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far something has come, and how fast.
#[derive(Debug, Clone, Copy)]
struct Amounts {
    done: u64,
    total: u64,
    per_second: f64,
    left: Duration,
}

impl Amounts {
    fn of(state: &ProgressState) -> Self {
        Self {
            done: state.pos(),
            total: state.len().unwrap_or(0),
            per_second: state.per_sec(),
            left: state.eta(),
        }
    }

    /// One line that fits `columns`, with as much of it all as there is room for; in ASCII, because a terminal's locale
    /// is unknown.
    fn line(&self, label: &str, columns: usize) -> String {
        let rate = human::rate_of(self.per_second);
        let bytes = format!("{}/{}, {rate}", DecimalBytes(self.done), DecimalBytes(self.total));
        let with_time = format!("{bytes}, {:#} left", HumanDuration(self.left));
        // How long it takes is known once something is there.
        let texts = [(self.done > 0).then_some(with_time), Some(bytes), Some(rate)];
        for text in texts.into_iter().flatten() {
            let around = label.width() + text.width() + " [] ".len();
            let left = columns.saturating_sub(around);
            if left >= LEAST_BAR_COLUMNS {
                return format!("{label} [{}] {text}", self.bar(left.min(BAR_COLUMNS)));
            }
        }
        let percent = format!("{label} {}%", self.part_of(100));
        if percent.width() <= columns {
            return percent;
        }
        let screen = Screen {
            columns: Some(columns),
            unicode: false,
        };
        screen.fit(label)
    }

    /// What part of `whole` is done.
    fn part_of(&self, whole: u64) -> u64 {
        let part = u128::from(self.done) * u128::from(whole);
        let part = part.checked_div(u128::from(self.total)).unwrap_or(0);
        u64::try_from(part).unwrap_or(whole).min(whole)
    }

    fn bar(&self, columns: usize) -> String {
        let done = usize::try_from(self.part_of(u64::try_from(columns).unwrap_or(0))).unwrap_or(0);
        let head = if done < columns { ">" } else { "" };
        format!("{:columns$}", format!("{}{head}", "=".repeat(done)))
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
        progress.document_done("alice", 4);
        progress.println(&mut output, "RFC 1: saved").unwrap();
        progress.finish();
        assert_eq!(lines.text(), "RFC 1: saved\n");
    }

    #[test]
    fn a_line_shows_what_fits() {
        let amounts = Amounts {
            done: 123_450_000,
            total: 456_780_000,
            per_second: 12_300_000.0,
            left: Duration::from_secs(27),
        };
        let label = counted(3481, 9148);
        let shown = |columns: usize| amounts.line(&label, columns - 3);
        assert_eq!(
            shown(100),
            "3481/9148 documents [=====>              ] 123.45 MB/456.78 MB, 12.3 MB/s, 27s left"
        );
        assert_eq!(
            shown(80),
            "3481/9148 documents [===>          ] 123.45 MB/456.78 MB, 12.3 MB/s, 27s left"
        );
        assert_eq!(shown(40), "3481/9148 documents [=>   ] 12.3 MB/s");
        assert_eq!(shown(30), "3481/9148 documents 27%");
        assert_eq!(shown(20), "3481/9148 docu...");
        for done in [0, 1, 456_780_000, u64::MAX] {
            for columns in 0..200 {
                let line = Amounts { done, ..amounts }.line("RFC 9110", columns);
                assert!(line.width() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        assert_eq!(counted(3, 9148), "3/9148 documents");
    }
}
