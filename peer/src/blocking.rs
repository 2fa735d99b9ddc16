//! Work that blocks, off the threads that serve the network.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinError, spawn_blocking},
};

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
