//! What calls have in common that are made without tonic's client (gRPC over HTTP/2).

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use tonic::{Code, Status};

/// The request that calls the method at `uri` with `body`.
pub(super) fn request<B>(uri: Uri, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request
}

/// The body of a response, unless its head says that the call is refused.
///
/// # Errors
///
/// The status of the call.
pub(super) fn accepted<B>(response: Response<B>) -> Result<B, Status> {
    check_status(response.headers())?;
    if response.status() != StatusCode::OK {
        return Err(Status::unknown(format!("HTTP status {}", response.status())));
    }
    Ok(response.into_body())
}

/// Whether headers or trailers tell no error.
///
/// # Errors
///
/// The status that they tell.
pub(super) fn check_status(told: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(told) {
        Some(status) if status.code() != Code::Ok => Err(status),
        Some(_) | None => Ok(()),
    }
}
