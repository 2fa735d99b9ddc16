//! The estimates against what is really sent.

use p2p_ci::{
    document::{Title, UnixSeconds},
    identity::SessionId,
    message::{Holder, ListPage, RegistryReply},
    pb,
    wire::registry::encode_reply,
};

use super::*;
use crate::{limits::LOOKUP_DOCUMENTS, testing::document};

/// The largest entry that there can be.
fn largest(holders: usize) -> DocumentEntry {
    let mut document = document(u32::MAX);
    document.title = Title::from_lossy(&"é".repeat(300));
    document.size_bytes = limits::MAX_DOCUMENT_BYTES;
    document.modified = Some(UnixSeconds(i64::MIN));
    let holder = Holder {
        id: SessionId::from_bytes([0xff; 16]),
        name: "x".repeat(limits::MAX_NAME_BYTES).parse().unwrap(),
        address: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(),
    };
    DocumentEntry {
        document,
        holder_count: u32::MAX,
        holders: vec![holder; holders],
    }
}

fn encoded_bytes(entries: Vec<DocumentEntry>) -> usize {
    let next = entries.last().map(|entry| entry.document.claim());
    let reply = RegistryReply::Page(ListPage {
        entries,
        next,
        converging: true,
    });
    encoded_len(&encode_reply(u64::MAX, reply))
}

fn encoded_len(message: &pb::RegisterResponse) -> usize {
    use tonic_prost::prost::Message as _;
    message.encoded_len()
}

#[test]
fn an_entry_never_takes_more_than_estimated() {
    for holders in [0, 1, 3, limits::MAX_HOLDERS] {
        let entry = largest(holders);
        let alone = encoded_bytes(vec![entry.clone()]) - encoded_bytes(Vec::new());
        assert!(alone <= entry_bytes_max(&entry) + 200, "{alone}");
        let many = encoded_bytes(vec![entry.clone(); 11]) - encoded_bytes(vec![entry.clone()]);
        assert!(many <= 10 * entry_bytes_max(&entry), "{many}");
    }
}

#[test]
fn a_full_room_fits_a_message() {
    let entry = largest(3);
    let mut room = Room::default();
    let mut entries = Vec::new();
    while room.take(&entry) && entries.len() < 10_000 {
        entries.push(entry.clone());
    }
    assert!(encoded_bytes(entries) <= limits::MAX_REGISTRY_MESSAGE_BYTES);
}

#[test]
fn a_lookup_always_fits_a_message_and_loses_no_document() {
    let entries = fit(vec![largest(limits::MAX_HOLDERS); LOOKUP_DOCUMENTS]);
    assert_eq!(entries.len(), LOOKUP_DOCUMENTS);
    assert!(entries.iter().all(|entry| !entry.holders.is_empty()));
    assert!(encoded_bytes(entries) <= limits::MAX_REGISTRY_MESSAGE_BYTES);
    let small = vec![largest(8); 3];
    assert_eq!(fit(small.clone()), small);
}
