//! Work that blocks, off the threads that serve the network.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::oneshot,
    task::{JoinError, spawn_blocking},
};

/// By how much work that nobody waits for is nicer than the rest: as much as the system has.
const NICE: i32 = 19;

/// How much haste there is with work on a thread of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Somebody waits for it.
    Some,
    /// It takes what others leave.
    None,
}

/// Whether work that blocks is done in place: on a runtime of a single thread. Programs have none such; simulations do, in
/// which time stands still while a host works, and what happens first must not depend on how fast another thread is.
pub(crate) fn is_done_in_place() -> bool {
    matches!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread)
}

/// Does `work` on a thread for such work, or [in place](is_done_in_place).
///
/// # Errors
///
/// When it panics on another thread, or the runtime ends before it has begun.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if is_done_in_place() {
        return Ok(work());
    }
    spawn_blocking(work).await
}

/// Does `work` on a thread of its own, or [in place](is_done_in_place). `None` when it panics, or no thread can be had. When
/// whoever waits for it no longer does, it goes on, and the end of the process waits for it as little.
pub(crate) async fn apart<T: Send + 'static>(
    name: &str,
    haste: Haste,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if is_done_in_place() {
        return Some(work());
    }
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Linux has a priority for each thread, which those that it starts inherit. Elsewhere, and where it is refused, there
        // is some haste.
        if haste == Haste::None && cfg!(target_os = "linux") {
            let _ = rustix::process::nice(NICE);
        }
        // Whoever asked for it may be gone.
        let _ = done.send(work());
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "there is no thread for {name}");
    }
    result.await.ok()
}
