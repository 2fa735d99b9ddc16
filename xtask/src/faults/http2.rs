//! HTTP/2 and gRPC by the byte: frames as RFC 9113 lays them out, header blocks as plain literals (RFC 7541 section
//! 6.2.2), messages as gRPC and protobuf frame them.
//!
//! Nothing here keeps the rules of the protocol: what is sent is up to whoever sends it.

use anyhow::{Context, Result, ensure};

/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No frame that is read here is longer; 16 KiB is what HTTP/2 allows unless told otherwise.
const FRAME_BYTES: usize = 16 << 10;

const HEAD_BYTES: usize = 9;

// Types and flags of frames (RFC 9113 section 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// The setting that is the window of each stream (RFC 9113 section 6.5.2).
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// The largest window that there is.
pub const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The window of a connection that nobody has enlarged.
pub const USUAL_WINDOW: u32 = 65_535;

/// The codes of errors that a flood may be answered with (RFC 9113 section 7).
const ERRORS: [(u32, &str); 8] = [
    (0, "NO_ERROR"),
    (1, "PROTOCOL_ERROR"),
    (2, "INTERNAL_ERROR"),
    (3, "FLOW_CONTROL_ERROR"),
    (6, "FRAME_SIZE_ERROR"),
    (7, "REFUSED_STREAM"),
    (8, "CANCEL"),
    (11, "ENHANCE_YOUR_CALM"),
];

/// What an error's code is called.
pub fn error_name(code: u32) -> String {
    let known = ERRORS.iter().find(|(known, _)| *known == code);
    known.map_or_else(|| format!("error {code}"), |(_, name)| (*name).to_owned())
}

/// A frame as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether nothing more comes on the stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The code of a GOAWAY.
    pub fn goaway_code(&self) -> Option<u32> {
        let code = self.payload.get(4..8)?.try_into().ok()?;
        (self.kind == GOAWAY).then_some(u32::from_be_bytes(code))
    }

    /// What must be answered to this frame for the connection to stay.
    pub fn acknowledgement(&self) -> Result<Option<Vec<u8>>> {
        match self.kind {
            SETTINGS | PING if self.flags & ACK != 0 => Ok(None),
            SETTINGS => frame(SETTINGS, ACK, 0, &[]).map(Some),
            PING => frame(PING, ACK, 0, &self.payload).map(Some),
            _ => Ok(None),
        }
    }
}

/// What was received and is not yet a whole frame.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

impl Inbox {
    /// Adds what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is there.
    pub fn next(&mut self) -> Result<Option<Frame>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((&[a, b, c, kind, flags, s, t, u, v], payload)) = rest.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        ensure!(length <= FRAME_BYTES, "a frame of {length} bytes");
        let Some(payload) = payload.get(..length) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.at += HEAD_BYTES + length;
        Ok(Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s, t, u, v]) & LARGEST_WINDOW,
            payload,
        }))
    }
}

/// A frame: length, type, flags, stream, payload (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let [_, a, b, c] = u32::try_from(payload.len())?.to_be_bytes();
    let head = [&[a, b, c, kind, flags], stream.to_be_bytes().as_slice()].concat();
    Ok([head.as_slice(), payload].concat())
}

/// The status in the trailers that are the first of their connection: later ones may refer to a table instead.
///
/// Servers write them with Huffman's code (RFC 7541 appendix B), which digits make short.
pub fn grpc_status(block: &[u8]) -> Option<u8> {
    /// `grpc-status` in that code.
    const NAME: [u8; 8] = [0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];
    /// Ten to sixteen, and below ten.
    const TWO_DIGITS: [[u8; 2]; 7] = [
        [8, 0x3f],
        [8, 0x7f],
        [8, 0xbf],
        [11, 0x3f],
        [11, 0x5f],
        [11, 0x7f],
        [11, 0x9f],
    ];
    const ONE_DIGIT: [u8; 10] = [0x07, 0x0f, 0x17, 0x67, 0x6b, 0x6f, 0x73, 0x77, 0x7b, 0x7f];
    let at = block.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let place = match block.get(at..)? {
        [0x81, digit, ..] => ONE_DIGIT.iter().position(|known| known == digit)?,
        [0x82, a, b, ..] => TWO_DIGITS.iter().position(|known| known == &[*a, *b])? + ONE_DIGIT.len(),
        _ => return None,
    };
    u8::try_from(place).ok()
}

/// What a client begins with: the preface, its settings, and the largest window for the connection as a whole.
pub fn greeting(settings: &[(u16, u32)]) -> Result<Vec<u8>> {
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| [name.to_be_bytes().as_slice(), value.to_be_bytes().as_slice()].concat())
        .collect();
    Ok([
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &settings)?,
        window_update(0, LARGEST_WINDOW - USUAL_WINDOW)?,
    ]
    .concat())
}

