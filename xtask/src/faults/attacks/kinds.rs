//! The kinds of requests that floods are made of.

use anyhow::Result;

use super::{
    arena::{Bounds, FEW_BYTES},
    requests::{Request, flood},
};
use crate::{
    ci::Outcome,
    faults::{Bench, http2},
};

const LOOKUP: &str = "/p2pci.v1.Registry/Lookup";

/// What no RFC is numbered.
const NO_NUMBER: u64 = 4_000_000_000;

/// The largest message that the registry reads.
const LARGEST_MESSAGE: usize = 64 << 10;

/// What gRPC puts ahead of each message.
const HEAD_BYTES: usize = 5;

/// Numbers in one request, of which the index has nearly all.
const NUMBERS: u64 = 10_000;

/// What the registry holds at most for one source, all its connections together, of answers that are not read and requests
/// that do not end.
pub(super) const HELD_BYTES: u64 = 64 << 20;

// Codes of gRPC.
const OK: u8 = 0;
const NOT_FOUND: u8 = 5;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;

/// What 256 connections with 32 requests each may take: 8,192 requests at work, and room for their messages.
const FLOOD: Bounds = Bounds {
    memory_bytes: 2 * FEW_BYTES,
};

/// Looks up RFCs that nobody has.
pub(super) fn nothing_found(bench: &Bench) -> Result<Outcome> {
    let request = Request::of(LOOKUP, &http2::number_field(1, NO_NUMBER))?.answered(NOT_FOUND);
    flood(bench, &request, "lookups that find nothing", FLOOD)
}

/// Looks up the whole series with each request.
pub(super) fn lookup_many(bench: &Bench) -> Result<Outcome> {
    let numbers: Vec<u8> = (1..=NUMBERS).flat_map(http2::varint).collect();
    let request = Request::of("/p2pci.v1.Registry/LookupMany", &http2::bytes_field(1, &numbers))?;
    flood(bench, &request, "lookups of 10,000 numbers", READ)
}

/// Lists the whole index with each request.
pub(super) fn listings(bench: &Bench) -> Result<Outcome> {
    let request = Request::of("/p2pci.v1.Registry/ListDocuments", &[])?;
    flood(bench, &request, "listings of the index", READ)
}

/// What a registry may hold for those who read as fast as they can, which is not as fast as it answers.
const READ: Bounds = Bounds {
    memory_bytes: HELD_BYTES + 2 * FEW_BYTES,
};

/// Asks for descriptors.
pub(super) fn reflection(bench: &Bench) -> Result<Outcome> {
    let message = http2::bytes_field(4, b"p2pci.v1.Registry");
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    flood(
        bench,
        &Request::of(path, &message)?.answered(OK),
        "requests for descriptors",
        READ,
    )
}

/// Asks whether the registry is well.
pub(super) fn health(bench: &Bench) -> Result<Outcome> {
    let request = Request::of("/grpc.health.v1.Health/Check", &[])?.answered(OK);
    flood(bench, &request, "health checks", FLOOD)
}

/// Calls what there is not.
pub(super) fn unknown_method(bench: &Bench) -> Result<Outcome> {
    let request = Request::of("/no.such.Service/Method", &[])?.answered(UNIMPLEMENTED);
    flood(bench, &request, "calls of an unknown method", FLOOD)
}

/// Lookups in a message as large as the window of a stream, which is what a registry reads at most: what fills it is a field
/// that nobody knows.
pub(super) fn largest_message(bench: &Bench) -> Result<Outcome> {
    let request = Request::of(LOOKUP, &padded(LARGEST_MESSAGE - HEAD_BYTES))?.answered(NOT_FOUND);
    flood(bench, &request, "messages of 64 KiB", FLOOD)
}

/// Begins with messages that are to be one byte larger than a registry reads.
pub(super) fn message_too_large(bench: &Bench) -> Result<Outcome> {
    let head = http2::message_head(false, u32::try_from(LARGEST_MESSAGE + 1)?);
    let request = Request {
        body: [head, vec![0; 1000]].concat(),
        ..Request::of(LOOKUP, &[])?.answered(RESOURCE_EXHAUSTED)
    };
    flood(bench, &request, "messages of 64 KiB and a byte", FLOOD)
}

/// Announces a message of 2 GiB, and sends none of it.
pub(super) fn message_of_2_gib(bench: &Bench) -> Result<Outcome> {
    let request = Request {
        body: http2::message_head(false, 1 << 31),
        ..Request::of(LOOKUP, &[])?.answered(RESOURCE_EXHAUSTED)
    };
    flood(bench, &request, "announcements of 2 GiB", FLOOD)
}

/// Sends more headers than a registry takes.
pub(super) fn large_headers(bench: &Bench) -> Result<Outcome> {
    let mut request = Request::of(LOOKUP, &http2::number_field(1, NO_NUMBER))?;
    request.more = vec![("x", "y".repeat(9 << 10))];
    flood(bench, &request, "header lists of 9 KiB", FLOOD)
}

/// Sends what becomes 9 MiB where somebody unpacks it.
pub(super) fn gzip(bench: &Bench) -> Result<Outcome> {
    let bomb = bomb(LARGEST_MESSAGE - 64)?;
    let head = http2::message_head(true, u32::try_from(bomb.len())?);
    let request = Request {
        body: [head, bomb].concat(),
        more: vec![("grpc-encoding", "gzip".to_owned())],
        ..Request::of(LOOKUP, &[])?.answered(UNIMPLEMENTED)
    };
    flood(bench, &request, "messages packed with gzip", FLOOD)
}

/// A lookup that a field without meaning makes as long as this.
fn padded(length: usize) -> Vec<u8> {
    let number = http2::number_field(1, NO_NUMBER);
    // A key, and a length of three bytes, as lengths of 16 KiB and more have.
    const AROUND: usize = 4;
    let padding = vec![0; length.saturating_sub(number.len() + AROUND)];
    [number, http2::bytes_field(15, &padding)].concat()
}

/// A file of gzip of about so many bytes (RFC 1952) that says "the same byte 258 times again" over and over (RFC 1951).
fn bomb(length: usize) -> Result<Vec<u8>> {
    let mut bits = Bits::default();
    // The last block, with fixed codes, and a zero to repeat.
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    bits.push(0b0000_1100, 8);
    while bits.bytes.len() < length {
        // Length 258 is symbol 285; what lies one byte back is distance symbol 0. Codes are written from their highest bit.
        bits.push(0b1010_0011, 8);
        bits.push(0, 5);
    }
    bits.push(0, 7);
    bits.push(0, 7);
    Ok([&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], bits.bytes.as_slice(), &[0; 8]].concat())
}

/// Bits, the lowest of each byte first.
#[derive(Debug, Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            let [low, ..] = self.held.to_le_bytes();
            self.bytes.push(low);
            self.held >>= 8;
            self.count -= 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_lookup_is_as_long_as_it_should_be() {
        assert_eq!(padded(LARGEST_MESSAGE).len(), LARGEST_MESSAGE);
    }

    /// Nothing here unpacks gzip, so the program does whose format it is.
    #[test]
    fn the_bomb_is_one() {
        use std::io::Write as _;
        let mut child = std::process::Command::new("gzip")
            .arg("-dc")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let packed = bomb(8 << 10).unwrap();
        let writing = std::thread::spawn(move || stdin.write_all(&packed));
        let unpacked = child.wait_with_output().unwrap().stdout;
        writing.join().unwrap().unwrap();
        assert!(unpacked.len() > 1 << 20, "{} bytes", unpacked.len());
        assert!(unpacked.iter().all(|byte| *byte == 0));
    }
}
