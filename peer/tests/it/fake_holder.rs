//! A holder that answers by a script, over the real protocol.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_core::Stream;
use p2p_ci::{
    address::AllowedSources,
    client::{
        FILE_TRANSFER_SERVICE,
        registry::{SessionReceiver, SessionSender},
    },
    digest::Sha256,
    document::{Document, DocumentId, Title},
    front_door, limits,
    message::{Hello, PeerRequest, RegistryReply},
    pb,
    quota::QuotaLimits,
    serving::Serving,
};
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::support::{TestRegistry, key, within};

/// What a scripted holder answers to one request: messages, then a status if any.
pub(crate) type Script = fn(&[u8], u64) -> (Vec<Message>, Option<Status>);

pub(crate) enum Message {
    Header(pb::DocumentHeader),
    Chunk(Vec<u8>),
    /// A piece of a zstd frame, in a stream of downloads; a chunk elsewhere.
    Packed(Vec<u8>),
    /// Nothing for a while.
    Pause(Duration),
    /// Nothing more, and no end either.
    Silence,
}

pub(crate) fn header(bytes: &[u8]) -> pb::DocumentHeader {
    pb::DocumentHeader {
        number: 1,
        format: pb::Format::Txt.into(),
        size_bytes: bytes.len() as u64,
        sha256: Sha256::of(bytes).to_string(),
        modified_time: None,
    }
}

pub(crate) fn chunks(bytes: &[u8]) -> impl Iterator<Item = Message> {
    bytes.chunks(1000).map(|chunk| Message::Chunk(chunk.to_vec()))
}

/// A service that is registered as a holder like any other.
pub(crate) struct Registered {
    _session: (SessionSender, SessionReceiver),
    _serving: Serving,
}

/// A holder that answers by its script.
pub(crate) struct FakeHolder {
    _registered: Registered,
    pub(crate) offsets: Arc<Mutex<Vec<u64>>>,
}

struct Scripted {
    document: Vec<u8>,
    script: Script,
    offsets: Arc<Mutex<Vec<u64>>>,
}

pub(crate) type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

impl Scripted {
    fn stream<M: Send + 'static>(&self, offset: u64, encode: fn(Message) -> Option<M>) -> Answers<M> {
        self.offsets.lock().unwrap().push(offset);
        let (messages, status) = (self.script)(&self.document, offset);
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            for message in messages {
                if let Message::Pause(pause) = message {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                match encode(message) {
                    Some(message) => {
                        if sender.send(Ok(message)).await.is_err() {
                            return;
                        }
                    }
                    None => sender.closed().await,
                }
            }
            if let Some(status) = status {
                let _ = sender.send(Err(status)).await;
            }
        });
        Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver))
    }
}

#[tonic::async_trait]
impl pb::file_transfer_server::FileTransfer for Scripted {
    type DownloadStream = Answers<pb::DownloadResponse>;
    type DownloadManyStream = Answers<pb::DownloadManyResponse>;

    async fn download(&self, request: Request<pb::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        use pb::download_response::Body;
        let stream = self.stream(request.into_inner().offset, |message| match message {
            Message::Header(header) => Some(pb::DownloadResponse {
                body: Some(Body::Header(header)),
            }),
            Message::Chunk(chunk) | Message::Packed(chunk) => Some(pb::DownloadResponse {
                body: Some(Body::Chunk(chunk.into())),
            }),
            Message::Pause(_) | Message::Silence => None,
        });
        Ok(Response::new(stream))
    }

    async fn download_many(
        &self,
        _: Request<Streaming<pb::DownloadManyRequest>>,
    ) -> Result<Response<Self::DownloadManyStream>, Status> {
        use pb::download_many_response::Body;
        let stream = self.stream(0, |message| match message {
            Message::Header(header) => Some(pb::DownloadManyResponse {
                request_id: 1,
                body: Some(Body::Header(header)),
            }),
            Message::Chunk(chunk) => Some(pb::DownloadManyResponse {
                request_id: 1,
                body: Some(Body::Chunk(chunk.into())),
            }),
            Message::Packed(piece) => Some(pb::DownloadManyResponse {
                request_id: 1,
                body: Some(Body::ZstdChunk(piece.into())),
            }),
            Message::Pause(_) | Message::Silence => None,
        });
        Ok(Response::new(stream))
    }
}

