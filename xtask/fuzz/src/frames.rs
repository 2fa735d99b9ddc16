//! The parsers that are written by hand: streams of answers in pieces, ropes, bodies, compressed pieces, health checks.

mod bodies;
mod health;
mod many;

use arbitrary::{Arbitrary as _, Unstructured};
use bytes::Bytes;
use p2p_ci::{limits::CHUNK_BYTES, rope::Rope};
use peer::packing::{Packers, Unpacker};

use crate::input;

pub(crate) fn run(data: &[u8]) {
    let (choice, bytes) = input::choice(data, 8);
    match choice {
        0 => many::arriving(bytes),
        1 => many::sent(bytes),
        2 => rope(bytes),
        3 => bodies::received(bytes),
        4 => bodies::sent(bytes),
        5 => health::raw(bytes),
        6 => health::answered(bytes),
        _ => unpacked(bytes),
    }
}

/// A rope gives the bytes that went in, in order, whatever is done with it.
fn rope(bytes: &[u8]) {
    let mut rope = Rope::default();
    let mut model: Vec<u8> = Vec::new();
    let mut input = Unstructured::new(bytes);
    while !input.is_empty()
        && let Ok((action, count)) = <(u8, u8)>::arbitrary(&mut input)
    {
        let count = usize::from(count);
        match action % 5 {
            0 => {
                let piece = input.bytes(count.min(input.len())).unwrap_or_default();
                rope.push(Bytes::copy_from_slice(piece));
                model.extend(piece);
            }
            1 => {
                let mut buffer = vec![0; count];
                assert_eq!(rope.peek(&mut buffer), &model[..count.min(model.len())]);
            }
            2 => {
                rope.skip(count);
                model.drain(..count.min(model.len()));
            }
            3 => {
                let piece = rope.take_piece(count);
                assert_eq!(piece.is_none(), count == 0 || model.is_empty());
                let piece = piece.unwrap_or_default();
                assert!(piece.len() <= count);
                assert_eq!(piece, model.drain(..piece.len()).collect::<Vec<u8>>());
            }
            _ => {
                let taken = rope.take(count);
                assert_eq!(taken.is_some(), count <= model.len());
                if let Some(taken) = taken {
                    assert_eq!(taken, model.drain(..count).collect::<Vec<u8>>());
                }
            }
        }
        assert_eq!((rope.len(), rope.is_empty()), (model.len(), model.is_empty()));
    }
}

fn assert_bounded(unpacked: &[u8], left: u64) {
    assert!((1..=left.min(CHUNK_BYTES as u64)).contains(&(unpacked.len() as u64)));
}

/// Pieces of a compressed frame: those of an honest packer give back what was packed, and others never more than asked.
fn unpacked(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut packer = Packers::default().begin().expect("there is memory");
    let mut unpacker = Unpacker::new().expect("there is memory");
    // What somebody else puts between may make the next piece anything: what is left of a block, for one.
    let mut is_honest = true;
    while !input.is_empty()
        && let Ok((kind, length, left)) = <(u8, u8, u16)>::arbitrary(&mut input)
    {
        let piece = input.bytes(usize::from(length).min(input.len())).unwrap_or_default();
        let left = u64::from(left);
        if kind % 4 > 0 && !piece.is_empty() {
            // Repeated, so that there is something to pack.
            let plain = piece.repeat(1 + usize::from(kind));
            let packed = packer.pack(&plain).expect("packing does not fail");
            assert!(
                packed.len() <= plain.len() + 64,
                "{} bytes of {}",
                packed.len(),
                plain.len()
            );
            match unpacker.unpack(&packed, left) {
                Ok(unpacked) if is_honest => assert_eq!(unpacked, plain),
                Ok(unpacked) => assert_bounded(&unpacked, left),
                Err(_) => {
                    assert!(!is_honest || left < plain.len() as u64, "an honest piece is refused");
                    return;
                }
            }
        } else {
            is_honest = false;
            match unpacker.unpack(piece, left) {
                Ok(unpacked) => assert_bounded(&unpacked, left),
                Err(_) => return,
            }
        }
    }
}
