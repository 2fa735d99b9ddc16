//! A real server over in-memory connections, and clients that do not read.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use h2::{RecvStream, SendStream, client::SendRequest};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, body::Body, service::Routes};

use super::*;
use crate::{
    address::AllowedSources,
    limits::CHUNK_BYTES,
    pb::{
        self,
        file_transfer_server::{FileTransfer, FileTransferServer},
    },
    serving::Serving,
    transport::Conn,
};

/// Sends chunks, and counts the answers that it still has to do with.
struct Chunks {
    each: usize,
    answers: Arc<AtomicUsize>,
}

/// One answer, for as long as the server keeps it.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl FileTransfer for Chunks {
    type DownloadStream = BoxStream<'static, Result<pb::DownloadResponse, Status>>;
    type DownloadManyStream = BoxStream<'static, Result<pb::DownloadManyResponse, Status>>;

    async fn download(&self, _: Request<pb::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        self.answers.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(&self.answers));
        let chunk = pb::download_response::Body::Chunk(Bytes::from(vec![7; CHUNK_BYTES]));
        let response = pb::DownloadResponse { body: Some(chunk) };
        let answers = tokio_stream::iter(std::iter::repeat_with(move || {
            let _kept = &counted;
            Ok(response.clone())
        }));
        let answers = futures_util::StreamExt::take(answers, self.each);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn download_many(
        &self,
        _: Request<Streaming<pb::DownloadManyRequest>>,
    ) -> Result<Response<Self::DownloadManyStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::pending())))
    }
}

struct TestServer {
    conns: mpsc::Sender<std::io::Result<Conn>>,
    answers: Arc<AtomicUsize>,
    _serving: Serving,
}

impl TestServer {
    /// Answers without end.
    fn start(allowance: Allowance) -> Self {
        Self::start_with(usize::MAX, allowance)
    }

    /// Answers of so many chunks.
    fn start_with(each: usize, allowance: Allowance) -> Self {
        let (conns, incoming) = mpsc::channel(8);
        let answers = Arc::default();
        let chunks = Chunks {
            each,
            answers: Arc::clone(&answers),
        };
        let routes = Routes::new(FileTransferServer::new(chunks));
        let incoming = Box::pin(ReceiverStream::new(incoming));
        Self {
            conns,
            answers,
            _serving: Serving::spawn_with(routes, AllowedSources::default(), incoming, allowance),
        }
    }

    async fn connect(&self) -> Client {
        self.connect_silently(Duration::ZERO).await
    }

    /// A client whose connection takes nothing in for a while, so that pings stay unanswered as well.
    async fn connect_silently(&self, silence: Duration) -> Client {
        let (near, far) = tokio::io::duplex(1 << 20);
        let source = "127.0.0.1:5000".parse().unwrap();
        self.conns.send(Ok(Conn::new(far, source))).await.unwrap();
        // Room for all of them on the connection, so that each answer waits in its own stream.
        let mut http2 = h2::client::Builder::new();
        http2.initial_connection_window_size(64 * u32::try_from(CHUNK_BYTES).unwrap());
        let (requests, connection) = http2.handshake(near).await.unwrap();
        Client {
            requests,
            connection: tokio::spawn(async move {
                tokio::time::sleep(silence).await;
                // Both a proper end and a broken connection are an end.
                let _ = connection.await;
            }),
        }
    }

