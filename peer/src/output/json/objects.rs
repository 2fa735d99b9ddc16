//! The objects themselves.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use p2p_ci::{
    document::{Document, Format, RfcNumber},
    facts::Reference,
    identity::SessionId,
    message::{DocumentEntry, Holder, PeerInfo, Reachability},
};
use serde::Serialize;

use super::get::GetOutcome;
use crate::{error::PeerError, output::human};

/// A document with peers that hold it: what `lookup` and `list` print.
#[derive(Debug, Serialize)]
pub struct DocumentObject<'a> {
    number: u32,
    format: &'static str,
    sha256: String,
    size_bytes: u64,
    title: &'a str,
    holder_count: u32,
    holders: Vec<HolderObject<'a>>,
    /// Only where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    converging: bool,
    /// Only where somebody was asked.
    #[serde(flatten)]
    successors: Option<SuccessorsObject>,
}

/// What took the place of an RFC; empty where nothing did, or nobody said so in time.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SuccessorsObject {
    /// RFCs that took its place.
    obsoleted_by: Vec<u32>,
    /// RFCs that took their place in turn, and whose place nobody took since.
    current: Vec<u32>,
}

impl SuccessorsObject {
    /// What took the place of an RFC directly, and what is current.
    #[must_use]
    pub fn new(direct: &[RfcNumber], current: &[RfcNumber]) -> Self {
        let values = |numbers: &[RfcNumber]| numbers.iter().map(|number| number.get()).collect();
        Self {
            obsoleted_by: values(direct),
            current: values(current),
        }
    }
}

impl<'a> DocumentObject<'a> {
    /// The same with what took the RFC's place.
    #[must_use]
    pub fn followed_by(self, successors: SuccessorsObject) -> Self {
        Self {
            successors: Some(successors),
            ..self
        }
    }

    /// A document as a registry told of it that may be `converging`.
    #[must_use]
    pub fn new(entry: &'a DocumentEntry, converging: bool) -> Self {
        let Document {
            id,
            size_bytes,
            title,
            modified: _,
        } = &entry.document;
        Self {
            number: id.key.number.get(),
            format: id.key.format.extension(),
            sha256: id.sha256.to_string(),
            size_bytes: *size_bytes,
            title: title.as_str(),
            holder_count: entry.holder_count,
            holders: entry.holders.iter().map(HolderObject::from).collect(),
            converging,
            successors: None,
        }
    }
}

/// An RFC that `lookup` did not find.
#[derive(Debug, Serialize)]
pub struct MissingObject {
    number: u32,
    /// `null` where any would have done.
    format: Option<&'static str>,
    error: ErrorObject,
}

impl MissingObject {
    /// An RFC that no active peer has.
    #[must_use]
    pub fn new(number: RfcNumber, format: Option<Format>, error: &PeerError) -> Self {
        Self {
            number: number.get(),
            format: format.map(Format::extension),
            error: ErrorObject::from(error),
        }
    }
}

/// A subseries of which nobody knows what RFCs it is: what `get` and `lookup` print in place of them.
#[derive(Debug, Serialize)]
pub struct UnknownObject {
    /// `BCP14`.
    subseries: String,
    /// `null`.
    number: Option<u32>,
    /// Only of `get`.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<GetOutcome>,
    error: ErrorObject,
}

impl UnknownObject {
    /// A subseries, how getting it ended if somebody did, and why nothing can be told of it.
    #[must_use]
    pub fn new(subseries: Reference, outcome: Option<GetOutcome>, error: &PeerError) -> Self {
        Self {
            subseries: subseries.unpadded(),
            number: None,
            outcome,
            error: ErrorObject::from(error),
        }
    }
}

/// A peer from which a document can be had.
#[derive(Debug, Serialize)]
pub struct HolderObject<'a> {
    peer_id: String,
    name: &'a str,
    address: SocketAddr,
}

impl<'a> From<&'a Holder> for HolderObject<'a> {
    fn from(holder: &'a Holder) -> Self {
        Self {
            peer_id: holder.id.to_string(),
            name: holder.name.as_str(),
            address: holder.address,
        }
    }
}

