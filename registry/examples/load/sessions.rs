//! Thousands of sessions, each on a connection of its own, and one port that the registry finds behind all of them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use h2::{RecvStream, SendStream};
use p2p_ci::{
    address::AllowedSources,
    client::FILE_TRANSFER_SERVICE,
    front_door,
    limits::{LISTEN_BACKLOG, MAX_BATCH_DOCUMENTS, PROTOCOL_VERSION},
    message::{Hello, PeerRequest, Reachability, RegistryReply},
    quota::QuotaLimits,
    serving::Serving,
    wire::registry::{decode_reply, encode_request},
};
use registry::descriptors::connection_limit;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    time::{Instant, timeout},
};
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::health_reporter};
use tonic_prost::prost::Message;

use crate::{
    figures::{Times, rate},
    series::Series,
};

/// Sessions that are being opened at a time: as many peers as would come within ten milliseconds.
const OPENING: usize = 64;

/// Descriptors that are not for sessions: what the registry connects back to, lookups, and the runtime's own.
const RESERVED_DESCRIPTORS: usize = 512;

/// Nothing of this takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// All sessions.
pub(crate) struct Crowd {
    registry: SocketAddr,
    series: Arc<Series>,
    port: u16,
    reachable: Arc<AtomicUsize>,
    sessions: Vec<Session>,
    /// Ends with this value.
    _health: Serving,
}

/// One session. It ends when this is dropped.
pub(crate) struct Session {
    requests: SendStream<Bytes>,
    replies: mpsc::Receiver<RegistryReply>,
}

impl Crowd {
    /// No sessions so far, and a port at which each of them is healthy.
    pub(crate) async fn new(registry: SocketAddr, series: Series) -> Result<Self> {
        let (health, port) = healthy_port().await?;
        Ok(Self {
            registry,
            series: Arc::new(series),
            port,
            reachable: Arc::default(),
            sessions: Vec::new(),
            _health: health,
        })
    }

    /// What they share.
    pub(crate) fn series(&self) -> &Series {
        &self.series
    }

    /// Opens sessions until there are so many. Those after the first one find the series known.
    pub(crate) async fn register(&mut self, count: usize) -> Result<String> {
        let room = connection_limit().saturating_sub(RESERVED_DESCRIPTORS);
        ensure!(
            count <= room,
            "{count} sessions need more than the {room} descriptors that this process may have for them; raise the \
             hard limit of open files (`ulimit -Hn`)"
        );
        if self.sessions.is_empty() {
            self.announce().await?;
        }
        let (first, start) = (self.sessions.len(), Instant::now());
        let (mut whole, mut answer) = (Times::default(), Times::default());
        let mut opening = stream::iter(first..count)
            .map(|index| self.open(index))
            .buffer_unordered(OPENING);
        let mut opened = Vec::new();
        while let Some(session) = opening.next().await {
            let (session, times) = session?;
            ensure!(times.known, "a session was not listed with the series that it named");
            whole.push(times.whole);
            answer.push(times.answer);
            opened.push(session);
        }
        drop(opening);
        let span = start.elapsed();
        self.sessions.extend(opened);
        Ok(format!(
            r#"{{"sessions": {}, "registered": {}, "seconds": {:.3}, "per_second": {:.1}, {}, {}}}"#,
            self.sessions.len(),
            whole.len(),
            span.as_secs_f64(),
            rate(whole.len(), span),
            whole.summed_up("connect_to_welcome"),
            answer.summed_up("hello_to_welcome"),
        ))
    }

    /// Opens the first session, which announces the series and makes it known by a heartbeat.
    async fn announce(&mut self) -> Result<()> {
        let (mut session, _) = self.open(0).await?;
        for batch in self.series.documents().chunks(MAX_BATCH_DOCUMENTS) {
            let announced = session.ask(PeerRequest::Announce(batch.to_vec())).await?;
            ensure!(matches!(announced, RegistryReply::Announced(_)), "{announced:?}");
        }
        session.heartbeat(&self.series).await?;
        self.sessions.push(session);
        Ok(())
    }

