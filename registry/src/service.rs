//! The Registry service: decodes requests, asks swarm or session, encodes answers. Decides nothing.

use std::net::SocketAddr;

use futures_core::{Stream, stream::BoxStream};
use futures_util::stream::try_unfold;
use p2p_ci::{
    framed::{self, Framing},
    limits::{MAX_REGISTRY_MESSAGE_BYTES, MAX_REGISTRY_REQUEST_BYTES},
    line::Line,
    message::{ListQuery, LookupManyQuery, LookupQuery},
    pb::{
        self,
        registry_server::{Registry, RegistryServer},
    },
    quota::{Quota, QuotaLimits},
    wire::{
        found::frame_found,
        registry::{decode_request, encode_reply},
    },
};
use tokio_stream::StreamExt as _;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use crate::{
    error::{InboundError, RegistryError, StreamEnd},
    index::answers::Asker,
    limits::WATCHERS_PER_SOURCE,
    session::{self, Environment, Inbound},
};

/// Paths of methods that tell as much of the index as is asked for, from its first page to its last.
pub(crate) const LONG_ANSWERS: [&str; 3] = [
    "/p2pci.v1.Registry/LookupMany",
    "/p2pci.v1.Registry/ListDocuments",
    "/p2pci.v1.Registry/ListPeers",
];

/// The gRPC face of the registry.
#[derive(Debug)]
pub struct Service {
    environment: Environment,
    sessions: TaskTracker,
    /// Watches by source; how many there are in all is the swarm's to bound.
    watches: Quota,
}

/// The service, ready to be served. Sessions run on `sessions`.
#[must_use]
pub fn registry_service(environment: Environment, sessions: TaskTracker) -> Framing<RegistryServer<Service>> {
    let watches = Quota::new(QuotaLimits {
        total: usize::MAX,
        per_source: WATCHERS_PER_SOURCE,
        spare_loopback: true,
    });
    let service = Service {
        environment,
        sessions,
        watches,
    };
    let service = RegistryServer::new(service)
        .max_decoding_message_size(MAX_REGISTRY_REQUEST_BYTES)
        .max_encoding_message_size(MAX_REGISTRY_MESSAGE_BYTES);
    Framing::new(service)
}

fn source_of<T>(request: &Request<T>) -> Result<SocketAddr, RegistryError> {
    let line = request.extensions().get::<Line>();
    line.map(Line::source)
        .ok_or_else(|| StreamEnd::Internal("the source of this connection is not known").into())
}

fn asker_of<T>(request: &Request<T>) -> Result<Asker, RegistryError> {
    Ok(Asker {
        ip: source_of(request)?.ip(),
        session: None,
    })
}

fn decode_inbound(item: Result<pb::RegisterRequest, Status>) -> Result<Inbound, InboundError> {
    let request = item.map_err(|status| InboundError::of(&status))?;
    let is_hello = matches!(request.body, Some(pb::register_request::Body::Hello(_)));
    let (request_id, request) = decode_request(request);
    Ok(Inbound {
        request_id,
        is_hello,
        request,
    })
}

