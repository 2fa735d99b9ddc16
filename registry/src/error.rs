//! Why the registry says no, and the one place where that becomes a failure on the wire.

mod not_found;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use p2p_ci::{
    failure::{Failure, Reason},
    limits,
    message::{LookupQuery, PeerRef},
    wire::ProtocolError,
};
use tonic::{Code, Status};

use self::not_found::rfc_not_found;
use crate::{
    index::{Refusal, answers::Unusable},
    limits::RESTART_PAUSE,
};

/// Why a request, or a whole session, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryError {
    /// A message has a field that is missing or wrong.
    Protocol(ProtocolError),
    /// No message arrived, or none that can be read.
    Inbound(InboundError),
    /// The peer cannot be registered as it asks.
    Hello(HelloError),
    /// The index refuses a change.
    Refused(Refusal),
    /// The session announced too many documents in too little time.
    AnnouncesTooFast {
        /// When there is room for this announcement.
        retry_after: Duration,
    },
    /// Nobody from whom the asker could get it has the RFC.
    RfcNotFound {
        /// What was asked.
        query: LookupQuery,
        /// Who has it all the same.
        unusable: Unusable,
        /// For how long peers may still be on their way back, if they may.
        converging: Option<Duration>,
    },
    /// No active peer goes by this.
    PeerNotFound(PeerRef),
    /// One source has all the watchers that it may have.
    TooManyWatchersOfSource {
        /// How many it may have.
        limit: usize,
    },
    /// All places of watchers are taken.
    TooManyWatchers {
        /// How many places there are.
        limit: usize,
    },
    /// The registry ends a stream.
    Ended(StreamEnd),
}

/// Why no message could be read from a stream of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundError {
    /// A message cannot be decoded at all.
    Malformed(String),
    /// A message is larger than [`limits::MAX_REGISTRY_REQUEST_BYTES`].
    TooLarge,
    /// The connection is gone, so that nobody will read this.
    ConnectionLost,
}

/// Why a peer cannot be registered as it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelloError {
    /// The first message of a session is no `hello`.
    Expected,
    /// A session sent a second `hello`.
    Repeated,
    /// No `hello` arrived in time.
    Timeout,
    /// The peer speaks another version of the protocol.
    UnsupportedVersion(u32),
    /// An observer, which has no address, wants one to be handed out.
    ObserverAdvertises,
    /// The address to hand out is in no range that the operator allows.
    AdvertiseNotAllowed(SocketAddr),
    /// The address to hand out means another machine to whoever asks for it than to the registry.
    AdvertiseElsewhere(SocketAddr),
    /// The address to hand out is the registry's own.
    OwnAddress(SocketAddr),
}

/// Why the registry ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// A newer session of the same peer has taken over.
    Superseded,
    /// The peer does not read its answers.
    TooSlow,
    /// The watcher does not read its events.
    WatcherTooSlow,
    /// The registry is going away.
    ShuttingDown,
    /// A defect of the registry, or the system refused it something.
    Internal(&'static str),
}

impl From<ProtocolError> for RegistryError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<InboundError> for RegistryError {
    fn from(error: InboundError) -> Self {
        Self::Inbound(error)
    }
}

impl From<HelloError> for RegistryError {
    fn from(error: HelloError) -> Self {
        Self::Hello(error)
    }
}

impl From<Refusal> for RegistryError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StreamEnd> for RegistryError {
    fn from(end: StreamEnd) -> Self {
        Self::Ended(end)
    }
}

impl InboundError {
    /// What tonic's error of a stream of requests means.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let is_from_connection = std::error::Error::source(status).is_some();
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => Self::TooLarge,
            Code::Internal | Code::Unimplemented if !is_from_connection => Self::Malformed(status.message().to_owned()),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => Self::ConnectionLost,
        }
    }
}

impl From<RegistryError> for Status {
    fn from(error: RegistryError) -> Self {
        Failure::from(error).into()
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Protocol(error) => error.into(),
            RegistryError::Inbound(error) => of_inbound(error),
            RegistryError::Hello(error) => of_hello(&error),
            RegistryError::Refused(refusal) => of_refusal(refusal),
            RegistryError::AnnouncesTooFast { retry_after } => announces_too_fast(retry_after),
            RegistryError::RfcNotFound {
                query,
                unusable,
                converging,
            } => rfc_not_found(&query, unusable, converging),
            RegistryError::PeerNotFound(peer) => peer_not_found(&peer),
            RegistryError::TooManyWatchers { limit } => Self::new(
                Reason::Overloaded,
                format!("all {limit} places of watchers are taken; try again later, or poll ListPeers"),
            ),
            RegistryError::TooManyWatchersOfSource { limit } => Self::new(
                Reason::LimitExceeded,
                format!("this address has {limit} watchers already; end one first, or poll ListPeers"),
            ),
            RegistryError::Ended(end) => of_end(end),
        }
    }
}

fn of_inbound(error: InboundError) -> Failure {
    match error {
        InboundError::Malformed(why) => Failure::new(
            Reason::InvalidRequest,
            format!("the message cannot be decoded: {why}; check that both sides use the same .proto files"),
        ),
        InboundError::TooLarge => {
            let max = limits::MAX_REGISTRY_REQUEST_BYTES;
            Failure::new(
                Reason::MessageTooLarge,
                format!("a message may have at most {max} bytes; split it"),
            )
        }
        InboundError::ConnectionLost => Failure::new(Reason::Internal, "the connection was lost"),
    }
}

