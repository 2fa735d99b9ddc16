//! Bytes as they came, in pieces, read without being put together first.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes that have arrived and were not taken yet.
#[derive(Debug, Default)]
pub struct Rope {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Rope {
    /// Bytes that are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Copies the first bytes into `buffer`, as many as are here and fit, and returns them; they are not taken.
    #[must_use]
    pub fn peek<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let mut bytes = self.pieces.iter().flatten();
        let mut count = 0;
        for (place, byte) in buffer.iter_mut().zip(&mut bytes) {
            *place = *byte;
            count += 1;
        }
        buffer.get(..count).unwrap_or_default()
    }

    /// Passes over `count` bytes, or over all if there are fewer.
    pub fn skip(&mut self, mut count: usize) {
        while count > 0 {
            let Some(piece) = self.take_piece(count) else { return };
            count -= piece.len();
        }
    }

    /// Takes the rest of the first piece, or `most` bytes of it. They are shared, not copied. `None` when nothing is here
    /// or wanted.
    pub fn take_piece(&mut self, most: usize) -> Option<Bytes> {
        if most == 0 {
            return None;
        }
        let first = self.pieces.front_mut()?;
        let taken = if first.len() > most {
            first.split_to(most)
        } else {
            self.pieces.pop_front()?
        };
        self.len -= taken.len();
        Some(taken)
    }

    /// Takes `count` bytes in one piece, which copies them where they came in several. `None` when fewer are here.
    pub fn take(&mut self, count: usize) -> Option<Bytes> {
        if count > self.len {
            return None;
        }
        let first = self.take_piece(count).unwrap_or_default();
        if first.len() == count {
            return Some(first);
        }
        let mut whole = BytesMut::with_capacity(count);
        whole.extend_from_slice(&first);
        while let Some(piece) = self.take_piece(count - whole.len()) {
            whole.extend_from_slice(&piece);
        }
        Some(whole.freeze())
    }
}
