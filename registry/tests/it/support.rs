//! Real registries, real clients, peers that are no more than a session and a healthy port, and a network in memory.

pub(crate) mod raw;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use p2p_ci::{
    address::AllowedSources,
    client::{
        CallError, FILE_TRANSFER_SERVICE,
        registry::{RegistryClient, SessionReceiver, SessionSender},
    },
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title},
    failure::{Failure, Reason},
    front_door,
    message::{
        Hello, IndexFilter, ListQuery, LookupQuery, PeerInfo, PeerRequest, Reachability, RegistryReply, Welcome,
    },
    quota::QuotaLimits,
    registry_url::RegistryUrl,
    serving::Serving,
    transport::{Conn, Dial, Dialer, Io, tcp_dialer},
};
use registry::{Config, Server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::health_reporter};

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A registry on a port of its own on loopback.
pub(crate) async fn registry() -> Server {
    registry_with(|_| {}).await
}

/// The same, with other limits.
pub(crate) async fn registry_with(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::at("127.0.0.1:0".parse().unwrap());
    change(&mut config);
    Server::bind(config).await.unwrap()
}

pub(crate) fn url_of(address: SocketAddr) -> RegistryUrl {
    RegistryUrl {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

pub(crate) async fn client(registry: &Server) -> RegistryClient {
    let url = url_of(registry.local_addr());
    RegistryClient::connect(&tcp_dialer(), &url).await.unwrap()
}

pub(crate) fn number(number: u32) -> RfcNumber {
    RfcNumber::new(number).unwrap()
}

pub(crate) fn key(value: u32) -> DocumentKey {
    DocumentKey {
        number: number(value),
        format: Format::Txt,
    }
}

pub(crate) fn document(number: u32) -> Document {
    Document {
        id: DocumentId {
            key: key(number),
            sha256: Sha256::of(&number.to_be_bytes()),
        },
        size_bytes: 4,
        title: Title::from_lossy(&format!("The title of RFC {number}")),
        modified: None,
    }
}

pub(crate) fn lookup(value: u32) -> LookupQuery {
    LookupQuery {
        number: number(value),
        format: None,
        sha256_prefix: Default::default(),
        max_holders: 8,
    }
}

pub(crate) fn everything() -> ListQuery {
    ListQuery {
        filter: IndexFilter::ALL,
        peer: None,
        max_holders: 3,
    }
}

pub(crate) fn hello(name: &str, port: Option<u16>) -> Hello {
    Hello {
        protocol_version: 1,
        name: name.parse().unwrap(),
        port,
        advertise: None,
        resume_token: None,
        fingerprints: Vec::new(),
    }
}

/// A heartbeat as people type it: without fingerprints.
pub(crate) fn heartbeat(upload_count: u32) -> PeerRequest {
    PeerRequest::Heartbeat {
        upload_count,
        fingerprints: Vec::new(),
    }
}

/// The answer to a heartbeat that is not at odds with the index.
pub(crate) fn acknowledged(document_count: u32) -> RegistryReply {
    RegistryReply::HeartbeatAck {
        document_count,
        mismatched: Vec::new(),
    }
}

/// A port at which a FileTransfer service says that it is healthy, until it is dropped.
pub(crate) async fn healthy_port() -> (Serving, u16) {
    let listener = front_door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (health, service) = health_reporter();
    health
        .set_service_status(FILE_TRANSFER_SERVICE, ServingStatus::Serving)
        .await;
    let limits = QuotaLimits {
        total: 64,
        per_source: 0,
        spare_loopback: false,
    };
    let incoming = front_door::guard(listener, limits);
    (
        Serving::spawn(Routes::new(service), AllowedSources::default(), incoming),
        port,
    )
}

/// A session of a peer.
pub(crate) struct Session {
    pub(crate) sender: SessionSender,
    pub(crate) receiver: SessionReceiver,
    pub(crate) welcome: Welcome,
    last_id: u64,
    _serving: Option<Serving>,
}

impl Session {
    /// Registers, or says why not.
    pub(crate) async fn open(client: &RegistryClient, hello: Hello) -> Result<Self, CallError> {
        let (sender, mut receiver) = client.register(1, PeerRequest::Hello(hello)).await?;
        match within(receiver.next()).await? {
            Some((1, RegistryReply::Welcome(welcome))) => Ok(Self {
                sender,
                receiver,
                welcome,
                last_id: 1,
                _serving: None,
            }),
            other => panic!("{other:?} instead of a welcome"),
        }
    }

    /// A peer that others can reach and that shares `documents`.
    pub(crate) async fn share(client: &RegistryClient, name: &str, documents: &[Document]) -> Self {
        let (serving, port) = healthy_port().await;
        let mut session = Self::open(client, hello(name, Some(port))).await.unwrap();
        session._serving = Some(serving);
        assert_eq!(session.reachability().await, Reachability::Reachable);
        for batch in documents.chunks(256) {
            let reply = session.ask(PeerRequest::Announce(batch.to_vec())).await;
            assert!(matches!(reply, RegistryReply::Announced(_)), "{reply:?}");
        }
        session
    }

    /// The next verdict of the registry.
    pub(crate) async fn reachability(&mut self) -> Reachability {
        loop {
            if let (0, RegistryReply::Reachability(notice)) = within(self.receiver.next()).await.unwrap().unwrap() {
                return notice.reachability;
            }
        }
    }

    /// Asks, and returns the answer; notices in between are passed over.
    pub(crate) async fn ask(&mut self, request: PeerRequest) -> RegistryReply {
        self.last_id += 1;
        self.sender.send(self.last_id, request).await.unwrap();
        loop {
            let (id, reply) = within(self.receiver.next())
                .await
                .unwrap()
                .expect("the session is open");
            if id == self.last_id {
                return reply;
            }
        }
    }

    /// Why the session ended; `None` for good order.
    pub(crate) async fn end(&mut self) -> Option<CallError> {
        loop {
            match within(self.receiver.next()).await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    }
}

/// Waits for what must come.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: nothing within {PATIENCE:?}"),
        }
    }
}