fn status(end: StreamEnd) -> Status {
    RegistryError::from(end).into()
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

fn boxed<T>(answers: impl Stream<Item = Result<T, Status>> + Send + 'static) -> Response<Answers<T>> {
    Response::new(Box::pin(answers))
}

#[tonic::async_trait]
impl Registry for Service {
    type RegisterStream = Answers<pb::RegisterResponse>;
    type LookupManyStream = Answers<pb::LookupManyResponse>;
    type ListDocumentsStream = Answers<pb::ListDocumentsResponse>;
    type ListPeersStream = Answers<pb::ListPeersResponse>;
    type WatchStream = Answers<pb::WatchResponse>;

    /// Answers with headers at once and reads in a task: a client may send its first message only after them.
    async fn register(
        &self,
        request: Request<Streaming<pb::RegisterRequest>>,
    ) -> Result<Response<Self::RegisterStream>, Status> {
        let source = source_of(&request)?;
        let inbound = request.into_inner().map(decode_inbound);
        let (outbox, replies) = session::outbox();
        let span = tracing::info_span!("session", %source, peer = tracing::field::Empty, id = tracing::field::Empty);
        let session = session::serve(self.environment.clone(), source, inbound, outbox);
        self.sessions.spawn(session.instrument(span));
        Ok(boxed(replies.map(|reply| {
            reply
                .map(|(request_id, reply)| encode_reply(request_id, reply))
                .map_err(Status::from)
        })))
    }

    async fn lookup(&self, request: Request<pb::LookupRequest>) -> Result<Response<pb::LookupResponse>, Status> {
        let asker = asker_of(&request)?;
        let query: LookupQuery = request.into_inner().try_into()?;
        let answer = self.environment.swarm.lookup(&query, asker)?;
        Ok(framed::respond_once(frame_found(&answer)))
    }

    async fn lookup_many(
        &self,
        request: Request<pb::LookupManyRequest>,
    ) -> Result<Response<Self::LookupManyStream>, Status> {
        let asker = asker_of(&request)?;
        let query: LookupManyQuery = request.into_inner().try_into()?;
        let stop = self.environment.stop.clone();
        let lookups = self.environment.swarm.lookup_many(query, asker, stop);
        Ok(boxed(try_unfold(lookups, |mut lookups| async {
            let answer = lookups.next().await.map_err(status)?;
            Ok(answer.map(|(number, answer)| {
                let response = pb::LookupManyResponse {
                    number: number.get(),
                    documents: answer.documents.iter().map(Into::into).collect(),
                    converging: answer.converging,
                };
                (response, lookups)
            }))
        })))
    }

    async fn list_documents(
        &self,
        request: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<Self::ListDocumentsStream>, Status> {
        let asker = asker_of(&request)?;
        let query: ListQuery = request.into_inner().try_into()?;
        let stop = self.environment.stop.clone();
        let documents = self.environment.swarm.list(query, asker, stop)?;
        Ok(boxed(try_unfold(documents, |mut documents| async {
            let listed = documents.next().await.map_err(status)?;
            Ok(listed.map(|listed| ((&listed).into(), documents)))
        })))
    }

    async fn list_peers(
        &self,
        _request: Request<pb::ListPeersRequest>,
    ) -> Result<Response<Self::ListPeersStream>, Status> {
        let peers = self.environment.swarm.peers(self.environment.stop.clone());
        Ok(boxed(try_unfold(peers, |mut peers| async {
            let peer = peers.next().await.map_err(status)?;
            Ok(peer.map(|peer| {
                let peer = Some((&peer).into());
                (pb::ListPeersResponse { peer }, peers)
            }))
        })))
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let place = self.watches.take(source_of(&request)?.ip());
        let place = place.map_err(|_| RegistryError::TooManyWatchersOfSource {
            limit: WATCHERS_PER_SOURCE,
        })?;
        let watch = self.environment.swarm.watch(self.environment.stop.clone())?;
        Ok(boxed(try_unfold((watch, place), |(mut watch, place)| async {
            let event = watch.next().await.map_err(status)?;
            Ok(Some((pb::WatchResponse::from(event.as_ref()), (watch, place))))
        })))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn each_answer_of_many_messages_that_ends_by_itself_counts_as_long() {
        let set = prost_types::FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
        let mut services = set.file.iter().flat_map(|file| &file.service);
        let registry = services.find(|service| service.name() == "Registry").unwrap();
        let long = registry
            .method
            .iter()
            // A session and a watch last as long as whoever opened them wants; each has a cap of its own.
            .filter(|method| method.server_streaming() && !["Register", "Watch"].contains(&method.name()))
            .map(|method| format!("/p2pci.v1.Registry/{}", method.name()));
        assert_eq!(long.collect::<Vec<_>>(), LONG_ANSWERS);
    }
}
