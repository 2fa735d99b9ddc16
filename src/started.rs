//! What this program was started with.

use std::{env, ffi::OsStr};

use crate::text::escaped;

/// Whether nothing in the arguments, and in this system's variables of the environment, could act on a terminal. Whoever tells
/// what is wrong with them in colours shows them as they are.
#[must_use]
pub fn is_inert() -> bool {
    let mut arguments = env::args_os();
    let mut variables = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("P2PCI_"));
    arguments.all(|argument| shows_as_it_is(&argument)) && variables.all(|(_, value)| shows_as_it_is(&value))
}

fn shows_as_it_is(text: &OsStr) -> bool {
    let text = text.to_string_lossy();
    escaped(&text).to_string() == text
}
