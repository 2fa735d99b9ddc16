//! Connections to the registry that are counted and can be cut, and a registry that loses what it confirmed.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_core::{Stream, future::BoxFuture};
use p2p_ci::{
    address::AllowedSources,
    front_door,
    pb::{self, register_request::Body, registry_client::RegistryClient, registry_server},
    quota::QuotaLimits,
    registry_url::RegistryUrl,
    serving::Serving,
    transport::{Dial, Io},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, service::Routes};

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

/// Stands before a real registry, and keeps the last document of the first announcement from it.
pub(crate) struct Forgetful {
    pub(crate) url: RegistryUrl,
    has_forgotten: Arc<AtomicBool>,
    _serving: Serving,
}

struct Proxy {
    registry: SocketAddr,
    has_forgotten: Arc<AtomicBool>,
}

impl Forgetful {
    pub(crate) fn before(registry: SocketAddr) -> Self {
        let listener = front_door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let limits = QuotaLimits {
            total: 64,
            per_source: 0,
            spare_loopback: false,
        };
        let has_forgotten = Arc::new(AtomicBool::new(false));
        let proxy = Proxy {
            registry,
            has_forgotten: Arc::clone(&has_forgotten),
        };
        let routes = Routes::new(registry_server::RegistryServer::new(proxy));
        Self {
            url,
            has_forgotten,
            _serving: Serving::spawn(routes, AllowedSources::default(), front_door::guard(listener, limits)),
        }
    }

    pub(crate) fn has_forgotten(&self) -> bool {
        self.has_forgotten.load(Ordering::SeqCst)
    }
}

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl registry_server::Registry for Proxy {
    type RegisterStream = Answers<pb::RegisterResponse>;
    type LookupManyStream = Answers<pb::LookupManyResponse>;
    type ListDocumentsStream = Answers<pb::ListDocumentsResponse>;
    type ListPeersStream = Answers<pb::ListPeersResponse>;
    type WatchStream = Answers<pb::WatchResponse>;

    async fn register(
        &self,
        request: Request<Streaming<pb::RegisterRequest>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let has_forgotten = Arc::clone(&self.has_forgotten);
        let requests = request.into_inner().filter_map(Result::ok).map(move |mut request| {
            if let Some(Body::Announce(announce)) = &mut request.body
                && !has_forgotten.swap(true, Ordering::SeqCst)
            {
                announce.documents.pop();
            }
            request
        });
        let mut client = RegistryClient::connect(format!("http://{}", self.registry))
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let replies = client.register(requests).await?.into_inner();
        Ok(Response::new(Box::pin(replies)))
    }

    async fn lookup(&self, _: Request<pb::LookupRequest>) -> Result<Response<pb::LookupResponse>, Status> {
        Err(Status::unimplemented("ask the registry"))
    }

    async fn lookup_many(&self, _: Request<pb::LookupManyRequest>) -> Result<Response<Self::LookupManyStream>, Status> {
        Err(Status::unimplemented("ask the registry"))
    }

    async fn list_documents(
        &self,
        _: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<Self::ListDocumentsStream>, Status> {
        Err(Status::unimplemented("ask the registry"))
    }

    async fn list_peers(&self, _: Request<pb::ListPeersRequest>) -> Result<Response<Self::ListPeersStream>, Status> {
        Err(Status::unimplemented("ask the registry"))
    }

    async fn watch(&self, _: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask the registry"))
    }
}
