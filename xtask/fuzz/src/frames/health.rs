//! The health check, which speaks HTTP/2 to whoever is at an address.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use p2p_ci::client::check_health;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tonic_health::pb::{HealthCheckResponse, health_check_response::ServingStatus};

use crate::{
    network::{self, ADDRESS},
    plain::assert_inert,
};

/// The settings that a server begins with: none of its own (RFC 9113 section 6.5).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Longer answers are not listened to.
const LONGEST_ANSWER_BYTES: usize = 1024;

/// Whatever bytes come, the check ends, and what it says can be shown.
pub(super) fn raw(data: &[u8]) {
    let data = data.to_vec();
    let told = asked(move |mut io| async move {
        let (with_settings, bytes) = crate::input::choice(&data, 2);
        let settings = if with_settings == 1 { SETTINGS.as_slice() } else { &[] };
        // The other side may well have hung up.
        let _ = io.write_all(&[settings, bytes].concat()).await;
        let _ = io.shutdown().await;
        let _ = io.read_to_end(&mut Vec::new()).await;
    });
    if let Err(error) = told {
        assert_inert(&error, false);
    }
}

/// An answer over sound HTTP/2.
#[derive(Debug, Clone, Arbitrary)]
struct Answer {
    not_found: bool,
    status_first: Option<u8>,
    pieces: Vec<Vec<u8>>,
    status_last: Option<u8>,
}

impl Answer {
    /// Whether it says that the service is being served, and nothing else.
    fn is_serving(&self) -> bool {
        let body = self.pieces.concat();
        let message = body.split_first_chunk().and_then(|([flags, a, b, c, d], message)| {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            (*flags == 0 && length == message.len()).then_some(message)
        });
        let told = message.and_then(|message| HealthCheckResponse::decode(message).ok());
        let is_told = told.is_some_and(|answer| answer.status() == ServingStatus::Serving);
        let is_good = |status: Option<u8>| status.is_none_or(|status| status == 0);
        !self.not_found
            && is_good(self.status_first)
            && is_good(self.status_last)
            && is_told
            && body.len() <= LONGEST_ANSWER_BYTES
    }
}

/// Only an answer that says so counts as one of a server that is serving.
pub(super) fn answered(data: &[u8]) {
    let Ok(answer) = Answer::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let wanted = answer.is_serving();
    let told = asked(move |io| serve(io, answer));
    match told {
        Ok(()) => assert!(wanted, "taken for serving"),
        Err(error) => {
            assert_inert(&error, false);
            assert!(!wanted, "{error}");
        }
    }
}

async fn serve(io: DuplexStream, answer: Answer) {
    let Ok(mut connection) = h2::server::handshake(io).await else {
        return;
    };
    let Some(Ok((_, mut respond))) = connection.accept().await else {
        return;
    };
    let status = |status: u8| {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from(u16::from(status)),
        )])
    };
    let mut response = Response::new(());
    if answer.not_found {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    }
    response
        .headers_mut()
        .extend(answer.status_first.map(status).unwrap_or_default());
    let Ok(mut sending) = respond.send_response(response, false) else {
        return;
    };
    for piece in answer.pieces {
        // The client may have heard enough.
        let _ = sending.send_data(Bytes::from(piece), false);
    }
    let _ = sending.send_trailers(answer.status_last.map(status).unwrap_or_default());
    while let Some(Ok(_)) = connection.accept().await {}
}

fn asked<F>(serve: impl FnOnce(DuplexStream) -> F + Send + 'static) -> Result<(), String>
where
    F: Future<Output = ()> + Send + 'static,
{
    network::run(async {
        let dialer = network::dialer(serve);
        let told = check_health(&dialer, ADDRESS, "p2pci.v1.FileTransfer").await;
        told.map_err(|error| error.to_string())
    })
}
