//! What listens where a registry or a peer should be, if it is none.
//!
//! A server of another protocol makes a connection end in ways that also a good server's end would, so whoever lost one
//! looks at the first bytes that come from there: HTTP/2 begins with a SETTINGS frame (RFC 9113, section 3.4).

use std::{net::SocketAddr, time::Duration};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{text::escaped, transport::Dialer};

/// What an HTTP/2 client sends first: the preface of RFC 9113, section 3.4, and empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Bytes that are looked at: enough for a frame's header and for the first words of other protocols.
const LOOKED_AT_BYTES: usize = 64;

/// How long the look may take; it only betters a message.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the server at `address` says that speaks another protocol, as a half sentence: `it says "SSH-2.0-…"`. `None`
/// where nobody answers, or where it may be a server of this protocol.
pub async fn told_by(dialer: &Dialer, address: SocketAddr) -> Option<String> {
    let bytes = tokio::time::timeout(PROBE_TIMEOUT, first_bytes(dialer, address)).await;
    let bytes = bytes.ok().flatten()?;
    (!bytes.is_empty() && !is_settings(&bytes)).then(|| described(&bytes))
}

/// The first bytes that come from `address`; `None` where no connection can be made.
async fn first_bytes(dialer: &Dialer, address: SocketAddr) -> Option<Vec<u8>> {
    let mut connection = dialer.dial(address).await.ok()?;
    // A server that speaks first may have closed already; what it said can still be read.
    let _ = connection.write_all(PREFACE).await;
    let mut bytes = vec![0; LOOKED_AT_BYTES];
    let length = connection.read(&mut bytes).await.ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Whether `bytes` begin with the header of a SETTINGS frame on stream 0 (RFC 9113, sections 4.1 and 6.5).
fn is_settings(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, ..])
}

fn described(bytes: &[u8]) -> String {
    let line = bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(line) if !line.is_empty() && !line.contains(char::is_control) => format!("it says \"{}\"", escaped(line)),
        _ => "it does not speak HTTP/2".to_owned(),
    }
}
