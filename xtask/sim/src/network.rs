//! The simulated network as the programs take it: a way to dial, and the connections that come in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_core::future::BoxFuture;
use futures_util::stream;
use p2p_ci::transport::{Conn, Dial, Dialer, Incoming, Io};
use turmoil::net::{TcpListener, TcpStream};

/// Dials from the host on which it is used.
#[must_use]
pub(crate) fn dialer() -> Dialer {
    Arc::new(Simulated)
}

struct Simulated;

impl Dial for Simulated {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let ip = host.parse().unwrap_or_else(|_| turmoil::lookup(host));
        Box::pin(std::future::ready(Ok(vec![SocketAddr::new(ip, port)])))
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Io>) })
    }
}

/// What comes in on a port of this host.
///
/// # Errors
///
/// When the port is in use.
pub(crate) async fn listen(port: u16) -> io::Result<Incoming> {
    let any: IpAddr = [0, 0, 0, 0].into();
    let listener = TcpListener::bind((any, port)).await?;
    Ok(Box::pin(stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await;
        Some((accepted.map(|(stream, source)| Conn::new(stream, source)), listener))
    })))
}
