//! A site of one test, and somebody who reads it.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Bytes, header::HeaderMap};
use hyper_util::rt::TokioIo;
use p2p_ci::{address::AllowedSources, transport::Dialer};
use peer::{
    commands::Context,
    destination::Destination,
    facts::learning::{Learner, Others},
    gateway::{Beyond, BoundGateway, Fetcher, Gateway, GatewayConfig, Site, Upstream},
    known::Memory,
    library::Durability,
    node::NodeConfig,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};

use crate::support::{TestPeer, TestRegistry, within};

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// A site of one test.
pub(crate) struct TestSite {
    pub(crate) peer: TestPeer,
    gateway: Gateway,
    others: watch::Receiver<Others>,
    learning: JoinHandle<()>,
}

impl Drop for TestSite {
    fn drop(&mut self) {
        self.learning.abort();
    }
}

impl TestSite {
    /// Serves a folder with these files, and what others have, which `dialer` reaches for.
    pub(crate) async fn start(registry: &TestRegistry, name: &str, files: &[(&str, &[u8])], dialer: &Dialer) -> Self {
        Self::start_with(registry, name, files, dialer, None).await
    }

    /// The same, asking `upstream` for what nobody has.
    pub(crate) async fn start_with(
        registry: &TestRegistry,
        name: &str,
        files: &[(&str, &[u8])],
        dialer: &Dialer,
        upstream: Option<&str>,
    ) -> Self {
        let config = GatewayConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            allowed: AllowedSources::default(),
        };
        let bound = BoundGateway::bind(config).unwrap();
        let upstream = upstream.map(|url| Upstream::new(&url.parse().unwrap()));
        let told = |config: &mut NodeConfig| {
            config.http = Some(bound.address());
            config.asks_upstream = upstream.is_some();
        };
        let peer = TestPeer::start_with(registry, name, files, told).await;
        let context = Context {
            registry: registry.url.clone(),
            dialer: Arc::clone(dialer),
            memory: Memory::default(),
        };
        let library = peer.node.library().clone();
        let catalogue = peer.node.catalogue().clone();
        let learner = Learner::new(registry.context(), catalogue.clone(), peer.node.address());
        let beyond = Beyond::new(upstream, peer.node.address(), bound.address().port(), learner.others());
        let destination = Destination::new(peer.folder.path().to_owned(), Durability::None)
            .await
            .unwrap();
        let fetcher = Fetcher::new(context, library.clone(), destination, Some(beyond));
        let others = learner.others();
        let site = Site::new(library, catalogue, Some(fetcher), others.clone());
        Self {
            peer,
            gateway: bound.serve(site),
            others,
            learning: tokio::spawn(learner.keep_learning()),
        }
    }

    /// Waits until it knows so many other sites, of which so many ask another one.
    pub(crate) async fn knows(&self, gateways: usize, upstreams: usize) {
        let mut others = self.others.clone();
        let known = others.wait_for(|others| others.gateways.len() == gateways && others.upstreams.len() == upstreams);
        drop(within("the other sites", known).await.unwrap());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Reads a path.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[]).await
    }

    /// Reads a path with these headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask("GET", path, headers).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        within(path, ask(self.address(), method, path, headers)).await
    }

    /// Sends bytes, and returns what comes until the site hangs up.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        within("an answer to anything", async {
            let mut stream = TcpStream::connect(self.address()).await.unwrap();
            // The site may hang up before it has read them all.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        })
        .await
    }
}

/// Makes one request.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response: Response<_> = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}
