//! Logs: on stderr, as `RUST_LOG` says.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Starts logging to stderr; `default` applies where `RUST_LOG` says nothing (`info`, `registry=debug`, …).
///
/// Colours only on a terminal, and never when `NO_COLOR` is set (no-color.org).
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Fails only when a subscriber is set already, as in tests; that one keeps its place then.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .try_init();
}
