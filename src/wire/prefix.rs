//! What stands before each message.

/// Bytes before each message: whether it is compressed, and its length
/// (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) const PREFIX_BYTES: usize = 5;

/// The prefix of a message of so many bytes that is not compressed. Messages are limited; a longer one than this can tell
/// of is refused by whoever receives it.
pub(crate) fn prefix(message_bytes: usize) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = u32::try_from(message_bytes).unwrap_or(u32::MAX).to_be_bytes();
    [0, a, b, c, d]
}
