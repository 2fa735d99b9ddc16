//! Responses whose messages are framed already, for calls that carry too much, or come too often, for tonic's encoder.
//!
//! tonic's generated code takes a stream of messages and encodes them, each into one buffer. A method that has its
//! messages as bytes, in pieces, [`respond`]s with those instead (or [`respond_once`]), and its service is wrapped in [`Framing`], which puts
//! them where tonic would have put its own. Requests, headers and errors stay tonic's.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::{Stream, future::BoxFuture};
use http::HeaderMap;
use http_body::Frame;
use tonic::{Response, Status, body::Body, server::NamedService};
use tower::Service;

/// A stream of messages in tonic's eyes, which has none of them.
pub type Unencoded<M> = tokio_stream::Empty<Result<M, Status>>;

/// The body that a response is to have. Taken out once; extensions have to be clones.
#[derive(Clone)]
struct Ready(Arc<Mutex<Option<Body>>>);

/// Responds with `pieces`, which are gRPC messages with their prefixes when they are put together. An error ends them,
/// and is the status of the call. Without [`Framing`] around the service the answer would be empty.
pub fn respond<M>(pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Response<Unencoded<M>> {
    with_body(tokio_stream::empty(), pieces)
}

/// Responds to a call that has one answer with `message`, which is a gRPC message with its prefix. Without [`Framing`]
/// around the service the answer would be empty.
pub fn respond_once<M: Default>(message: Bytes) -> Response<M> {
    with_body(M::default(), tokio_stream::once(Ok(message)))
}

fn with_body<T>(unencoded: T, pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Response<T> {
    let body = Body::new(Pieces {
        pieces: Some(Box::pin(pieces)),
    });
    let mut response = Response::new(unencoded);
    response
        .extensions_mut()
        .insert(Ready(Arc::new(Mutex::new(Some(body)))));
    response
}

/// A service whose methods may [`respond`] with bytes.
#[derive(Debug, Clone)]
pub struct Framing<S>(S);

impl<S> Framing<S> {
    /// Wraps the generated service.
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S: NamedService> NamedService for Framing<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Framing<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            let ready = response.extensions_mut().remove::<Ready>();
            let body = ready.and_then(|ready| ready.0.lock().unwrap_or_else(PoisonError::into_inner).take());
            Ok(match body {
                Some(body) => response.map(|_| body),
                None => response,
            })
        })
    }
}

/// Pieces as a body, and the status of the call after them.
struct Pieces<S> {
    /// `None` once the status is sent.
    pieces: Option<Pin<Box<S>>>,
}

impl<S: Stream<Item = Result<Bytes, Status>>> http_body::Body for Pieces<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(pieces) = &mut self.pieces else {
            return Poll::Ready(None);
        };
        let status = match ready!(pieces.as_mut().poll_next(cx)) {
            Some(Ok(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.pieces = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(
            status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }
}
