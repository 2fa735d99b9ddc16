//! What nobody around has, from the RFC Editor's site or one like it, politely.
//!
//! Of all peers that may ask it, one is elected: the one whose site has the smallest address. The others ask that one, which
//! stores what it gets and shares it, so that each document is asked for once for everybody. It says who it is, asks for one
//! document at a time and not more often than [`PAUSE`] allows, and for what can change only whether it has.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::body::Bytes;
use p2p_ci::{
    document::{DocumentKey, Format, UnixSeconds},
    limits::MAX_DOCUMENT_BYTES,
    text::escaped,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use crate::{blocking, error::PeerError};

/// From one request to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who asks, so that whoever runs that site can tell, and where to complain.
const USER_AGENT: &str = concat!(
    "p2p-ci/",
    env!("CARGO_PKG_VERSION"),
    " (a cache of RFCs for a local network)"
);

/// Where that site leads on: `http` to `https`, and perhaps to another host.
const REDIRECTS: u32 = 4;

/// What ends a URL of a site that begins with one of these.
const SCHEMES: [&str; 2] = ["http://", "https://"];

/// The first bytes of a page where a text should be.
const PAGE_STARTS: [&[u8]; 2] = [b"<!doctype", b"<html"];

/// A site of RFCs to ask for what nobody has. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Without a slash at its end.
    base: Arc<str>,
    agent: ureq::Agent,
    /// When the next request may be made; held while one runs.
    next: Arc<Mutex<Instant>>,
}

/// The URL of a site, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl(String);

impl std::str::FromStr for UpstreamUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_scheme = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        let uri: axum::http::Uri = text.parse().map_err(|_| wrong_url())?;
        if !has_scheme || uri.host().is_none_or(str::is_empty) || uri.query().is_some() || text.contains('@') {
            return Err(wrong_url());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

fn wrong_url() -> String {
    "this is no site; write https://www.rfc-editor.org".to_owned()
}

/// A document of that site.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) bytes: Bytes,
    pub(super) modified: Option<UnixSeconds>,
}

impl Upstream {
    /// Asks the site at `url`. Nothing is asked yet.
    #[must_use]
    pub fn new(url: &UpstreamUrl) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .user_agent(USER_AGENT)
            .max_redirects(REDIRECTS)
            .http_status_as_error(false)
            .build();
        Self {
            base: url.0.as_str().into(),
            agent: config.into(),
            next: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Waits until nobody else asks. What somebody got meanwhile need not be asked for again.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let next = self.next.lock().await;
        Turn { upstream: self, next }
    }
}

/// The right to ask, until it is dropped.
pub(super) struct Turn<'a> {
    upstream: &'a Upstream,
    next: MutexGuard<'a, Instant>,
}

impl Turn<'_> {
    /// Gets a document; `None` when the site does not have it.
    ///
    /// # Errors
    ///
    /// [`PeerError::HoldersUnreachable`] when the site cannot be asked, or answers with something else.
    pub(super) async fn get(&mut self, key: DocumentKey) -> Result<Option<Found>, PeerError> {
        tokio::time::sleep_until(*self.next).await;
        let Upstream { base, agent, .. } = self.upstream;
        let (agent, url) = (agent.clone(), format!("{base}/rfc/{}", key.file_name()));
        let got = blocking::run(move || ask(&agent, &url)).await;
        *self.next = Instant::now() + PAUSE;
        let got = got.unwrap_or_else(|error| Err(error.to_string()));
        let failed = |why: &str| PeerError::HoldersUnreachable(format!("{key}: {base}: {}", escaped(why)));
        match got {
            Ok(Some(found)) if is_document(key.format, &found.bytes) => Ok(Some(found)),
            Ok(Some(_)) => Err(failed("it answered with something else than the document")),
            Ok(None) => Ok(None),
            Err(why) => Err(failed(&why)),
        }
    }
}

/// Makes one request. Blocks.
fn ask(agent: &ureq::Agent, url: &str) -> Result<Option<Found>, String> {
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        200 => {}
        404 | 410 => return Ok(None),
        other => return Err(format!("it answered with status {other}")),
    }
    let modified = response
        .headers()
        .get("last-modified")
        .and_then(|date| date.to_str().ok());
    let modified = modified.and_then(|date| httpdate::parse_http_date(date).ok());
    let modified = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let modified = modified
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .map(UnixSeconds);
    let body = response.body_mut().with_config().limit(MAX_DOCUMENT_BYTES);
    let bytes = body.read_to_vec().map_err(|error| error.to_string())?;
    Ok(Some(Found {
        bytes: bytes.into(),
        modified,
    }))
}

/// Whether bytes can be a document of this format: sites answer with pages where something is missing or forbidden.
fn is_document(format: Format, bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let begins_with = |prefix: &[u8]| {
        let start = start.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    match format {
        Format::Txt => !bytes.is_empty() && !PAGE_STARTS.iter().any(|page| begins_with(page)),
        Format::Html => PAGE_STARTS.iter().any(|page| begins_with(page)) || begins_with(b"<"),
        Format::Pdf => begins_with(b"%PDF"),
        Format::Xml => begins_with(b"<") || begins_with(b"\xef\xbb\xbf<"),
        Format::Json => begins_with(b"{"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_sites_are_told_from_other_texts() {
        for (text, base) in [
            ("https://www.rfc-editor.org/", "https://www.rfc-editor.org"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://mirror.example/rfcs/", "http://mirror.example/rfcs"),
        ] {
            assert_eq!(text.parse(), Ok(UpstreamUrl(base.to_owned())));
        }
        for wrong in [
            "",
            "www.rfc-editor.org",
            "ftp://x",
            "https://",
            "http://u:p@x/",
            "http://x/?q",
            "http://x y/",
            "file:///",
        ] {
            assert!(wrong.parse::<UpstreamUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn pages_about_errors_are_no_documents() {
        assert!(is_document(Format::Txt, b"\n\nNetwork Working Group"));
        assert!(!is_document(Format::Txt, b"\n<!DOCTYPE html><title>Just a moment"));
        assert!(!is_document(Format::Txt, b"") && !is_document(Format::Pdf, b"<html>"));
        assert!(is_document(Format::Pdf, b"%PDF-1.7") && is_document(Format::Html, b"<!doctype html>"));
        assert!(is_document(Format::Json, b" {\"a\":1}") && !is_document(Format::Json, b"<html>"));
    }
}
