//! Work that blocks, off the threads that serve the network.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinError, spawn_blocking},
};

/// Does `work` on a thread for such work.
///
/// On a runtime of a single thread it is done in place. Programs have none such; simulations do, in which time stands
/// still while a host works, and what happens first must not depend on how fast another thread is.
///
/// # Errors
///
/// When it panics on another thread, or the runtime ends before it has begun.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if matches!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread) {
        return Ok(work());
    }
    spawn_blocking(work).await
}
