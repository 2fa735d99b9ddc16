//! What is sent, what is understood, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::{
    digest::Sha256,
    document::{DocumentId, DocumentKey, Format, RfcNumber},
    failure::{Failure, Reason},
    message::DocumentHeader,
};

fn part(request_id: u64, kind: u8, bytes: Vec<u8>) -> ManyPart {
    let part = match kind {
        0 => Ok(ManyBody::Header(DocumentHeader {
            id: DocumentId {
                key: DocumentKey {
                    number: RfcNumber::try_from(9110).unwrap(),
                    format: Format::Txt,
                },
                sha256: Sha256::of(&bytes),
            },
            size_bytes: 77,
            modified: None,
        })),
        1 => Err(Failure::new(Reason::DocumentNotFound, "not here")),
        2 => Ok(ManyBody::ZstdChunk(bytes.into())),
        _ => Ok(ManyBody::Chunk(bytes.into())),
    };
    ManyPart { request_id, part }
}

fn parts() -> impl Strategy<Value = Vec<ManyPart>> {
    let id = prop_oneof![Just(0), 1..400_u64, Just(u64::MAX)];
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..40),
        (1..40_000_usize).prop_map(|len| vec![7; len])
    ];
    let one = (id, 0..6_u8, bytes).prop_map(|(id, kind, bytes)| part(id, kind, bytes));
    proptest::collection::vec(one, 0..12)
}

/// As every other implementation of gRPC sends it.
fn encoded_by_prost(parts: &[ManyPart]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for part in parts {
        put_whole(&part.clone().into(), &mut bytes);
    }
    bytes.to_vec()
}

fn decode(pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<ManyPart>, ProtocolError> {
    let mut decoder = ManyDecoder::default();
    let mut parts: Vec<ManyPart> = Vec::new();
    let mut ends_message = true;
    for piece in pieces {
        decoder.push(piece);
        while let Some(next) = decoder.next_part()? {
            match (parts.last_mut(), &next.part) {
                (
                    Some(ManyPart {
                        part: Ok(ManyBody::Chunk(sofar)),
                        ..
                    }),
                    Ok(ManyBody::Chunk(more)),
                ) if !ends_message => {
                    *sofar = [sofar.as_ref(), more.as_ref()].concat().into();
                }
                _ => parts.push(next),
            }
            ends_message = decoder.open.is_none();
        }
    }
    assert!(decoder.is_between_answers(), "nothing is left over");
    Ok(parts)
}

/// Cuts `bytes` before each of `places`.
fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|ends| Bytes::copy_from_slice(&bytes[ends[0]..ends[1]]))
        .collect()
}

proptest! {
    #[test]
    fn what_is_sent_is_what_every_other_encoder_sends(parts in parts()) {
        let sent: Vec<u8> = encode_many_parts(parts.clone()).into_iter().flatten().collect();
        prop_assert_eq!(sent, encoded_by_prost(&parts));
    }

    #[test]
    fn answers_arrive_whole_however_they_are_cut(
        parts in parts(),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let pieces = cut(&encoded_by_prost(&parts), &places);
        prop_assert_eq!(decode(pieces), Ok(parts));
    }

    #[test]
    fn nonsense_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = ManyDecoder::default();
        decoder.push(bytes.into());
        while let Ok(Some(_)) = decoder.next_part() {}
    }
}

#[test]
fn chunks_are_not_copied() {
    let chunk = Bytes::from(vec![1; 1000]);
    let sent = encode_many_parts([
        part(1, 0, vec![]),
        part(1, 3, vec![2; 9]),
        ManyPart {
            request_id: 1,
            part: Ok(ManyBody::Chunk(chunk.clone())),
        },
    ]);
    assert_eq!(
        sent.len(),
        4,
        "a header and the first bytes of the first chunk are one piece"
    );
    assert_eq!(sent[3].as_ptr(), chunk.as_ptr());
    let arrived = Bytes::from(encoded_by_prost(&[part(1, 3, vec![5; 1000])]));
    let mut decoder = ManyDecoder::default();
    decoder.push(arrived.clone());
    let Ok(Some(ManyPart {
        part: Ok(ManyBody::Chunk(chunk)),
        ..
    })) = decoder.next_part()
    else {
        panic!("a chunk")
    };
    assert_eq!(chunk.as_ptr(), arrived[arrived.len() - 1000..].as_ptr());
}

#[test]
fn fields_in_another_order_are_understood() {
    let mut message = BytesMut::new();
    encode_key(CHUNK, WireType::LengthDelimited, &mut message);
    encode_varint(3, &mut message);
    message.put_slice(b"abc");
    encode_key(REQUEST_ID, WireType::Varint, &mut message);
    encode_varint(300, &mut message);
    let mut bytes = BytesMut::new();
    bytes.put_slice(&prefix(message.len()));
    bytes.put_slice(&message);
    assert_eq!(decode([bytes.freeze()]), Ok(vec![part(300, 3, b"abc".to_vec())]));
}

#[track_caller]
fn refused(bytes: &[u8], because: &str) {
    let mut decoder = ManyDecoder::default();
    decoder.push(Bytes::copy_from_slice(bytes));
    let error = decoder.next_part().unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

#[test]
fn messages_that_are_none_are_refused() {
    refused(&[1, 0, 0, 0, 1], "compressed as a whole");
    refused(&[0, 255, 255, 255, 255], "at most");
    refused(&[0, 0, 0, 0, 0], "missing");
    refused(&[0, 0, 0, 0, 2, 0x22, 0], "never empty");
    refused(&[0, 0, 0, 0, 3, 0x22, 9, 1], "DownloadManyResponse");
}
