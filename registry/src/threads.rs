//! The threads that a registry's tasks run on.

use std::{io, num::NonZero, thread};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::limits::MAX_SERVING_THREADS;

/// A thread with a runtime of its own, until `stop`.
fn runtime(name: String, stop: &CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let stopped = stop.clone().cancelled_owned();
    thread::Builder::new()
        .name(name)
        .spawn(move || runtime.block_on(stopped))?;
    Ok(handle)
}

/// Where a registry's tasks run.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Connections are served by as many threads as there are processors, up to a bound, each by one of them to its end. Threads that
    /// share their work wake each other for every request, which costs half as much again as answering it.
    pub(crate) serving: Vec<Handle>,
    /// Connecting back has a thread of its own.
    ///
    /// A connection takes buffers that are 20 KiB larger than what it uses. From a heap that only sessions take from,
    /// they get memory that was never touched, which costs nothing until it is; probes come and go, and would hand on
    /// theirs to them: a third more for each session.
    pub(crate) probing: Handle,
    /// Ends them when it is dropped.
    _stop: DropGuard,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads, or none of what a thread needs.
    pub(crate) fn start() -> io::Result<Self> {
        let stop = CancellationToken::new();
        // From here on, so that those that have started end where another one cannot.
        let ends_threads = stop.clone().drop_guard();
        let count = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(MAX_SERVING_THREADS);
        let serving = (1..=count).map(|number| runtime(format!("serve {number}"), &stop));
        Ok(Self {
            serving: serving.collect::<io::Result<_>>()?,
            probing: runtime("probes".to_owned(), &stop)?,
            _stop: ends_threads,
        })
    }
}
