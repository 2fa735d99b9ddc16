//! Bodies of requests and responses: messages behind their prefixes, in any pieces.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body as _, Frame};
use p2p_ci::{
    codec::LeanCodec,
    framed::{Framing, respond},
    limits::MAX_TRANSFER_REQUEST_BYTES,
    pb::DownloadManyRequest,
};
use prost::Message as _;
use tonic::{
    Status, Streaming,
    body::Body,
    codec::{Codec as _, EncodeBody},
};
use tower::{Service as _, service_fn};

use crate::input;

/// Pieces as a body.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// What a server takes out of a request's body is what its bytes say, and what a client puts into one is what it was.
pub(super) fn received(data: &[u8]) {
    let (count, rest) = input::choice(data, 8);
    let (lengths, bytes) = rest.split_at(usize::from(count).min(rest.len()));
    let decoder = LeanCodec::<DownloadManyRequest, DownloadManyRequest>::default().decoder();
    let body = Pieces(input::pieces(bytes, lengths).into());
    let mut stream = Streaming::new_request(decoder, body, None, Some(MAX_TRANSFER_REQUEST_BYTES));
    let mut messages = Vec::new();
    let is_whole = loop {
        let next = stream.message().now_or_never().expect("everything is here");
        match next {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let (wanted, is_wanted_whole) = plainly(bytes);
    assert_eq!((&messages, is_whole), (&wanted, is_wanted_whole));

    let encoder = LeanCodec::<DownloadManyRequest, DownloadManyRequest>::default().encoder();
    let source = tokio_stream::iter(messages.clone().into_iter().map(Ok));
    let (sent, _) = collected(Body::new(EncodeBody::new_client(encoder, source, None, None)));
    let framed = messages.iter().flat_map(|message| {
        let message = message.encode_to_vec();
        let length = u32::try_from(message.len()).expect("inputs are short").to_be_bytes();
        [&[0], length.as_slice(), &message].concat()
    });
    assert_eq!(sent, framed.collect::<Vec<u8>>());
}

fn plainly(mut bytes: &[u8]) -> (Vec<DownloadManyRequest>, bool) {
    let mut messages = Vec::new();
    while let Some(([flags, a, b, c, d], rest)) = bytes.split_first_chunk() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if rest.is_empty() && *flags == 0 && (1..=MAX_TRANSFER_REQUEST_BYTES).contains(&length) {
            // tonic takes a body that ends right behind a prefix for whole. No message is made of it.
            return (messages, true);
        }
        let message = rest
            .split_at_checked(length)
            .filter(|_| *flags == 0 && length <= MAX_TRANSFER_REQUEST_BYTES);
        let Some((message, rest)) = message else {
            return (messages, false);
        };
        let Ok(message) = DownloadManyRequest::decode(message) else {
            return (messages, false);
        };
        messages.push(message);
        bytes = rest;
    }
    (messages, bytes.is_empty())
}

/// A response of bytes that are messages already carries all of them, and then its status.
pub(super) fn sent(data: &[u8]) {
    let (count, rest) = input::choice(data, 16);
    let (lengths, bytes) = rest.split_at(usize::from(count).min(rest.len()));
    let failure = (count % 2 == 1).then(|| Status::resource_exhausted(input::text(lengths)));
    let pieces = input::pieces(bytes, lengths).into_iter().map(Ok);
    let pieces: Vec<Result<Bytes, Status>> = pieces.chain(failure.clone().map(Err)).collect();
    let mut service = Framing::new(service_fn(move |_: http::Request<Body>| {
        let mut response = respond::<DownloadManyRequest>(tokio_stream::iter(pieces.clone()));
        let mut answer = http::Response::new(Body::empty());
        std::mem::swap(answer.extensions_mut(), response.extensions_mut());
        std::future::ready(Ok::<_, Infallible>(answer))
    }));
    let response = service.call(http::Request::new(Body::empty())).now_or_never();
    let response = response.expect("everything is here").expect("it cannot fail");
    let (carried, status) = collected(response.into_body());
    assert_eq!(carried, bytes);
    let status = status.expect("a body ends with a status");
    let wanted = failure.unwrap_or_else(|| Status::ok(""));
    assert_eq!((status.code(), status.message()), (wanted.code(), wanted.message()));
}

/// The bytes of a body, and the status at its end.
fn collected(mut body: Body) -> (Vec<u8>, Option<Status>) {
    let mut carried = Vec::new();
    let mut status = None;
    let mut cx = Context::from_waker(std::task::Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
        match frame.expect("no frame is broken").into_data() {
            Ok(bytes) => carried.extend_from_slice(&bytes),
            Err(frame) => {
                assert!(status.is_none(), "there is one status");
                status = frame
                    .into_trailers()
                    .ok()
                    .and_then(|trailers| Status::from_header_map(&trailers));
            }
        }
    }
    (carried, status)
}
