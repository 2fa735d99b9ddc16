//! What there is to serve, and from where.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    http::{Method, StatusCode, header, request::Parts},
    response::Response,
};
use p2p_ci::{
    document::{Document, DocumentKey, Format, RfcRange},
    facts::Reference,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use super::{
    documents::document,
    feeds::feed,
    fetching::{Fetcher, Wanted},
    indexes::{self, Index, Written},
    metalink::{self, Listed},
    pages,
    path::{Resource, Route},
    reply,
    searching::search,
};
use crate::{
    error::PeerError,
    facts::{SharedCatalogue, learning::Others},
    library::Library,
    limits::{FIRST_FACTS_PATIENCE, MAX_SEARCHES},
    search::Place,
};

/// The documents and facts of a peer, and how it comes to those that it lacks. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    library: Library,
    catalogue: SharedCatalogue,
    fetcher: Option<Fetcher>,
    others: watch::Receiver<Others>,
    began: Instant,
    written: Arc<Written>,
    index: Option<Place>,
    searches: Arc<Semaphore>,
}

impl Site {
    /// Serves `library` and what `catalogue` knows; what the library lacks comes by `fetcher`, if there is one. What is known
    /// of other peers is in `others`.
    #[must_use]
    pub fn new(
        library: Library,
        catalogue: SharedCatalogue,
        fetcher: Option<Fetcher>,
        others: watch::Receiver<Others>,
    ) -> Self {
        Self {
            library,
            catalogue,
            fetcher,
            others,
            began: Instant::now(),
            written: Arc::default(),
            index: None,
            searches: Arc::new(Semaphore::new(MAX_SEARCHES)),
        }
    }

    /// The same, with the place of an index of the library, which others keep up to date.
    #[must_use]
    pub fn searching(self, index: Option<Place>) -> Self {
        Self { index, ..self }
    }

    /// Where the index of the library is, if there is to be one.
    pub(super) fn index(&self) -> Option<&Place> {
        self.index.as_ref()
    }

    /// The right to search, unless as many do as may.
    pub(super) fn search_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.searches).try_acquire_owned().ok()
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// Other sites of the swarm.
    pub(super) fn gateways(&self) -> Vec<SocketAddr> {
        self.others.borrow().gateways.clone()
    }

    /// What is known of RFCs, once somebody has told of them: a site that has just started waits a moment for that.
    pub(super) async fn settled(&self) -> &SharedCatalogue {
        let mut others = self.others.clone();
        let told = others.wait_for(|others| others.have_told);
        // Where nobody has anything to tell, what this peer knows itself is all there is.
        let _ = tokio::time::timeout_at(self.began + FIRST_FACTS_PATIENCE, told).await;
        &self.catalogue
    }

    /// What is known of one RFC, asking others if need be.
    pub(super) async fn describe(&self, wanted: Reference) {
        if self.catalogue.look(|catalogue| catalogue.knows(wanted)) {
            return;
        }
        if let Some(fetcher) = &self.fetcher {
            self.catalogue.learn(fetcher.inquire(wanted).await);
        }
    }

    /// All documents of a range and a format that are here, or that the registry knows of, ascending.
    pub(super) async fn list(&self, range: RfcRange, format: Format) -> Vec<Listed> {
        let fits = |key: DocumentKey| key.format == format && range.contains(key.number);
        let mut listed: BTreeMap<DocumentKey, Listed> = BTreeMap::new();
        if let Some(fetcher) = &self.fetcher {
            match fetcher.list(range, format).await {
                Ok(documents) => listed.extend(documents.iter().map(|document| (document.id.key, of(document)))),
                Err(error) => tracing::debug!(%error, "the registry does not list what others have"),
            }
        }
        // What is here is what this site serves.
        let own = self.library.snapshot();
        let own = own.iter().filter(|document| fits(document.id.key));
        listed.extend(own.map(|document| (document.id.key, of(document))));
        listed.into_values().collect()
    }

    pub(super) fn library(&self) -> &Library {
        &self.library
    }

    pub(super) fn catalogue(&self) -> &SharedCatalogue {
        &self.catalogue
    }

    /// The document of `key`: what is here, or else what a peer around has. What another site passed on is `is_relayed`.
    pub(super) async fn have(&self, key: DocumentKey, is_relayed: bool) -> Result<Document, Arc<PeerError>> {
        match (self.library.get(key), &self.fetcher) {
            (Some(document), _) => Ok(document),
            (None, Some(fetcher)) => fetcher.fetch(Wanted { key, is_relayed }).await,
            (None, None) => {
                let told = format!("{key} is not here, and nothing can be stored that others have");
                Err(Arc::new(PeerError::NotFound(told)))
            }
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: &Parts) -> Response {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut response = reply::sentence(
                StatusCode::METHOD_NOT_ALLOWED,
                "this site can only be read: use GET or HEAD",
            );
            reply::set(response.headers_mut(), header::ALLOW, "GET, HEAD");
            return response;
        }
        match Route::of(request.uri.path()) {
            Route::Serve(resource) => self.serve(resource, request).await,
            Route::Moved(to) => reply::moved(&to),
            Route::Nowhere => reply::sentence(
                StatusCode::NOT_FOUND,
                "there is nothing at this path; RFCs are at /rfc/rfc9110.txt, and / tells the rest",
            ),
        }
    }

    async fn serve(&self, resource: Resource, request: &Parts) -> Response {
        let query = request.uri.query().unwrap_or_default();
        match resource {
            Resource::Home => pages::home(self),
            Resource::Document(key) => document(self, key, request).await,
            Resource::Info(number) => {
                self.describe(Reference::to_rfc(number)).await;
                pages::info(self, number)
            }
            Resource::SubseriesInfo(reference) => {
                self.describe(reference).await;
                pages::subseries(self, reference)
            }
            Resource::Subseries(reference) => {
                self.describe(reference).await;
                indexes::subseries(self, reference).await
            }
            Resource::IndexTxt => indexes::index(self, Index::txt_of(query), request).await,
            Resource::IndexXml => indexes::index(self, Index::Xml, request).await,
            Resource::Errata => indexes::errata(self, request).await,
            Resource::Feed(kind) => feed(self, kind, request),
            Resource::Citation(number) => {
                self.describe(Reference::to_rfc(number)).await;
                pages::citation(self, number)
            }
            Resource::Citations => indexes::index(self, Index::Citations, request).await,
            Resource::MetalinkOf(key) => metalink::of_one(self, key, request).await,
            Resource::Search => search(self, query).await,
            Resource::Metalink => metalink::of_many(self, query, request).await,
        }
    }
}

fn of(document: &Document) -> Listed {
    Listed {
        key: document.id.key,
        size_bytes: document.size_bytes,
        sha256: document.id.sha256.to_string(),
    }
}
