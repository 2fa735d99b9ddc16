//! How streams of bytes are made and turned into gRPC: dialling and accepting are passed in as values.
//!
//! Servers take an [`Incoming`], clients a [`Dialer`]. The real ones speak TCP ([`tcp_dialer`],
//! [`front_door`](crate::front_door)); tests pass in-memory streams, and a network simulator can pass its own.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_core::{Stream, future::BoxFuture};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::{Channel, Endpoint};

use crate::{client::CallError, limits, line::Line, turns::Share};

/// A bidirectional stream of bytes.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Makes connections and finds addresses.
pub trait Dial: Send + Sync + 'static {
    /// Finds the addresses of a host name or literal.
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

    /// Connects to an address.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// A shared way to make connections.
pub type Dialer = Arc<dyn Dial>;

impl fmt::Debug for dyn Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

/// Connects over TCP and resolves by the system's resolver.
#[must_use]
pub fn tcp_dialer() -> Dialer {
    Arc::new(TcpDialer)
}

struct TcpDialer;

impl Dial for TcpDialer {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// An accepted connection, which ends when its [`Line`] is hung up.
pub struct Conn {
    io: Box<dyn Io>,
    line: Line,
    hung_up: BoxFuture<'static, ()>,
    joins_answers: bool,
    share: Option<Share>,
}

impl Conn {
    /// A connection that came from `source`.
    #[must_use]
    pub fn new(io: impl Io, source: SocketAddr) -> Self {
        let line = Line::new(source);
        let hung_up = line.hung_up();
        Self {
            io: Box::new(io),
            line,
            hung_up,
            joins_answers: false,
            share: None,
        }
    }

    /// The same connection for a server of small answers: as many as are ready are written at once.
    ///
    /// h2 hands over each frame of 256 bytes or more by itself where vectored writes are offered, so that its bytes are
    /// not copied; else it gathers frames of less than 1 KiB, with all that stands around them, in its buffer of 16 KiB.
    /// For documents a copy costs more than a write; for an answer of a few hundred bytes it is the write that costs.
    #[must_use]
    pub fn joining_answers(self) -> Self {
        Self {
            joins_answers: true,
            ..self
        }
    }

    /// The same connection, which reads and writes when its source has a turn at the thread that serves it, if sources take
    /// turns there.
    #[must_use]
    pub(crate) fn taking_turns(self, share: Option<Share>) -> Self {
        Self { share, ..self }
    }

    /// Does what takes a turn, when there is one; fails once the line is hung up.
    fn poll_in_turn<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut dyn Io>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        // Also while it writes: whoever reads nothing must be got rid of, too.
        if self.hung_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some(share) = &mut self.share {
            ready!(share.poll_left(cx));
        }
        let done = ready!(work(Pin::new(&mut *self.io), cx));
        if let Some(share) = &self.share {
            share.take();
        }
        Poll::Ready(done)
    }

    /// What is known of the connection.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("line", &self.line).finish_non_exhaustive()
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_in_turn(cx, |io, cx| io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_in_turn(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_in_turn(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        !self.joins_answers && self.io.is_write_vectored()
    }
}

/// The connections that a server accepts.
pub type Incoming = Pin<Box<dyn Stream<Item = io::Result<Conn>> + Send>>;

/// What a connection is for, which decides its receive windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Requests and answers of a few kilobytes.
    Control,
    /// Documents. The windows are this many bytes for a stream and for the connection.
    Bulk {
        /// Receive window in bytes.
        window_bytes: u32,
    },
}

/// HTTP/2 frames that a downloader accepts: a whole chunk takes two. The default of 16 KiB costs a wake-up each.
const BULK_FRAME_BYTES: u32 = 256 * 1024;

/// How many bytes a connection has received so far; clones count the same connection.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// The count.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts more, for a test without a connection.
    #[cfg(test)]
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A connection that counts what it receives.
struct Metered {
    io: Box<dyn Io>,
    received: Received,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.received.0.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Connects to `address`.
///
/// # Errors
///
/// [`CallError::Unreachable`] or [`CallError::TimedOut`] when no connection can be made within
/// [`limits::CONNECT_TIMEOUT`].
pub(crate) async fn dial(dialer: &Dialer, address: SocketAddr) -> Result<Box<dyn Io>, CallError> {
    tokio::time::timeout(limits::CONNECT_TIMEOUT, dialer.dial(address))
        .await
        .map_err(|_| CallError::TimedOut {
            what: format!("connecting to {address}"),
        })?
        .map_err(|error| CallError::Unreachable {
            address: address.to_string(),
            detail: error.to_string(),
        })
}

/// Connects to `address` and speaks gRPC there; also returns what counts the connection's received bytes.
///
/// # Errors
///
/// [`CallError::Unreachable`] or [`CallError::TimedOut`] when no connection can be made within
/// [`limits::CONNECT_TIMEOUT`].
pub async fn connect(dialer: &Dialer, address: SocketAddr, traffic: Traffic) -> Result<(Channel, Received), CallError> {
    let unreachable = |detail: String| CallError::Unreachable {
        address: address.to_string(),
        detail,
    };
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|error| unreachable(error.to_string()))?;
    let endpoint = endpoint
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .http2_max_header_list_size(limits::MAX_HEADER_LIST_BYTES);
    let endpoint = match traffic {
        Traffic::Control => endpoint
            .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT),
        // No pings: on a slow link a frame takes longer than their interval, and what answers them waits behind all that was
        // sent before. Whoever downloads sees by the bytes whether the holder is there.
        Traffic::Bulk { window_bytes } => endpoint
            .max_frame_size(BULK_FRAME_BYTES)
            .initial_stream_window_size(window_bytes)
            .initial_connection_window_size(window_bytes),
    };
    let io = dial(dialer, address).await?;
    // One connection, made here, so that its error is told as it is. A channel that lost it does not make another:
    // whoever uses it decides whether, when and where to connect again.
    let received = Received::default();
    let mut made = Some(Metered {
        io,
        received: received.clone(),
    });
    let connector = tower::service_fn(move |_: http::Uri| {
        let io = made
            .take()
            .map(TokioIo::new)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(io)
    });
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| unreachable(crate::client::chain(&error)))?;
    Ok((channel, received))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_a_connection_for_small_answers_hides_that_it_can_gather() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let source = stream.local_addr().unwrap();
        let conn = Conn::new(stream, source);
        assert!(conn.is_write_vectored(), "documents would be copied once more");
        assert!(
            !conn.joining_answers().is_write_vectored(),
            "each answer would be written by itself"
        );
    }
}
