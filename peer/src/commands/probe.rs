//! What listens where the registry should be, if it is none.
//!
//! A server of another protocol makes a connection end in ways that also a registry's end would, so a command that lost
//! its registry looks at the first bytes that come from there: HTTP/2 begins with a SETTINGS frame (RFC 9113,
//! section 3.4).

#[cfg(test)]
mod tests;

use std::time::Duration;

use p2p_ci::{client::CallError, text::escaped, transport::Dialer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Context;
use crate::error::PeerError;

/// What an HTTP/2 client sends first: the preface of RFC 9113, section 3.4, and empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Bytes that are looked at: enough for a frame's header and for the first words of other protocols.
const LOOKED_AT_BYTES: usize = 64;

/// How long the look may take; it only betters a message.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The same error, or the one that fits better when something else than a registry listens there.
pub async fn explained(context: &Context, error: PeerError) -> PeerError {
    let PeerError::Registry { source, .. } = &error else {
        return error;
    };
    if matches!(source, CallError::Refused(_)) {
        return error;
    }
    stranger(context).await.unwrap_or(error)
}

/// The error to tell when something else than a registry listens where the registry should be; `None` where nothing does,
/// or where it may be one.
pub async fn stranger(context: &Context) -> Option<PeerError> {
    match tokio::time::timeout(PROBE_TIMEOUT, first_bytes(context)).await {
        Ok(Some(bytes)) if !bytes.is_empty() && !is_settings(&bytes) => {
            Some(context.registry_error(CallError::Violation(described(&bytes))))
        }
        _ => None,
    }
}

/// The first bytes that come from where the registry should be; `None` where no connection can be made.
async fn first_bytes(context: &Context) -> Option<Vec<u8>> {
    let dialer: &Dialer = &context.dialer;
    let registry = &context.registry;
    let addresses = dialer.resolve(registry.host.clone(), registry.port).await.ok()?;
    let mut connection = dialer.dial(*addresses.first()?).await.ok()?;
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
