//! How long a peer waits before it tries its registry again. Pure: the caller draws the random numbers.

use std::time::Duration;

use p2p_ci::{client::CallError, failure::Reason};

use crate::{backoff::Backoff, limits};

/// For how long a session was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lived {
    /// It was not.
    Never,
    /// Less than [`limits::STABLE_AFTER`].
    Briefly,
    /// Longer.
    Stable,
}

/// How long to wait after `error`: spread out with the others over `spread` after a registry went away, longer and longer
/// while it stays away. `draw` gives numbers from 0 to 1.
pub(super) fn after(
    error: &CallError,
    lived: Lived,
    spread: Duration,
    backoff: &mut Backoff,
    mut draw: impl FnMut() -> f64,
) -> Duration {
    let told = error.failure();
    if told.is_some_and(|failure| failure.reason == Reason::Superseded) {
        return limits::SUPERSEDED_PAUSE;
    }
    let spread = spread.mul_f64(draw());
    let is_ending = told.is_some_and(|failure| failure.reason == Reason::ShuttingDown);
    let mut flap = || limits::FLAP_PAUSE.mul_f64(0.5 + 0.5 * draw());
    let pause = match lived {
        Lived::Stable => spread,
        Lived::Briefly if is_ending => spread,
        // A registry that takes peers in and loses them at once must not be asked without end.
        Lived::Briefly => spread + flap(),
        // It answers that it is about to end, so another one will soon be there: nobody has to guess when.
        Lived::Never if is_ending => spread + flap(),
        Lived::Never => backoff.next(draw()),
    };
    told.and_then(|failure| failure.retry_after)
        .map_or(pause, |at_least| pause.max(at_least.min(limits::BACKOFF_CAP)))
}

#[cfg(test)]
mod tests {
    use p2p_ci::failure::Failure;

    use super::*;

    const SPREAD: Duration = Duration::from_secs(5);

    /// Each draw is the largest.
    fn longest(error: &CallError, lived: Lived, backoff: &mut Backoff) -> Duration {
        after(error, lived, SPREAD, backoff, || 1.0)
    }

    fn fresh() -> Backoff {
        Backoff::new(limits::BACKOFF_BASE, limits::BACKOFF_CAP)
    }

    #[test]
    fn a_registry_that_is_not_there_is_tried_less_and_less_often() {
        let gone = CallError::Unreachable {
            address: String::new(),
            detail: String::new(),
        };
        let mut backoff = fresh();
        let pauses: Vec<Duration> = (0..9).map(|_| longest(&gone, Lived::Never, &mut backoff)).collect();
        assert_eq!(
            pauses[..3],
            [limits::BACKOFF_BASE, 2 * limits::BACKOFF_BASE, 4 * limits::BACKOFF_BASE]
        );
        assert_eq!(pauses[8], limits::BACKOFF_CAP);
        assert_eq!(
            after(&gone, Lived::Never, SPREAD, &mut fresh(), || 0.0),
            Duration::ZERO,
            "drawn, not fixed"
        );
    }

    #[test]
    fn a_registry_that_is_about_to_end_is_no_reason_to_wait_longer_each_time() {
        let ending =
            CallError::Refused(Failure::new(Reason::ShuttingDown, "").with_retry_after(Duration::from_secs(1)));
        let mut backoff = fresh();
        for _ in 0..9 {
            assert_eq!(
                longest(&ending, Lived::Never, &mut backoff),
                SPREAD + limits::FLAP_PAUSE
            );
        }
        assert_eq!(
            after(&ending, Lived::Never, SPREAD, &mut backoff, || 0.0),
            Duration::from_secs(1)
        );
        assert_eq!(longest(&ending, Lived::Stable, &mut backoff), SPREAD);
    }
}
