//! Documents of one stream as pieces of one zstd frame: packed by the holder, unpacked by the downloader.
//!
//! The frame begins with the first piece and is never ended. Each piece is flushed, so that it unpacks without the next
//! one, and refers to whatever went before it: both ends must see all pieces, in one order.

#[cfg(test)]
mod tests;

use std::{fmt, io, num::NonZero, thread};

use bytes::Bytes;
use p2p_ci::limits::CHUNK_BYTES;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation as _, OutBuffer};

/// How hard the holder tries. Of the series in its order, one processor of a slow machine packs 4.2 times at 3 and 177 MB/s,
/// 4.6 times at 5 and 96 MB/s, 4.7 times at 6 and 65 MB/s. A link of 100 Mbit/s carries 56 MB/s of that.
const LEVEL: i32 = 6;

/// The same while as many streams are being packed already as there are processors: a quarter of the work, for a fifth more
/// bytes. A crowd that is served at level 6 waits for the processors, and not for the link.
const CROWDED_LEVEL: i32 = 1;

/// The shortest repetition that is looked for. What repeats in RFCs is longer than the five bytes that zstd would look for:
/// of the series, level 6 packs 1 % better with this and a quarter faster.
const MIN_MATCH_BYTES: u32 = 6;

/// The logarithm of how far back a piece may refer: 1 MiB, about 20 RFCs. Of the series, 4 MiB save 0.6 % more and cost
/// each stream three times the memory; 256 KiB save 2.5 % less.
const WINDOW_LOG: u32 = 20;

/// Packed bytes that are taken from zstd at a time: what one of its blocks takes at most.
const STEP_BYTES: usize = 128 * 1024;

/// The streams that one peer packs at a time, which share its processors. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Packers(TaskTracker);

impl Packers {
    /// Begins a frame.
    ///
    /// # Errors
    ///
    /// When zstd finds no memory.
    pub fn begin(&self) -> io::Result<Packer> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let level = if self.0.len() < processors {
            LEVEL
        } else {
            CROWDED_LEVEL
        };
        let mut encoder = Encoder::new(level)?;
        encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
        encoder.set_parameter(CParameter::MinMatch(MIN_MATCH_BYTES))?;
        Ok(Packer {
            encoder,
            step: vec![0; STEP_BYTES].into_boxed_slice(),
            _counted: self.0.token(),
        })
    }
}

/// The packing end. About 5 MB, most of them zstd's tables for level 6; at level 1 it is 2 MB.
pub struct Packer {
    encoder: Encoder<'static>,
    step: Box<[u8]>,
    _counted: TaskTrackerToken,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    /// Packs the next bytes, at most [`CHUNK_BYTES`] and at least one, as one piece. It is hardly longer than they are,
    /// however badly they pack.
    ///
    /// # Errors
    ///
    /// When zstd fails. The frame cannot go on then: what the other end has is all that there will be of it.
    pub fn pack(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        let mut piece = Vec::new();
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            let mut output = OutBuffer::around(&mut *self.step);
            self.encoder.run(&mut input, &mut output)?;
            piece.extend_from_slice(output.as_slice());
        }
        loop {
            let mut output = OutBuffer::around(&mut *self.step);
            let left = self.encoder.flush(&mut output)?;
            piece.extend_from_slice(output.as_slice());
            if left == 0 {
                return Ok(piece.into());
            }
        }
    }
}

/// Why a piece is none of a frame that an honest holder sends.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is not what zstd makes, or needs a larger window.
    #[error("a compressed chunk that cannot be decoded: {0}")]
    Garbage(#[from] io::Error),
    /// It holds more than a chunk, or than what is missing of the document.
    #[error("a compressed chunk of more than the {0} bytes that it may have")]
    TooLong(usize),
    /// It ends the frame.
    #[error("the end of its compressed frame")]
    Ended,
    /// It holds nothing.
    #[error("a compressed chunk of no bytes")]
    Nothing,
}

/// The unpacking end. About 1.6 MB, most of which zstd takes when the first piece comes.
pub struct Unpacker {
    decoder: Decoder<'static>,
    /// One byte longer than a chunk, so that too long a piece shows before there is more of it.
    output: Box<[u8]>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    /// Waits for a frame.
    ///
    /// # Errors
    ///
    /// When zstd finds no memory.
    pub fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self {
            decoder,
            output: vec![0; CHUNK_BYTES + 1].into_boxed_slice(),
        })
    }

    /// Unpacks the next piece, of which at most `left` bytes are wanted. Whatever it claims to hold, no more than a chunk
    /// is ever made of it.
    ///
    /// # Errors
    ///
    /// Each [`UnpackError`], after which the frame is of no more use.
    pub fn unpack(&mut self, piece: &[u8], left: u64) -> Result<Bytes, UnpackError> {
        let most = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let room = self.output.get_mut(..=most).unwrap_or_default();
        let mut output = OutBuffer::around(room);
        let mut input = InBuffer::around(piece);
        loop {
            let wanted = self.decoder.run(&mut input, &mut output)?;
            if output.pos() > most {
                return Err(UnpackError::TooLong(most));
            }
            if wanted == 0 {
                return Err(UnpackError::Ended);
            }
            // There is room left, so that nothing more can come out of what went in.
            if input.pos() == piece.len() {
                break;
            }
        }
        match output.as_slice() {
            [] => Err(UnpackError::Nothing),
            bytes => Ok(Bytes::copy_from_slice(bytes)),
        }
    }
}
