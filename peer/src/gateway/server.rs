//! HTTP/1.1 on a port: who may come, how many at a time, and how long they may take (RFC 9112).

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    middleware::map_response,
    response::Response,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use p2p_ci::{
    address::AllowedSources,
    front_door::{self, Door},
    quota::{Place, QuotaLimits},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{JoinHandle, JoinSet},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower_http::compression::{
    CompressionLayer,
    predicate::{DefaultPredicate, NotForContentType, Predicate as _},
};

use super::{reply, site::Site};
use crate::limits::{
    GATEWAY_CONNECTIONS, GATEWAY_CONNECTIONS_PER_SOURCE, GATEWAY_HEAD_BYTES, GATEWAY_HEAD_PATIENCE, GATEWAY_HEADERS,
    GATEWAY_STALL,
};

/// Where and to whom the site is served.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who may read.
    pub allowed: AllowedSources,
}

/// A port that is listened on, for a site that is yet to come. Whoever connects waits.
#[derive(Debug)]
pub struct BoundGateway {
    address: SocketAddr,
    door: Door,
    allowed: AllowedSources,
}

impl BoundGateway {
    /// Listens.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub fn bind(config: GatewayConfig) -> io::Result<Self> {
        let listener = front_door::bind(config.listen)?;
        let address = listener.local_addr()?;
        let quota = QuotaLimits {
            total: GATEWAY_CONNECTIONS,
            per_source: GATEWAY_CONNECTIONS_PER_SOURCE,
            spare_loopback: true,
        };
        Ok(Self {
            address,
            door: Door::new(listener, quota),
            allowed: config.allowed,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `site` there.
    #[must_use]
    pub fn serve(self, site: Site) -> Gateway {
        let Self { address, door, allowed } = self;
        let stop = CancellationToken::new();
        let serving = serve(door, allowed, router(site), stop.clone());
        Gateway {
            address,
            stop,
            task: tokio::spawn(serving),
        }
    }
}

/// The site on a port. Dropping it ends it at once.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests end that run, for at most `grace`.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.cancel();
        // What goes on then is cut off when this is dropped.
        let _ = tokio::time::timeout(grace, &mut self.task).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What answers requests, and what is done with each answer.
fn router(site: Site) -> Router {
    let worth_it = DefaultPredicate::new().and(NotForContentType::const_new(reply::kind::PDF));
    Router::new()
        .fallback(answer)
        .with_state(site)
        .layer(CompressionLayer::new().gzip(true).compress_when(worth_it))
        .layer(map_response(|response: Response| async { reply::finished(response) }))
}

async fn answer(State(site): State<Site>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    site.answer(&parts).await
}

async fn serve(mut door: Door, allowed: AllowedSources, router: Router, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            (stream, place, source) = door.admit() => {
                let connection = Connection::new(stream, source.ip(), &allowed, place);
                connections.spawn(connection.serve(router.clone(), stop.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(door);
    while connections.join_next().await.is_some() {}
}

/// One reader.
struct Connection<S> {
    stream: S,
    is_allowed: bool,
    _place: Place,
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> Connection<S> {
    fn new(stream: S, source: IpAddr, allowed: &AllowedSources, place: Place) -> Self {
        Self {
            stream,
            is_allowed: allowed.contains(source),
            _place: place,
        }
    }

    /// Serves requests until the reader leaves, takes too long, or everything ends.
    async fn serve(self, router: Router, stop: CancellationToken) {
        let mut stream = TimeoutStream::new(self.stream);
        stream.set_write_timeout(Some(GATEWAY_STALL));
        let io = TokioIo::new(Box::pin(stream));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(GATEWAY_HEAD_PATIENCE)
            .max_headers(GATEWAY_HEADERS)
            .max_buf_size(GATEWAY_HEAD_BYTES)
            .keep_alive(self.is_allowed);
        let ended = if self.is_allowed {
            let serving = http.serve_connection(io, TowerToHyperService::new(router));
            let mut serving = std::pin::pin!(serving);
            tokio::select! {
                ended = serving.as_mut() => ended,
                () = stop.cancelled() => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            }
        } else {
            let refuse = |_: hyper::Request<hyper::body::Incoming>| async { Ok::<_, Infallible>(refusal()) };
            http.serve_connection(io, hyper::service::service_fn(refuse)).await
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a reader's connection has failed");
        }
    }
}

/// What everybody is answered who may not come.
fn refusal() -> Response<Body> {
    let told = "this site is for private networks; its owner lets others in with --allow-from";
    reply::finished(reply::sentence(StatusCode::FORBIDDEN, told))
}

#[cfg(test)]
mod tests {
    use p2p_ci::quota::Quota;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// Somebody at `source` who is served by a site that has nothing.
    fn reader(source: &str) -> DuplexStream {
        let (near, far) = duplex(4096);
        let source: IpAddr = source.parse().unwrap();
        let quota = Quota::new(QuotaLimits {
            total: 1,
            per_source: 1,
            spare_loopback: false,
        });
        let place = quota.take(source).unwrap();
        let connection = Connection::new(far, source, &AllowedSources::default(), place);
        tokio::spawn(connection.serve(Router::new(), CancellationToken::new()));
        near
    }

    async fn status(source: &str) -> String {
        let mut near = reader(source);
        near.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn only_private_networks_may_read() {
        for (source, expected) in [
            ("127.0.0.1", "404"),
            ("10.1.2.3", "404"),
            ("fd00::1", "404"),
            ("203.0.113.9", "403"),
            ("2001:db8::1", "403"),
        ] {
            assert_eq!(status(source).await, expected, "{source}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_hung_up_on_in_time_and_so_is_who_says_nothing() {
        for begun in [&b"GET / HTTP/1.1\r\nX: "[..], b""] {
            let mut near = reader("127.0.0.1");
            near.write_all(begun).await.unwrap();
            let began = tokio::time::Instant::now();
            let mut answer = Vec::new();
            let ended = tokio::time::timeout(2 * GATEWAY_HEAD_PATIENCE, near.read_to_end(&mut answer)).await;
            ended.unwrap().unwrap();
            assert_eq!(began.elapsed().as_secs(), GATEWAY_HEAD_PATIENCE.as_secs());
        }
    }
}
