//! Connecting back: whether a peer's FileTransfer service answers at exactly the address that would be handed out.
//!
//! Peers choose the port, so this must not become a tool against others: an address is tried at most once in ten
//! seconds, whoever asks, and only so many at a time.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use p2p_ci::{
    client::{FILE_TRANSFER_SERVICE, check_health},
    limits::MAX_ERROR_MESSAGE_BYTES,
    transport::Dialer,
};
use tokio::{runtime::Handle, sync::Semaphore, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::limits::{FIRST_PROBES, PROBE_AGAIN, PROBE_INTERVAL, PROBE_TIMEOUT, REPEATED_PROBES};

/// Connects back to peers.
#[derive(Debug)]
pub struct Prober {
    dialer: Dialer,
    runtime: Handle,
    attempts: Mutex<Attempts>,
    first: Semaphore,
    repeated: Semaphore,
}

/// The attempts of the last ten seconds, and some older ones that were not yet cleared away.
#[derive(Debug, Default)]
struct Attempts {
    by_address: HashMap<SocketAddr, Attempt>,
    /// At this size, old attempts are cleared away; so that clearing costs little for each attempt.
    clear_at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    started: Instant,
    was_reached: bool,
}

/// Whether a peer was tried before in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It was not.
    First,
    /// It was, in vain.
    Again,
}

/// What an attempt may do now.
enum Leave {
    Try,
    Reuse,
    WaitUntil(Instant),
}

impl Prober {
    /// Connects by `dialer`, on `runtime`.
    #[must_use]
    pub fn new(dialer: Dialer, runtime: Handle) -> Self {
        Self {
            dialer,
            runtime,
            attempts: Mutex::default(),
            first: Semaphore::new(FIRST_PROBES),
            repeated: Semaphore::new(REPEATED_PROBES),
        }
    }

    /// Tries to reach `address`. An address that was reached within the last ten seconds counts as reached; one that
    /// was not is tried again when they are over.
    ///
    /// # Errors
    ///
    /// What went wrong, in one sentence.
    pub async fn probe(&self, address: SocketAddr, turn: Turn) -> Result<(), String> {
        let places = match turn {
            Turn::First => &self.first,
            Turn::Again => &self.repeated,
        };
        loop {
            // Waiting for the address's turn takes no place; nobody closes the semaphores.
            let place = places.acquire().await;
            match self.leave_for(address) {
                Leave::Reuse => return Ok(()),
                Leave::WaitUntil(time) => {
                    drop(place);
                    tokio::time::sleep_until(time).await;
                }
                Leave::Try => return self.try_reach(address).await,
            }
        }
    }

    /// Waits until it is time to try an address again that could not be reached.
    pub async fn pause() {
        tokio::time::sleep(PROBE_AGAIN).await;
    }

    async fn try_reach(&self, address: SocketAddr) -> Result<(), String> {
        let dialer = Arc::clone(&self.dialer);
        let call = self
            .runtime
            .spawn(async move { check_health(&dialer, address, FILE_TRANSFER_SERVICE).await });
        // An attempt that is given up, on whatever path, ends.
        let call = AbortOnDropHandle::new(call);
        match tokio::time::timeout(PROBE_TIMEOUT, call).await {
            Ok(Ok(Ok(()))) => {
                if let Some(attempt) = self.attempts().by_address.get_mut(&address) {
                    attempt.was_reached = true;
                }
                Ok(())
            }
            Ok(Ok(Err(error))) => Err(shortened(error.to_string())),
            Ok(Err(_)) => Err(format!("the attempt to reach {address} broke off")),
            Err(_) => Err(format!("no answer from {address} within {} s", PROBE_TIMEOUT.as_secs())),
        }
    }

    /// Decides whether `address` may be tried now, and notes it if so.
    fn leave_for(&self, address: SocketAddr) -> Leave {
        let now = Instant::now();
        let is_recent = |attempt: &Attempt| now < attempt.started + PROBE_INTERVAL;
        let mut attempts = self.attempts();
        match attempts.by_address.get(&address).filter(|attempt| is_recent(attempt)) {
            Some(attempt) if attempt.was_reached => return Leave::Reuse,
            Some(attempt) => return Leave::WaitUntil(attempt.started + PROBE_INTERVAL),
            None => {}
        }
        if attempts.by_address.len() >= attempts.clear_at {
            attempts.by_address.retain(|_, attempt| is_recent(attempt));
            attempts.clear_at = 2 * attempts.by_address.len() + FIRST_PROBES;
        }
        attempts.by_address.insert(
            address,
            Attempt {
                started: now,
                was_reached: false,
            },
        );
        Leave::Try
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts what another process said to the length of an error message.
fn shortened(mut text: String) -> String {
    let mut end = text.len().min(MAX_ERROR_MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
