//! The answers of `DownloadMany`, whose chunks are shared with the file's or the network's buffer instead of copied.
//!
//! tonic encodes each message into one buffer and gathers what it receives in another, which copies every byte of every
//! document once at either end. Here a message is made as its first bytes and, apart from them, its chunk; and taken
//! apart as soon as its first bytes are here. What lies on the wire is the same.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint},
};

use super::{
    ProtocolError,
    prefix::{PREFIX_BYTES, prefix},
};
use crate::{
    limits,
    message::{ManyBody, ManyPart},
    pb,
    rope::Rope,
};

/// Bytes that a message may have before its chunk: two keys of one byte, and two numbers of at most ten.
const CHUNK_HEAD_BYTES: usize = 2 + 2 * 10;

/// Number of the field `request_id` of `DownloadManyResponse`.
const REQUEST_ID: u32 = 1;

/// Number of its field `chunk`.
const CHUNK: u32 = 4;

/// A field's number and type as they stand before its value.
const fn key(field: u32, wire_type: WireType) -> u64 {
    ((field << 3) | wire_type as u32) as u64
}

/// Answers as they are sent one after the other. Chunks are among the pieces as they are.
#[must_use]
pub fn encode_many_parts(parts: impl IntoIterator<Item = ManyPart>) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    let mut buffer = BytesMut::new();
    for ManyPart { request_id, part } in parts {
        if let Ok(ManyBody::Chunk(chunk)) = part {
            put_chunk_head(request_id, chunk.len(), &mut buffer);
            pieces.push_back(buffer.split().freeze());
            pieces.push_back(chunk);
        } else {
            put_whole(&ManyPart { request_id, part }.into(), &mut buffer);
        }
    }
    if !buffer.is_empty() {
        pieces.push_back(buffer.freeze());
    }
    pieces
}

fn put_chunk_head(request_id: u64, chunk_bytes: usize, buffer: &mut BytesMut) {
    let length = chunk_bytes as u64;
    let id_bytes = if request_id == 0 {
        0
    } else {
        1 + encoded_len_varint(request_id)
    };
    let message_bytes = id_bytes + 1 + encoded_len_varint(length) + chunk_bytes;
    buffer.put_slice(&prefix(message_bytes));
    if request_id != 0 {
        encode_key(REQUEST_ID, WireType::Varint, buffer);
        encode_varint(request_id, buffer);
    }
    encode_key(CHUNK, WireType::LengthDelimited, buffer);
    encode_varint(length, buffer);
}

fn put_whole(message: &pb::DownloadManyResponse, buffer: &mut BytesMut) {
    buffer.put_slice(&prefix(message.encoded_len()));
    buffer.reserve(message.encoded_len());
    // Fails only where there is no room, and a `BytesMut` makes room.
    let _ = message.encode(buffer);
}

/// Takes a stream of answers apart as it arrives.
#[derive(Debug, Default)]
pub struct ManyDecoder {
    arrived: Rope,
    open: Option<OpenChunk>,
}

/// A chunk that is arriving.
#[derive(Debug)]
struct OpenChunk {
    request_id: u64,
    left: usize,
}

impl ManyDecoder {
    /// Takes what has arrived.
    pub fn push(&mut self, bytes: Bytes) {
        self.arrived.push(bytes);
    }

    /// Whether nothing is left of an answer that has begun.
    #[must_use]
    pub fn is_between_answers(&self) -> bool {
        self.open.is_none() && self.arrived.is_empty()
    }

    /// The next answer, or `None` until more has arrived. A chunk that arrived in pieces is several answers, each with
    /// what was here of it.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] when this is no stream of answers; it is of no more use then.
    pub fn next_part(&mut self) -> Result<Option<ManyPart>, ProtocolError> {
        if self.open.is_none() {
            let mut buffer = [0; PREFIX_BYTES + CHUNK_HEAD_BYTES];
            let mut start = self.arrived.peek(&mut buffer);
            let Some(length) = message_bytes(&mut start)? else {
                return Ok(None);
            };
            match chunk_head(start, length) {
                Some((head_bytes, open)) => {
                    self.arrived.skip(PREFIX_BYTES + head_bytes);
                    self.open = Some(open);
                }
                None => return self.whole(length),
            }
        }
        Ok(self.chunk())
    }

    fn chunk(&mut self) -> Option<ManyPart> {
        let open = self.open.as_mut()?;
        let piece = self.arrived.take_piece(open.left)?;
        let request_id = open.request_id;
        open.left -= piece.len();
        if open.left == 0 {
            self.open = None;
        }
        Some(ManyPart {
            request_id,
            part: Ok(ManyBody::Chunk(piece)),
        })
    }

    fn whole(&mut self, length: usize) -> Result<Option<ManyPart>, ProtocolError> {
        if self.arrived.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.arrived.skip(PREFIX_BYTES);
        let message = self.arrived.take(length).unwrap_or_default();
        let message = pb::DownloadManyResponse::decode(message)
            .map_err(|error| ProtocolError::invalid("DownloadManyResponse", error))?;
        message.try_into().map(Some)
    }
}

/// Reads a message's prefix; `None` when it is not all here.
fn message_bytes(start: &mut &[u8]) -> Result<Option<usize>, ProtocolError> {
    if start.len() < PREFIX_BYTES {
        return Ok(None);
    }
    let flag = start.get_u8();
    let length = usize::try_from(start.get_u32()).unwrap_or(usize::MAX);
    if flag != 0 {
        let why = "it is compressed as a whole, which was not asked for";
        return Err(ProtocolError::invalid("DownloadManyResponse", why));
    }
    if length > limits::MAX_TRANSFER_MESSAGE_BYTES {
        let why = format!(
            "it has {length} bytes; at most {} are allowed",
            limits::MAX_TRANSFER_MESSAGE_BYTES
        );
        return Err(ProtocolError::invalid("DownloadManyResponse", why));
    }
    Ok(Some(length))
}

/// The chunk that a message consists of, but for its id, and how many bytes come before it. `None` where that is not
/// seen from the message's first bytes: it is something else, or not enough is here, or somebody writes it in another
/// way that is allowed.
fn chunk_head(start: &[u8], message_bytes: usize) -> Option<(usize, OpenChunk)> {
    let mut rest = start;
    let mut request_id = 0;
    let mut field = decode_varint(&mut rest).ok()?;
    if field == key(REQUEST_ID, WireType::Varint) {
        request_id = decode_varint(&mut rest).ok()?;
        field = decode_varint(&mut rest).ok()?;
    }
    if field != key(CHUNK, WireType::LengthDelimited) {
        return None;
    }
    let left = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let head_bytes = start.len() - rest.len();
    let is_all = left > 0 && left.checked_add(head_bytes) == Some(message_bytes);
    is_all.then_some((head_bytes, OpenChunk { request_id, left }))
}

#[cfg(test)]
mod tests;
