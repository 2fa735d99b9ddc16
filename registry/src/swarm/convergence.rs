//! Whether peers that the registry knew before it started may still be on their way back.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{CONVERGED_AT_LATEST, CONVERGED_WHEN_QUIET};

/// What a registry without a memory can tell about its past: how long ago it started, and when somebody came last.
#[derive(Debug)]
pub(super) struct Convergence {
    started: Instant,
    last_arrival: Instant,
    is_over: bool,
}

impl Convergence {
    pub(super) fn starting(now: Instant) -> Self {
        Self {
            started: now,
            last_arrival: now,
            is_over: false,
        }
    }

    /// A peer has registered.
    pub(super) fn arrived(&mut self, now: Instant) {
        // Once it is over, nobody who comes was here before.
        if self.left(now).is_some() {
            self.last_arrival = now;
        }
    }

    /// How long it goes on if nobody else comes; `None` once it is over.
    pub(super) fn left(&mut self, now: Instant) -> Option<Duration> {
        if self.is_over {
            return None;
        }
        let ends = (self.last_arrival + CONVERGED_WHEN_QUIET).min(self.started + CONVERGED_AT_LATEST);
        let left = ends.checked_duration_since(now).filter(|left| !left.is_zero());
        self.is_over = left.is_none();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_over_when_nobody_came_for_a_while_and_stays_so() {
        let start = Instant::now();
        let mut convergence = Convergence::starting(start);
        convergence.arrived(start + 15 * SECOND);
        assert_eq!(convergence.left(start + 34 * SECOND), Some(SECOND));
        assert_eq!(convergence.left(start + 35 * SECOND), None);
        convergence.arrived(start + 36 * SECOND);
        assert_eq!(convergence.left(start + 36 * SECOND), None);
    }

    #[test]
    fn it_is_over_after_a_minute_whoever_comes() {
        let start = Instant::now();
        let mut convergence = Convergence::starting(start);
        for second in 0..60 {
            convergence.arrived(start + second * SECOND);
        }
        assert_eq!(convergence.left(start + 59 * SECOND), Some(SECOND));
        assert_eq!(convergence.left(start + 60 * SECOND), None);
    }
}
