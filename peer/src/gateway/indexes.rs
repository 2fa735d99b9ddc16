//! The indexes of all RFCs, errata, and the subseries as texts.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    http::{StatusCode, request::Parts},
    response::Response,
};
use p2p_ci::{
    document::{DocumentKey, Format, RfcNumber},
    facts::Reference,
    limits::CHUNK_BYTES,
};

use super::{
    citation::cited,
    documents::{Whole, changing},
    reply::{self, kind},
    site::Site,
};
use crate::{
    blocking,
    error::PeerError,
    facts::{
        Catalogue,
        listing::{Style, write_txt, write_xml},
    },
    library::LibraryError,
};

/// What errata are called, beside the documents.
const ERRATA_NAME: &str = "errata.json";

/// The largest file of errata that is served: the real one has 12 MB.
const MAX_ERRATA_BYTES: u64 = 64 * 1024 * 1024;

/// RFCs that a subseries has at most: the real ones have fewer than 20, and all of them stand in one answer.
const MAX_MEMBERS: usize = 64;

/// An index of all RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Index {
    /// As text, in the form that tools read.
    Txt,
    /// As text, in the form that the RFC Editor writes since 2026.
    Txt2026,
    /// As XML.
    Xml,
    /// As citations, one paragraph each.
    Citations,
}

impl Index {
    /// The text that a query asks for: `style=2026`, or the form that tools read.
    pub(super) fn txt_of(query: &str) -> Self {
        match query.split('&').any(|word| word == "style=2026") {
            true => Self::Txt2026,
            false => Self::Txt,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Txt | Self::Txt2026 | Self::Citations => kind::TEXT,
            Self::Xml => kind::XML,
        }
    }

    fn write(self, catalogue: &Catalogue) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Txt => write_txt(catalogue, Style::Legacy, &mut bytes)?,
            Self::Txt2026 => write_txt(catalogue, Style::Since2026, &mut bytes)?,
            Self::Xml => write_xml(catalogue, &mut bytes)?,
            Self::Citations => {
                for cited in catalogue.iter().filter_map(|facts| cited(&facts)) {
                    writeln!(bytes, "{cited}\n")?;
                }
            }
        }
        Ok(bytes)
    }
}

/// Indexes as they were written last: each takes a tenth of a second, and tools ask for them at each start.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<HashMap<Index, (String, Whole)>>);

impl Written {
    fn get(&self, index: Index, version: &str) -> Option<Whole> {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, whole) = written.get(&index)?;
        (of == version).then(|| whole.clone())
    }

    fn put(&self, index: Index, version: String, whole: Whole) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(index, (version, whole));
    }
}

/// Answers with an index of all RFCs of which something is known.
pub(super) async fn index(site: &Site, index: Index, request: &Parts) -> Response {
    let catalogue = site.settled().await.clone();
    let version = catalogue.version();
    if let Some(whole) = site.written().get(index, &version) {
        return changing(request, index.kind(), whole);
    }
    let written = blocking::run(move || {
        // Whoever learns meanwhile is not held up.
        let known = catalogue.look(Catalogue::clone);
        index.write(&known).map(|bytes| Whole::new(bytes, None))
    });
    let written = written.await;
    if let Ok(Ok(whole)) = &written {
        site.written().put(index, version, whole.clone());
    }
    answered(request, index.kind(), written)
}

/// Answers with all errata, as the RFC Editor publishes them: those beside the documents, or none.
pub(super) async fn errata(site: &Site, request: &Parts) -> Response {
    let library = site.library().clone();
    let read = blocking::run(move || {
        let Some(errata) = library.beside(ERRATA_NAME) else {
            return Ok(Whole::new(Bytes::from_static(b"[]"), None));
        };
        let mut bytes = Vec::new();
        errata.file.take(MAX_ERRATA_BYTES).read_to_end(&mut bytes)?;
        Ok(Whole::new(bytes, Some(errata.modified)))
    });
    answered(request, kind::JSON, read.await)
}

/// Answers with what blocking work has made.
fn answered(request: &Parts, kind: &'static str, made: Result<io::Result<Whole>, tokio::task::JoinError>) -> Response {
    let made = made.unwrap_or_else(|error| Err(io::Error::other(error)));
    match made {
        Ok(whole) => changing(request, kind, whole),
        Err(error) => reply::of_error(&PeerError::system("writing an index")(error)),
    }
}

/// Answers with the texts of all RFCs of a member of a subseries, one after the other.
pub(super) async fn subseries(site: &Site, reference: Reference) -> Response {
    let members = site.catalogue().look(|catalogue| catalogue.members(reference));
    if members.is_empty() {
        return reply::sentence(StatusCode::NOT_FOUND, &format!("nothing is known here of {reference}"));
    }
    let mut whole = Vec::new();
    for number in members.into_iter().take(MAX_MEMBERS) {
        match text_of(site, number).await {
            Ok(text) => whole.extend(text),
            Err(response) => return response,
        }
    }
    reply::answer(StatusCode::OK, kind::TEXT, whole)
}

/// The whole text of an RFC.
async fn text_of(site: &Site, number: RfcNumber) -> Result<Vec<u8>, Response> {
    let key = DocumentKey {
        number,
        format: Format::Txt,
    };
    site.have(key, false).await.map_err(|error| reply::of_error(&error))?;
    let library = site.library().clone();
    let read = blocking::run(move || {
        let mut reader = library.read(key, 0)?;
        let mut text = Vec::with_capacity(CHUNK_BYTES);
        while let Some(chunk) = reader.next_chunk()? {
            text.extend_from_slice(&chunk);
        }
        Ok::<_, LibraryError>(text)
    });
    match read.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(reply::of_error(&PeerError::HoldersUnreachable(error.to_string()))),
        Err(error) => {
            let error = PeerError::system(format!("reading {key}"))(io::Error::other(error));
            Err(reply::of_error(&error))
        }
    }
}
