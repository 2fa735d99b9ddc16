//! Every message that a client receives, from bytes to values, and the status of every call.

use std::time::Duration;

use p2p_ci::{
    client::{CallError, registry::LookedUp},
    failure::Failure,
    limits,
    message::{
        Changed, DocumentEntry, DownloadPart, Listed, LookupAnswer, ManyBody, ManyPart, PeerInfo, RegistryReply,
        WatchEvent, Welcome,
    },
    pb,
    wire::{
        ProtocolError,
        found::frame_found,
        registry::{decode_reply, encode_reply},
    },
};
use prost::Message;
use tonic::{Code, Status};

use crate::{
    input,
    messages::{assert_address, assert_entry, assert_failure, assert_header, assert_once, assert_refusal, sent},
    plain::{assert_inert, assert_message},
};

pub(crate) fn run(data: &[u8]) {
    let (choice, bytes) = input::choice(data, 9);
    match choice {
        0 => reply(bytes),
        1 => looked_up(bytes),
        2 => found(bytes),
        3 => answered::<pb::ListDocumentsResponse, Listed>(
            bytes,
            |listed| assert_entry(&listed.entry),
            |listed| listed.into(),
        ),
        4 => answered::<pb::ListPeersResponse, PeerInfo>(bytes, assert_peer, |peer| pb::ListPeersResponse {
            peer: Some(peer.into()),
        }),
        5 => answered::<pb::WatchResponse, WatchEvent>(bytes, assert_event, |event| event.into()),
        6 => answered::<pb::DownloadResponse, DownloadPart>(bytes, assert_part, |part| part.clone().into()),
        7 => answered::<pb::DownloadManyResponse, ManyPart>(bytes, assert_many_part, |part| part.clone().into()),
        _ => status(bytes),
    }
}

/// An answer: taken as a value, or refused with an error that says why.
fn answered<P, D>(bytes: &[u8], check: impl Fn(&D), encode: impl Fn(&D) -> P)
where
    P: Message + Default,
    D: TryFrom<P, Error = ProtocolError> + PartialEq + std::fmt::Debug,
{
    let Ok(message) = P::decode(bytes) else { return };
    match D::try_from(message) {
        Ok(answer) => {
            check(&answer);
            let again = D::try_from(sent(&encode(&answer))).expect("what was accepted is accepted again");
            assert_eq!(again, answer);
        }
        Err(error) => assert_refusal(error),
    }
}

fn reply(bytes: &[u8]) {
    let Ok(message) = pb::RegisterResponse::decode(bytes) else {
        return;
    };
    match decode_reply(message) {
        Ok((id, reply)) => {
            assert_reply(&reply);
            assert_eq!(decode_reply(sent(&encode_reply(id, reply.clone()))), Ok((id, reply)));
        }
        Err(error) => assert_refusal(error),
    }
}

fn assert_reply(reply: &RegistryReply) {
    match reply {
        RegistryReply::Welcome(welcome) => assert_welcome(welcome),
        RegistryReply::HeartbeatAck {
            document_count: _,
            mismatched,
        } => assert_once(mismatched),
        RegistryReply::Found(found) => assert_entries(&found.documents),
        RegistryReply::Page(page) => assert_entries(&page.entries),
        RegistryReply::Failed(failure) => {
            assert_inert(&failure.message, false);
            assert_failure(failure);
        }
        RegistryReply::Reachability(notice) => {
            assert_inert(&notice.detail, false);
            assert!(notice.detail.len() <= limits::MAX_ERROR_MESSAGE_BYTES);
            notice.address.into_iter().for_each(assert_address);
        }
        RegistryReply::Announced(_)
        | RegistryReply::Withdrawn(_)
        | RegistryReply::Left
        | RegistryReply::ShuttingDown => {}
    }
}

fn assert_welcome(welcome: &Welcome) {
    assert!(welcome.heartbeat_interval <= Duration::from_secs(3600));
    assert!(welcome.reconnect_spread <= limits::MAX_RECONNECT_SPREAD);
    welcome.address.into_iter().for_each(assert_address);
    assert_once(&welcome.known_formats);
}

