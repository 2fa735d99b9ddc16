//! A network in memory, on which a clock that is never waited for runs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use futures_core::future::BoxFuture;
use p2p_ci::transport::{Dial, Dialer, Io};
use tokio::{
    io::{DuplexStream, duplex},
    runtime::Builder,
    task::JoinSet,
};

/// Where somebody is: an address of the documentation's.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);

/// Bytes that are under way in one direction.
const PIPE_BYTES: usize = 64 * 1024;

/// Runs a future, and what it spawns, to its end; time passes as soon as nothing else happens.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime in memory").block_on(future)
}

/// Serves each connection that is dialled, as what was dialled would; what serves ends with the dialer.
struct Serving<S> {
    serve: S,
    tasks: Mutex<JoinSet<()>>,
}

impl<S, F> Dial for Serving<S>
where
    S: Fn(SocketAddr, DuplexStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    fn resolve(&self, _host: String, _port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::ready(Ok(vec![ADDRESS])))
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let (near, far) = duplex(PIPE_BYTES);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn((self.serve)(address, far));
        Box::pin(std::future::ready(Ok(Box::new(near) as Box<dyn Io>)))
    }
}

/// Dials somebody who serves every connection so.
pub(crate) fn dialer_of<S, F>(serve: S) -> Dialer
where
    S: Fn(SocketAddr, DuplexStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Arc::new(Serving {
        serve,
        tasks: Mutex::default(),
    })
}

/// Dials somebody who serves one connection, and hangs up on others.
pub(crate) fn dialer<F>(serve: impl FnOnce(DuplexStream) -> F + Send + 'static) -> Dialer
where
    F: Future<Output = ()> + Send + 'static,
{
    let once = Mutex::new(Some(serve));
    dialer_of(move |_, io| {
        let serve = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let served: BoxFuture<'static, ()> = match serve {
            Some(serve) => Box::pin(serve(io)),
            None => Box::pin(std::future::ready(())),
        };
        served
    })
}
