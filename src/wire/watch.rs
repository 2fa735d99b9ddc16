//! Peers and the events of `Watch`, from and to the wire.

use super::{
    ProtocolError, decode_address, decode_format, decode_list, decode_time, encode_format, encode_time,
    query::{decode_range, encode_range},
    registry::{decode_reachability, encode_reachability},
};
use crate::{
    document::{Format, RfcRange, UnixSeconds},
    message::{Changed, PeerInfo, PeerLabel, WatchEvent},
    pb,
};

/// Ranges in one event: at most as many as a session has documents, all of which it may lose at once.
const MAX_RANGES: usize = crate::limits::MAX_SESSION_DOCUMENTS;

impl TryFrom<pb::Peer> for PeerInfo {
    type Error = ProtocolError;

    fn try_from(peer: pb::Peer) -> Result<Self, ProtocolError> {
        let PeerLabel { id, name } = decode_label(&peer.peer_id, &peer.name)?;
        let document_counts: Result<Vec<_>, ProtocolError> = peer
            .document_counts
            .into_iter()
            .take(Format::ALL.len())
            .map(|count| {
                Ok((
                    decode_format("document_counts.format", count.format)?,
                    count.document_count,
                ))
            })
            .collect();
        Ok(Self {
            id,
            name,
            address: if peer.address.is_empty() {
                None
            } else {
                Some(decode_address("address", &peer.address)?)
            },
            document_counts: document_counts?,
            registered: decode_time("registered_time", peer.registered_time)?.unwrap_or(UnixSeconds(0)),
            reachability: decode_reachability("reachability", peer.reachability)?,
            upload_count: peer.upload_count,
        })
    }
}

impl From<&PeerInfo> for pb::Peer {
    fn from(peer: &PeerInfo) -> Self {
        Self {
            peer_id: peer.id.to_string(),
            name: peer.name.to_string(),
            address: peer.address.map(|address| address.to_string()).unwrap_or_default(),
            document_counts: peer
                .document_counts
                .iter()
                .map(|(format, count)| pb::FormatCount {
                    format: encode_format(*format),
                    document_count: *count,
                })
                .collect(),
            registered_time: Some(encode_time(peer.registered)),
            reachability: encode_reachability(peer.reachability),
            upload_count: peer.upload_count,
        }
    }
}

fn decode_label(peer_id: &str, name: &str) -> Result<PeerLabel, ProtocolError> {
    Ok(PeerLabel {
        id: peer_id
            .parse()
            .map_err(|error| ProtocolError::invalid("peer_id", error))?,
        name: name.parse().map_err(|error| ProtocolError::invalid("name", error))?,
    })
}

struct WireRange(RfcRange);

impl TryFrom<pb::NumberRange> for WireRange {
    type Error = ProtocolError;

    fn try_from(range: pb::NumberRange) -> Result<Self, ProtocolError> {
        decode_range(range).map(Self)
    }
}

fn decode_changed(
    peer_id: &str,
    name: &str,
    format: i32,
    ranges: Vec<pb::NumberRange>,
) -> Result<Changed, ProtocolError> {
    let ranges: Vec<WireRange> = decode_list("ranges", MAX_RANGES, ranges)?;
    Ok(Changed {
        peer: decode_label(peer_id, name)?,
        format: decode_format("format", format)?,
        ranges: ranges.into_iter().map(|range| range.0).collect(),
    })
}

impl TryFrom<pb::WatchResponse> for WatchEvent {
    type Error = ProtocolError;

    fn try_from(response: pb::WatchResponse) -> Result<Self, ProtocolError> {
        use pb::watch_response::Event;
        let missing = || ProtocolError::missing("peer");
        Ok(match response.event.ok_or_else(|| ProtocolError::missing("event"))? {
            Event::Peer(peer) => Self::Peer(peer.try_into()?),
            Event::SnapshotEnd(pb::SnapshotEnd {}) => Self::SnapshotEnd,
            Event::Joined(joined) => Self::Joined(joined.peer.ok_or_else(missing)?.try_into()?),
            Event::Left(left) => Self::Left(decode_label(&left.peer_id, &left.name)?),
            Event::Announced(event) => {
                Self::Announced(decode_changed(&event.peer_id, &event.name, event.format, event.ranges)?)
            }
            Event::Withdrawn(event) => {
                Self::Withdrawn(decode_changed(&event.peer_id, &event.name, event.format, event.ranges)?)
            }
            Event::Reachability(event) => Self::Reachability(
                decode_label(&event.peer_id, &event.name)?,
                decode_reachability("reachability", event.reachability)?,
            ),
            Event::Reset(pb::WatchReset {}) => Self::Reset,
        })
    }
}

impl From<&WatchEvent> for pb::WatchResponse {
    fn from(event: &WatchEvent) -> Self {
        use pb::watch_response::Event;
        let event = match event {
            WatchEvent::Peer(peer) => Event::Peer(peer.into()),
            WatchEvent::SnapshotEnd => Event::SnapshotEnd(pb::SnapshotEnd {}),
            WatchEvent::Joined(peer) => Event::Joined(pb::PeerJoined {
                peer: Some(peer.into()),
            }),
            WatchEvent::Left(PeerLabel { id, name }) => Event::Left(pb::PeerLeft {
                peer_id: id.to_string(),
                name: name.to_string(),
            }),
            WatchEvent::Announced(Changed { peer, format, ranges }) => Event::Announced(pb::DocumentsAnnounced {
                peer_id: peer.id.to_string(),
                name: peer.name.to_string(),
                format: encode_format(*format),
                ranges: ranges.iter().copied().map(encode_range).collect(),
            }),
            WatchEvent::Withdrawn(Changed { peer, format, ranges }) => Event::Withdrawn(pb::DocumentsWithdrawn {
                peer_id: peer.id.to_string(),
                name: peer.name.to_string(),
                format: encode_format(*format),
                ranges: ranges.iter().copied().map(encode_range).collect(),
            }),
            WatchEvent::Reachability(PeerLabel { id, name }, reachability) => {
                Event::Reachability(pb::PeerReachability {
                    peer_id: id.to_string(),
                    name: name.to_string(),
                    reachability: encode_reachability(*reachability),
                })
            }
            WatchEvent::Reset => Event::Reset(pb::WatchReset {}),
        };
        Self { event: Some(event) }
    }
}
