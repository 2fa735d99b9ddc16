//! Where lines come from: a prompt on a terminal, or whatever stdin is.
//!
//! Reading blocks, so it has a thread of its own. That thread waits for its turn before each line, so that no prompt
//! stands there while a command runs. It ends with the input, or when the [`Prompt`] is dropped; while it waits for a
//! key it cannot be told, and ends with the process.

use std::{
    fs,
    io::{self, BufRead as _, ErrorKind, IsTerminal as _, Read as _},
    path::PathBuf,
    sync::mpsc as blocking,
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::{
    CompletionType, Config, Context, Editor, ExternalPrinter as _, Helper,
    completion::{Completer, FilenameCompleter, Pair},
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::FileHistory,
    validate::Validator,
};
use tokio::sync::mpsc;

use super::verb;
use crate::error::PeerError;

/// What stands before the user's line.
const PROMPT: &str = "peer> ";

/// Bytes in a line that does not come from a terminal: a thousand RFC numbers take less.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Lines that are remembered over restarts.
const HISTORY_LINES: usize = 1000;

/// Notices that wait to be shown above the prompt. More at once are counted.
const NOTICE_QUEUE: usize = 64;

/// What came of waiting for a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A line.
    Line(String),
    /// Ctrl-C: the line is not wanted.
    Cleared,
    /// Ctrl-D, or the end of the input.
    End,
    /// The input failed.
    Failed(String),
}

/// The user's lines.
#[derive(Debug)]
pub(super) struct Prompt {
    turns: blocking::SyncSender<()>,
    answers: mpsc::Receiver<Answer>,
    notices: Option<blocking::SyncSender<String>>,
    _mode: Option<TerminalMode>,
}

impl Prompt {
    /// Starts to read stdin: with editing and history if it is a terminal, else line by line without any prompt.
    ///
    /// # Errors
    ///
    /// [`PeerError::System`] when no thread can be started.
    pub(super) fn open(history: PathBuf) -> Result<Self, PeerError> {
        let (turns, turn) = blocking::sync_channel(1);
        let (answer, answers) = mpsc::channel(1);
        let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        let (notices, notice) = blocking::sync_channel(NOTICE_QUEUE);
        let reader = thread::Builder::new().name("prompt".to_owned());
        let started = if interactive {
            reader.spawn(move || match LineEditor::open(history, notice) {
                Ok(mut editor) => read(&turn, &answer, || editor.read()),
                Err(error) => read(&turn, &answer, || Answer::Failed(error.to_string())),
            })
        } else {
            reader.spawn(move || read(&turn, &answer, read_plain))
        };
        started.map_err(PeerError::system("cannot start the prompt"))?;
        Ok(Self {
            turns,
            answers,
            notices: interactive.then_some(notices),
            _mode: if interactive { TerminalMode::quiet() } else { None },
        })
    }

    /// Whether somebody types.
    pub(super) fn is_interactive(&self) -> bool {
        self.notices.is_some()
    }

    /// Lets the user type the next line.
    pub(super) fn ask(&self) {
        // A reader that has ended says so to `answer`.
        let _ = self.turns.try_send(());
    }

    /// The line that was asked for. Cancelling this loses nothing.
    pub(super) async fn answer(&mut self) -> Answer {
        self.answers.recv().await.unwrap_or(Answer::End)
    }

    /// Shows a notice above the prompt, unless too many wait already; says whether it will be shown.
    pub(super) fn notice(&self, line: &str) -> bool {
        self.notices
            .as_ref()
            .is_some_and(|notices| notices.try_send(format!("{line}\n")).is_ok())
    }
}

/// Reads a line each time that it is its turn, until there is none.
fn read(turn: &blocking::Receiver<()>, answers: &mpsc::Sender<Answer>, mut line: impl FnMut() -> Answer) {
    while turn.recv().is_ok() {
        let answer = line();
        let is_last = matches!(answer, Answer::End | Answer::Failed(_));
        if answers.blocking_send(answer).is_err() || is_last {
            return;
        }
    }
}

