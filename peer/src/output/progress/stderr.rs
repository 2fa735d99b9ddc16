//! Stderr as bars are drawn on it, with some columns left free at its right.

use std::{
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::TermLike;
use unicode_width::UnicodeWidthStr as _;

use crate::output::screen::USUAL_COLUMNS;

/// Columns that stay free: the cursor rests behind the bar, and a terminal shows `^C` there when the key is pressed. A
/// line that wraps for it cannot be taken away again.
const FREE_COLUMNS: usize = 3;

/// Columns that a bar may take now: somebody may make the window wider or narrower.
pub(super) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    let columns = if columns == 0 { USUAL_COLUMNS } else { columns };
    columns.saturating_sub(FREE_COLUMNS).max(1)
}

/// Collects what is drawn, and writes it in one go, so that nobody sees a line half drawn.
///
/// It wraps lines as a terminal of [`columns`] does: whoever draws fills each line up to there, and expects the next text
/// on the next one.
#[derive(Debug, Default)]
pub(super) struct Stderr(Mutex<Drawn>);

#[derive(Debug, Default)]
struct Drawn {
    text: String,
    /// Where the cursor is.
    column: usize,
}

impl Drawn {
    fn put(&mut self, text: &str, columns: usize) {
        if text == "\r" {
            self.column = 0;
        } else {
            let width = text.width();
            if self.column > 0 && width > 0 && self.column + width > columns {
                self.text.push_str("\r\n");
                self.column = 0;
            }
            self.column += width;
        }
        self.text.push_str(text);
    }
}

impl Stderr {
    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something that moves the cursor to no other column.
    #[expect(clippy::unnecessary_wraps, reason = "whoever draws expects a result")]
    fn push(&self, text: &str) -> io::Result<()> {
        self.drawn().text.push_str(text);
        Ok(())
    }

    /// Moves the cursor (ECMA-48, section 8.3: CUU, CUD, CUF and CUB).
    fn push_move(&self, count: usize, direction: char) -> io::Result<()> {
        match count {
            0 => Ok(()),
            _ => self.push(&format!("\u{1b}[{count}{direction}")),
        }
    }
}

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        u16::try_from(columns()).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.push_move(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.push_move(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.push_move(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.push_move(count, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write_str(line)?;
        self.drawn().column = 0;
        self.push("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.drawn().put(text, columns());
        Ok(())
    }

    /// Erases the line (ECMA-48, section 8.3: EL).
    fn clear_line(&self) -> io::Result<()> {
        self.drawn().column = 0;
        self.push("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut self.drawn().text);
        io::stderr().write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_a_line_is_followed_by_the_next_one() {
        let mut drawn = Drawn::default();
        // As two lines are drawn, and drawn again.
        for text in ["\r", "first", "     ", "second", "    ", "\r", "first", "     "] {
            drawn.put(text, 10);
        }
        assert_eq!(drawn.text, "\rfirst     \r\nsecond    \rfirst     ");
        assert_eq!(drawn.column, 10);
    }
}
