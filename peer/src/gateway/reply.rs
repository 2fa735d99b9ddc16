//! What all answers have in common.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use p2p_ci::text::escaped;

use crate::error::{Exit, PeerError};

/// What a page may do: nothing but be read. Documents come from strangers, and run under this site's name.
const CONTENT_SECURITY_POLICY: &str =
    "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'";

/// Types of content that are served.
pub(super) mod kind {
    /// Texts. The old ones are ASCII, the new ones UTF-8; 28 of the series are neither, which no label would mend.
    pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
    /// Pages.
    pub(crate) const HTML: &str = "text/html; charset=utf-8";
    /// Documents as PDF.
    pub(crate) const PDF: &str = "application/pdf";
    /// Documents and indexes as XML.
    pub(crate) const XML: &str = "application/xml; charset=utf-8";
    /// Records.
    pub(crate) const JSON: &str = "application/json";
    /// Feeds (RSS 2.0).
    pub(crate) const RSS: &str = "application/rss+xml; charset=utf-8";
    /// Feeds (RFC 4287).
    pub(crate) const ATOM: &str = "application/atom+xml; charset=utf-8";
    /// Lists for download managers (RFC 5854 section 6).
    pub(crate) const METALINK: &str = "application/metalink4+xml; charset=utf-8";
}

/// An answer with a body that is at hand.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    set(response.headers_mut(), header::CONTENT_TYPE, kind);
    response
}

/// A sentence as an answer.
pub(super) fn sentence(status: StatusCode, sentence: &str) -> Response {
    answer(status, kind::TEXT, format!("{}\n", escaped(sentence)))
}

/// The answer that an error is.
pub(super) fn of_error(error: &PeerError) -> Response {
    /// When to come again for what cannot be had now: registries and holders are back within seconds, or not soon.
    const RETRY_AFTER_S: &str = "10";
    let status = match error.exit() {
        Exit::NotFound => StatusCode::NOT_FOUND,
        Exit::Unreachable | Exit::Partly => StatusCode::SERVICE_UNAVAILABLE,
        Exit::Integrity => StatusCode::BAD_GATEWAY,
        Exit::Done | Exit::Failed | Exit::Usage | Exit::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = sentence(status, &error.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        set(response.headers_mut(), header::RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

/// Another path of this site.
pub(super) fn moved(to: &str) -> Response {
    let mut response = sentence(StatusCode::MOVED_PERMANENTLY, &format!("It is at {to}"));
    set(response.headers_mut(), header::LOCATION, to);
    response
}

/// Sets a header to a value that is valid by construction.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Adds what every answer says, and weakens the validator of what was compressed on its way: its bytes are others.
pub(super) fn finished(mut response: Response) -> Response {
    let headers = response.headers_mut();
    set(headers, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    let strong = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let Some(strong) = strong.filter(|tag| !tag.starts_with("W/"))
        && headers.contains_key(header::CONTENT_ENCODING)
    {
        let weak = format!("W/{strong}");
        set(headers, header::ETAG, &weak);
    }
    response
}
