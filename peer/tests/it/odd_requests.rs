//! What a peer is sent that is no request of FileTransfer at all, and streams on which nothing is asked.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf, BufMut as _, Bytes};
use p2p_ci::{
    client::{CallError, file_transfer::FileTransferClient},
    failure::{Failure, Reason},
    limits::PREFACE_TIMEOUT,
    message::{Compression, DownloadQuery, ManyQuery},
    pb,
};
use peer::limits::{IDLE_DOWNLOADS, MAX_WINDOW_BYTES};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use crate::{
    network::{Network, start_peer},
    support::{TestPeer, TestRegistry, key, within},
};

/// Sends any bytes as a message.
#[derive(Default)]
struct AnyBytes;

impl Codec for AnyBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AnyBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for AnyBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// How a call fails whose request is `message`.
async fn ask(channel: &Channel, method: &'static str, message: Bytes) -> Failure {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = format!("/p2pci.v1.FileTransfer/{method}").parse().unwrap();
    let request = Request::new(tokio_stream::once(message));
    let status = match client.streaming(request, path, AnyBytes).await {
        Err(status) => status,
        Ok(answers) => {
            let mut answers = answers.into_inner();
            loop {
                match within("an answer", answers.message()).await {
                    Ok(answer) => assert!(answer.is_some(), "it ended well"),
                    Err(status) => break status,
                }
            }
        }
    };
    Failure::from_status(&status).unwrap_or_else(|| panic!("no reason: {status:?}"))
}

async fn channel(peer: &TestPeer) -> Channel {
    let address = format!("http://{}", peer.address());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn bytes_that_are_no_request_are_told_so_and_others_are_served() {
    let registry = TestRegistry::start().await;
    let peer = TestPeer::start(&registry, "holder", &[("rfc1.txt", b"one")]).await;
    let channel = channel(&peer).await;
    // The digest is field 3 of DownloadRequest and 4 of DownloadManyRequest, where the other one is a number.
    let wrong: [(&str, &[u8]); 7] = [
        ("field 3, not UTF-8", &[0x1a, 0x02, 0xff, 0xfe]),
        ("field 4, not UTF-8", &[0x22, 0x02, 0xff, 0xfe]),
        ("field 3, longer than the message", &[0x1a, 0x40, b'a']),
        ("field 4, longer than the message", &[0x22, 0x40, b'a']),
        ("a number that does not end", &[0x08, 0xff, 0xff, 0xff]),
        ("a group that nobody opened", &[0x0c]),
        ("a field with the number 0", &[0x00, 0x00]),
    ];
    for method in ["Download", "DownloadMany"] {
        for (what, message) in wrong {
            let told = ask(&channel, method, Bytes::from_static(message)).await;
            assert_eq!(told.reason, Reason::InvalidRequest, "{method}, {what}: {told}");
            assert!(
                told.message
                    .ends_with("; check that both sides use the same .proto files"),
                "{method}, {what}: {told}"
            );
            assert!(told.message.len() <= 300, "{method}, {what}: {told}");
        }
    }
    let mut client = pb::file_transfer_client::FileTransferClient::new(channel);
    let request = pb::DownloadRequest {
        number: 1,
        ..pb::DownloadRequest::default()
    };
    assert!(within("a right one", client.download(request)).await.is_ok());
}

/// Everything that is answered to `bytes`, whose sender then waits.
async fn answered(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset is over as well.
    let _ = within("the end of the connection", connection.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn whoever_speaks_another_protocol_is_sent_away_at_once() {
    let registry = TestRegistry::start().await;
    let peer = TestPeer::start(&registry, "holder", &[("rfc1.txt", b"one")]).await;
    // RFC 8446 section 5.1: a record of type 22 (handshake), of the version that all of them name.
    let client_hello = [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01][..], &[0; 0x1ff]].concat();
    let first_bytes: [(&str, &[u8]); 4] = [
        ("HTTP/1.1", b"GET /rfc/rfc1.txt HTTP/1.1\r\nHost: peer\r\n\r\n"),
        ("TLS", &client_hello),
        ("SSH", b"SSH-2.0-OpenSSH_10.0\r\n"),
        ("nearly HTTP/2", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    ];
    for (server, address) in [("peer", peer.address()), ("registry", registry.server.local_addr())] {
        for (what, bytes) in first_bytes {
            let start = Instant::now();
            let answer = answered(address, bytes).await;
            assert!(start.elapsed() < PREFACE_TIMEOUT, "{server}, {what}: it was waited for");
            let text = String::from_utf8_lossy(&answer);
            assert!(!text.contains("one"), "{server}, {what}: {text:?}");
            assert!(answer.len() < 100, "{server}, {what}: {text:?}");
        }
    }
    assert_eq!(registry.peer_count().await, 1);
}

/// On a clock that does not make the test wait.
#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_is_asked_is_ended() {
    const HOLDER: &str = "10.0.0.2:4000";
    let network = Network::default();
    let _holder = start_peer(&network, "holder", HOLDER, &[("rfc1.txt", b"one")]).await;
    let dialer = network.dialer([10, 0, 1, 1].into());
    let client = FileTransferClient::connect(&dialer, HOLDER.parse().unwrap(), MAX_WINDOW_BYTES)
        .await
        .unwrap();
    let query = ManyQuery {
        document: DownloadQuery {
            key: key(1),
            sha256: None,
            offset: 0,
        },
        compression: Compression::None,
    };
    let (sender, mut answers) = client.download_many(1, &query).await.unwrap();
    for _ in ["its header", "its bytes"] {
        assert_eq!(answers.next().await.unwrap().unwrap().request_id, 1);
    }
    tokio::time::sleep(IDLE_DOWNLOADS - Duration::from_secs(1)).await;
    sender.ask(2, &query).await.unwrap();
    for _ in ["its header", "its bytes"] {
        assert_eq!(answers.next().await.unwrap().unwrap().request_id, 2);
    }
    tokio::time::sleep(IDLE_DOWNLOADS + Duration::from_secs(1)).await;
    match answers.next().await {
        Err(CallError::Refused(told)) => {
            assert_eq!(told.reason, Reason::TooSlow, "{told}");
            assert!(
                told.message.contains("no request for 30 s; open a new stream"),
                "{told}"
            );
        }
        other => panic!("{other:?}"),
    }
}
