//! What unit tests share: documents, an environment, and ways to dial that do as they are told.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_core::future::BoxFuture;
use p2p_ci::{
    address::AllowedSources,
    client::FILE_TRANSFER_SERVICE,
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title},
    serving::Serving,
    transport::{Conn, Dial, Dialer, Io},
};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::health_reporter};

use crate::{
    admission::Admission,
    index::IndexLimits,
    reach::Prober,
    session::Environment,
    swarm::{Swarm, SwarmLimits},
};

/// Limits that no test meets by accident.
pub(crate) const LIMITS: SwarmLimits = SwarmLimits {
    index: IndexLimits {
        session_documents: 40_000,
        documents: 200_000,
        documents_per_source: 50_000,
        sessions_per_address: 64,
        lists: 256,
        list_documents: 120_000,
    },
    watchers: 4,
};

pub(crate) fn key(number: u32) -> DocumentKey {
    DocumentKey {
        number: RfcNumber::new(number).unwrap(),
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
        title: Title::default(),
        modified: None,
    }
}

/// Sessions that connect back by `dialer`.
pub(crate) fn environment(dialer: Dialer) -> Environment {
    Environment {
        swarm: Swarm::new(LIMITS).unwrap(),
        prober: Arc::new(Prober::new(dialer, Handle::current())),
        effects: Arc::default(),
        admission: Arc::new(Admission::new(Vec::new(), "192.0.2.1:7734".parse().unwrap())),
        stop: CancellationToken::new(),
    }
}

/// What happens when somebody dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The connection is refused.
    Refused,
    /// Nothing happens, for ever.
    Silent,
    /// A FileTransfer service answers that it is healthy.
    Healthy,
}

/// Dials in memory, and counts.
pub(crate) struct TestDialer {
    line: std::sync::Mutex<Line>,
    dialled: AtomicUsize,
    conns: mpsc::UnboundedSender<io::Result<Conn>>,
    _peer: Serving,
}

impl TestDialer {
    pub(crate) async fn new(line: Line) -> Arc<Self> {
        let (conns, incoming) = mpsc::unbounded_channel();
        let (health, service) = health_reporter();
        health
            .set_service_status(FILE_TRANSFER_SERVICE, ServingStatus::Serving)
            .await;
        let incoming = Box::pin(UnboundedReceiverStream::new(incoming));
        Arc::new(Self {
            line: std::sync::Mutex::new(line),
            dialled: AtomicUsize::new(0),
            conns,
            _peer: Serving::spawn(Routes::new(service), AllowedSources::default(), incoming),
        })
    }

    pub(crate) fn becomes(&self, line: Line) {
        *self.line.lock().unwrap() = line;
    }

    pub(crate) fn dialled(&self) -> usize {
        self.dialled.load(Ordering::SeqCst)
    }
}

impl Dial for TestDialer {
    fn resolve(&self, _: String, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn dial(&self, _: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        match *self.line.lock().unwrap() {
            Line::Refused => Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into()))),
            Line::Silent => Box::pin(std::future::pending()),
            Line::Healthy => {
                let (ours, theirs) = tokio::io::duplex(16 * 1024);
                self.conns
                    .send(Ok(Conn::new(theirs, "127.0.0.1:1".parse().unwrap())))
                    .unwrap();
                Box::pin(std::future::ready(Ok(Box::new(ours) as Box<dyn Io>)))
            }
        }
    }
}
