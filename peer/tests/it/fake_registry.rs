//! Registries that are none: one that stands before a real one and loses what it confirmed, and one that answers lookups
//! with whatever it likes.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_core::Stream;
use p2p_ci::{
    address::AllowedSources,
    front_door,
    pb::{self, register_request::Body, registry_client::RegistryClient, registry_server},
    quota::QuotaLimits,
    registry_url::RegistryUrl,
    serving::Serving,
};
use peer::commands::Context;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::support::context_of;

/// A registry that does as it likes.
pub(crate) struct FakeRegistry {
    pub(crate) url: RegistryUrl,
    has_forgotten: Arc<AtomicBool>,
    _serving: Serving,
}

#[derive(Default)]
struct Service {
    /// To whom registrations go on.
    registry: Option<SocketAddr>,
    has_forgotten: Arc<AtomicBool>,
    /// What there is, whatever is asked for.
    found: Vec<pb::DocumentEntry>,
}

impl FakeRegistry {
    /// Keeps the last document of the first announcement from the real one.
    pub(crate) fn forgetful(registry: SocketAddr) -> Self {
        Self::start(Service {
            registry: Some(registry),
            ..Service::default()
        })
    }

    /// Has these documents, whatever is looked up or listed.
    pub(crate) fn naming(found: Vec<pb::DocumentEntry>) -> Self {
        Self::start(Service {
            found,
            ..Service::default()
        })
    }

    fn start(service: Service) -> Self {
        let listener = front_door::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let limits = QuotaLimits {
            total: 64,
            per_source: 0,
            spare_loopback: false,
        };
        let has_forgotten = Arc::clone(&service.has_forgotten);
        let routes = Routes::new(registry_server::RegistryServer::new(service));
        Self {
            url,
            has_forgotten,
            _serving: Serving::spawn(routes, AllowedSources::default(), front_door::guard(listener, limits)),
        }
    }

    pub(crate) fn context(&self) -> Context {
        context_of(&self.url)
    }

    pub(crate) fn has_forgotten(&self) -> bool {
        self.has_forgotten.load(Ordering::SeqCst)
    }
}

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

fn not_here<T>() -> Result<T, Status> {
    Err(Status::unimplemented("ask a real registry"))
}

#[tonic::async_trait]
impl registry_server::Registry for Service {
    type RegisterStream = Answers<pb::RegisterResponse>;
    type LookupManyStream = Answers<pb::LookupManyResponse>;
    type ListDocumentsStream = Answers<pb::ListDocumentsResponse>;
    type ListPeersStream = Answers<pb::ListPeersResponse>;
    type WatchStream = Answers<pb::WatchResponse>;

    async fn register(
        &self,
        request: Request<Streaming<pb::RegisterRequest>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let Some(registry) = self.registry else {
            return not_here();
        };
        let has_forgotten = Arc::clone(&self.has_forgotten);
        let requests = request.into_inner().filter_map(Result::ok).map(move |mut request| {
            if let Some(Body::Announce(announce)) = &mut request.body
                && !has_forgotten.swap(true, Ordering::SeqCst)
            {
                announce.documents.pop();
            }
            request
        });
        let mut client = RegistryClient::connect(format!("http://{registry}"))
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let replies = client.register(requests).await?.into_inner();
        Ok(Response::new(Box::pin(replies)))
    }

    async fn lookup(&self, _: Request<pb::LookupRequest>) -> Result<Response<pb::LookupResponse>, Status> {
        Ok(Response::new(pb::LookupResponse {
            documents: self.found.clone(),
            ..pb::LookupResponse::default()
        }))
    }

    async fn lookup_many(&self, _: Request<pb::LookupManyRequest>) -> Result<Response<Self::LookupManyStream>, Status> {
        not_here()
    }

    async fn list_documents(
        &self,
        _: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<Self::ListDocumentsStream>, Status> {
        let listed = self.found.clone().into_iter().map(|entry| {
            Ok(pb::ListDocumentsResponse {
                entry: Some(entry),
                ..pb::ListDocumentsResponse::default()
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(listed))))
    }

    async fn list_peers(&self, _: Request<pb::ListPeersRequest>) -> Result<Response<Self::ListPeersStream>, Status> {
        not_here()
    }

    async fn watch(&self, _: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        not_here()
    }
}
