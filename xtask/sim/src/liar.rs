//! A holder that says it has the right documents, and sends something else, most of the time.

use std::{error::Error, pin::Pin, time::Duration};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use p2p_ci::{
    address::AllowedSources,
    client::{CallError, FILE_TRANSFER_SERVICE, registry::RegistryClient},
    digest::Sha256,
    document::{Document, DocumentId, Title},
    limits,
    message::{Hello, PeerRequest},
    pb::{
        self, DownloadResponse,
        download_response::Body,
        file_transfer_server::{FileTransfer, FileTransferServer},
    },
    serving::Serving,
};
use rand::{RngExt as _, seq::IndexedRandom as _};
use tokio::time::sleep;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::{
    documents,
    hosts::{PEER_PORT, registry_url},
    network::{dialer, listen},
    truth::{SharedTruth, now},
};

/// Its host, and its name.
pub(crate) const LIAR: &str = "mallory";

/// How long it waits before it registers again.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// What it does instead of sending a document.
#[derive(Debug, Clone, Copy)]
enum Lie {
    /// One bit is another.
    Flipped,
    /// It ends early, as if that were all.
    Short,
    /// More follows than it said.
    Long,
    /// It says what it will send, and then nothing.
    Silent,
    /// It breaks off.
    Broken,
    /// It sends another document.
    Other,
    /// It sends bytes without saying of what.
    Headless,
    /// It sends the document.
    None,
}

/// What it chooses from. Most lies end a stream of many at once, so that what does not is chosen more often.
const LIES: [Lie; 12] = [
    Lie::Flipped,
    Lie::Flipped,
    Lie::Flipped,
    Lie::Short,
    Lie::Long,
    Lie::Silent,
    Lie::Broken,
    Lie::Other,
    Lie::Headless,
    Lie::None,
    Lie::None,
    Lie::None,
];

/// Serves and registers, again and again.
pub(crate) async fn run(numbers: Vec<u32>, truth: SharedTruth) -> Result<(), Box<dyn Error>> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_service_status(FILE_TRANSFER_SERVICE, tonic_health::ServingStatus::Serving)
        .await;
    let routes = Routes::new(FileTransferServer::new(Liar(truth))).add_service(health_service);
    let _serving = Serving::spawn(routes, AllowedSources::default(), listen(PEER_PORT).await?);
    loop {
        // Whatever ended the session: it comes back.
        let _ended = register(&numbers).await;
        sleep(PAUSE).await;
    }
}

/// Registers with all documents, and stays until the session ends.
async fn register(numbers: &[u32]) -> Result<(), CallError> {
    let client = RegistryClient::connect(&dialer(), &registry_url()).await?;
    let hello = Hello {
        protocol_version: limits::PROTOCOL_VERSION,
        name: LIAR.parse().map_err(|error| CallError::Violation(format!("{error}")))?,
        port: Some(PEER_PORT),
        advertise: None,
        resume_token: None,
        fingerprints: Vec::new(),
    };
    let (sender, mut receiver) = client.register(1, PeerRequest::Hello(hello)).await?;
    let documents = numbers.iter().filter_map(|number| claim(*number)).collect();
    sender.send(2, PeerRequest::Announce(documents)).await?;
    while receiver.next().await?.is_some() {}
    Ok(())
}

fn claim(number: u32) -> Option<Document> {
    let bytes = documents::bytes(number);
    Some(Document {
        id: DocumentId {
            key: documents::key(number)?,
            sha256: Sha256::of(&bytes),
        },
        size_bytes: u64::try_from(bytes.len()).ok()?,
        title: Title::default(),
        modified: None,
    })
}

struct Liar(SharedTruth);

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl FileTransfer for Liar {
    type DownloadStream = Answers<DownloadResponse>;
    type DownloadManyStream = Answers<pb::DownloadManyResponse>;

    async fn download(&self, request: Request<pb::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        let request = request.into_inner();
        let lie = self.choose(request.number);
        let sent = lies_about(request.number, request.offset, lie).into_iter();
        let sent = sent.map(|body| body.map(|body| DownloadResponse { body: Some(body) }));
        let sent = stream::iter(sent.collect::<Vec<_>>());
        if matches!(lie, Lie::Silent) {
            return Ok(Response::new(Box::pin(sent.chain(stream::pending()))));
        }
        Ok(Response::new(Box::pin(sent)))
    }

    async fn download_many(
        &self,
        requests: Request<Streaming<pb::DownloadManyRequest>>,
    ) -> Result<Response<Self::DownloadManyStream>, Status> {
        let liar = Self(self.0.clone());
        let answers = requests.into_inner().map(move |request| {
            let request = request?;
            let lie = liar.choose(request.number);
            let bodies = lies_about(request.number, 0, lie).into_iter();
            let sent: Vec<_> = bodies.map(|body| many(request.request_id, body)).collect();
            Ok::<_, Status>(stream::iter(sent))
        });
        Ok(Response::new(Box::pin(answers.try_flatten())))
    }
}

impl Liar {
    /// What it does to the next request for a number.
    fn choose(&self, number: u32) -> Lie {
        let lie = LIES.choose(&mut rand::rng()).copied().unwrap_or(Lie::None);
        let mut truth = self.0.lock();
        truth.lies += usize::from(!matches!(lie, Lie::None));
        truth.tell(now(), format!("{LIAR}: {lie:?} {number}"));
        lie
    }
}

/// The same in answer to one of many requests.
fn many(request_id: u64, body: Result<Body, Status>) -> Result<pb::DownloadManyResponse, Status> {
    use pb::download_many_response::Body as Many;
    let body = Some(match body? {
        Body::Header(header) => Many::Header(header),
        Body::Chunk(chunk) => Many::Chunk(chunk),
    });
    Ok(pb::DownloadManyResponse { request_id, body })
}

/// What is sent of a number from an offset on.
fn lies_about(number: u32, offset: u64, lie: Lie) -> Vec<Result<Body, Status>> {
    let bytes = documents::bytes(if matches!(lie, Lie::Other) {
        number % documents::NUMBERS + 1
    } else {
        number
    });
    let header = pb::DocumentHeader {
        number,
        format: pb::Format::Txt.into(),
        size_bytes: bytes.len() as u64,
        sha256: Sha256::of(&bytes).to_string(),
        modified_time: Some(prost_types::Timestamp {
            seconds: i64::try_from(documents::WRITTEN.as_secs()).unwrap_or_default(),
            nanos: 0,
        }),
    };
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let mut rest = bytes.get(from..).unwrap_or_default().to_vec();
    let at = rand::rng().random_range(0..=rest.len());
    match lie {
        Lie::Flipped => rest.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1),
        Lie::Short | Lie::Broken => rest.truncate(at),
        Lie::Long => rest.extend([0; 7]),
        Lie::Silent => rest.clear(),
        Lie::Other | Lie::Headless | Lie::None => {}
    }
    let header = (!matches!(lie, Lie::Headless)).then_some(Body::Header(header));
    let chunks = rest.chunks(CHUNK_BYTES).map(|chunk| Body::Chunk(chunk.to_vec().into()));
    let mut sent: Vec<_> = header.into_iter().chain(chunks).map(Ok).collect();
    if matches!(lie, Lie::Broken) {
        sent.push(Err(Status::unavailable("enough")));
    }
    sent
}