/// A frame that enlarges a window.
pub fn window_update(stream: u32, by: u32) -> Result<Vec<u8>> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// The header block of a gRPC request, with fields beyond the usual ones.
pub fn request_head(path: &str, authority: &str, more: &[(&str, &str)]) -> Result<Vec<u8>> {
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    header_block(&[&usual, more].concat())
}

/// Fields as literals without Huffman coding, which enter no table.
pub fn header_block(fields: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.extend(prefixed(text.len())?);
            block.extend(text.as_bytes());
        }
    }
    Ok(block)
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn prefixed(length: usize) -> Result<Vec<u8>> {
    const FULL: u8 = 0x7f;
    match u8::try_from(length) {
        Ok(short) if short < FULL => Ok(vec![short]),
        _ => {
            let beyond = length
                .checked_sub(usize::from(FULL))
                .context("a length below the prefix")?;
            Ok([vec![FULL], varint(u64::try_from(beyond)?)].concat())
        }
    }
}

/// A number in groups of seven bits, the lowest first, as HPACK and protobuf have it.
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A field of a protobuf message that is a number.
pub fn number_field(field: u8, number: u64) -> Vec<u8> {
    [vec![field << 3], varint(number)].concat()
}

/// A field of a protobuf message that is a string, bytes, or another message.
pub fn bytes_field(field: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    [vec![field << 3 | 2], varint(length), bytes.to_vec()].concat()
}

/// The five bytes ahead of a gRPC message, whatever follows them.
pub fn message_head(is_compressed: bool, length: u32) -> Vec<u8> {
    [&[u8::from(is_compressed)], length.to_be_bytes().as_slice()].concat()
}

/// A gRPC message.
pub fn message(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok([message_head(false, u32::try_from(bytes.len())?), bytes.to_vec()].concat())
}

/// Bytes for a stream, as frames of DATA, the last one with `flags`.
pub fn data_frames(stream: u32, flags: u8, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    if bytes.len() <= FRAME_BYTES {
        return Ok(vec![frame(DATA, flags, stream, bytes)?]);
    }
    let (now, later) = bytes.split_at(FRAME_BYTES);
    Ok([vec![frame(DATA, 0, stream, now)?], data_frames(stream, flags, later)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_fields_are_laid_out_as_the_rfcs_say() {
        assert_eq!(
            frame(DATA, END_STREAM, 1, b"ab").unwrap(),
            b"\0\0\x02\0\x01\0\0\0\x01ab"
        );
        assert_eq!(header_block(&[("te", "trailers")]).unwrap(), b"\0\x02te\x08trailers");
        // 1337 with a prefix of five bits is the example of RFC 7541; with seven it is 127 and 1210.
        assert_eq!(prefixed(1337).unwrap(), [0x7f, 0xba, 0x09]);
        assert_eq!(prefixed(126).unwrap(), [126]);
        assert_eq!(number_field(1, 150), [0x08, 0x96, 0x01]);
        assert_eq!(bytes_field(2, b"testing"), b"\x12\x07testing");
        assert_eq!(message(b"a").unwrap(), b"\0\0\0\0\x01a");
    }

    #[test]
    fn a_status_is_found_in_trailers() {
        let block = |value: &[u8]| [b"\x40\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f", value].concat();
        assert_eq!(grpc_status(&block(b"\x81\x07")), Some(0));
        assert_eq!(grpc_status(&block(b"\x82\x08\xbf\x00")), Some(12));
        assert_eq!(grpc_status(&block(b"\x81")), None);
        assert_eq!(grpc_status(b"\xbf"), None);
    }

    #[test]
    fn frames_are_read_whole_however_they_come() {
        let sent = [
            frame(PING, 0, 0, b"12345678").unwrap(),
            frame(HEADERS, END_STREAM | END_HEADERS, 3, b"x").unwrap(),
            frame(GOAWAY, 0, 0, b"\0\0\0\x05\0\0\0\x0bwhy").unwrap(),
        ]
        .concat();
        let (mut inbox, mut read) = (Inbox::default(), Vec::new());
        for byte in sent {
            inbox.push(&[byte]);
            read.extend(inbox.next().unwrap());
        }
        let [ping, headers, goaway] = read.as_slice() else {
            panic!("{read:?}");
        };
        let acknowledged = frame(PING, ACK, 0, b"12345678").unwrap();
        assert_eq!(ping.acknowledgement().unwrap(), Some(acknowledged));
        assert!(headers.ends_stream() && headers.stream == 3);
        assert_eq!(
            goaway.goaway_code().map(error_name).as_deref(),
            Some("ENHANCE_YOUR_CALM")
        );
        inbox.push(&[0xff; HEAD_BYTES]);
        assert!(inbox.next().is_err(), "a frame of 16 MiB");
    }
}