/// A holder that answers streams of downloads only: each by its own task, for which this makes the work.
pub(crate) struct OnlyStreams<F>(pub(crate) F);

pub(crate) type ManyRequests = Streaming<pb::DownloadManyRequest>;
pub(crate) type ManySender = tokio::sync::mpsc::Sender<Result<pb::DownloadManyResponse, Status>>;

#[tonic::async_trait]
impl<F, T> pb::file_transfer_server::FileTransfer for OnlyStreams<F>
where
    F: Fn(ManyRequests, ManySender) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    type DownloadStream = Answers<pb::DownloadResponse>;
    type DownloadManyStream = Answers<pb::DownloadManyResponse>;

    async fn download(&self, _: Request<pb::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        Err(Status::unimplemented("only streams"))
    }

    async fn download_many(
        &self,
        request: Request<ManyRequests>,
    ) -> Result<Response<Self::DownloadManyStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn((self.0)(request.into_inner(), sender));
        let answers = tokio_stream::wrappers::ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(answers)))
    }
}

impl FakeHolder {
    /// Registers as a holder of RFC 1 with these bytes.
    pub(crate) async fn start(registry: &TestRegistry, name: &str, document: &[u8], script: Script) -> Self {
        let offsets = Arc::<Mutex<Vec<u64>>>::default();
        let service = Scripted {
            document: document.to_vec(),
            script,
            offsets: Arc::clone(&offsets),
        };
        Self {
            _registered: Registered::start(registry, name, vec![claim(1, document)], service).await,
            offsets,
        }
    }

    pub(crate) fn was_asked(&self) -> bool {
        !self.offsets.lock().unwrap().is_empty()
    }
}

/// A document of these bytes as it is announced.
pub(crate) fn claim(number: u32, bytes: &[u8]) -> Document {
    Document {
        id: DocumentId {
            key: key(number),
            sha256: Sha256::of(bytes),
        },
        size_bytes: bytes.len() as u64,
        title: Title::default(),
        modified: None,
    }
}

impl Registered {
    /// Serves, registers, announces, and waits until all that is known.
    pub(crate) async fn start(
        registry: &TestRegistry,
        name: &str,
        documents: Vec<Document>,
        service: impl pb::file_transfer_server::FileTransfer,
    ) -> Self {
        let listener = front_door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let incoming = front_door::guard(
            listener,
            QuotaLimits {
                total: 64,
                per_source: 0,
                spare_loopback: false,
            },
        );
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(FILE_TRANSFER_SERVICE, tonic_health::ServingStatus::Serving)
            .await;
        let routes =
            Routes::new(pb::file_transfer_server::FileTransferServer::new(service)).add_service(health_service);
        Self {
            _serving: Serving::spawn(routes, AllowedSources::default(), incoming),
            _session: register(registry, name, address, documents).await,
        }
    }
}

async fn register(
    registry: &TestRegistry,
    name: &str,
    address: SocketAddr,
    documents: Vec<Document>,
) -> (SessionSender, SessionReceiver) {
    let hello = Hello {
        protocol_version: limits::PROTOCOL_VERSION,
        name: name.parse().unwrap(),
        port: Some(address.port()),
        advertise: None,
        resume_token: None,
        fingerprints: Vec::new(),
    };
    let (sender, mut receiver) = registry
        .client()
        .await
        .register(1, PeerRequest::Hello(hello))
        .await
        .unwrap();
    sender.send(2, PeerRequest::Announce(documents)).await.unwrap();
    let (mut announced, mut reachable) = (false, false);
    within("registered", async {
        while !(announced && reachable) {
            match receiver.next().await.unwrap().unwrap().1 {
                RegistryReply::Announced(_) => announced = true,
                RegistryReply::Reachability(_) => reachable = true,
                _ => {}
            }
        }
    })
    .await;
    (sender, receiver)
}
