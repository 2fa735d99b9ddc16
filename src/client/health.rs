//! The call `grpc.health.v1.Health/Check`, on a connection that is made for it and closed behind it.
//!
//! A registry makes it to each peer that comes. A channel of tonic's is for many calls: it has tasks, queues and timers of
//! its own, and answers the other side's settings before it asks. Here all that is to be said is said in one packet.

use std::{net::SocketAddr, pin::pin};

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use http::Uri;
use prost::Message as _;
use tokio::io::BufWriter;
use tonic::Status;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use super::{
    CallError,
    call::{accepted, check_status, request},
    within,
};
use crate::{
    limits,
    transport::{Dialer, Io, dial},
    wire::prefix::{PREFIX_BYTES, prefix},
};

/// Where the method is called (gRPC over HTTP/2, "Path").
const PATH: &str = "/grpc.health.v1.Health/Check";

/// The longest answer that is listened to: a real one has 7 bytes.
const MAX_ANSWER_BYTES: usize = 1024;

/// Bytes that are written at once: the connection's preface and settings, and the request, take less than half of it.
const WRITTEN_BYTES: usize = 1024;

/// Asks the server at `address` whether `service` is being served; an empty name asks for the server as a whole.
///
/// # Errors
///
/// Every [`CallError`]; [`CallError::Violation`] when the server says that it is not serving.
pub async fn check_health(dialer: &Dialer, address: SocketAddr, service: &str) -> Result<(), CallError> {
    let io = dial(dialer, address).await?;
    let answer = within("the health check", check(io, address, service))
        .await
        .map_err(|error| error.at(&address))?;
    match answer.status() {
        ServingStatus::Serving => Ok(()),
        ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown => {
            Err(CallError::Violation(format!("{address} is up but not serving")))
        }
    }
}

async fn check(io: Box<dyn Io>, address: SocketAddr, service: &str) -> Result<HealthCheckResponse, Status> {
    let (requests, connection) = Builder::new()
        .enable_push(false)
        .max_header_list_size(limits::MAX_HEADER_LIST_BYTES)
        .handshake::<_, Bytes>(BufWriter::with_capacity(WRITTEN_BYTES, io))
        .await
        .map_err(broken)?;
    let mut asking = pin!(ask(requests, address, service));
    tokio::select! {
        answer = &mut asking => answer,
        // What the answer needs may all be here.
        ended = connection => match ended {
            Ok(()) => asking.await,
            Err(error) => Err(broken(error)),
        },
    }
}

async fn ask(
    mut requests: SendRequest<Bytes>,
    address: SocketAddr,
    service: &str,
) -> Result<HealthCheckResponse, Status> {
    let service = service.to_owned();
    let message = HealthCheckRequest { service }.encode_to_vec();
    let framed = [prefix(message.len()).as_slice(), &message].concat();
    let uri: Uri = format!("http://{address}{PATH}")
        .parse()
        .map_err(|error| Status::internal(format!("{error}")))?;
    let (response, mut sending) = requests.send_request(request(uri, ()), false).map_err(broken)?;
    sending.send_data(framed.into(), true).map_err(broken)?;
    let mut body = accepted(response.await.map_err(broken)?)?;
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        received.extend_from_slice(&data.map_err(broken)?);
        if received.len() > MAX_ANSWER_BYTES {
            return Err(Status::internal("the answer is too long for what was asked"));
        }
    }
    let trailers = body.trailers().await.map_err(broken)?.unwrap_or_default();
    check_status(&trailers)?;
    let message = received
        .get(PREFIX_BYTES..)
        .filter(|message| received.starts_with(&prefix(message.len())));
    let message = message.ok_or_else(|| Status::internal("the answer is no message"))?;
    HealthCheckResponse::decode(message).map_err(|error| Status::internal(format!("the answer is no message: {error}")))
}

fn broken(error: h2::Error) -> Status {
    Status::from_error(error.into())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_core::future::BoxFuture;
    use http::{HeaderMap, HeaderValue};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::transport::Dial;

    const ADDRESS: &str = "192.0.2.1:4000";

    /// Has one connection to give away.
    struct Once(Mutex<Option<DuplexStream>>);

    impl Dial for Once {
        fn resolve(&self, _host: String, _port: u16) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
            unreachable!("an address needs no resolving")
        }

        fn dial(&self, _address: SocketAddr) -> BoxFuture<'static, std::io::Result<Box<dyn Io>>> {
            let io = self.0.lock().unwrap().take().unwrap();
            Box::pin(std::future::ready(Ok(Box::new(io) as Box<dyn Io>)))
        }
    }

    async fn asked<F: Future<Output = ()> + Send + 'static>(serve: impl FnOnce(DuplexStream) -> F) -> String {
        let (near, far) = duplex(64 * 1024);
        tokio::spawn(serve(far));
        let dialer: Dialer = Arc::new(Once(Mutex::new(Some(near))));
        match check_health(&dialer, ADDRESS.parse().unwrap(), "some.Service").await {
            Ok(()) => "serving".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// Answers with this body, and this status.
    async fn answer(io: DuplexStream, body: Vec<u8>, status: &'static str) {
        let mut connection = h2::server::handshake(io).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        assert_eq!(request.uri().path(), PATH);
        let mut sending = respond.send_response(http::Response::new(()), false).unwrap();
        sending.send_data(body.into(), false).unwrap();
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
        sending.send_trailers(trailers).unwrap();
        while connection.accept().await.is_some() {}
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [prefix(message.len()).as_slice(), message].concat()
    }

    fn told(status: ServingStatus) -> Vec<u8> {
        framed(&HealthCheckResponse { status: status.into() }.encode_to_vec())
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_says_is_told() {
        let serving = told(ServingStatus::Serving);
        assert_eq!(asked(|io| answer(io, serving, "0")).await, "serving");
        let not = told(ServingStatus::NotServing);
        assert_eq!(
            asked(|io| answer(io, not, "0")).await,
            "192.0.2.1:4000 is up but not serving"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_answer_is_none() {
        let serving = told(ServingStatus::Serving);
        let refused = asked(move |io| answer(io, serving, "12")).await;
        let long = asked(|io| answer(io, framed(&[0; MAX_ANSWER_BYTES]), "0")).await;
        let short = asked(|io| answer(io, vec![0, 0], "0")).await;
        let cut = asked(|io| answer(io, framed(&[8, 1])[..6].to_vec(), "0")).await;
        let garbled = asked(|io| answer(io, framed(&[0xff; 4]), "0")).await;
        for answer in [&refused, &long, &short, &cut, &garbled] {
            assert_ne!(answer, "serving");
        }
        assert!(long.contains("too long"), "{long}");
        assert!(cut.contains("no message"), "{cut}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_closes_or_speaks_something_else_is_not_waited_for_long() {
        let silent = asked(|mut io| async move {
            let mut all = Vec::new();
            io.read_to_end(&mut all).await.unwrap();
        });
        assert_eq!(silent.await, "the health check from 192.0.2.1:4000 took too long");
        let closed = asked(|io| async move { drop(io) }).await;
        assert!(closed.contains("192.0.2.1:4000"), "{closed}");
        let other = asked(|mut io| async move {
            io.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await.unwrap();
            let mut all = Vec::new();
            let _ended = io.read_to_end(&mut all).await;
        });
        let other = other.await;
        assert!(other.contains("192.0.2.1:4000"), "{other}");
    }
}