    /// Waits until the server has nothing to do with any answer.
    async fn forgets_all(&self) {
        while self.answers.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Client {
    /// Waits until the connection is over.
    async fn ends_within(&mut self, limit: Duration) {
        let ended = tokio::time::timeout(limit, &mut self.connection).await;
        ended.expect("the connection goes on").unwrap();
    }

    /// Starts a download and returns what arrives, unread; `None` when the connection is over.
    async fn download(&mut self) -> Option<RecvStream> {
        Some(self.call(None).await?.into_body())
    }

    /// Sends so many bytes of a longer request, which is given up when what is returned is dropped; `None` when the connection
    /// is over.
    async fn begin(&mut self, bytes: usize) -> Option<SendStream<Bytes>> {
        let request = http::Request::post("http://server/p2pci.v1.FileTransfer/Download")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let mut requests = self.requests.clone().ready().await.ok()?;
        let (_answer, mut body) = requests.send_request(request.body(()).unwrap(), false).ok()?;
        let mut piece = crate::wire::prefix::prefix(2 * bytes).to_vec();
        piece.resize(bytes, 0);
        body.send_data(piece.into(), false).ok()?;
        Some(body)
    }

    /// The same, with the head of the answer, for a client that waits for it so long.
    async fn call(&mut self, timeout: Option<&str>) -> Option<http::Response<RecvStream>> {
        let mut request = http::Request::post("http://server/p2pci.v1.FileTransfer/Download")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let request = request.body(()).unwrap();
        let mut requests = self.requests.clone().ready().await.ok()?;
        let (response, mut body) = requests.send_request(request, false).ok()?;
        body.send_data(Bytes::from_static(&[0; 5]), true).ok()?;
        response.await.ok()
    }
}

const ALLOWANCE: Allowance = Allowance {
    unread: Duration::from_secs(40),
    held_bytes: 4 * CHUNK_BYTES,
    idle: Duration::from_secs(60),
    ping: limits::KEEPALIVE_TIMEOUT,
    sent_ahead_bytes: limits::ANSWERS_SENT_AHEAD_BYTES,
    long_answers: &[],
};

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_costs_the_connection() {
    let server = TestServer::start(ALLOWANCE);
    let mut client = server.connect().await;
    let began = Instant::now();
    let _unread = client.download().await.unwrap();
    client.ends_within(2 * ALLOWANCE.unread).await;
    let lasted = began.elapsed();
    assert!(
        (ALLOWANCE.unread..ALLOWANCE.unread + 3 * LOOK_INTERVAL).contains(&lasted),
        "{lasted:?}"
    );
    server.forgets_all().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_slowly_goes_on() {
    let server = TestServer::start(ALLOWANCE);
    let mut client = server.connect().await;
    let mut answer = client.download().await.unwrap();
    let began = Instant::now();
    let mut received = 0;
    while received < 8 * CHUNK_BYTES {
        let data = answer.data().await.unwrap().unwrap();
        received += data.len();
        answer.flow_control().release_capacity(data.len()).unwrap();
        tokio::time::sleep(Duration::from_secs(1).mul_f64(data.len() as f64 / 10_000.0)).await;
    }
    assert!(began.elapsed() > 2 * ALLOWANCE.unread, "slow enough to tell");
    assert!(!client.connection.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_ping_may_wait_behind_what_a_slow_link_carries_where_documents_are_served() {
    let silence = limits::KEEPALIVE_INTERVAL + 2 * limits::KEEPALIVE_TIMEOUT;
    for (allowance, stays) in [(Allowance::default(), false), (Allowance::for_documents(), true)] {
        let server = TestServer::start(allowance);
        let mut client = server.connect_silently(silence).await;
        tokio::time::sleep(silence).await;
        assert_eq!(client.download().await.is_some(), stays, "{allowance:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_unread_answers_cost_the_connection_at_once() {
    let server = TestServer::start(ALLOWANCE);
    let mut client = server.connect().await;
    let mut bystander = server.connect().await;
    let _one = bystander.download().await.unwrap();
    let began = Instant::now();
    let mut unread = Vec::new();
    while let Some(answer) = client.download().await {
        unread.push(answer);
        assert!(unread.len() < 10, "the fourth answer is too much");
    }
    assert!(began.elapsed() < LOOK_INTERVAL);
    assert!(!bystander.connection.is_finished(), "its own connection is left alone");
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_its_stream_counts_until_its_last_byte_is_read() {
    what_waits_counts(ALLOWANCE).await;
    let of_documents = Allowance::for_documents().sent_ahead_bytes;
    what_waits_counts(Allowance {
        sent_ahead_bytes: of_documents,
        ..ALLOWANCE
    })
    .await;
}

async fn what_waits_counts(allowance: Allowance) {
    let server = TestServer::start_with(1, allowance);
    let mut reading = server.connect().await;
    for _ in 0..2 * ALLOWANCE.held_bytes / CHUNK_BYTES {
        let mut answer = reading.download().await.unwrap();
        let mut received = 0;
        while let Some(data) = answer.data().await {
            let data = data.unwrap();
            received += data.len();
            answer.flow_control().release_capacity(data.len()).unwrap();
        }
        assert!((CHUNK_BYTES..CHUNK_BYTES + 64).contains(&received), "{received} bytes");
    }

    let mut hoarding = server.connect().await;
    let mut unread = Vec::new();
    while let Some(answer) = hoarding.download().await {
        unread.push(answer);
        assert!(unread.len() < 10, "the fourth answer is too much");
    }
    server.forgets_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_waits_for_a_place_for_a_long_answer_and_is_told_when_that_takes_too_long() {
    let allowance = Allowance {
        held_bytes: usize::MAX,
        long_answers: &["/p2pci.v1.FileTransfer/Download"],
        ..ALLOWANCE
    };
    let server = TestServer::start(allowance);
    let (mut clients, mut unread) = (Vec::new(), Vec::new());
    let of_one = limits::MAX_STREAMS_PER_CONNECTION as usize / 2;
    for index in 0..limits::LONG_ANSWERS_PER_SOURCE {
        if index % of_one == 0 {
            clients.push(server.connect().await);
        }
        unread.push(clients.last_mut().unwrap().download().await.unwrap());
    }
    assert_eq!(server.answers.load(Ordering::SeqCst), limits::LONG_ANSWERS_PER_SOURCE);
    let mut late = server.connect().await;
    let refused = late.call(None).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    let hasty = Instant::now();
    late.call(Some("50m")).await.unwrap();
    assert!(
        hasty.elapsed() < Duration::from_secs(1),
        "who waits for less is told sooner"
    );
    assert_eq!(server.answers.load(Ordering::SeqCst), limits::LONG_ANSWERS_PER_SOURCE);
    unread.pop();
    let answer = late.call(None).await.unwrap();
    assert_eq!(answer.headers().get("grpc-status"), None, "a place is free");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_hung_up_neither_reads_nor_writes() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Its reader takes nothing, so that more could not be written either.
    let (_near, far) = tokio::io::duplex(8);
    let mut conn = Conn::new(far, "127.0.0.1:5000".parse().unwrap());
    conn.write_all(&[0; 8]).await.unwrap();
    conn.line().hang_up("a test");
    let patience = Duration::from_secs(1);
    let written = tokio::time::timeout(patience, conn.write(&[0])).await;
    let read = tokio::time::timeout(patience, conn.read(&mut [0])).await;
    for ended in [written, read] {
        let error = ended.expect("it is noticed at once").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    }
}

#[tokio::test]
async fn what_a_connection_held_that_was_cut_costs_no_other_one() {
    let ledger = Ledger::new(ALLOWANCE);
    let [hoarder, bystander] = ["127.0.0.1:5000", "127.0.0.1:5001"].map(|source| {
        let line = Line::new(source.parse().unwrap());
        ledger.enter(&line)
    });
    let is_cut = |entry: &Entry| entry.line.0.hang_up.is_cancelled();
    let mut hoarded = Answer::begin(Arc::clone(&hoarder), None, "/any");
    hoarded.handed_over(ALLOWANCE.held_bytes + 1);
    assert!(is_cut(&hoarder));
    // Nobody has dropped its answers yet.
    let mut answer = Answer::begin(Arc::clone(&bystander), None, "/any");
    answer.handed_over(ALLOWANCE.held_bytes);
    assert!(!is_cut(&bystander));
    answer.taken();
    answer.handed_over(ALLOWANCE.held_bytes + 1);
    assert!(is_cut(&bystander), "its own is too much");
}

#[tokio::test(start_paused = true)]
async fn requests_that_do_not_end_cost_the_connection_beyond_one_of_each() {
    const BEGUN_BYTES: usize = 60_000;
    let server = TestServer::start(ALLOWANCE);
    let mut others = Vec::new();
    for _ in 0..2 * ALLOWANCE.held_bytes / BEGUN_BYTES {
        let mut client = server.connect().await;
        let begun = client.begin(BEGUN_BYTES).await.unwrap();
        others.push((client, begun));
    }
    let mut client = server.connect().await;
    let mut begun = Vec::new();
    for _ in 0..2 + ALLOWANCE.held_bytes / BEGUN_BYTES {
        begun.push(client.begin(BEGUN_BYTES).await.unwrap());
    }
    client.ends_within(limits::REQUEST_TIMEOUT / 2).await;
    assert!(others.iter().all(|(client, _)| !client.connection.is_finished()));

    let source = |ledger: &Ledger| ledger.enter(&Line::new("127.0.0.1:5000".parse().unwrap()));
    let ledger = Ledger::new(ALLOWANCE);
    let entry = source(&ledger);
    let mut body = Arriving::new(Body::empty(), Arc::clone(&entry));
    body.holds(10 * ALLOWANCE.held_bytes);
    drop(body);
    let next = source(&ledger);
    next.hold(ALLOWANCE.held_bytes);
    assert!(!next.line.0.hang_up.is_cancelled(), "what is gone is held no more");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_ends_and_one_with_an_answer_does_not() {
    let server = TestServer::start(ALLOWANCE);
    let mut idle = server.connect().await;
    let began = Instant::now();
    idle.ends_within(2 * ALLOWANCE.idle).await;
    assert!(began.elapsed() >= ALLOWANCE.idle);

    let mut busy = server.connect().await;
    let mut answer = busy.download().await.unwrap();
    let _reader = tokio::spawn(async move {
        while let Some(Ok(data)) = answer.data().await {
            answer.flow_control().release_capacity(data.len()).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    tokio::time::sleep(2 * ALLOWANCE.idle).await;
    assert!(!busy.connection.is_finished());
}