/// Reads a line of stdin. Bytes that are no UTF-8 are replaced: no verb takes any.
fn read_plain() -> Answer {
    let mut line = Vec::new();
    match io::stdin().lock().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
        Ok(0) => Answer::End,
        Ok(_) if !line.ends_with(b"\n") && line.len() as u64 >= MAX_LINE_BYTES => {
            Answer::Failed(format!("a line has more than {MAX_LINE_BYTES} bytes"))
        }
        Ok(_) => Answer::Line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// A line with editing, completion, and a history that is kept in a file.
struct LineEditor {
    editor: Editor<Completion, FileHistory>,
    history: PathBuf,
}

impl LineEditor {
    /// Opens the terminal, and shows `notices` above the line that is being typed.
    fn open(history: PathBuf, notices: blocking::Receiver<String>) -> rustyline::Result<Self> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            // Pasted lines are carried out one by one, as in a file; and a terminal needs no other mode restored than
            // the one that `TerminalMode` knows.
            .bracketed_paste(false)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Completion::default()));
        match editor.load_history(&history) {
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "the history of earlier runs cannot be read"),
            Ok(()) => {}
        }
        let mut printer = editor.create_external_printer()?;
        // Showing may wait for the next prompt, so it has a thread of its own. It ends with the `Prompt`.
        thread::Builder::new().name("notices".to_owned()).spawn(move || {
            for notice in notices {
                if let Err(error) = printer.print(notice) {
                    tracing::debug!(%error, "a notice could not be shown");
                }
            }
        })?;
        Ok(Self { editor, history })
    }

    fn read(&mut self) -> Answer {
        match self.editor.readline(PROMPT) {
            Ok(line) => {
                self.remember(&line);
                Answer::Line(line)
            }
            Err(ReadlineError::Interrupted) => Answer::Cleared,
            Err(ReadlineError::Eof) => Answer::End,
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    /// Adds a line to the history. That is a convenience, so its failures are only logged.
    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let kept = self.editor.add_history_entry(line).and_then(|_| {
            if let Some(folder) = self.history.parent() {
                fs::create_dir_all(folder)?;
            }
            self.editor.append_history(&self.history)
        });
        if let Err(error) = kept {
            tracing::debug!(%error, "a line is not remembered");
        }
    }
}

/// Completes verbs, and the file that `add` takes.
#[derive(Default)]
struct Completion {
    files: FilenameCompleter,
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or_default();
        let begun = typed.trim_start();
        match begun.split_once(char::is_whitespace) {
            None => Ok(verbs(typed.len() - begun.len(), begun)),
            Some(("help", rest)) if !rest.trim_start().contains(' ') => {
                let rest = rest.trim_start();
                Ok(verbs(typed.len() - rest.len(), rest))
            }
            Some(("add", _)) => self.files.complete(line, at, context),
            Some(_) => Ok((at, Vec::new())),
        }
    }
}

/// The verbs that begin with `prefix`, which stands at `start`.
fn verbs(start: usize, prefix: &str) -> (usize, Vec<Pair>) {
    let fitting = verb::names().into_iter().filter(|name| name.starts_with(prefix));
    let pairs = fitting.map(|name| Pair {
        replacement: format!("{name} "),
        display: name,
    });
    (start, pairs.collect())
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}

impl Validator for Completion {}

impl Helper for Completion {}

/// The terminal's mode as it was found, which is put back when this is dropped: whoever ends the shell by a signal
/// while a line is being typed wants a usable terminal.
struct TerminalMode(Termios);

impl TerminalMode {
    /// Has the terminal no longer echo by itself. The prompt shows what is typed; between two prompts an echo would
    /// break progress bars, and come again at the next prompt.
    fn quiet() -> Option<Self> {
        let found = tcgetattr(io::stdin()).ok()?;
        let mut quiet = found.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet).ok()?;
        Some(Self(found))
    }
}

impl std::fmt::Debug for TerminalMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TerminalMode")
    }
}

impl Drop for TerminalMode {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
