//! Waiting: always for a condition, never longer than a limit, and no longer than until the user interrupts.

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Set by SIGINT, SIGTERM and SIGHUP. Nothing else happens in the signal handler: whoever waits sees the flag, returns
/// an error, and the guards on the way out end the child processes.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The pause between two looks at something cheap, such as a child's exit status or a file.
const CHEAP_LOOK: Duration = Duration::from_millis(3);

/// The pause between two looks at something whose length is measured: a thousandth of a second of work.
const FINE_LOOK: Duration = Duration::from_millis(1);

/// The pause between two looks that each start a process.
const DEAR_LOOK: Duration = Duration::from_millis(40);

/// The user or the system asked this program to stop.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// Makes the signals that ask a program to stop set a flag instead of ending it at once.
pub fn catch_signals() -> Result<()> {
    // SIGHUP, SIGINT and SIGTERM have these numbers on every Unix system.
    for signal in [1, 2, 15] {
        signal_hook::flag::register(signal, &INTERRUPTED)?;
    }
    Ok(())
}

/// Fails once one of the signals has arrived.
pub fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        return Err(Interrupted.into());
    }
    Ok(())
}

/// Whether one of the signals has arrived; forgets it.
pub fn take_interrupt() -> bool {
    INTERRUPTED.swap(false, Ordering::SeqCst)
}

/// Does something that must be done although one of the signals has arrived, such as cleaning up. Another signal
/// interrupts that too.
pub fn although_interrupted<T>(work: impl FnOnce() -> T) -> T {
    let interrupted = take_interrupt();
    let result = work();
    if interrupted {
        INTERRUPTED.store(true, Ordering::SeqCst);
    }
    result
}

/// The present, for measuring how long something takes.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no tokio here, and so no clock that could be paused"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// What one look at a condition found.
#[derive(Debug)]
pub enum Look<T> {
    /// The condition holds.
    Done(T),
    /// Not yet; the text says what is so instead, for the message when time runs out.
    NotYet(String),
}

/// Looks every few milliseconds until the condition holds, and tells how long that took.
///
/// `what` completes the sentence "waited N s in vain for …". A look that fails ends the wait.
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<Look<T>>) -> Result<(T, Duration)> {
    poll(what, limit, CHEAP_LOOK, look)
}

/// Like [`until`], for something whose length is measured.
pub fn until_fine<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<Look<T>>) -> Result<(T, Duration)> {
    poll(what, limit, FINE_LOOK, look)
}

/// Like [`until`], for looks that each start a process.
pub fn until_dear<T>(what: &str, limit: Duration, look: impl FnMut() -> Result<Look<T>>) -> Result<(T, Duration)> {
    poll(what, limit, DEAR_LOOK, look)
}

/// Lets time pass, where that is what a test does to others and not what it hopes for.
pub fn let_pass(span: Duration) -> Result<()> {
    let start = now();
    while let Some(rest) = span.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero()) {
        check_interrupt()?;
        thread::sleep(rest.min(DEAR_LOOK));
    }
    check_interrupt()
}

fn poll<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<(T, Duration)> {
    let start = now();
    loop {
        check_interrupt()?;
        // The age of the answer is counted from before the look, so that a slow look cannot flatter the figure, and
        // a condition that held at the last look counts even if that look itself outlasted the limit.
        let asked = start.elapsed();
        match look()? {
            Look::Done(value) => return Ok((value, start.elapsed())),
            Look::NotYet(seen) if asked >= limit => {
                bail!(
                    "waited {:.1} s in vain for {what}; at the end: {seen}",
                    limit.as_secs_f64()
                )
            }
            Look::NotYet(_) => thread::sleep(pause.min(limit.saturating_sub(asked))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let (value, _) = until("three looks", Duration::from_secs(5), || {
            looks += 1;
            Ok(if looks == 3 {
                Look::Done(looks)
            } else {
                Look::NotYet("fewer".into())
            })
        })
        .unwrap();
        assert_eq!(value, 3);
    }

    #[test]
    fn time_running_out_tells_what_was_awaited_and_what_was_seen() {
        let result = until("a miracle", Duration::from_millis(20), || {
            Ok(Look::<()>::NotYet("nothing".into()))
        });
        let message = result.unwrap_err().to_string();
        assert_eq!(message, "waited 0.0 s in vain for a miracle; at the end: nothing");
    }

    #[test]
    fn a_look_that_fails_ends_the_wait() {
        let result = until("anything", Duration::from_secs(600), || -> Result<Look<()>> {
            bail!("broken")
        });
        assert_eq!(result.unwrap_err().to_string(), "broken");
    }
}
