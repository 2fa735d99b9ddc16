//! What registry and peers say to each other, as plain values: the twins of the messages in `proto/`.
//!
//! A value of these types is valid by construction; [`wire`](crate::wire) checks what arrives before it makes one.

mod facts;
mod transfer;

use std::{net::SocketAddr, time::Duration};

pub use self::{
    facts::{DescribeQuery, Described},
    transfer::{Compression, DocumentHeader, DownloadPart, DownloadQuery, ManyBody, ManyPart, ManyQuery},
};
use crate::{
    digest::DigestPrefix,
    document::{Document, DocumentClaim, DocumentKey, Format, RfcNumber, RfcRange, UnixSeconds},
    failure::Failure,
    fingerprint::Fingerprint,
    identity::{PeerName, ResumeToken, SessionId},
};

/// Introduces a peer to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version of the protocol that the peer speaks. Whether it is supported is the registry's decision.
    pub protocol_version: u32,
    /// The name that it chose.
    pub name: PeerName,
    /// The port of its FileTransfer service, or `None` for an observer that shares nothing.
    pub port: Option<u16>,
    /// An address to hand out instead of the observed one.
    pub advertise: Option<SocketAddr>,
    /// The secret of an earlier session that this one takes over.
    pub resume_token: Option<ResumeToken>,
    /// What it serves, at most one for each format.
    pub fingerprints: Vec<Fingerprint>,
}

/// What a peer asks within its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerRequest {
    /// Opens the session.
    Hello(Hello),
    /// Adds documents, all or none.
    Announce(Vec<Document>),
    /// Takes documents back: these, and all of these formats.
    Withdraw(Vec<DocumentKey>, Vec<Format>),
    /// Shows that the peer is at work.
    Heartbeat {
        /// Uploads that it is serving now.
        upload_count: u32,
        /// What it believes to have in the index, at most one for each format.
        fingerprints: Vec<Fingerprint>,
    },
    /// Asks for the holders of one RFC.
    Lookup(LookupQuery),
    /// Asks for a page of the index.
    List(ListPageQuery),
    /// Ends the session in good order.
    Leave,
}

/// What the registry answers within a session.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistryReply {
    /// The peer is registered.
    Welcome(Welcome),
    /// The documents are in the index; the peer's total.
    Announced(u32),
    /// The documents are out of the index; the peer's total.
    Withdrawn(u32),
    /// The heartbeat arrived.
    HeartbeatAck {
        /// The peer's total of documents.
        document_count: u32,
        /// The formats of which the peer has something else in the index than it believes.
        mismatched: Vec<Format>,
    },
    /// The documents of the RFC, at least one.
    Found(LookupAnswer),
    /// A page of the index.
    Page(ListPage),
    /// The peer has left.
    Left,
    /// The request failed and changed nothing.
    Failed(Failure),
    /// Whether others can reach the peer. Answers no request.
    Reachability(ReachabilityNotice),
    /// The registry is going away. Answers no request.
    ShuttingDown,
}

/// Confirms a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The session's public id.
    pub session_id: SessionId,
    /// The secret to take the session over with.
    pub resume_token: ResumeToken,
    /// The source of the stream as the registry sees it.
    pub observed: SocketAddr,
    /// The address that is handed out, or `None` for an observer.
    pub address: Option<SocketAddr>,
    /// How often to send a heartbeat.
    pub heartbeat_interval: Duration,
    /// The span over which to spread the first attempt to come back.
    pub reconnect_spread: Duration,
    /// The formats of which the peer has everything in the index already, by its fingerprints.
    pub known_formats: Vec<Format>,
}

/// Whether the registry could connect back to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// The peer shares nothing.
    Observer,
    /// Not tried yet; not handed out yet.
    Pending,
    /// Reached, and handed out.
    Reachable,
    /// Not reached, and not handed out.
    Unreachable,
}

impl Reachability {
    /// The word for it in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Pending => "pending",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// The registry's verdict on a peer's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachabilityNotice {
    /// The verdict.
    pub reachability: Reachability,
    /// The address that was tried.
    pub address: Option<SocketAddr>,
    /// What went wrong; empty when reachable.
    pub detail: String,
}

/// Asks who has an RFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupQuery {
    /// The RFC's number.
    pub number: RfcNumber,
    /// Only this format, or every format.
    pub format: Option<Format>,
    /// Only digests that start so.
    pub sha256_prefix: DigestPrefix,
    /// At most so many holders for each document, within [`limits::MAX_HOLDERS`](crate::limits::MAX_HOLDERS).
    pub max_holders: usize,
}

/// Asks who has each of many RFCs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupManyQuery {
    /// The RFCs' numbers.
    pub numbers: Vec<RfcNumber>,
    /// Only this format, or every format.
    pub format: Option<Format>,
    /// At most so many holders for each document.
    pub max_holders: usize,
}