    /// Waits until every session was told that it can be reached.
    pub(crate) async fn settle(&mut self) -> Result<String> {
        let start = Instant::now();
        while self.reachable.load(Ordering::Relaxed) < self.sessions.len() {
            ensure!(
                start.elapsed() < PATIENCE,
                "only {:?} of {} sessions were connected back to",
                self.reachable,
                self.sessions.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(format!(
            r#"{{"reachable": {}, "seconds": {:.3}}}"#,
            self.sessions.len(),
            start.elapsed().as_secs_f64()
        ))
    }

    /// Has every session send a heartbeat, a few at a time.
    pub(crate) async fn heartbeat(&mut self) -> Result<String> {
        let start = Instant::now();
        let series = Arc::clone(&self.series);
        let beats = stream::iter(&mut self.sessions).map(|session| session.heartbeat(&series));
        let mut beats = beats.buffer_unordered(OPENING);
        let mut count = 0;
        while let Some(beat) = beats.next().await {
            beat?;
            count += 1;
        }
        let per_second = rate(count, start.elapsed());
        Ok(format!(r#"{{"heartbeats": {count}, "per_second": {per_second:.1}}}"#))
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Opens session number `index` and waits for its welcome.
    pub(crate) async fn open(&self, index: usize) -> Result<(Session, OpeningTimes)> {
        let start = Instant::now();
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source_of(index)?, 0))?;
        let stream = within("connecting", socket.connect(self.registry)).await??;
        stream.set_nodelay(true)?;
        let (mut client, connection) = within("the handshake", h2::client::handshake(stream)).await??;
        tokio::spawn(connection);
        let request = http::Request::post(format!("http://{}/p2pci.v1.Registry/Register", self.registry))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut requests) = client.send_request(request, false)?;
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            name: format!("peer-{index}").parse().ok().context("a name")?,
            port: Some(self.port),
            advertise: None,
            resume_token: None,
            fingerprints: vec![self.series.fingerprint()],
        };
        let asked = Instant::now();
        send(&mut requests, PeerRequest::Hello(hello))?;
        let response = within("the answer", response).await??;
        let (sender, replies) = mpsc::channel(1);
        let mut session = Session { requests, replies };
        tokio::spawn(listen(response.into_body(), sender, Arc::clone(&self.reachable)));
        let reply = session.reply().await?;
        let RegistryReply::Welcome(welcome) = reply else {
            bail!("no welcome: {reply:?}");
        };
        let times = OpeningTimes {
            whole: start.elapsed(),
            answer: asked.elapsed(),
            known: !welcome.known_formats.is_empty(),
        };
        Ok((session, times))
    }
}

/// How opening a session went.
pub(crate) struct OpeningTimes {
    /// From the first byte of TCP to the welcome.
    pub(crate) whole: Duration,
    /// From the `hello` to the welcome.
    pub(crate) answer: Duration,
    /// Whether it is listed with what it named.
    pub(crate) known: bool,
}

impl Session {
    async fn ask(&mut self, request: PeerRequest) -> Result<RegistryReply> {
        send(&mut self.requests, request)?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<RegistryReply> {
        let reply = within("a reply", self.replies.recv()).await?;
        reply.ok_or_else(|| anyhow!("a session has ended"))
    }

    /// Leaves, and waits until the registry says so.
    pub(crate) async fn leave(mut self) -> Result<()> {
        let reply = self.ask(PeerRequest::Leave).await?;
        ensure!(reply == RegistryReply::Left, "{reply:?}");
        Ok(())
    }

    async fn heartbeat(&mut self, series: &Series) -> Result<()> {
        let request = PeerRequest::Heartbeat {
            upload_count: 0,
            fingerprints: vec![series.fingerprint()],
        };
        let reply = self.ask(request).await?;
        let expected = RegistryReply::HeartbeatAck {
            document_count: series.fingerprint().count,
            mismatched: Vec::new(),
        };
        ensure!(reply == expected, "{reply:?}");
        Ok(())
    }
}

/// The address of session number `index`: 250 of them in each /24, as hosts of as many networks.
fn source_of(index: usize) -> Result<IpAddr> {
    let index = u32::try_from(index)?;
    let (network, host) = (index / 250, index % 250);
    ensure!(network < 1 << 15, "there are no more addresses");
    let base = u32::from(Ipv4Addr::new(127, 1, 0, 2));
    Ok(IpAddr::V4(Ipv4Addr::from(base + (network << 8) + host)))
}

/// A port at which every address of loopback says that its FileTransfer is healthy.
async fn healthy_port() -> Result<(Serving, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // Each session has an address of its own, all of which end here. Nobody outside gets in.
    socket.bind_device(Some(b"lo")).context("cannot keep to loopback")?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    socket.listen(i32::try_from(LISTEN_BACKLOG)?)?;
    let listener = TcpListener::from_std(socket.into())?;
    let port = listener.local_addr()?.port();
    let (health, service) = health_reporter();
    health
        .set_service_status(FILE_TRANSFER_SERVICE, ServingStatus::Serving)
        .await;
    let limits = QuotaLimits {
        total: RESERVED_DESCRIPTORS,
        per_source: 0,
        spare_loopback: true,
    };
    let incoming = front_door::guard(listener, limits);
    Ok((
        Serving::spawn(Routes::new(service), AllowedSources::default(), incoming),
        port,
    ))
}

/// Reads what the registry says: counts who can be reached, and hands over the rest.
async fn listen(mut body: RecvStream, replies: mpsc::Sender<RegistryReply>, reachable: Arc<AtomicUsize>) -> Result<()> {
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
        while let Some(message) = take_message(&mut received) {
            let (_, reply) = decode_reply(Message::decode(message)?)?;
            if let RegistryReply::Reachability(notice) = &reply {
                let is_reachable = notice.reachability == Reachability::Reachable;
                reachable.fetch_add(usize::from(is_reachable), Ordering::Relaxed);
            } else if replies.send(reply).await.is_err() {
                return Ok(());
            }
        }
        // A session at rest holds no buffer.
        if received.is_empty() {
            received = BytesMut::new();
        }
    }
    Ok(())
}

/// Takes a whole message of gRPC off what was received.
fn take_message(received: &mut BytesMut) -> Option<Bytes> {
    let [_, length @ ..] = received.first_chunk::<5>()?;
    let end = 5 + usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (received.len() >= end).then(|| received.split_to(end).freeze().slice(5..))
}

fn send(requests: &mut SendStream<Bytes>, request: PeerRequest) -> Result<()> {
    let message = encode_request(1, request);
    let mut framed = BytesMut::with_capacity(5 + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len())?);
    message.encode(&mut framed)?;
    Ok(requests.send_data(framed.freeze(), false)?)
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    timeout(PATIENCE, work)
        .await
        .with_context(|| format!("{what} took too long"))
}
