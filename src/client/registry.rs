//! The client of Registry.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{Answers, CallError, off_the_question, within};
use crate::{
    limits,
    message::{
        DocumentEntry, IndexFilter, ListQuery, Listed, LookupAnswer, LookupManyQuery, LookupQuery, PeerInfo,
        PeerRequest, RegistryReply, WatchEvent,
    },
    pb,
    registry_url::RegistryUrl,
    transport::{Dialer, Received, Traffic, connect},
    wire::{
        ProtocolError,
        registry::{decode_reply, encode_request},
    },
};

/// Requests of a session that wait for the network. Enough to keep it busy; a full queue makes the sender wait.
const SESSION_QUEUE: usize = 16;

/// What happens in the index, as it happens.
pub type WatchEvents = Answers<pb::WatchResponse, WatchEvent>;

/// Documents that one listing may name: twice what a registry takes in, by its default.
const MAX_LISTED_DOCUMENTS: usize = 400_000;

/// Peers that one listing may name: more than any registry was ever measured with.
const MAX_LISTED_PEERS: usize = 100_000;

/// A connection to a registry.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    inner: pb::registry_client::RegistryClient<Channel>,
    address: SocketAddr,
    received: Received,
}

impl RegistryClient {
    /// Connects to the registry at `url`, trying each address of its host in turn.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] or [`CallError::TimedOut`], of the last address tried.
    pub async fn connect(dialer: &Dialer, url: &RegistryUrl) -> Result<Self, CallError> {
        let unreachable = |detail: String| CallError::Unreachable {
            address: url.to_string(),
            detail,
        };
        let resolved = tokio::time::timeout(limits::CONNECT_TIMEOUT, dialer.resolve(url.host.clone(), url.port))
            .await
            .map_err(|_| CallError::TimedOut {
                what: format!("resolving {}", url.host),
            })?;
        let addresses = resolved.map_err(|error| unreachable(error.to_string()))?;
        let mut last = unreachable("the name has no address".to_owned());
        for address in addresses {
            match connect(dialer, address, Traffic::Control).await {
                Ok((channel, received)) => {
                    let inner = pb::registry_client::RegistryClient::new(channel)
                        .max_decoding_message_size(limits::MAX_REGISTRY_MESSAGE_BYTES)
                        .max_encoding_message_size(limits::MAX_REGISTRY_REQUEST_BYTES);
                    return Ok(Self {
                        inner,
                        address,
                        received,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The address that the registry was reached at.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn located(&self) -> impl Fn(CallError) -> CallError + use<> {
        let address = self.address;
        move |error| error.at(&address)
    }

    /// The documents of one number, with holders.
    ///
    /// # Errors
    ///
    /// Every [`CallError`]; NOT_FOUND is [`CallError::Refused`] with `RfcNotFound`.
    pub async fn lookup(&self, query: &LookupQuery) -> Result<LookupAnswer, CallError> {
        let mut client = self.inner.clone();
        let response = within("the lookup", client.lookup(pb::LookupRequest::from(query)))
            .await
            .map_err(self.located())?;
        let found = LookupAnswer::try_from(response.into_inner())?;
        if found.documents.iter().all(|entry| answers(entry, query)) {
            Ok(found)
        } else {
            Err(off_the_question().at(&self.address))
        }
    }

    /// The documents of many numbers, with holders; one answer a number, in order.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn lookup_many(
        &self,
        query: LookupManyQuery,
    ) -> Result<Answers<pb::LookupManyResponse, LookedUp>, CallError> {
        let mut client = self.inner.clone();
        let (wanted, max) = (query.format, query.numbers.len());
        let fits = move |looked_up: &LookedUp| {
            looked_up.documents.iter().all(|entry| {
                let key = entry.document.id.key;
                key.number.get() == looked_up.number && wanted.is_none_or(|format| format == key.format)
            })
        };
        let response = within("the lookup", client.lookup_many(pb::LookupManyRequest::from(query)))
            .await
            .map_err(self.located())?;
        Ok(Answers::new(
            response.into_inner(),
            Some(limits::MESSAGE_TIMEOUT),
            self.received.clone(),
        )
        .limited(max, fits))
    }

    /// The index, one document at a time, in order.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn list_documents(
        &self,
        query: ListQuery,
    ) -> Result<Answers<pb::ListDocumentsResponse, Listed>, CallError> {
        let mut client = self.inner.clone();
        let IndexFilter { range, format } = query.filter;
        let fits = move |listed: &Listed| {
            let key = listed.entry.document.id.key;
            range.contains(key.number) && format.is_none_or(|format| format == key.format)
        };
        let call = client.list_documents(pb::ListDocumentsRequest::from(query));
        let response = within("the listing", call).await.map_err(self.located())?;
        Ok(Answers::new(
            response.into_inner(),
            Some(limits::MESSAGE_TIMEOUT),
            self.received.clone(),
        )
        .limited(MAX_LISTED_DOCUMENTS, fits))
    }

    /// The active peers, in order of registration.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn list_peers(&self) -> Result<Answers<pb::ListPeersResponse, PeerInfo>, CallError> {
        let mut client = self.inner.clone();
        let response = within("the list of peers", client.list_peers(pb::ListPeersRequest {}))
            .await
            .map_err(self.located())?;
        Ok(Answers::new(
            response.into_inner(),
            Some(limits::MESSAGE_TIMEOUT),
            self.received.clone(),
        )
        .limited(MAX_LISTED_PEERS, |_| true))
    }

    /// What happens in the index, from now on; silent for as long as nothing happens.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn watch(&self) -> Result<WatchEvents, CallError> {
        let mut client = self.inner.clone();
        let response = within("the watch", client.watch(pb::WatchRequest {}))
            .await
            .map_err(self.located())?;
        Ok(Answers::new(response.into_inner(), None, self.received.clone()))
    }

    /// Opens a session. `first` should be a hello; its answer is the first reply of the receiver.
    ///
    /// # Errors
    ///
    /// Every [`CallError`].
    pub async fn register(
        &self,
        request_id: u64,
        first: PeerRequest,
    ) -> Result<(SessionSender, SessionReceiver), CallError> {
        let (sender, receiver) = mpsc::channel(SESSION_QUEUE);
        let sender = SessionSender { requests: sender };
        // The first message must be on its way before the call: a server may well send its headers only after it.
        sender.send(request_id, first).await?;
        let mut client = self.inner.clone();
        let call = client.register(ReceiverStream::new(receiver));
        let response = within("the registration", call).await.map_err(self.located())?;
        Ok((
            sender,
            SessionReceiver {
                replies: response.into_inner(),
            },
        ))
    }
}

/// Whether an entry is one that `query` asks for.
fn answers(entry: &DocumentEntry, query: &LookupQuery) -> bool {
    let id = entry.document.id;
    id.key.number == query.number
        && query.format.is_none_or(|format| format == id.key.format)
        && query.sha256_prefix.matches(&id.sha256)
}

/// The answer for one number of a lookup of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp {
    /// The RFC's number as it was asked for.
    pub number: u32,
    /// Its documents; none when nobody who can be reached has it.
    pub documents: Vec<DocumentEntry>,
    /// As of [`LookupAnswer::converging`].
    pub converging: bool,
}

impl TryFrom<pb::LookupManyResponse> for LookedUp {
    type Error = ProtocolError;

