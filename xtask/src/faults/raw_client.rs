//! The rudest of clients: it opens a stream of the registry over HTTP/2, and from then on neither reads nor answers.
//!
//! That is how a stopped process or a stalled network looks to a server, without a process for each. Frames are those of
//! RFC 9113, the header block is plain literals (RFC 7541 section 6.2.2), messages are framed as gRPC does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

/// How long the registry may take to open the stream.
const PATIENCE: Duration = Duration::from_secs(10);

/// Frames that come before the one that is waited for: settings, their acknowledgement, a window, a ping, a few more.
const FRAMES: usize = 16;

/// No frame that is read here is longer; 16 KiB is what HTTP/2 allows unless told otherwise.
const FRAME_BYTES: usize = 16 << 10;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Opens a session that shares nothing. The returned connection keeps it open.
pub fn register(registry: SocketAddr, name: &str) -> Result<TcpStream> {
    // Hello { protocol_version: 1, name } within RegisterRequest { request_id: 1, hello }.
    let hello = [&[0x08, 1, 0x12, short(name.len())?], name.as_bytes()].concat();
    let request = [&[0x08, 1, 0x12, short(hello.len())?], hello.as_slice()].concat();
    open(registry, "/p2pci.v1.Registry/Register", &request, 0)
}

/// Opens a stream of changes.
pub fn watch(registry: SocketAddr) -> Result<TcpStream> {
    open(registry, "/p2pci.v1.Registry/Watch", &[], END_STREAM)
}

fn open(registry: SocketAddr, path: &str, request: &[u8], flags: u8) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(registry).with_context(|| format!("cannot connect to {registry}"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let authority = registry.to_string();
    let headers = header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", &authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])?;
    let message = [&[0, 0, 0, 0, short(request.len())?], request].concat();
    let hello = [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &[])?,
        frame(HEADERS, END_HEADERS, 1, &headers)?,
        frame(DATA, flags, 1, &message)?,
    ];
    socket.write_all(&hello.concat())?;
    await_headers(&mut socket).with_context(|| format!("no stream of {path}"))?;
    Ok(socket)
}

/// Reads until the answer's headers are there, which is when the stream is open.
fn await_headers(socket: &mut TcpStream) -> Result<()> {
    for _ in 0..FRAMES {
        let mut head = [0; 9];
        socket.read_exact(&mut head)?;
        let [a, b, c, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        ensure!(length <= FRAME_BYTES, "a frame of {length} bytes");
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload)?;
        match kind {
            HEADERS if flags & END_STREAM == 0 => return Ok(()),
            HEADERS => bail!("the answer ended at once: {:?}", String::from_utf8_lossy(&payload)),
            SETTINGS if flags & ACK == 0 => socket.write_all(&frame(SETTINGS, ACK, 0, &[])?)?,
            _ => {}
        }
    }
    bail!("{FRAMES} frames, and none with headers")
}

/// A frame: length, type, flags, stream, payload (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let [_, a, b, c] = u32::try_from(payload.len())?.to_be_bytes();
    let head = [&[a, b, c, kind, flags], stream.to_be_bytes().as_slice()].concat();
    Ok([head.as_slice(), payload].concat())
}

/// Fields as literals without Huffman coding, which enter no table.
fn header_block(fields: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(short(text.len())?);
            block.extend(text.as_bytes());
        }
    }
    Ok(block)
}

/// A length below 127, which takes one byte in all three encodings.
fn short(length: usize) -> Result<u8> {
    ensure!(length < 127, "{length} bytes are too long");
    Ok(u8::try_from(length)?)
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
        assert!(short(127).is_err());
    }
}