/// An active peer: what `peers` prints.
#[derive(Debug, Serialize)]
pub struct PeerObject<'a> {
    peer_id: String,
    name: &'a str,
    /// `null` for an observer, which serves nothing.
    address: Option<SocketAddr>,
    reachability: &'static str,
    /// Documents by format, without those formats of which the peer has none.
    documents: BTreeMap<&'static str, u32>,
    /// When it registered, as RFC 3339 has it.
    registered: String,
    uploads: u32,
}

impl<'a> From<&'a PeerInfo> for PeerObject<'a> {
    fn from(peer: &'a PeerInfo) -> Self {
        Self {
            peer_id: peer.id.to_string(),
            name: peer.name.as_str(),
            address: peer.address,
            reachability: peer.reachability.as_str(),
            documents: peer
                .document_counts
                .iter()
                .map(|(format, count)| (format.extension(), *count))
                .collect(),
            registered: human::utc(peer.registered),
            uploads: peer.upload_count,
        }
    }
}

/// Why something failed.
#[derive(Debug, Serialize)]
pub struct ErrorObject {
    /// A constant for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl From<&PeerError> for ErrorObject {
    fn from(error: &PeerError) -> Self {
        Self {
            reason: error.reason(),
            message: error.to_string(),
        }
    }
}

/// The last line of `mirror`.
#[derive(Debug, Serialize)]
pub struct MirrorObject {
    /// What was done.
    pub summary: MirrorSummary,
}

/// What a mirror did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MirrorSummary {
    /// Documents downloaded and verified.
    pub fetched: u64,
    /// Documents that were there already.
    pub present: u64,
    /// Documents that could not be had.
    pub failed: u64,
    /// Documents that are wanted still, where it ended early.
    pub left: u64,
    /// Documents whose files here have other bytes, and were left as they are.
    pub kept: u64,
    /// Documents of which the peers hold several versions.
    pub contested: u64,
    /// Bytes of the documents that were fetched.
    pub bytes: u64,
    /// Whether the registry had just started when it was asked, so that peers may have been missing.
    pub converging: bool,
    /// Peers that they came from.
    pub holders: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What each of them gave, those first that gave most.
    pub by_holder: Vec<GiverObject>,
}

/// What a mirror fetched from one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GiverObject {
    /// The peer's name.
    pub name: String,
    /// Documents downloaded from it and verified.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Something that happens to a peer that shares: what `join` prints.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JoinEvent<'a> {
    /// Documents are served at an address.
    Serving {
        /// Where.
        address: SocketAddr,
    },
    /// RFCs are served over HTTP.
    Site {
        /// Where.
        url: String,
    },
    /// The registry knows the peer.
    Registered {
        /// The peer's name.
        name: &'a str,
        /// The session's id.
        peer_id: String,
        /// The address that is handed out; `null` for an observer.
        address: Option<SocketAddr>,
    },
    /// The registry told whether others can reach the peer.
    Reachability {
        /// The verdict.
        reachability: &'static str,
        /// The address that was tried.
        address: Option<SocketAddr>,
        /// What went wrong; empty when reachable.
        detail: &'a str,
    },
    /// Documents are in the index.
    Announced {
        /// How many.
        documents: u64,
    },
    /// Documents are out of the index.
    Withdrawn {
        /// How many.
        documents: u64,
    },
    /// The registry was lost.
    Disconnected {
        /// Why.
        reason: &'a str,
        /// When it is tried again.
        retry_in_ms: u64,
    },
    /// The peer has left in good order.
    Left,
}

impl<'a> JoinEvent<'a> {
    /// The registry knows the peer.
    #[must_use]
    pub fn registered(name: &'a str, id: SessionId, address: Option<SocketAddr>) -> Self {
        Self::Registered {
            name,
            peer_id: id.to_string(),
            address,
        }
    }

    /// The registry told whether others can reach the peer.
    #[must_use]
    pub fn reachability(verdict: Reachability, address: Option<SocketAddr>, detail: &'a str) -> Self {
        Self::Reachability {
            reachability: verdict.as_str(),
            address,
            detail,
        }
    }

    /// The registry was lost.
    #[must_use]
    pub fn disconnected(reason: &'a str, retry_in: Duration) -> Self {
        Self::Disconnected {
            reason,
            retry_in_ms: whole_millis(retry_in),
        }
    }
}

/// A span as JSON has it.
pub(super) fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
