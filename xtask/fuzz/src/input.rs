//! How the bytes of an input are divided among what a target needs.

use bytes::Bytes;

/// The first byte, which chooses among the things that a target tries, and the rest.
pub(crate) fn choice(data: &[u8], choices: u8) -> (u8, &[u8]) {
    match data.split_first() {
        Some((first, rest)) => (first % choices, rest),
        None => (0, data),
    }
}

/// Text out of any bytes.
pub(crate) fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// Splits `data` into pieces as long as `lengths` say in turn; the rest is the last piece. So do networks.
pub(crate) fn pieces(data: &[u8], lengths: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = data;
    for length in lengths {
        let (piece, more) = rest.split_at(usize::from(*length).min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = more;
    }
    pieces.push(Bytes::copy_from_slice(rest));
    pieces
}