    fn try_from(response: pb::LookupManyResponse) -> Result<Self, ProtocolError> {
        let documents: Result<Vec<_>, _> = response.documents.into_iter().map(DocumentEntry::try_from).collect();
        Ok(Self {
            number: response.number,
            documents: documents?,
            converging: response.converging,
        })
    }
}

impl TryFrom<pb::ListPeersResponse> for PeerInfo {
    type Error = ProtocolError;

    fn try_from(response: pb::ListPeersResponse) -> Result<Self, ProtocolError> {
        response.peer.ok_or_else(|| ProtocolError::missing("peer"))?.try_into()
    }
}

/// The peer's half of a session. Dropping it ends the session.
#[derive(Debug, Clone)]
pub struct SessionSender {
    requests: mpsc::Sender<pb::RegisterRequest>,
}

impl SessionSender {
    /// Sends a request; waits while the registry is slow to take it.
    ///
    /// # Errors
    ///
    /// [`CallError::Unreachable`] when the session has ended; the receiver tells why. [`CallError::TimedOut`] when the
    /// registry takes nothing for [`limits::MESSAGE_TIMEOUT`].
    pub async fn send(&self, request_id: u64, request: PeerRequest) -> Result<(), CallError> {
        tokio::time::timeout(
            limits::MESSAGE_TIMEOUT,
            self.requests.send(encode_request(request_id, request)),
        )
        .await
        .map_err(|_| CallError::TimedOut {
            what: "sending to the registry".to_owned(),
        })?
        .map_err(|_| CallError::Unreachable {
            address: "the registry".to_owned(),
            detail: "the session has ended".to_owned(),
        })
    }
}

/// The registry's half of a session.
#[derive(Debug)]
pub struct SessionReceiver {
    replies: Streaming<pb::RegisterResponse>,
}

impl SessionReceiver {
    /// The next reply with the id of the request that it answers, or `None` when the registry ended the session in
    /// good order. Silence is no error: HTTP/2 pings notice a registry that is gone.
    ///
    /// # Errors
    ///
    /// Every [`CallError`]; the session is over then.
    pub async fn next(&mut self) -> Result<Option<(u64, RegistryReply)>, CallError> {
        Ok(self.replies.message().await?.map(decode_reply).transpose()?)
    }
}
