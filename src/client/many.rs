//! The call `DownloadMany`, made without tonic's decoder, which copies what it receives: see [`crate::wire::many`].

use std::{fmt, future::poll_fn, pin::Pin};

use futures_core::Stream;
use http_body::Body as _;
use tonic::{
    Status,
    body::Body,
    codec::{Codec as _, EncodeBody},
    transport::Channel,
};
use tower::{Service as _, ServiceExt as _};

use super::{
    CallError,
    call::{accepted, check_status, request},
    unless_silent,
};
use crate::{
    codec::LeanCodec,
    limits,
    message::ManyPart,
    pb,
    transport::Received,
    wire::{ProtocolError, many::ManyDecoder},
};

/// Where the method is called (gRPC over HTTP/2, "Path").
const PATH: &str = "/p2pci.v1.FileTransfer/DownloadMany";

/// Calls the method; returns what will carry the answers.
///
/// # Errors
///
/// The status of a call that is refused at once, and what broke it otherwise.
pub(super) async fn call(
    mut channel: Channel,
    requests: impl Stream<Item = pb::DownloadManyRequest> + Send + 'static,
) -> Result<Body, Status> {
    let encoder = LeanCodec::<_, pb::DownloadManyResponse>::default().encoder();
    let requests = tokio_stream::StreamExt::map(requests, Ok);
    let body = EncodeBody::new_client(encoder, requests, None, Some(limits::MAX_TRANSFER_REQUEST_BYTES));
    let request = request(http::Uri::from_static(PATH), Body::new(body));
    let channel = channel.ready().await.map_err(of_transport)?;
    accepted(channel.call(request).await.map_err(of_transport)?)
}

fn of_transport(error: tonic::transport::Error) -> Status {
    Status::from_error(error.into())
}

/// The answering half of a stream of downloads.
pub struct ManyAnswers {
    body: Body,
    decoder: ManyDecoder,
    received: Received,
}

impl fmt::Debug for ManyAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyAnswers")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

impl ManyAnswers {
    /// Answers that arrive as `body`, on a connection whose bytes are counted by `received`: one that is still arriving
    /// is no silence.
    pub(super) fn new(body: Body, received: Received) -> Self {
        Self {
            body,
            decoder: ManyDecoder::default(),
            received,
        }
    }

    /// The next answer, or a part of a chunk of it as soon as that is here; `None` when the stream ended with status OK.
    ///
    /// # Errors
    ///
    /// Every [`CallError`]; [`CallError::TimedOut`] after [`limits::HOLDER_SILENCE`] of silence. After one the stream is
    /// of no more use.
    pub async fn next(&mut self) -> Result<Option<ManyPart>, CallError> {
        loop {
            if let Some(part) = self.decoder.next_part()? {
                return Ok(Some(part));
            }
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            let frame = unless_silent(limits::HOLDER_SILENCE, &self.received, frame).await?;
            let Some(frame) = frame.transpose()? else {
                return self.end();
            };
            match frame.into_data() {
                Ok(bytes) => self.decoder.push(bytes),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    check_status(&trailers)?;
                    return self.end();
                }
            }
        }
    }

    fn end(&self) -> Result<Option<ManyPart>, CallError> {
        if self.decoder.is_between_answers() {
            return Ok(None);
        }
        let why = "the stream ends within it";
        Err(ProtocolError::invalid("DownloadManyResponse", why).into())
    }
}
