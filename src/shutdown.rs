//! How a process ends: the first signal asks for a good end, a second one gets it at once.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// The exit code of a process that a second signal ended: 128 + SIGINT, as shells have it.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// What comes so soon after a signal is the same one once more: timeout(1) sends its signal to the program and then to the
/// whole process group, and a terminal and whoever runs the program may both pass one on. Nobody types that fast.
pub const ONE_SIGNAL: Duration = Duration::from_millis(100);

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    last: Option<Instant>,
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
            last: None,
        })
    }

    /// Waits for the next signal and returns its name. Cancelling this loses none.
    pub async fn next(&mut self) -> &'static str {
        loop {
            let name = tokio::select! {
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.terminate.recv() => "SIGTERM",
            };
            let now = Instant::now();
            if self.last.is_none_or(|last| now.duration_since(last) >= ONE_SIGNAL) {
                self.last = Some(now);
                return name;
            }
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
