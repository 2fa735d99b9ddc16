//! Answers to `Lookup` as the bytes that they are sent as.
//!
//! prost encodes a message of generated types, in which each id, name and address of each holder is a string of its own.
//! Lookups are what a registry is asked most, and making those strings took longer than finding the holders. Here they
//! are spelled out where they are sent from. What lies on the wire is the same.

use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::prefix::{PREFIX_BYTES, prefix};
use crate::{
    message::{DocumentEntry, Holder, LookupAnswer},
    pb,
};

/// Bytes that a holder takes, most of the time: 34 of id, up to 23 of address, a short name, and what stands around them.
const HOLDER_BYTES: usize = 96;

/// Bytes of a document, most of the time: 66 of digest, numbers, time, and a title.
const DOCUMENT_BYTES: usize = 192;

/// Field numbers of `LookupResponse`, `DocumentEntry` and `Holder`.
const DOCUMENTS: u32 = 1;
const CONVERGING: u32 = 2;
const DOCUMENT: u32 = 1;
const HOLDER_COUNT: u32 = 2;
const HOLDERS: u32 = 3;
const PEER_ID: u32 = 1;
const NAME: u32 = 2;
const ADDRESS: u32 = 3;

/// A `LookupResponse`, behind its prefix.
#[must_use]
pub fn frame_found(found: &LookupAnswer) -> Bytes {
    let entries = &found.documents;
    let holders: usize = entries.iter().map(|entry| entry.holders.len()).sum();
    let expected = PREFIX_BYTES + entries.len() * DOCUMENT_BYTES + holders * HOLDER_BYTES;
    let mut message = Vec::with_capacity(expected);
    message.extend([0; PREFIX_BYTES]);
    let (mut whole, mut part) = (Vec::with_capacity(expected), Vec::with_capacity(HOLDER_BYTES));
    for entry in entries {
        whole.clear();
        put_entry(entry, &mut part, &mut whole);
        put_bytes(DOCUMENTS, &whole, &mut message);
    }
    if found.converging {
        prost::encoding::bool::encode(CONVERGING, &true, &mut message);
    }
    let prefix = prefix(message.len() - PREFIX_BYTES);
    if let Some(place) = message.first_chunk_mut() {
        *place = prefix;
    }
    message.into()
}

fn put_entry(entry: &DocumentEntry, part: &mut Vec<u8>, out: &mut Vec<u8>) {
    prost::encoding::message::encode(DOCUMENT, &pb::Document::from(&entry.document), out);
    if entry.holder_count != 0 {
        prost::encoding::uint32::encode(HOLDER_COUNT, &entry.holder_count, out);
    }
    for holder in &entry.holders {
        part.clear();
        put_holder(holder, part);
        put_bytes(HOLDERS, part, out);
    }
}

/// No field of a holder is ever empty, so that none is left out.
fn put_holder(holder: &Holder, out: &mut Vec<u8>) {
    put_bytes(PEER_ID, &holder.id.digits(), out);
    put_bytes(NAME, holder.name.as_str().as_bytes(), out);
    put_bytes(ADDRESS, crate::address::spelled(holder.address).as_bytes(), out);
}

fn put_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::{
        digest::Sha256,
        document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title, UnixSeconds},
        identity::SessionId,
    };

    fn holder() -> impl Strategy<Value = Holder> {
        let address = prop_oneof![
            any::<([u8; 4], u16)>().prop_map(std::net::SocketAddr::from),
            any::<([u8; 16], u16)>().prop_map(std::net::SocketAddr::from),
        ];
        (any::<[u8; 16]>(), "[a-z][a-z0-9-]{0,61}[a-z0-9]", address).prop_map(|(id, name, address)| Holder {
            id: SessionId::from_bytes(id),
            name: name.parse().unwrap(),
            address,
        })
    }

    fn entry() -> impl Strategy<Value = DocumentEntry> {
        let holders = prop::collection::vec(holder(), 0..20);
        let numbers = (1..=u32::MAX, any::<u64>(), any::<u32>());
        let format = prop::sample::select(Format::ALL.to_vec());
        let (title, modified) = ("[ -~äß]{0,200}", prop::option::of(any::<i64>()));
        (numbers, format, any::<[u8; 32]>(), title, modified, holders).prop_map(
            |((number, size_bytes, holder_count), format, digest, title, modified, holders)| DocumentEntry {
                document: Document {
                    id: DocumentId {
                        key: DocumentKey {
                            number: RfcNumber::new(number).unwrap(),
                            format,
                        },
                        sha256: Sha256::from_bytes(digest),
                    },
                    size_bytes,
                    title: Title::from_lossy(&title),
                    modified: modified.map(UnixSeconds),
                },
                holder_count,
                holders,
            },
        )
    }

    proptest! {
        #[test]
        fn an_answer_has_the_bytes_that_prost_gives_it(
            documents in prop::collection::vec(entry(), 0..4),
            converging: bool,
        ) {
            let found = LookupAnswer { documents, converging };
            let response = pb::LookupResponse::from(&found);
            let message = response.encode_to_vec();
            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
            let expected = [&[0], length.as_slice(), &message].concat();
            prop_assert_eq!(frame_found(&found), expected);
        }
    }
}
