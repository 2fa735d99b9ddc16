//! Frames from here and from strangers: whole, cut, too long and made up.

use proptest::prelude::*;
use zstd::stream::raw::Encoder;

use super::*;

/// Bytes that do not pack at all.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn text(length: usize) -> Vec<u8> {
    b"Network Working Group   Request for Comments\n"
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn both() -> (Packer, Unpacker) {
    (Packers::default().begin().unwrap(), Unpacker::new().unwrap())
}

/// Packs with another window or ending than ours.
fn foreign(window_log: u32, bytes: &[u8], is_end: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(LEVEL).unwrap();
    encoder.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    let mut room = vec![0; bytes.len() + STEP_BYTES];
    let mut output = OutBuffer::around(&mut *room);
    encoder.run(&mut InBuffer::around(bytes), &mut output).unwrap();
    assert_eq!(encoder.flush(&mut output).unwrap(), 0);
    if is_end {
        assert_eq!(encoder.finish(&mut output, true).unwrap(), 0);
    }
    output.as_slice().to_vec()
}

#[test]
fn many_documents_go_through_one_frame_and_help_each_other() {
    let (mut packer, mut unpacker) = both();
    let document = noise(50_000);
    let first = packer.pack(&document).unwrap();
    assert_eq!(unpacker.unpack(&first, 50_000).unwrap(), document);
    for _ in 0..100 {
        let again = packer.pack(&document).unwrap();
        assert!(again.len() < 100, "{} bytes for what went before", again.len());
        assert_eq!(unpacker.unpack(&again, 50_000).unwrap(), document);
    }
}

#[test]
fn what_does_not_pack_hardly_grows() {
    let (mut packer, mut unpacker) = both();
    for length in [1, 100, CHUNK_BYTES - 1, CHUNK_BYTES] {
        let bytes = noise(length);
        let piece = packer.pack(&bytes).unwrap();
        assert!(piece.len() <= length + 32, "{} for {length}", piece.len());
        assert_eq!(unpacker.unpack(&piece, length as u64).unwrap(), bytes);
    }
}

#[test]
fn what_follows_a_document_that_broke_off_unpacks() {
    let (mut packer, mut unpacker) = both();
    let chunk = text(CHUNK_BYTES);
    let begun = packer.pack(&chunk).unwrap();
    assert_eq!(unpacker.unpack(&begun, 3_000_000).unwrap(), chunk);
    let next = packer.pack(b"Network Working Group").unwrap();
    assert_eq!(unpacker.unpack(&next, 21).unwrap(), b"Network Working Group".as_slice());
}

#[test]
fn a_bomb_ends_after_what_was_announced() {
    let bomb = foreign(WINDOW_LOG, &vec![0; 64 << 20], false);
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    for left in [
        0,
        1,
        1000,
        CHUNK_BYTES as u64 - 1,
        CHUNK_BYTES as u64,
        16 << 20,
        u64::MAX,
    ] {
        let error = both().1.unpack(&bomb, left).unwrap_err();
        let most = left.min(CHUNK_BYTES as u64) as usize;
        assert!(
            matches!(error, UnpackError::TooLong(limit) if limit == most),
            "{left}: {error}"
        );
    }
}

#[test]
fn one_byte_more_than_is_missing_is_too_long() {
    let (mut packer, mut unpacker) = both();
    let piece = packer.pack(b"0123456789").unwrap();
    let error = unpacker.unpack(&piece, 9).unwrap_err();
    assert!(matches!(error, UnpackError::TooLong(9)), "{error}");
}

#[test]
fn a_larger_window_is_refused() {
    let bytes = text(10_000);
    for (window_log, is_taken) in [(10, true), (WINDOW_LOG, true), (WINDOW_LOG + 1, false), (27, false)] {
        let unpacked = both().1.unpack(&foreign(window_log, &bytes, false), 10_000);
        match unpacked {
            Ok(unpacked) => assert!(is_taken && unpacked == bytes, "{window_log}"),
            Err(error) => assert!(
                !is_taken && matches!(error, UnpackError::Garbage(_)),
                "{window_log}: {error}"
            ),
        }
    }
}

#[test]
fn a_frame_that_ends_is_none_of_ours() {
    let error = both().1.unpack(&foreign(WINDOW_LOG, b"all", true), 3).unwrap_err();
    assert!(matches!(error, UnpackError::Ended), "{error}");
    // A frame of zstd's that holds no bytes of anybody's, of any length.
    let skipped = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0];
    let error = both().1.unpack(&skipped, 3).unwrap_err();
    assert!(matches!(error, UnpackError::Ended), "{error}");
}

#[test]
fn a_piece_of_nothing_is_none() {
    // Whatever length it has: a holder could send such pieces for ever.
    let begins = both().0.pack(b"all").unwrap();
    for piece in [&begins[..4], &begins[..begins.len() - 3]] {
        let error = both().1.unpack(piece, 3).unwrap_err();
        assert!(matches!(error, UnpackError::Nothing), "{error}");
    }
}

#[test]
fn a_piece_cut_short_is_noticed_at_once_or_by_what_it_yields() {
    let bytes = text(10_000);
    let piece = both().0.pack(&bytes).unwrap();
    for length in 0..piece.len() {
        match both().1.unpack(&piece[..length], 10_000) {
            Ok(unpacked) => assert!(unpacked.len() < bytes.len()),
            Err(error) => assert!(matches!(error, UnpackError::Nothing), "{length}: {error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_documents_arrive_as_they_are(lengths in proptest::collection::vec((1..CHUNK_BYTES, any::<bool>()), 1..8)) {
        let (mut packer, mut unpacker) = both();
        for (length, packs) in lengths {
            let bytes = if packs { text(length) } else { noise(length) };
            let piece = packer.pack(&bytes).unwrap();
            prop_assert_eq!(unpacker.unpack(&piece, length as u64).unwrap(), bytes);
        }
    }

    #[test]
    fn garbage_is_refused_without_a_panic(mut garbage in proptest::collection::vec(any::<u8>(), 1..2000), at in 0_usize..2000) {
        let _ = both().1.unpack(&garbage, u64::MAX);
        // The same inside a frame that began well.
        let (mut packer, mut unpacker) = both();
        let piece = packer.pack(&text(10_000)).unwrap();
        unpacker.unpack(&piece, 10_000).unwrap();
        let mut piece = packer.pack(&noise(1500)).unwrap().to_vec();
        let at = at % piece.len();
        piece[at] ^= garbage.pop().unwrap() | 1;
        if let Ok(unpacked) = unpacker.unpack(&piece, 1500) {
            prop_assert!(unpacked.len() <= 1500);
        }
    }
}

#[test]
fn a_crowd_is_packed_with_less_effort() {
    let packers = Packers::default();
    let processors = thread::available_parallelism().unwrap().get();
    // What a packer makes of one text tells its level.
    let text = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../xtask/samples/carol/rfc9000.txt"
    ))
    .unwrap();
    let text = text.get(..CHUNK_BYTES).unwrap();
    let packed = |packer: &mut Packer| packer.pack(text).unwrap().len();
    let mut first: Vec<Packer> = (0..processors).map(|_| packers.begin().unwrap()).collect();
    let hard = packed(&mut both().0);
    assert!(first.iter_mut().all(|packer| packed(packer) == hard));
    let mut late = packers.begin().unwrap();
    assert_ne!(packed(&mut late), hard);
    drop((first, late));
    assert_eq!(packed(&mut packers.begin().unwrap()), hard, "the crowd is gone");
}
