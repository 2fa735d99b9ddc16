//! How the command line is read, and how it is told what is wrong with it.

use std::io::{self, Write as _};

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
        let matches = command.try_get_matches();
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .unwrap_or_else(|error| end(&error))
    }
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
