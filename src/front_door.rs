//! The guarded listener of registry and peers: bounds what strangers cost before gRPC sees them.
//!
//! hyper waits for the first bytes of a connection without end and counts no connections, and a process without
//! free file descriptors would spin; this is where each of that is bounded.

mod deal;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, Sleep},
};
use tokio_stream::StreamExt as _;

pub use self::deal::deal;
use crate::{
    address::{self, AllowedSources},
    failure::{Failure, Reason},
    limits,
    quota::{Full, Place, Quota, QuotaLimits},
    transport::{Conn, Incoming},
};

/// Pauses after an accept that failed for want of descriptors: short at first, never so long that a freed one idles.
const ACCEPT_BACKOFF: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];

/// How often the log tells of refused connections, of which a flood would fill a disk.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(10);

/// How long sent bytes may stay unacknowledged (Linux `TCP_USER_TIMEOUT`); without it a cut cable is noticed in 15 min.
const USER_TIMEOUT: Duration = Duration::from_secs(15);

/// TCP keepalive, for connections on which HTTP/2 has not started its own pings yet.
const TCP_KEEPALIVE_TIME: Duration = Duration::from_secs(30);

/// From one TCP keepalive probe to the next; [`USER_TIMEOUT`] says how many of them may stay unanswered.
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes in the HTTP/2 connection preface (RFC 9113 section 3.4).
const PREFACE_BYTES: usize = 24;

/// Binds a listening socket with a long queue. Port 0 lets the system choose.
///
/// # Errors
///
/// Those of the system, above all [`io::ErrorKind::AddrInUse`].
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted registry must get its well-known port back while old connections still linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits::LISTEN_BACKLOG).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections within `limits`; the rest are closed at once.
#[must_use]
pub fn guard(listener: TcpListener, limits: QuotaLimits) -> Incoming {
    let door = Door::new(listener, limits);
    let accepted = futures_util::stream::unfold(door, |mut door| async move {
        let conn = door.accept().await;
        Some((Ok(conn), door))
    });
    Box::pin(accepted.fuse())
}

/// Where connections come in.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    quota: Quota,
    refusals: Refusals,
}

impl Door {
    /// Lets connections in within `limits`; the rest are closed at once.
    #[must_use]
    pub fn new(listener: TcpListener, limits: QuotaLimits) -> Self {
        Self {
            listener,
            quota: Quota::new(limits),
            refusals: Refusals::default(),
        }
    }

    async fn accept(&mut self) -> Conn {
        let (stream, place, source) = self.admit().await;
        Conn::new(Guarded::new(stream, place), source)
    }

    /// Accepts a connection for which there is a place, with its options set: nobody else does. The place is taken until it
    /// is dropped. Nothing is known yet of what the connection will say.
    pub async fn admit(&mut self) -> (TcpStream, Place, SocketAddr) {
        let mut failures = 0;
        loop {
            match self.listener.accept().await {
                Ok((stream, source)) => {
                    let source = address::canonical(source);
                    let place = match self.quota.take(source.ip()) {
                        Ok(place) => place,
                        Err(full) => {
                            self.refusals.tell(source, full);
                            continue;
                        }
                    };
                    if let Err(error) = tune(&stream) {
                        tracing::debug!(%source, %error, "connection was gone before it was set up");
                        continue;
                    }
                    return (stream, place, source);
                }
                Err(error) if is_per_connection(&error) => {
                    tracing::debug!(%error, "connection failed before it was accepted")
                }
                Err(error) => {
                    let pause = ACCEPT_BACKOFF
                        .get(failures)
                        .or(ACCEPT_BACKOFF.last())
                        .copied()
                        .unwrap_or_default();
                    tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections now");
                    failures += 1;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// Tells of connections that were refused, however many there are, once in a while.
#[derive(Debug, Default)]
struct Refusals {
    last_told: Option<Instant>,
    /// Of all sources, for whatever reason, since the start.
    count: u64,
}

impl Refusals {
    fn tell(&mut self, source: SocketAddr, full: Full) {
        self.count += 1;
        let now = Instant::now();
        if self
            .last_told
            .is_none_or(|told| now.duration_since(told) >= REFUSALS_INTERVAL)
        {
            tracing::warn!(%source, ?full, refused_in_all = self.count, "too many connections; closed the latest");
            self.last_told = Some(now);
        }
    }
}

/// Errors of `accept(2)` that concern one connection only; all others concern the listener or the process.
fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(TCP_KEEPALIVE_TIME)
            .with_interval(TCP_KEEPALIVE_INTERVAL),
    )?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// A connection that must send the HTTP/2 preface in time.
struct Guarded {
    stream: TcpStream,
    /// Runs until the preface has arrived.
    deadline: Option<Pin<Box<Sleep>>>,
    received_bytes: usize,
    _place: Place,
}

impl Guarded {
    fn new(stream: TcpStream, place: Place) -> Self {
        let deadline = Some(Box::pin(tokio::time::sleep(limits::PREFACE_TIMEOUT)));
        Self {
            stream,
            deadline,
            received_bytes: 0,
            _place: place,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(deadline) = &mut self.deadline {
            if polled.is_pending() {
                return deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
            }
            self.received_bytes += buf.filled().len() - before;
            if self.received_bytes >= PREFACE_BYTES {
                self.deadline = None;
            }
        }
        polled
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What every request from `source` is answered, if only `allowed` sources may come and it is none of them: whoever asks
/// is to learn why.
pub(crate) fn refusal(allowed: &AllowedSources, source: IpAddr) -> Option<Failure> {
    let told = || {
        format!(
            "{source} is outside the private networks that may come here; its operator can let it in with --allow-from {source}"
        )
    };
    (!allowed.contains(source)).then(|| Failure::new(Reason::SourceNotAllowed, told()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_sends_at_once_and_notices_a_cut() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let limits = QuotaLimits {
            total: 1,
            per_source: 0,
            spare_loopback: false,
        };
        let mut door = Door::new(listener, limits);
        let (stream, _place, _) = door.admit().await;
        assert!(
            stream.nodelay().unwrap(),
            "an answer would wait for the client's delayed ACK"
        );
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed_and_one_without_limit_is_not_counted() {
        use tokio::io::AsyncReadExt as _;
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = guard(
            listener,
            QuotaLimits {
                total: 8,
                per_source: 0,
                spare_loopback: false,
            },
        );
        let _client = TcpStream::connect(address).await.unwrap();
        let mut conn = incoming.next().await.unwrap().unwrap();
        tokio::time::pause();
        let mut byte = [0; 8];
        let read = tokio::time::timeout(2 * limits::PREFACE_TIMEOUT, conn.read(&mut byte)).await;
        let error = read.expect("it is closed in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
