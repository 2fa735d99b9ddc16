//! A client that sends what no proper client would: any bytes, as much or as little as a test likes.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, Request};
use p2p_ci::{failure::Failure, pb};
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::Status;
use tonic_prost::prost::Message;

use super::within;

/// One call on a connection of its own.
pub(crate) struct RawCall {
    pub(crate) requests: SendStream<Bytes>,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A message as gRPC frames it: a flag, its length, its bytes.
pub(crate) fn framed(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(payload.len()).unwrap());
    frame.extend_from_slice(payload);
    frame.freeze()
}

/// A generated message, framed.
pub(crate) fn message(message: &impl Message) -> Bytes {
    framed(&message.encode_to_vec())
}

/// A request of a session, framed.
pub(crate) fn request(request_id: u64, body: pb::register_request::Body) -> Bytes {
    message(&pb::RegisterRequest {
        request_id,
        body: Some(body),
    })
}

/// A `hello`, framed, as people type it.
pub(crate) fn hello(change: impl FnOnce(&mut pb::Hello)) -> Bytes {
    let mut hello = pb::Hello {
        protocol_version: 1,
        name: "raw".to_owned(),
        port: 0,
        advertise_address: String::new(),
        resume_token: String::new(),
        fingerprints: Vec::new(),
    };
    change(&mut hello);
    request(1, pb::register_request::Body::Hello(hello))
}

impl RawCall {
    /// Starts a call of Registry's `method`.
    pub(crate) async fn start(registry: SocketAddr, method: &str) -> Self {
        Self::start_with(registry, &format!("/p2pci.v1.Registry/{method}"), &[]).await
    }

    /// Starts a call of any path, with more headers.
    pub(crate) async fn start_with(registry: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let stream = TcpStream::connect(registry).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::post(format!("http://{registry}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (response, requests) = client.send_request(request.body(()).unwrap(), false).unwrap();
        Self {
            requests,
            response: Some(response),
            body: None,
            connection,
        }
    }

    pub(crate) fn send(&mut self, bytes: Bytes) {
        self.requests.send_data(bytes, false).unwrap();
    }

    pub(crate) fn half_close(&mut self) {
        self.requests.send_data(Bytes::new(), true).unwrap();
    }

    /// Breaks the connection as a killed process does: no goodbye.
    pub(crate) fn kill(self) {
        self.connection.abort();
    }

    /// Waits for the headers of the answer, which Register sends before it reads anything.
    pub(crate) async fn headers(&mut self) -> HeaderMap {
        let response = within(self.response.take().unwrap()).await.unwrap();
        let headers = response.headers().clone();
        self.body = Some(response.into_body());
        headers
    }

    /// Reads to the end; returns the bytes and how the call ended.
    pub(crate) async fn end(mut self) -> (usize, Status) {
        let mut headers = if self.body.is_none() {
            self.headers().await
        } else {
            HeaderMap::new()
        };
        let mut body = self.body.take().unwrap();
        let mut received = 0;
        while let Some(data) = within(body.data()).await {
            let data = data.unwrap();
            received += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        headers.extend(within(body.trailers()).await.unwrap().unwrap_or_default());
        let status = Status::from_header_map(&headers).expect("grpc-status");
        (received, status)
    }

    /// Reads to the end, which must be a failure of this system.
    #[track_caller]
    pub(crate) fn failure(self) -> impl Future<Output = Failure> {
        let caller = std::panic::Location::caller();
        async move {
            let (_, status) = self.end().await;
            let failure = Failure::from_status(&status).unwrap_or_else(|| panic!("{caller}: {status:?}"));
            assert_eq!(status.code(), failure.reason.code());
            super::assert_well_said(&failure);
            failure
        }
    }
}

/// Sends `frames` to Register and returns how it failed.
pub(crate) async fn register(registry: SocketAddr, frames: impl IntoIterator<Item = Bytes>) -> Failure {
    let mut call = RawCall::start(registry, "Register").await;
    call.headers().await;
    for frame in frames {
        call.send(frame);
    }
    call.failure().await
}

/// Sends one message to a method with one answer or a stream, and returns how it failed.
pub(crate) async fn ask(registry: SocketAddr, method: &str, request: &impl Message) -> Failure {
    let mut call = RawCall::start(registry, method).await;
    call.send(message(request));
    call.half_close();
    call.failure().await
}
