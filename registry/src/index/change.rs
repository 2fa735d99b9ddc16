//! What goes into the index, what comes of it, and why it may refuse.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use p2p_ci::{
    document::{DocumentKey, UnixSeconds},
    identity::{PeerName, ResumeToken},
    message::PeerLabel,
};

/// How much the index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexLimits {
    /// Documents of one session.
    pub session_documents: usize,
    /// Distinct documents in all.
    pub documents: usize,
    /// Distinct documents that are in the index because one source address announced them first.
    pub documents_per_source: usize,
    /// Sessions of one source address; 0 means no limit.
    pub sessions_per_address: usize,
    /// Lists that can be named by their fingerprint.
    pub lists: usize,
    /// Documents of all these lists together, those in several of them counted for each.
    pub list_documents: usize,
}

/// Why the index refuses a change. A refused change has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another session goes by this name, and the token is not that session's.
    #[error("the name {0} is taken")]
    NameTaken(PeerName),
    /// Another session has this address, and the token is not that session's.
    #[error("the address {0} is taken")]
    AddressTaken(SocketAddr),
    /// The source has as many sessions as it may have.
    #[error("{source_ip} has {limit} sessions already")]
    TooManySessions {
        /// Whom the sessions count for.
        source_ip: IpAddr,
        /// How many it may have.
        limit: usize,
    },
    /// The session is not registered any more.
    #[error("the session is not registered")]
    NotRegistered,
    /// An observer has no documents.
    #[error("an observer announces nothing")]
    Observer,
    /// The session would have more documents than it may have.
    #[error("a session has at most {limit} documents")]
    TooManyOfSession {
        /// How many it may have.
        limit: usize,
    },
    /// The index would have more documents than it takes that one source was the first to announce.
    #[error("{source_ip} has brought in {limit} documents already")]
    TooManyOfSource {
        /// Whom the documents count for.
        source_ip: IpAddr,
        /// How many it may bring in.
        limit: usize,
    },
    /// The index would have more documents than it takes.
    #[error("the index has at most {limit} documents")]
    TooManyInAll {
        /// How many it takes.
        limit: usize,
    },
}

/// A session that wants to be registered.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Its id and name.
    pub label: PeerLabel,
    /// The secret with which it can be taken over later.
    pub token: ResumeToken,
    /// The secret of earlier sessions that it takes over.
    pub resume: Option<ResumeToken>,
    /// The address to hand out, or `None` for an observer.
    pub address: Option<SocketAddr>,
    /// Whom the session counts for, by [`p2p_ci::address::accountable`].
    pub account: IpAddr,
    /// Now.
    pub registered: UnixSeconds,
}

/// A session that is registered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its place in the order of registration.
    pub number: u64,
    /// The sessions that it took over; they are gone.
    pub superseded: Vec<Member>,
}

/// A session, as those know it who follow what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its place in the order of registration.
    pub number: u64,
    /// The session and its name.
    pub label: PeerLabel,
}

/// What an announcement or withdrawal changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The session.
    pub member: Member,
    /// What came, was replaced, or went: in order of number and format.
    pub keys: Arc<[DocumentKey]>,
    /// Documents that the session has now.
    pub total: u32,
}
