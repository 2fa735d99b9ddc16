//! Answers of `DownloadMany`, taken apart as they arrive.

use arbitrary::{Arbitrary as _, Unstructured};
use bytes::Bytes;
use p2p_ci::{
    limits::MAX_TRANSFER_MESSAGE_BYTES,
    message::{ManyBody, ManyPart},
    pb,
    wire::many::{ManyDecoder, encode_many_parts},
};
use prost::Message as _;

use crate::input;

/// Where a stream of answers ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Between,
    Within,
    Broken,
}

/// Bytes that arrive in pieces are the answers that they would be in one.
pub(super) fn arriving(data: &[u8]) {
    let (count, rest) = input::choice(data, 8);
    let (lengths, bytes) = rest.split_at(usize::from(count).min(rest.len()));
    let (wanted, end) = plainly(bytes);
    let (parts, ended) = decoded(input::pieces(bytes, lengths));
    assert_eq!(ended, end);
    let (wanted, mut parts) = (joined(wanted), joined(parts));
    if end == End::Within {
        // Of a chunk that is still arriving, what is here is told already.
        cut_to(&mut parts, &wanted);
    }
    assert_eq!(parts, wanted);
}

/// Answers come back as they were sent.
pub(super) fn sent(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut parts = Vec::new();
    while !input.is_empty()
        && let Ok((id, length)) = <(u16, u8)>::arbitrary(&mut input)
    {
        let bytes = input.bytes(usize::from(length).min(input.len())).unwrap_or_default();
        let message = pb::DownloadManyResponse::decode(bytes);
        match message.map(ManyPart::try_from) {
            Ok(Ok(part)) => parts.push(part),
            Ok(Err(_)) | Err(_) if !bytes.is_empty() => parts.push(ManyPart {
                request_id: u64::from(id),
                part: Ok(ManyBody::Chunk(Bytes::copy_from_slice(bytes))),
            }),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    let pieces = encode_many_parts(parts.clone());
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
    let (again, end) = plainly(&whole);
    assert_eq!((&again, end), (&parts, End::Between));
    let (again, end) = decoded(pieces);
    assert_eq!((joined(again), end), (joined(parts), End::Between));
}

fn decoded(pieces: impl IntoIterator<Item = Bytes>) -> (Vec<ManyPart>, End) {
    let mut decoder = ManyDecoder::default();
    let mut parts = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_part() {
                Ok(Some(part)) => parts.push(part),
                Ok(None) => break,
                Err(error) => {
                    crate::messages::assert_refusal(error);
                    return (parts, End::Broken);
                }
            }
        }
    }
    let end = if decoder.is_between_answers() {
        End::Between
    } else {
        End::Within
    };
    (parts, end)
}

/// Answers one after the other, each behind a byte of flags and four of length (gRPC over HTTP/2,
/// "Length-Prefixed-Message").
fn plainly(mut bytes: &[u8]) -> (Vec<ManyPart>, End) {
    let mut parts = Vec::new();
    while let Some(([flags, a, b, c, d], rest)) = bytes.split_first_chunk() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if *flags != 0 || length > MAX_TRANSFER_MESSAGE_BYTES {
            return (parts, End::Broken);
        }
        let Some((message, rest)) = rest.split_at_checked(length) else {
            return (parts, End::Within);
        };
        match pb::DownloadManyResponse::decode(message).map(ManyPart::try_from) {
            Ok(Ok(part)) => parts.push(part),
            Ok(Err(_)) | Err(_) => return (parts, End::Broken),
        }
        bytes = rest;
    }
    let end = if bytes.is_empty() { End::Between } else { End::Within };
    (parts, end)
}

/// Chunks that follow each other as one: where a chunk is divided does not matter.
fn joined(parts: Vec<ManyPart>) -> Vec<ManyPart> {
    let mut joined: Vec<ManyPart> = Vec::new();
    for part in parts {
        if let (Some(last), Ok(ManyBody::Chunk(more))) = (joined.last_mut(), &part.part)
            && last.request_id == part.request_id
            && let Ok(ManyBody::Chunk(chunk)) = &mut last.part
        {
            *chunk = [chunk.as_ref(), more].concat().into();
        } else {
            joined.push(part);
        }
    }
    joined
}

fn cut_to(parts: &mut Vec<ManyPart>, wanted: &[ManyPart]) {
    let is_chunk = |part: &ManyPart| matches!(part.part, Ok(ManyBody::Chunk(_)));
    if parts.len() == wanted.len() + 1 && parts.last().is_some_and(is_chunk) {
        parts.pop();
    }
    let (Some(part), Some(last)) = (parts.last_mut(), wanted.last()) else {
        return;
    };
    if let (Ok(ManyBody::Chunk(chunk)), Ok(ManyBody::Chunk(whole))) = (&mut part.part, &last.part) {
        chunk.truncate(whole.len());
    }
}