fn of_hello(error: &HelloError) -> Failure {
    match error {
        HelloError::Expected => Failure::new(
            Reason::HelloExpected,
            "the first message of a session must be `hello`; send it before anything else",
        ),
        HelloError::Repeated => Failure::new(
            Reason::HelloRepeated,
            "this session is registered already; open another stream to register again",
        ),
        HelloError::Timeout => {
            let limit_s = limits::HELLO_TIMEOUT.as_secs();
            Failure::new(
                Reason::HelloTimeout,
                format!("no `hello` within {limit_s} s; send it as soon as the stream is open"),
            )
        }
        HelloError::UnsupportedVersion(version) => unsupported_version(*version),
        HelloError::ObserverAdvertises => Failure::new(
            Reason::InvalidRequest,
            "an observer (port 0) is never handed out; give the port that it serves on, or advertise no address",
        )
        .with_field("advertise_address"),
        HelloError::AdvertiseNotAllowed(address) => Failure::new(
            Reason::AddressNotAllowed,
            format!(
                "{address} may not be handed out: only the observed address is, unless the registry's operator \
                 allows others with --allow-advertise CIDR; leave the advertised address out"
            ),
        )
        .with_field("advertise_address"),
        HelloError::AdvertiseElsewhere(address) => Failure::new(
            Reason::AddressNotAllowed,
            format!(
                "{address} may not be handed out: it is for one machine or one link only, and you come from another; \
                 leave the advertised address out"
            ),
        )
        .with_field("advertise_address"),
        HelloError::OwnAddress(address) => Failure::new(
            Reason::AddressNotAllowed,
            format!("{address} is where this registry itself listens; serve on another port"),
        )
        .with_field("port"),
    }
}

fn announces_too_fast(retry_after: Duration) -> Failure {
    let wait_s = retry_after.as_secs_f64().ceil();
    Failure::new(
        Reason::LimitExceeded,
        format!("too many documents announced at once; send this announcement again in {wait_s} s"),
    )
    .with_retry_after(retry_after)
}

fn unsupported_version(version: u32) -> Failure {
    let supported = limits::PROTOCOL_VERSION;
    Failure::new(
        Reason::UnsupportedVersion,
        format!("protocol version {version} is not supported here, only {supported}; use a peer of the same release"),
    )
    .with_field("protocol_version")
    .with_metadata("supported_versions", supported.to_string())
}

fn of_refusal(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NameTaken(name) => Failure::new(
            Reason::NameTaken,
            format!(
                "another active peer is called {name}; choose another name, or, if it was you, wait 20 s until its \
                 lost session has ended"
            ),
        )
        .with_field("name"),
        Refusal::AddressTaken(address) => Failure::new(
            Reason::AddressTaken,
            format!(
                "another active peer serves at {address}; serve on another port, or, if it was you, wait 20 s until \
                 its lost session has ended"
            ),
        )
        .with_field("port"),
        Refusal::TooManySessions { source_ip, limit } => too_many_sessions(source_ip, limit),
        Refusal::NotRegistered => of_end(StreamEnd::Superseded),
        Refusal::Observer => Failure::new(
            Reason::InvalidRequest,
            "an observer shares nothing; to announce documents, register with the port on which they are served",
        )
        .with_field("announce"),
        Refusal::TooManyOfSession { limit } => Failure::new(
            Reason::LimitExceeded,
            format!("a peer may announce at most {limit} documents; withdraw some first, or share fewer"),
        )
        .with_field("documents"),
        Refusal::TooManyOfSource { source_ip, limit } => Failure::new(
            Reason::LimitExceeded,
            format!("{source_ip} may bring in {limit} documents that no other peer has; share fewer from there"),
        )
        .with_field("documents"),
        Refusal::TooManyInAll { limit } => Failure::new(
            Reason::Overloaded,
            format!("the index is full with {limit} distinct documents; what it has already may still be announced"),
        )
        .with_field("documents"),
    }
}

fn too_many_sessions(source_ip: IpAddr, limit: usize) -> Failure {
    Failure::new(
        Reason::LimitExceeded,
        format!(
            "{source_ip} has {limit} sessions already; close some, or ask the registry's operator for a higher \
             --max-sessions-per-address"
        ),
    )
}

fn peer_not_found(peer: &PeerRef) -> Failure {
    let name = match peer {
        PeerRef::Id(id) => id.to_string(),
        PeerRef::Name(name) => name.to_string(),
    };
    Failure::new(
        Reason::PeerNotFound,
        format!("no active peer is called {name}; ListPeers shows those that are here"),
    )
    .with_field("peer")
}

fn of_end(end: StreamEnd) -> Failure {
    match end {
        StreamEnd::Superseded => Failure::new(
            Reason::Superseded,
            "another session has taken this one over with its resume token; if that was not you, look for a second \
             copy of this peer",
        ),
        StreamEnd::TooSlow => Failure::new(
            Reason::TooSlow,
            "the answers of this session were not read in time; read them while sending requests",
        ),
        StreamEnd::WatcherTooSlow => Failure::new(
            Reason::TooSlow,
            "the events of this watch were not read in time; watch again",
        ),
        StreamEnd::ShuttingDown => Failure::new(
            Reason::ShuttingDown,
            "the registry is shutting down; come back in a moment",
        )
        .with_retry_after(RESTART_PAUSE),
        StreamEnd::Internal(what) => Failure::new(Reason::Internal, format!("{what}; the registry's log says more")),
    }
}
