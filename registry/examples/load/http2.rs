//! As much of an HTTP/2 client as it takes to send one kind of request again and again: what a real client costs on the
//! same processors would be counted as the registry's.
//!
//! Headers are sent in full once, and by their place in HPACK's dynamic table from then on (RFC 7541), as every client
//! does. Of answers, only the frames are looked at (RFC 9113); their headers are not decoded.

use anyhow::{Context as _, Result, bail};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame's header.
const FRAME_HEADER: usize = 9;

/// What is granted beyond the 65,535 bytes that a connection begins with, and again when half of it is used up.
const CONNECTION_WINDOW: u32 = 1 << 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// One connection: turns requests into bytes and bytes into answers.
#[derive(Debug)]
pub(crate) struct Client {
    /// What is to be sent.
    pub(crate) outgoing: Vec<u8>,
    first_headers: Option<Vec<u8>>,
    next_stream: u32,
    unacknowledged: u32,
}

/// Something that arrived about an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A piece of it.
    Data(u32, &'a [u8]),
    /// It is complete.
    End(u32),
}

impl Client {
    /// A client of one method of a gRPC service.
    pub(crate) fn new(authority: &str, path: &str) -> Self {
        let mut outgoing = PREFACE.to_vec();
        put_frame(&mut outgoing, SETTINGS, 0, 0, &[]);
        put_frame(&mut outgoing, WINDOW_UPDATE, 0, 0, &CONNECTION_WINDOW.to_be_bytes());
        // POST and http by their places in the static table, then four fields that enter the dynamic table.
        let mut headers = vec![0x83, 0x86];
        put_field(&mut headers, &[0x44], path);
        put_field(&mut headers, &[0x41], authority);
        put_field(&mut headers, &[0x5f], "application/grpc");
        put_field(&mut headers, &[0x40, 2, b't', b'e'], "trailers");
        Self {
            outgoing,
            first_headers: Some(headers),
            next_stream: 1,
            unacknowledged: 0,
        }
    }

    /// Asks with this message; returns the request's stream.
    pub(crate) fn ask(&mut self, message: &[u8]) -> u32 {
        /// The same fields, the one that entered first at the highest place.
        const AGAIN: [u8; 6] = [0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe];
        let stream = self.next_stream;
        self.next_stream += 2;
        let first = self.first_headers.take();
        let headers = first.as_deref().unwrap_or(&AGAIN);
        put_frame(&mut self.outgoing, HEADERS, END_HEADERS, stream, headers);
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let framed = [&[0], length.as_slice(), message].concat();
        put_frame(&mut self.outgoing, DATA, END_STREAM, stream, &framed);
        stream
    }

    /// Takes whole frames off `received` and returns how many bytes they had.
    pub(crate) fn receive(&mut self, received: &[u8], mut each: impl FnMut(Event<'_>) -> Result<()>) -> Result<usize> {
        let mut rest = received;
        while let Some((header, behind)) = rest.split_first_chunk::<FRAME_HEADER>() {
            let [a, b, c, kind, flags, stream @ ..] = *header;
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c]))?;
            let Some((payload, behind)) = behind.split_at_checked(length) else {
                break;
            };
            rest = behind;
            let stream = u32::from_be_bytes(stream);
            match kind {
                DATA => {
                    self.unacknowledged += u32::try_from(length)?;
                    each(Event::Data(stream, payload))?;
                }
                RST_STREAM | GOAWAY => bail!("the registry ended a call or the connection: {payload:?}"),
                SETTINGS if flags & ACK == 0 => put_frame(&mut self.outgoing, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => put_frame(&mut self.outgoing, PING, ACK, 0, payload),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                each(Event::End(stream))?;
            }
        }
        if self.unacknowledged > CONNECTION_WINDOW / 2 {
            let grant = std::mem::take(&mut self.unacknowledged).to_be_bytes();
            put_frame(&mut self.outgoing, WINDOW_UPDATE, 0, 0, &grant);
        }
        Ok(received.len() - rest.len())
    }
}

fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A field whose value is short and not compressed.
fn put_field(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    out.push(u8::try_from(value.len()).unwrap_or(u8::MAX).min(126));
    out.extend_from_slice(value.as_bytes());
}

/// The message in the data of an answer.
pub(crate) fn message(data: &[u8]) -> Result<&[u8]> {
    data.get(5..).context("an answer without a message")
}
