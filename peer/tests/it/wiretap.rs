//! Connections to the registry that are counted and can be cut.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_core::future::BoxFuture;
use p2p_ci::transport::{Dial, Io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::support::dialer;

/// One connection that somebody made.
#[derive(Clone, Default)]
pub(crate) struct Tapped {
    sent: Arc<AtomicU64>,
    cut: CancellationToken,
}

impl Tapped {
    /// Bytes that were sent over it, those of HTTP/2 included.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Cuts it, as a network does that is gone.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }
}

/// Dials, and taps the connections to one address.
#[derive(Clone)]
pub(crate) struct Wiretap {
    address: SocketAddr,
    made: Arc<Mutex<Vec<Tapped>>>,
}

impl Wiretap {
    pub(crate) fn on(address: SocketAddr) -> Self {
        Self {
            address,
            made: Arc::default(),
        }
    }

    /// The connections that were made so far, in order.
    pub(crate) fn made(&self) -> Vec<Tapped> {
        self.made.lock().unwrap().clone()
    }
}

impl Dial for Wiretap {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        dialer().resolve(host, port)
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let dialling = dialer().dial(address);
        if address != self.address {
            return dialling;
        }
        let made = Arc::clone(&self.made);
        Box::pin(async move {
            let io = dialling.await?;
            let tapped = Tapped::default();
            made.lock().unwrap().push(tapped.clone());
            let cut = Box::pin(tapped.cut.clone().cancelled_owned());
            Ok(Box::new(Wire { io, tapped, cut }) as Box<dyn Io>)
        })
    }
}

struct Wire {
    io: Box<dyn Io>,
    tapped: Tapped,
    cut: BoxFuture<'static, ()>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.tapped.cut.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.tapped.sent.fetch_add(written as u64, Ordering::SeqCst);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
