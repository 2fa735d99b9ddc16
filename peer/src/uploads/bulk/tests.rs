//! What is compressed of many documents, and what follows one that fails.

use std::{fs, os::unix::fs::FileExt as _, time::Duration};

use p2p_ci::document::{DocumentKey, RfcNumber};
use tempfile::TempDir;

use super::*;
use crate::packing::Unpacker;

fn key(number: u32, format: Format) -> DocumentKey {
    DocumentKey {
        number: RfcNumber::new(number).unwrap(),
        format,
    }
}

/// A holder of these files, with whatever else it needs to live.
fn holder(files: &[(&str, &[u8])]) -> (Bulk, TempDir, TempDir) {
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
        let file = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        file.set_modified(an_hour_ago).unwrap();
    }
    let (library, _) = Library::open(folder.path(), state.path(), &|_| {}).unwrap();
    (Bulk::new(library, Packers::default(), CHUNK_BYTES), folder, state)
}

fn ask(bulk: &mut Bulk, number: u32, format: Format, compression: Compression) {
    let document = DownloadQuery {
        key: key(number, format),
        sha256: None,
        offset: 0,
    };
    bulk.ask(number.into(), Ok(ManyQuery { document, compression }));
}

fn read_all(bulk: &mut Bulk) -> Vec<ManyPart> {
    let mut parts = Vec::new();
    while !bulk.is_idle() {
        parts.extend(bulk.read().parts);
    }
    parts
}

/// The bytes of one request, and how it failed, after the parts of all of them went through `unpacker` in their order.
fn received(parts: &[ManyPart], request_id: u64, unpacker: &mut Unpacker) -> (Vec<u8>, Option<Reason>) {
    let (mut bytes, mut reason) = (Vec::new(), None);
    for part in parts {
        let chunk = match &part.part {
            Ok(ManyBody::Header(_)) => continue,
            Ok(ManyBody::Chunk(chunk)) => chunk.clone(),
            Ok(ManyBody::ZstdChunk(piece)) => unpacker.unpack(piece, u64::MAX).unwrap(),
            Err(failure) => {
                if part.request_id == request_id {
                    reason = Some(failure.reason);
                }
                continue;
            }
        };
        if part.request_id == request_id {
            bytes.extend_from_slice(&chunk);
        }
    }
    (bytes, reason)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b"RFC 0123456789\n"[at * at % 15]).collect()
}

#[test]
fn only_what_may_be_and_can_be_is_compressed() {
    let bytes = text(10_000);
    let files = [
        ("rfc1.txt", bytes.as_slice()),
        ("rfc2.txt", &bytes),
        ("rfc3.pdf", &bytes),
    ];
    let (mut bulk, _folder, _state) = holder(&files);
    ask(&mut bulk, 1, Format::Txt, Compression::None);
    let plain = read_all(&mut bulk);
    assert!(matches!(bulk.packing, Packing::Unused), "no memory for nobody");
    assert!(matches!(&plain[1].part, Ok(ManyBody::Chunk(chunk)) if *chunk == bytes));
    ask(&mut bulk, 2, Format::Txt, Compression::Zstd);
    ask(&mut bulk, 3, Format::Pdf, Compression::Zstd);
    ask(&mut bulk, 1, Format::Txt, Compression::None);
    let parts = read_all(&mut bulk);
    assert!(matches!(&parts[1].part, Ok(ManyBody::ZstdChunk(piece)) if piece.len() < 1000));
    assert!(matches!(&parts[3].part, Ok(ManyBody::Chunk(chunk)) if *chunk == bytes));
    assert!(matches!(&parts[5].part, Ok(ManyBody::Chunk(chunk)) if *chunk == bytes));
}

#[test]
fn a_document_that_changes_in_the_middle_does_not_harm_those_after_it() {
    let long = text(3 * CHUNK_BYTES + 100);
    let next = text(50_000);
    let (mut bulk, folder, _state) = holder(&[("rfc1.txt", &long), ("rfc2.txt", &next)]);
    ask(&mut bulk, 1, Format::Txt, Compression::Zstd);
    ask(&mut bulk, 2, Format::Txt, Compression::Zstd);
    let mut parts = bulk.read().parts;
    let path = folder.path().join("rfc1.txt");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"!", 2 * CHUNK_BYTES as u64 + 50).unwrap();
    parts.extend(read_all(&mut bulk));
    let (begun, reason) = received(&parts, 1, &mut Unpacker::new().unwrap());
    assert_eq!(reason, Some(Reason::DocumentChanged));
    assert!(begun.len() >= CHUNK_BYTES, "some of it was on its way");
    let (whole, reason) = received(&parts, 2, &mut Unpacker::new().unwrap());
    assert!(whole == next && reason.is_none(), "{reason:?}");
}

#[test]
fn where_zstd_fails_the_bytes_are_sent_as_they_are() {
    let bytes = text(10_000);
    let (mut bulk, _folder, _state) = holder(&[("rfc1.txt", &bytes)]);
    bulk.packing = Packing::Failed;
    ask(&mut bulk, 1, Format::Txt, Compression::Zstd);
    let parts = read_all(&mut bulk);
    assert!(matches!(&parts[1].part, Ok(ManyBody::Chunk(chunk)) if *chunk == bytes));
}
