//! How results are shown: results on stdout, messages on stderr, JSON where it was asked for.
//!
//! Commands write through an [`Output`] alone. Whatever comes from another machine is escaped on its way out, and a
//! reader that has seen enough (`peer list | head -1`) ends a command quietly.

pub mod human;
pub mod json;
pub mod progress;
pub mod screen;
pub mod table;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, ErrorKind, IsTerminal as _, Write},
    os::{fd::AsFd as _, unix::fs::FileTypeExt as _},
};

use serde::Serialize;
use tokio::{io::Interest, net::unix::pipe};

use self::screen::Screen;
use crate::error::{Exit, PeerError};

/// What was attempted when stdout could not be written to.
const WRITING_RESULTS: &str = "cannot write to standard output";

/// Where a command writes to.
pub struct Output {
    results: Box<dyn Write + Send>,
    messages: Box<dyn Write + Send>,
    json: bool,
    progress: bool,
    screen: Screen,
    /// Whether the screen is stdout's, whose width may change.
    is_stdout: bool,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("json", &self.json)
            .field("screen", &self.screen)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Writes to stdout and stderr, as JSON if `json`.
    #[must_use]
    pub fn standard(json: bool) -> Self {
        Self {
            results: Box::new(BufWriter::new(io::stdout())),
            messages: Box::new(io::stderr()),
            json,
            progress: !json && io::stderr().is_terminal(),
            screen: Screen::of_stdout(),
            is_stdout: true,
        }
    }

    /// Writes to anything else, as if it were a terminal like `screen`. Shows no progress.
    #[must_use]
    pub fn new(
        results: impl Write + Send + 'static,
        messages: impl Write + Send + 'static,
        json: bool,
        screen: Screen,
    ) -> Self {
        Self {
            results: Box::new(results),
            messages: Box::new(messages),
            json,
            progress: false,
            screen,
            is_stdout: false,
        }
    }

    /// Whether results are to be JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a bar may be drawn on stderr: it is a terminal, and nobody asked for JSON.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        self.progress
    }

    /// What the results are shown on.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.screen
    }

    /// Looks at the screen again: somebody may have made the window wider since.
    pub fn refresh_screen(&mut self) {
        if self.is_stdout {
            self.screen = Screen::of_stdout();
        }
    }

    /// Writes lines of results, and sees to it that they are out. The text must be escaped already.
    ///
    /// # Errors
    ///
    /// [`PeerError::System`] when stdout cannot be written to; see [`quietly`].
    pub fn lines(&mut self, lines: impl fmt::Display) -> Result<(), PeerError> {
        writeln!(self.results, "{lines}")
            .and_then(|()| self.results.flush())
            .map_err(PeerError::system(WRITING_RESULTS))
    }

    /// Writes one object as a line of JSON, and sees to it that it is out.
    ///
    /// # Errors
    ///
    /// As [`Output::lines`].
    pub fn object(&mut self, object: &impl Serialize) -> Result<(), PeerError> {
        let line = json::line(object).map_err(PeerError::system(WRITING_RESULTS))?;
        self.lines(line)
    }

    /// Writes a message for people to stderr, after the results so far. The text must be escaped already.
    ///
    /// Where stderr is gone there is nobody left to tell.
    pub fn message(&mut self, sentence: impl fmt::Display) {
        let _ = writeln!(self.messages, "{sentence}").and_then(|()| self.messages.flush());
    }

    /// Takes away what a terminal echoes of the key that has ended a command, so that whatever comes next, be it the
    /// prompt, begins a line.
    pub fn wipe_key(&mut self) {
        if self.is_stdout && io::stderr().is_terminal() {
            let _ = self.messages.write_all(WIPE_KEY).and_then(|()| self.messages.flush());
        }
    }
}

/// Overwrites the `^C` that a terminal shows for the key, and leaves the cursor at the start of the line.
const WIPE_KEY: &[u8] = b"\r  \r";

/// Whether `error` only says that nobody reads the results any more.
#[must_use]
pub fn is_reader_gone(error: &PeerError) -> bool {
    matches!(error, PeerError::System { what, source } if what == WRITING_RESULTS && source.kind() == ErrorKind::BrokenPipe)
}

/// Turns the end of a command whose reader has gone away into a good end: `peer list | head -1` got what it wanted.
///
/// # Errors
///
/// Whatever else went wrong.
pub fn quietly(result: Result<Exit, PeerError>) -> Result<Exit, PeerError> {
    match result {
        Err(error) if is_reader_gone(&error) => Ok(Exit::Done),
        other => other,
    }
}

/// Waits until nobody can read stdout any more; for ever where stdout is no pipe.
///
/// A command that is silent for long learns so that its reader has left, without writing to it.
pub async fn reader_gone() {
    match stdout_pipe() {
        // Readiness for errors alone comes when the last reader of the pipe has closed it.
        Some(pipe) if pipe.ready(Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// Stdout as the runtime can watch it. Nothing is written through this, so it need not be non-blocking.
fn stdout_pipe() -> Option<pipe::Sender> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    let is_pipe = stdout.metadata().ok()?.file_type().is_fifo();
    if is_pipe {
        pipe::Sender::from_file_unchecked(stdout).ok()
    } else {
        None
    }
}