/// Checks again and again, until it is so.
#[track_caller]
pub(crate) fn until(check: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let mut check = check;
    async move {
        let start = tokio::time::Instant::now();
        while !check().await {
            assert!(start.elapsed() < PATIENCE, "{caller}: not so within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(crate) async fn peers(client: &RegistryClient) -> Vec<PeerInfo> {
    let mut stream = client.list_peers().await.unwrap();
    let mut peers = Vec::new();
    while let Some(peer) = within(stream.next()).await.unwrap() {
        peers.push(peer);
    }
    peers
}

/// The numbers that the index has, in order.
pub(crate) async fn numbers(client: &RegistryClient) -> Vec<u32> {
    let mut stream = client.list_documents(everything()).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(listed) = within(stream.next()).await.unwrap() {
        numbers.push(listed.entry.document.id.key.number.get());
    }
    numbers
}

/// The failure that a call was refused with.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, CallError>, reason: Reason) -> Failure {
    let failure = match &result {
        Err(CallError::Refused(failure)) => failure.clone(),
        other => panic!("{other:?} instead of {reason:?}"),
    };
    assert_eq!(failure.reason, reason, "{failure}");
    assert_well_said(&failure);
    failure
}

/// The failure that a request within a session was answered with.
#[track_caller]
pub(crate) fn failed(reply: &RegistryReply, reason: Reason) -> Failure {
    let RegistryReply::Failed(failure) = reply else {
        panic!("{reply:?} instead of {reason:?}");
    };
    assert_eq!(failure.reason, reason, "{failure}");
    assert_well_said(failure);
    failure.clone()
}

/// Every failure says what is wrong in a sentence that fits a terminal.
#[track_caller]
pub(crate) fn assert_well_said(failure: &Failure) {
    let message = &failure.message;
    assert!(!message.is_empty() && message.len() <= 300, "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

/// A network in memory on which everybody comes from an address of choice.
pub(crate) struct MemoryNet {
    conns: mpsc::Sender<io::Result<Conn>>,
    source: SocketAddr,
}

impl MemoryNet {
    /// A registry that listens on it, and a way to dial it from `source`.
    pub(crate) async fn registry(source: &str, change: impl FnOnce(&mut Config)) -> (Server, Dialer) {
        let (conns, incoming) = mpsc::channel(16);
        let mut config = Config::at("192.0.2.1:7734".parse().unwrap());
        change(&mut config);
        let net: Dialer = Arc::new(Self {
            conns,
            source: source.parse().unwrap(),
        });
        let incoming = Box::pin(ReceiverStream::new(incoming));
        (Server::serve(config, incoming, Arc::clone(&net)).await.unwrap(), net)
    }

    /// A client of that registry.
    pub(crate) async fn client(net: &Dialer) -> RegistryClient {
        let url = url_of("192.0.2.1:7734".parse().unwrap());
        RegistryClient::connect(net, &url).await.unwrap()
    }
}

impl Dial for MemoryNet {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(vec![SocketAddr::new(host.parse().map_err(io::Error::other)?, port)]) })
    }

    fn dial(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let (conns, source) = (self.conns.clone(), self.source);
        Box::pin(async move {
            if address.port() != 7734 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            conns
                .send(Ok(Conn::new(theirs, source)))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(ours) as Box<dyn Io>)
        })
    }
}
