//! Bodies of RFCs: whole, in part, or not at all where the reader has them already (RFC 9110 sections 13 and 14).

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::{StreamExt as _, stream};
use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentKey, Format, UnixSeconds},
};

use super::{
    beyond::RELAYED,
    reply::{self, kind},
    site::Site,
};
use crate::{
    blocking,
    error::PeerError,
    facts::record,
    library::{DocumentReader, LibraryError},
};

/// How long a reader may keep a document without asking again: they hardly ever change, but another version may turn up.
const CACHE_CONTROL: &str = "public, max-age=3600";

/// The same of what changes: metadata and indexes.
pub(super) const REVALIDATE: &str = "no-cache";

/// Times that a document is looked for whose file changes while it is opened.
const TRIES: usize = 3;

/// Answers a request for a document.
pub(super) async fn document(site: &Site, key: DocumentKey, request: &Parts) -> Response {
    let mut last = None;
    for _ in 0..TRIES {
        let document = match site.have(key, request.headers.contains_key(RELAYED)).await {
            Ok(document) => document,
            Err(error) if key.format == Format::Json => {
                return written_record(site, key, request).unwrap_or_else(|| reply::of_error(&error));
            }
            Err(error) => return reply::of_error(&error),
        };
        match body_of(site, &document, request).await {
            Ok(response) => return response,
            // Another file has its name by now, or it is gone.
            Err(error @ (LibraryError::Changed(_) | LibraryError::NotFound(_))) => last = Some(error),
            Err(error) => return reply::of_error(&PeerError::Library(error)),
        }
    }
    match last {
        Some(error) => reply::of_error(&PeerError::HoldersUnreachable(error.to_string())),
        None => reply::sentence(StatusCode::NOT_FOUND, &format!("{key} is not here")),
    }
}

/// The metadata record of an RFC of which nobody has one, written from what is known.
fn written_record(site: &Site, key: DocumentKey, request: &Parts) -> Option<Response> {
    let facts = site.catalogue().look(|catalogue| catalogue.get(key.number))?;
    let body = Bytes::from(record::write(&facts)?);
    Some(changing(request, kind::JSON, Whole::new(body, facts.as_of)))
}

/// The type of a document of this format.
fn kind_of(format: Format) -> &'static str {
    match format {
        Format::Txt => kind::TEXT,
        Format::Html => kind::HTML,
        Format::Pdf => kind::PDF,
        Format::Xml => kind::XML,
        Format::Json => kind::JSON,
    }
}

/// What tells one version from another, and when it was made.
struct Validators {
    etag: String,
    modified: Option<UnixSeconds>,
}

