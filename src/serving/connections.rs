//! Accepted connections, each a task that belongs to the server, and what HTTP/2 may cost on them.

use std::{convert::Infallible, future::ready, pin::pin, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use hyper::{body, server::conn::http2, service::Service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower::ServiceExt as _;

use super::deadline;
use crate::{
    address::AllowedSources,
    client::chain,
    failure::{Failure, Reason},
    front_door::refusal,
    limits,
    line::{Allowance, Answer, Arriving, Entry, Ledger},
    transport::{Conn, Incoming},
    turns::{Share, Turns},
};

/// Receive windows of both servers: requests are small, and ten thousand sessions must not cost gigabytes.
const SMALL_STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Room for two such streams, so that one stalled stream never blocks the session beside it.
const SMALL_CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;

/// When to try again what could not be answered in time: others wait as well.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// HTTP/2 with every limit set that hyper leaves wide, or open.
fn http2(allowance: &Allowance) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::MAX_STREAMS_PER_CONNECTION)
        .max_local_error_reset_streams(limits::MAX_LOCAL_RESETS)
        .max_pending_accept_reset_streams(limits::MAX_PENDING_RESETS)
        .max_header_list_size(limits::MAX_HEADER_LIST_BYTES)
        .max_send_buf_size(allowance.sent_ahead_bytes)
        .keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(allowance.ping)
        .initial_stream_window_size(SMALL_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(SMALL_CONNECTION_WINDOW_BYTES);
    builder
}

/// What all connections are served with.
pub(super) struct Server<S> {
    pub(super) service: S,
    pub(super) allowed: Arc<AllowedSources>,
    pub(super) ledger: Ledger,
    /// At the thread that serves them, where sources take turns.
    pub(super) turns: Option<Turns>,
    pub(super) stop: CancellationToken,
}

impl<S> Server<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    /// Serves what comes in, until it is stopped or the last has come; then waits for open connections to end. Dropping it
    /// cuts them.
    pub(super) async fn serve(self, mut incoming: Incoming) {
        let http2 = http2(self.ledger.allowance());
        let mut connections = JoinSet::new();
        loop {
            // In this order, so that a simulated run can be run again.
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = connections.join_next() => tell_of_panic(ended),
                conn = incoming.next() => match conn {
                    Some(Ok(conn)) => {
                        let (conn, requests) = self.admit(conn);
                        connections.spawn(attend(http2.clone(), conn, requests, self.stop.clone()));
                    }
                    Some(Err(error)) => tracing::debug!(%error, "a connection could not be accepted"),
                    None => break,
                },
            }
        }
        // Whoever comes now is refused, rather than left to wait, as soon as nobody else has the listening socket.
        drop(incoming);
        while let Some(ended) = connections.join_next().await {
            tell_of_panic(ended);
        }
    }

    fn admit(&self, conn: Conn) -> (Conn, Requests<S>) {
        let entry = self.ledger.enter(conn.line());
        let ip = entry.line().source().ip();
        let share = self.turns.as_ref().map(|turns| turns.of(ip));
        let conn = conn.taking_turns(share.as_ref().map(Share::another));
        let requests = Requests {
            service: self.service.clone(),
            entry,
            share,
            refusal: refusal(&self.allowed, ip),
        };
        (conn, requests)
    }
}

/// A connection is lost with what broke in it; the others have no part in that. Requests are tasks of hyper's: what breaks
/// in one of them is told by the panic's own message, and its stream is reset.
fn tell_of_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection broke");
    }
}

/// Serves one connection to its end; when the server stops, requests that are open are finished first.
async fn attend<S>(http2: http2::Builder<TokioExecutor>, conn: Conn, requests: Requests<S>, stop: CancellationToken)
where
    Requests<S>: Service<http::Request<body::Incoming>, Response = http::Response<Body>, Error = Infallible>,
    <Requests<S> as Service<http::Request<body::Incoming>>>::Future: Send + 'static,
{
    let mut connection = pin!(http2.serve_connection(TokioIo::new(conn), requests));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = chain(&error), "a connection ended before its time");
    }
}

/// The requests of one connection.
struct Requests<S> {
    service: S,
    entry: Arc<Entry>,
    /// From which each request has its own.
    share: Option<Share>,
    /// Why none of them is served, if so.
    refusal: Option<Failure>,
}

impl<S> Service<http::Request<body::Incoming>> for Requests<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: http::Request<body::Incoming>) -> Self::Future {
        if let Some(refusal) = &self.refusal {
            return Box::pin(ready(Ok(Status::from(refusal.clone()).into_http())));
        }
        let mut request = request.map(|body| Body::new(Arriving::new(body, Arc::clone(&self.entry))));
        let within =
            deadline::of(request.headers()).map_or(limits::REQUEST_TIMEOUT, |asked| asked.min(limits::REQUEST_TIMEOUT));
        request.extensions_mut().insert(self.entry.line().clone());
        let share = self.share.as_ref().map(Share::another);
        let answer = Answer::begin(Arc::clone(&self.entry), share, request.uri().path());
        let response = self.service.clone().oneshot(request);
        Box::pin(async move {
            let answered = timeout(within, answer.with(response)).await;
            answered.unwrap_or_else(|_| Ok(too_late(within)))
        })
    }
}

fn too_late(within: Duration) -> http::Response<Body> {
    let told = format!("no answer was ready within {} ms; try again", within.as_millis());
    let failure = Failure::new(Reason::Overloaded, told).with_retry_after(RETRY_AFTER);
    Status::from(failure).into_http()
}
