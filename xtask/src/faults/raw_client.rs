//! The rudest of clients: it opens a stream of the registry over HTTP/2, and from then on neither reads nor answers.
//!
//! That is how a stopped process or a stalled network looks to a server, without a process for each.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::http2::{self, DATA, END_HEADERS, END_STREAM, HEADERS, Inbox, PREFACE, SETTINGS};

/// How long the registry may take to open the stream.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a session that shares nothing. The returned connection keeps it open.
pub fn register(registry: SocketAddr, name: &str) -> Result<TcpStream> {
    open(registry, "/p2pci.v1.Registry/Register", &hello(name), 0)
}

/// The first message of a session that shares nothing.
pub fn hello(name: &str) -> Vec<u8> {
    // Hello { protocol_version: 1, name } within RegisterRequest { request_id: 1, hello }.
    let hello = [http2::number_field(1, 1), http2::bytes_field(2, name.as_bytes())].concat();
    [http2::number_field(1, 1), http2::bytes_field(2, &hello)].concat()
}

/// Opens a stream of changes.
pub fn watch(registry: SocketAddr) -> Result<TcpStream> {
    open(registry, "/p2pci.v1.Registry/Watch", &[], END_STREAM)
}

fn open(registry: SocketAddr, path: &str, request: &[u8], flags: u8) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(registry).with_context(|| format!("cannot connect to {registry}"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let headers = http2::request_head(path, &registry.to_string(), &[])?;
    let opening = [
        PREFACE.to_vec(),
        http2::frame(SETTINGS, 0, 0, &[])?,
        http2::frame(HEADERS, END_HEADERS, 1, &headers)?,
        http2::frame(DATA, flags, 1, &http2::message(request)?)?,
    ];
    socket.write_all(&opening.concat())?;
    await_headers(&mut socket).with_context(|| format!("no stream of {path}"))?;
    Ok(socket)
}

/// Reads until the answer's headers are there, which is when the stream is open.
fn await_headers(socket: &mut TcpStream) -> Result<()> {
    let (mut inbox, mut buffer) = (Inbox::default(), [0; 4096]);
    loop {
        while let Some(frame) = inbox.next()? {
            if let Some(answer) = frame.acknowledgement()?.filter(|_| frame.kind == SETTINGS) {
                socket.write_all(&answer)?;
            }
            if frame.kind == HEADERS && frame.ends_stream() {
                bail!(
                    "the answer ended at once: {:?}",
                    String::from_utf8_lossy(&frame.payload)
                );
            }
            if frame.kind == HEADERS {
                return Ok(());
            }
        }
        match socket.read(&mut buffer)? {
            0 => bail!("the connection was closed"),
            count => inbox.push(buffer.get(..count).unwrap_or_default()),
        }
    }
}
