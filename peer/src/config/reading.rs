//! How the command line is read, and how it is told what is wrong with it.

use std::{
    ffi::OsString,
    io::{self, Write as _},
};

use clap::{CommandFactory as _, FromArgMatches as _, builder::Resettable};
use p2p_ci::{started, text::escaped_lines};

use super::{Cli, MAX_UPLOAD_VARIABLE, REGISTRY_VARIABLE, STATE_VARIABLE};

impl Cli {
    /// Reads the command line, or tells what is wrong with it and ends the process. An empty `P2PCI_REGISTRY`,
    /// `P2PCI_MAX_UPLOAD` or `P2PCI_STATE_DIR` counts as none.
    #[must_use]
    pub fn read() -> Self {
        let mut command = Self::command();
        let is_empty = |variable: &str| std::env::var_os(variable).is_some_and(|value| value.is_empty());
        let variables = [
            (REGISTRY_VARIABLE, "registry"),
            (MAX_UPLOAD_VARIABLE, "max_upload"),
            (STATE_VARIABLE, "state_dir"),
        ];
        for (_, argument) in variables.into_iter().filter(|(variable, _)| is_empty(variable)) {
            command = without_environment(command, argument);
        }
        let matches = command.try_get_matches_from(with_exclusions(std::env::args_os()));
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .unwrap_or_else(|error| end(&error))
    }
}

/// What `peer search` is called on the command line.
const SEARCH: &str = "search";

/// Options of `peer search` that take no value.
const SWITCHES: [&str; 3] = ["--json", "--title-only", "--help"];

/// The minus sign (U+2212), with which a word that is to be left out is no option.
const MINUS: char = '\u{2212}';

/// Has `-word` behind `search` be a word to leave out, wherever it stands among options. `-h` and `-V` stay what they are.
fn with_exclusions(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    let words = args.iter().map(|arg| arg.to_str().unwrap_or_default());
    let words: Vec<String> = words.map(str::to_owned).collect();
    let mut verb = 1;
    while let Some(word) = words.get(verb).filter(|word| word.starts_with("--")) {
        verb += if word.contains('=') { 1 } else { 2 };
    }
    if words.get(verb).map(String::as_str) != Some(SEARCH) {
        return args;
    }
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut takes_value = false;
    for (arg, word) in args.iter_mut().zip(&words).take(end).skip(verb + 1) {
        let is_value = std::mem::replace(
            &mut takes_value,
            word.starts_with("--") && !word.contains('=') && !SWITCHES.contains(&word.as_str()),
        );
        let excluded = word
            .strip_prefix('-')
            .filter(|rest| !rest.starts_with('-') && !rest.is_empty());
        if let Some(excluded) = excluded.filter(|rest| !is_value && !matches!(*rest, "h" | "V")) {
            *arg = format!("{MINUS}{excluded}").into();
        }
    }
    args
}

/// Has an argument of the program and of its commands no value from the environment.
fn without_environment(command: clap::Command, argument: &str) -> clap::Command {
    let has_it = |command: &clap::Command| command.get_arguments().any(|arg| arg.get_id() == argument);
    let without = |command: clap::Command| command.mut_arg(argument, |arg| arg.env(Resettable::Reset));
    let commands: Vec<String> = command
        .get_subcommands()
        .filter(|command| has_it(command))
        .map(|command| command.get_name().to_owned())
        .collect();
    let command = if has_it(&command) { without(command) } else { command };
    let in_subcommand = |command: clap::Command, name: String| command.mut_subcommand(name, without);
    commands.into_iter().fold(command, in_subcommand)
}

/// Tells what is wrong with the command line, or what was asked for of it, and ends the process. What would act on the
/// terminal is shown without colours.
fn end(error: &clap::Error) -> ! {
    if started::is_inert() {
        error.exit();
    }
    // Where nobody can be told, the exit code says it.
    let _ = io::stderr().write_all(told(error).as_bytes());
    std::process::exit(error.exit_code());
}

/// What is wrong with a command line, with nothing in it that acts on a terminal but ends of lines.
#[must_use]
pub fn told(error: &clap::Error) -> String {
    escaped_lines(&error.render().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> String {
        let args = with_exclusions(line.split(' ').map(OsString::from));
        let args: Vec<String> = args.into_iter().map(|arg| arg.into_string().unwrap()).collect();
        args.join(" ")
    }

    #[test]
    fn words_to_leave_out_are_no_options() {
        for (line, expected) in [
            (
                "peer search tcp -udp --limit 3 -\"a",
                "peer search tcp \u{2212}udp --limit 3 \u{2212}\"a",
            ),
            (
                "peer --registry http://x search -x -h",
                "peer --registry http://x search \u{2212}x -h",
            ),
            (
                "peer search --year -1995 --json -x - --",
                "peer search --year -1995 --json \u{2212}x - --",
            ),
            ("peer search -- -x", "peer search -- -x"),
            ("peer get -x search -y", "peer get -x search -y"),
            ("peer --registry search", "peer --registry search"),
            ("peer", "peer"),
        ] {
            assert_eq!(read(line), expected);
        }
    }
}
