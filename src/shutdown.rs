//! How a process ends: the first signal asks for a good end, a second one gets it at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that a second signal ended: 128 + SIGINT, as shells have it.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over SIGINT and SIGTERM from their default, which would end the process at once.
    ///
    /// # Errors
    ///
    /// When the system refuses to install a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Runs `ending` to its end, unless another signal arrives: that one ends the process at once.
    pub async fn or_exit<T>(&mut self, ending: impl Future<Output = T>) -> T {
        tokio::select! {
            result = ending => result,
            name = self.next() => {
                tracing::warn!("second signal ({name}): ending at once");
                std::process::exit(EXIT_SECOND_SIGNAL);
            }
        }
    }
}
