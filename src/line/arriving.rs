//! Requests on their way: what has come of a message waits in memory for the rest of it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Entry;
use crate::{limits, wire::prefix::PREFIX_BYTES};

/// The body of a request. tonic (0.14, `codec/decode`) puts what comes into a buffer until that holds a message, and the
/// handler asks for the next one when it likes; so this is what is held: until more is asked for, all that came of the
/// message before and the piece that was handed over; after that, what is left of it without its whole messages.
pub(crate) struct Arriving<B> {
    body: B,
    entry: Arc<Entry>,
    message: Message,
    held_bytes: usize,
}

impl<B> Arriving<B> {
    /// The body of a request that has come on the connection of `entry`.
    pub(crate) fn new(body: B, entry: Arc<Entry>) -> Self {
        Self {
            body,
            entry,
            message: Message::default(),
            held_bytes: 0,
        }
    }

    pub(super) fn holds(&mut self, bytes: usize) {
        let counted = if bytes > limits::UNCOUNTED_REQUEST_BYTES {
            bytes
        } else {
            0
        };
        if counted != self.held_bytes {
            self.entry.arriving(self.held_bytes, counted);
            self.held_bytes = counted;
        }
    }
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        self.holds(0);
    }
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Arriving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let begun = self.message.begun_bytes;
        self.holds(begun);
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match polled.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            Some(piece) => {
                self.message.follow(piece);
                self.holds(begun + piece.len());
            }
            None => self.holds(0),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where one length-prefixed message of gRPC ends and the next one begins.
#[derive(Debug, Default)]
struct Message {
    prefix: [u8; PREFIX_BYTES],
    /// What has come of the message, its prefix included.
    begun_bytes: usize,
    /// What is to come after the prefix, once that is there.
    left_bytes: usize,
}

impl Message {
    /// Goes on with a piece that has come.
    fn follow(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let of_prefix = self.prefix.get_mut(self.begun_bytes..).unwrap_or_default();
            let wanted = if of_prefix.is_empty() {
                self.left_bytes
            } else {
                of_prefix.len()
            };
            let (now, later) = piece.split_at(wanted.min(piece.len()));
            piece = later;
            self.begun_bytes += now.len();
            if of_prefix.is_empty() {
                self.left_bytes -= now.len();
            } else if let Some(room) = of_prefix.get_mut(..now.len()) {
                room.copy_from_slice(now);
                let [_, length @ ..] = self.prefix;
                self.left_bytes = u32::from_be_bytes(length) as usize;
            }
            if self.begun_bytes >= PREFIX_BYTES && self.left_bytes == 0 {
                self.begun_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = crate::wire::prefix::prefix(length).to_vec();
        bytes.resize(PREFIX_BYTES + length, 0xff);
        bytes
    }

    proptest! {
        #[test]
        fn what_has_begun_is_what_came_after_the_last_whole_message(
            lengths in prop::collection::vec(0_usize..40, 0..8),
            cuts in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for length in lengths {
                bytes.extend(message(length));
                ends.push(bytes.len());
            }
            let mut follower = Message::default();
            let (mut rest, mut came) = (bytes.as_slice(), 0);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                follower.follow(now);
                rest = later;
                came += now.len();
                let last_end = ends.iter().copied().filter(|end| *end <= came).max().unwrap();
                prop_assert_eq!(follower.begun_bytes, came - last_end);
            }
        }
    }
}