fn assert_entries(entries: &[DocumentEntry]) {
    assert!(entries.len() <= limits::MAX_BATCH_DOCUMENTS);
    entries.iter().for_each(assert_entry);
}

/// What was found is spelled byte by byte as the generated code would.
fn looked_up(bytes: &[u8]) {
    let Ok(message) = pb::LookupResponse::decode(bytes) else {
        return;
    };
    let found = match LookupAnswer::try_from(message) {
        Ok(found) => found,
        Err(error) => return assert_refusal(error),
    };
    assert_entries(&found.documents);
    let message = pb::LookupResponse::from(&found).encode_to_vec();
    let length = u32::try_from(message.len()).expect("inputs are short").to_be_bytes();
    assert_eq!(frame_found(&found), [&[0], length.as_slice(), &message].concat());
}

fn found(bytes: &[u8]) {
    let encode = |looked_up: &LookedUp| pb::LookupManyResponse {
        number: looked_up.number,
        documents: looked_up.documents.iter().map(Into::into).collect(),
        converging: looked_up.converging,
    };
    answered::<pb::LookupManyResponse, LookedUp>(
        bytes,
        |looked_up| looked_up.documents.iter().for_each(assert_entry),
        encode,
    );
}

fn assert_peer(peer: &PeerInfo) {
    assert!((1..=limits::MAX_NAME_BYTES).contains(&peer.name.as_str().len()));
    assert!(peer.document_counts.len() <= 5, "there are five formats");
    peer.address.into_iter().for_each(assert_address);
    let _sum = peer.document_count();
}

fn assert_event(event: &WatchEvent) {
    match event {
        WatchEvent::Peer(peer) | WatchEvent::Joined(peer) => assert_peer(peer),
        WatchEvent::Announced(changed) | WatchEvent::Withdrawn(changed) => assert_changed(changed),
        WatchEvent::SnapshotEnd | WatchEvent::Left(_) | WatchEvent::Reachability(..) | WatchEvent::Reset => {}
    }
}

fn assert_changed(changed: &Changed) {
    assert!(changed.ranges.len() <= limits::MAX_SESSION_DOCUMENTS);
    assert!(changed.ranges.iter().all(|range| range.first <= range.last));
}

fn assert_part(part: &DownloadPart) {
    match part {
        DownloadPart::Header(header) => assert_header(header),
        DownloadPart::Chunk(chunk) => assert!(!chunk.is_empty()),
    }
}

fn assert_many_part(part: &ManyPart) {
    match &part.part {
        Ok(ManyBody::Header(header)) => assert_header(header),
        Ok(ManyBody::Chunk(chunk) | ManyBody::ZstdChunk(chunk)) => assert!(!chunk.is_empty()),
        Err(failure) => {
            assert_inert(&failure.message, false);
            assert_failure(failure);
        }
    }
}

/// The status of a call: a code, and details of any bytes, and a message.
fn status(bytes: &[u8]) {
    let (code, rest) = input::choice(bytes, 17);
    let (length, rest) = input::choice(rest, u8::MAX);
    let (message, details) = rest.split_at(usize::from(length).min(rest.len()));
    let message = input::text(message);
    let status = Status::with_details(
        Code::from(i32::from(code)),
        message,
        bytes::Bytes::copy_from_slice(details),
    );
    if let Some(failure) = Failure::from_status(&status) {
        assert_inert(&failure.message, false);
        assert!(
            failure
                .field
                .as_ref()
                .is_none_or(|field| field.len() <= limits::MAX_ERROR_MESSAGE_BYTES)
        );
        assert!(
            failure
                .retry_after
                .is_none_or(|delay| delay <= Duration::from_secs(3600))
        );
        assert_failure(&failure);
    }
    let error = CallError::from(status).to_string();
    if !error.is_empty() {
        assert_inert(&error, false);
        assert!(
            error.len() <= 2 * limits::MAX_ERROR_MESSAGE_BYTES,
            "{} bytes: {error}",
            error.len()
        );
    }
    let failure = Failure::new(p2p_ci::failure::Reason::Internal, format!("a{error}"));
    assert_message(&failure.message);
}
