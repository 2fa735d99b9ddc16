//! The bytes of a document in memory, in the pieces in which they came.

use std::{
    borrow::Cow,
    io::{self, IoSlice, Write},
};

use bytes::Bytes;
use p2p_ci::{digest::Hasher, digest::Sha256};

/// Pieces that are written by one call; systems take 1024 at most.
const SLICES: usize = 64;

/// Pieces of at least this length are kept as they came: a frame of HTTP/2 unless its sender was allowed longer ones.
const KEPT_BYTES: usize = 16 * 1024;

/// The bytes of a document, as far as they are here. Pieces are shared with whoever received them, not copied.
#[derive(Debug, Default)]
pub struct Body {
    pieces: Vec<Bytes>,
    /// Gathers pieces that are too short to be kept as they came: each would keep alive the buffer that it is a part of.
    gathered: Vec<u8>,
    len: u64,
}

impl Body {
    /// Bytes that are here.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no byte is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes, of which none or `left` more will follow.
    pub fn push(&mut self, piece: Bytes, left: u64) {
        self.len += piece.len() as u64;
        if !self.gathered.is_empty() || (left > 0 && piece.len() < KEPT_BYTES) {
            self.gathered.extend_from_slice(&piece);
        } else {
            self.pieces.push(piece);
        }
    }

    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        self.pieces().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    /// The first bytes, `most` at most. Copied only where they came in several pieces.
    #[must_use]
    pub fn head(&self, most: usize) -> Cow<'_, [u8]> {
        let wanted = usize::try_from(self.len).map_or(most, |len| len.min(most));
        if let Some(head) = self.pieces().next().and_then(|first| first.get(..wanted)) {
            return Cow::Borrowed(head);
        }
        let mut head = Vec::new();
        for piece in self.pieces() {
            let room = most.saturating_sub(head.len());
            head.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
        head.into()
    }

    /// Writes the bytes.
    ///
    /// # Errors
    ///
    /// Whatever the writer fails with; some bytes may be written by then.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let pieces: Vec<&[u8]> = self.pieces().collect();
        for pieces in pieces.chunks(SLICES) {
            let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut rest = slices.as_mut_slice();
            while !rest.is_empty() {
                match writer.write_vectored(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => IoSlice::advance_slices(&mut rest, written),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let gathered = (!self.gathered.is_empty()).then_some(self.gathered.as_slice());
        self.pieces.iter().map(AsRef::as_ref).chain(gathered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time, as a full pipe does.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(1000);
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check(lengths: &[usize], kept: usize) {
        let bytes: Vec<u8> = (0..lengths.iter().sum()).map(|at: usize| (at % 251) as u8).collect();
        let mut body = Body::default();
        let mut rest = Bytes::from(bytes.clone());
        for length in lengths {
            let piece = rest.split_to(*length);
            body.push(piece, rest.len() as u64);
        }
        assert_eq!(body.len(), bytes.len() as u64);
        assert_eq!(body.pieces.len(), kept, "pieces that are shared, not copied");
        assert_eq!(body.digest(), Sha256::of(&bytes));
        for most in [0, 1, KEPT_BYTES, KEPT_BYTES + 1, 2 * KEPT_BYTES] {
            assert_eq!(*body.head(most), bytes[..bytes.len().min(most)]);
        }
        let mut written = Slow(Vec::new());
        body.write_to(&mut written).unwrap();
        assert!(written.0 == bytes, "every byte in its place");
    }

    #[test]
    fn long_pieces_are_kept_and_shorter_ones_gathered() {
        check(&[], 0);
        check(&[1], 1);
        check(&[KEPT_BYTES, KEPT_BYTES + 9, 77], 3);
        check(&[1, 2, 3], 0);
        check(&[KEPT_BYTES, 5, KEPT_BYTES, 1], 1);
        check(&[KEPT_BYTES; 70], 70);
    }
}
