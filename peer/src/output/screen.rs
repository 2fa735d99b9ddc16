//! What results are shown on: how wide it is, and whether it knows more than ASCII.

use std::io::{self, IsTerminal as _};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The width of a terminal that tells none, as the VT100 had it.
pub(crate) const USUAL_COLUMNS: usize = 80;

/// What results are shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns of a terminal; `None` for pipes and files, where nothing is cut.
    pub columns: Option<usize>,
    /// Whether characters beyond ASCII can be shown; without them, an ellipsis is three dots.
    pub unicode: bool,
}

impl Screen {
    /// Pipes and files.
    pub const ENDLESS: Self = Self {
        columns: None,
        unicode: true,
    };

    /// Stdout as it is. On a terminal, `COLUMNS` says how wide it is, else the terminal itself.
    #[must_use]
    pub fn of_stdout() -> Self {
        let unicode = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .is_some_and(|locale| is_utf8(&locale));
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { columns: None, unicode };
        }
        let told = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
            .filter(|columns| *columns > 0);
        let asked = || {
            rustix::termios::tcgetwinsize(&stdout)
                .ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|columns| *columns > 0)
        };
        Self {
            columns: Some(told.or_else(asked).unwrap_or(USUAL_COLUMNS)),
            unicode,
        }
    }

    /// What stands for something left out.
    #[must_use]
    pub fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// `text` cut to at most `columns` columns, with an ellipsis where something was cut off.
    #[must_use]
    pub fn cut(self, text: &str, columns: usize) -> String {
        if text.width() <= columns {
            return text.to_owned();
        }
        let room = columns.saturating_sub(self.ellipsis().width());
        let mut used = 0;
        let mut shown: String = text
            .chars()
            .take_while(|c| {
                used += c.width().unwrap_or(0);
                used <= room
            })
            .collect();
        // Some sequences are wider than their characters one by one.
        while shown.width() > room {
            shown.pop();
        }
        // Where not even the ellipsis has room, a part of it is shown.
        let room = columns.saturating_sub(shown.width());
        shown.extend(self.ellipsis().chars().take(room));
        shown
    }

    /// `text` cut to the screen's width.
    #[must_use]
    pub fn fit(self, text: &str) -> String {
        match self.columns {
            Some(columns) => self.cut(text, columns),
            None => text.to_owned(),
        }
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