impl Validators {
    /// Whether the reader has this version already (RFC 9110 section 13.2.2).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        if let Some(tags) = text(headers, header::IF_NONE_MATCH) {
            let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            return tags.trim() == "*" || tags.split(',').any(|tag| opaque(tag) == self.etag);
        }
        let since = text(headers, header::IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
        match (since.and_then(unix_seconds), self.modified) {
            (Some(since), Some(modified)) => modified <= since,
            _ => false,
        }
    }

    /// Whether a part of this version goes with what the reader has (RFC 9110 section 13.1.5).
    fn fits_range(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = text(headers, header::IF_RANGE) else {
            return true;
        };
        let date = self.modified.and_then(http_date);
        condition == self.etag || date.is_some_and(|date| condition == date)
    }

    fn tell(&self, headers: &mut HeaderMap) {
        reply::set(headers, header::ETAG, &self.etag);
        if let Some(date) = self.modified.and_then(http_date) {
            reply::set(headers, header::LAST_MODIFIED, &date);
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn unix_seconds(time: std::time::SystemTime) -> Option<UnixSeconds> {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok().map(UnixSeconds)
}

/// A time as HTTP has it (RFC 9110 section 5.6.7); those beyond its years are not told.
fn http_date(time: UnixSeconds) -> Option<String> {
    /// 9999-12-31T23:59:59Z.
    const LAST_S: u64 = 253_402_300_799;
    let seconds = u64::try_from(time.0).ok().filter(|seconds| *seconds <= LAST_S)?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    Some(httpdate::fmt_http_date(time))
}

/// Which bytes are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// From this byte to that one, both included.
    Range(u64, u64),
    Unsatisfiable,
}

/// The part that a request wants of `size_bytes`. What is odd, and several ranges at once, count as the whole
/// (RFC 9110 section 14.2).
fn part_of(request: &Parts, validators: &Validators, size_bytes: u64) -> Part {
    let wanted = text(&request.headers, header::RANGE)
        .filter(|_| request.method == Method::GET && validators.fits_range(&request.headers));
    let Some(wanted) = wanted else { return Part::Whole };
    let Ok(ranges) = http_range_header::parse_range_header(wanted) else {
        return Part::Whole;
    };
    match ranges.validate(size_bytes) {
        // There is no first byte to begin with, which the library does not see.
        Ok(_) if size_bytes == 0 => Part::Unsatisfiable,
        Ok(ranges) => match ranges.as_slice() {
            [range] => Part::Range(*range.start(), *range.end()),
            _ => Part::Whole,
        },
        Err(_) if wanted.contains(',') => Part::Whole,
        Err(_) => Part::Unsatisfiable,
    }
}

async fn body_of(site: &Site, document: &Document, request: &Parts) -> Result<Response, LibraryError> {
    let key = document.id.key;
    let size_bytes = document.size_bytes;
    let validators = Validators {
        etag: format!("\"{}\"", document.id.sha256),
        modified: document.modified,
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    validators.tell(headers);
    let cache = if key.format == Format::Json {
        REVALIDATE
    } else {
        CACHE_CONTROL
    };
    reply::set(headers, header::CACHE_CONTROL, cache);
    reply::set(headers, header::ACCEPT_RANGES, "bytes");
    if validators.is_known(&request.headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    reply::set(headers, header::CONTENT_TYPE, kind_of(key.format));
    let (offset, length) = match part_of(request, &validators, size_bytes) {
        Part::Whole => (0, size_bytes),
        Part::Range(first, last) => {
            reply::set(
                headers,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{size_bytes}"),
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (first, last - first + 1)
        }
        Part::Unsatisfiable => {
            let told = format!("{key} has {size_bytes} bytes, none of which is in that range");
            let mut response = reply::sentence(StatusCode::RANGE_NOT_SATISFIABLE, &told);
            reply::set(
                response.headers_mut(),
                header::CONTENT_RANGE,
                &format!("bytes */{size_bytes}"),
            );
            return Ok(response);
        }
    };
    reply::set(response.headers_mut(), header::CONTENT_LENGTH, &length.to_string());
    if request.method == Method::GET {
        *response.body_mut() = read(site, document, offset, length).await?;
    }
    Ok(response)
}

/// The `length` bytes from `offset` on. The first ones are read before anything is answered, so that a file that changed is
/// noticed in time: nearly every RFC is one piece.
async fn read(site: &Site, document: &Document, offset: u64, length: u64) -> Result<Body, LibraryError> {
    let (library, id) = (site.library().clone(), document.id);
    let opened = blocking::run(move || {
        let reader = library.read(id.key, offset)?;
        if reader.header().id != id {
            return Err(LibraryError::Changed(id.key));
        }
        next_piece(reader, length)
    });
    let (first, rest) = finished(opened.await, id.key)?;
    if rest.is_none() {
        return Ok(Body::from(first));
    }
    let more = stream::try_unfold(rest, move |rest| async move {
        let Some((reader, left)) = rest else {
            return Ok(None);
        };
        let read = blocking::run(move || next_piece(reader, left)).await;
        // A body that is shorter than was told ends the connection: what is cut off does not look whole.
        let next = finished(read, id.key).map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(Some(next))
    });
    let first = stream::once(async move { Ok(first) });
    Ok(Body::from_stream(first.chain(more)))
}

/// A piece, and what comes after it.
type Piece = (Bytes, Option<(DocumentReader, u64)>);

/// The next bytes of the `left` ones that are wanted; at least one of them unless none is.
fn next_piece(mut reader: DocumentReader, left: u64) -> Result<Piece, LibraryError> {
    if left == 0 {
        return Ok((Bytes::new(), None));
    }
    let key = reader.header().id.key;
    let mut piece = reader.next_chunk()?.ok_or(LibraryError::Changed(key))?;
    piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
    let left = left - piece.len() as u64;
    Ok((piece, (left > 0).then_some((reader, left))))
}

/// What blocking work has read.
fn finished(
    read: Result<Result<Piece, LibraryError>, tokio::task::JoinError>,
    key: DocumentKey,
) -> Result<Piece, LibraryError> {
    read.unwrap_or_else(|error| {
        let source = std::io::Error::other(error);
        Err(LibraryError::Read { key, source })
    })
}

/// Something that changes and is at hand as a whole, with its digest, which is taken where it is made.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    bytes: Bytes,
    sha256: Sha256,
    modified: Option<UnixSeconds>,
}

impl Whole {
    /// Bytes as they are now, last `modified` then.
    pub(super) fn new(bytes: impl Into<Bytes>, modified: Option<UnixSeconds>) -> Self {
        let bytes = bytes.into();
        Self {
            sha256: Sha256::of(&bytes),
            bytes,
            modified,
        }
    }
}

/// Answers with something that changes.
pub(super) fn changing(request: &Parts, kind: &'static str, whole: Whole) -> Response {
    let validators = Validators {
        etag: format!("\"{}\"", whole.sha256),
        modified: whole.modified,
    };
    let is_known = validators.is_known(&request.headers);
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        reply::answer(StatusCode::OK, kind, whole.bytes)
    };
    validators.tell(response.headers_mut());
    reply::set(response.headers_mut(), header::CACHE_CONTROL, REVALIDATE);
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/rfc/rfc1.txt");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn validators() -> Validators {
        Validators {
            etag: "\"abc\"".to_owned(),
            modified: Some(UnixSeconds(784_111_777)),
        }
    }

    fn part(range: &str) -> Part {
        part_of(&request(&[("range", range)]), &validators(), 1000)
    }

    #[test]
    fn ranges_of_every_odd_kind() {
        assert_eq!(part("bytes=0-0"), Part::Range(0, 0));
        assert_eq!(part("bytes=100-199"), Part::Range(100, 199));
        assert_eq!(part("bytes=900-"), Part::Range(900, 999));
        assert_eq!(part("bytes=900-5000"), Part::Range(900, 999));
        assert_eq!(part("bytes=-100"), Part::Range(900, 999));
        for unsatisfiable in ["bytes=1000-", "bytes=5000-6000"] {
            assert_eq!(part(unsatisfiable), Part::Unsatisfiable, "{unsatisfiable}");
        }
        for odd in [
            "",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "lines=1-2",
            "bytes=0-1,5-6",
            "bytes=5000-,6000-",
            "bytes=-",
        ] {
            assert_eq!(part(odd), Part::Whole, "{odd}");
        }
        let many = format!("bytes={}", "0-1,".repeat(10_000));
        assert_eq!(part(&many), Part::Whole);
    }

    #[test]
    fn a_part_goes_with_the_same_version_only() {
        let with = |condition: &str| {
            let request = request(&[("range", "bytes=1-2"), ("if-range", condition)]);
            part_of(&request, &validators(), 1000)
        };
        assert_eq!(with("\"abc\""), Part::Range(1, 2));
        assert_eq!(with("Sun, 06 Nov 1994 08:49:37 GMT"), Part::Range(1, 2));
        for other in ["\"abd\"", "W/\"abc\"", "Sun, 06 Nov 1994 08:49:38 GMT", "x"] {
            assert_eq!(with(other), Part::Whole, "{other}");
        }
    }

    #[test]
    fn what_the_reader_has_is_known() {
        let known = |name: &str, value: &str| validators().is_known(&request(&[(name, value)]).headers);
        for tags in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert!(known("if-none-match", tags), "{tags}");
        }
        assert!(!known("if-none-match", "\"abd\"") && !known("if-none-match", "abc"));
        assert!(known("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(!known("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT"));
        assert!(!known("if-modified-since", "yesterday"));
        let both = [
            ("if-none-match", "\"x\""),
            ("if-modified-since", "Sun, 06 Nov 2044 08:49:37 GMT"),
        ];
        assert!(
            !validators().is_known(&request(&both).headers),
            "the tag decides where there is one"
        );
    }

    #[test]
    fn times_beyond_those_of_http_are_not_told() {
        assert_eq!(
            http_date(UnixSeconds(784_111_777)).unwrap(),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        assert!(http_date(UnixSeconds(-1)).is_none() && http_date(UnixSeconds(i64::MAX)).is_none());
    }
}