/// Which part of the index is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFilter {
    /// Only these numbers.
    pub range: RfcRange,
    /// Only this format, or every format.
    pub format: Option<Format>,
}

impl IndexFilter {
    /// The whole index.
    pub const ALL: Self = Self {
        range: RfcRange::ALL,
        format: None,
    };
}

/// Asks for a page of the index within a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPageQuery {
    /// Which part of the index.
    pub filter: IndexFilter,
    /// At most so many entries, within [`limits::MAX_BATCH_DOCUMENTS`](crate::limits::MAX_BATCH_DOCUMENTS).
    pub page_size: usize,
    /// Continues after this document.
    pub after: Option<DocumentClaim>,
}

/// Asks for the whole index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Which part of the index.
    pub filter: IndexFilter,
    /// Only what this peer holds.
    pub peer: Option<PeerRef>,
    /// At most so many holders for each document.
    pub max_holders: usize,
}

/// Names a peer by what people see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerRef {
    /// By its session's id.
    Id(SessionId),
    /// By its name.
    Name(PeerName),
}

/// The documents of one RFC, with holders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookupAnswer {
    /// The documents.
    pub documents: Vec<DocumentEntry>,
    /// Whether peers that the registry knew before it started may still be on their way back.
    pub converging: bool,
}

/// One document of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The document, with holders.
    pub entry: DocumentEntry,
    /// As of [`LookupAnswer::converging`], when the listing began.
    pub converging: bool,
}

/// A page of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// The entries, in order.
    pub entries: Vec<DocumentEntry>,
    /// The last entry when more may follow.
    pub next: Option<DocumentClaim>,
    /// As of [`LookupAnswer::converging`].
    pub converging: bool,
}

/// A document and peers that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEntry {
    /// The document.
    pub document: Document,
    /// How many active peers hold it, reachable or not.
    pub holder_count: u32,
    /// A sample of the holders that the asker should be able to reach.
    pub holders: Vec<Holder>,
}

/// A peer from which a document can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its session.
    pub id: SessionId,
    /// Its name.
    pub name: PeerName,
    /// Where it serves FileTransfer.
    pub address: SocketAddr,
}

/// An active peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its session.
    pub id: SessionId,
    /// Its name.
    pub name: PeerName,
    /// Where it serves FileTransfer, or `None` for an observer.
    pub address: Option<SocketAddr>,
    /// Documents by format, for each format of which it holds any.
    pub document_counts: Vec<(Format, u32)>,
    /// When it registered.
    pub registered: UnixSeconds,
    /// Whether others can reach it.
    pub reachability: Reachability,
    /// Uploads that it was serving when it last said so.
    pub upload_count: u32,
}

impl PeerInfo {
    /// Documents in all formats.
    #[must_use]
    pub fn document_count(&self) -> u64 {
        self.document_counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }
}

/// Something that is so in the index, or that happened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// An active peer; part of a snapshot.
    Peer(PeerInfo),
    /// The snapshot is complete.
    SnapshotEnd,
    /// A peer has registered.
    Joined(PeerInfo),
    /// A peer has left or was lost.
    Left(PeerLabel),
    /// A peer announced documents.
    Announced(Changed),
    /// A peer withdrew documents.
    Withdrawn(Changed),
    /// It became known whether a peer can be reached.
    Reachability(PeerLabel, Reachability),
    /// Events were lost; a new snapshot follows.
    Reset,
}

/// A session and the name it went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLabel {
    /// The session.
    pub id: SessionId,
    /// The name.
    pub name: PeerName,
}

/// Documents of one format that came or went with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The peer.
    pub peer: PeerLabel,
    /// The documents' format.
    pub format: Format,
    /// The documents' numbers, as ascending ranges.
    pub ranges: Vec<RfcRange>,
}

/// Folds ascending numbers into inclusive ranges.
#[must_use]
pub fn ranges_of(numbers: impl IntoIterator<Item = RfcNumber>) -> Vec<RfcRange> {
    let mut ranges: Vec<RfcRange> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.last.get().checked_add(1) == Some(number.get()) || range.last == number => {
                range.last = number
            }
            _ => ranges.push(number.into()),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_fold_into_ranges() {
        let numbers = |values: &[u32]| {
            values
                .iter()
                .filter_map(|value| RfcNumber::new(*value))
                .collect::<Vec<_>>()
        };
        let shown = |values: &[u32]| {
            ranges_of(numbers(values))
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&[1, 2, 3, 7, 9, 10]), ["1-3", "7", "9-10"]);
        assert_eq!(shown(&[5, 5, 6]), ["5-6"]);
        assert_eq!(shown(&[u32::MAX]), ["4294967295"]);
        assert!(shown(&[]).is_empty());
    }
}
