//! Streams whose chunks are compressed: the same bytes on the disk, fewer on the wire, and holders that lie about it.

use std::{fs, path::Path, sync::Arc};

use p2p_ci::{
    client::registry::RegistryClient,
    pb::{self, download_many_response::Body, file_transfer_client::FileTransferClient},
};
use peer::mirror::{Cause, Compress, Summary};
use tempfile::TempDir;
use tonic::Status;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation as _, OutBuffer};

use crate::{
    fake_holder::{FakeHolder, Message, Script, chunks, header},
    network::{Network, REGISTRY, start_peer, start_registry},
    support::{TestPeer, TestRegistry, eventually, files, leftovers, within},
    swarm::{Silent, matrix, mirror_into},
};

/// The window that the protocol allows.
const WINDOW_LOG: u32 = 20;

fn document() -> Vec<u8> {
    (0..10_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A frame's first piece, of these bytes.
fn packed(bytes: &[u8], window_log: u32, is_end: bool) -> Message {
    let mut encoder = Encoder::new(3).unwrap();
    encoder.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    let mut room = vec![0; 300_000];
    let mut output = OutBuffer::around(&mut *room);
    encoder.run(&mut InBuffer::around(bytes), &mut output).unwrap();
    assert_eq!(encoder.flush(&mut output).unwrap(), 0);
    if is_end {
        assert_eq!(encoder.finish(&mut output, true).unwrap(), 0);
    }
    Message::Packed(output.as_slice().to_vec())
}

fn answer<const N: usize>(bytes: &[u8], after: [Message; N]) -> (Vec<Message>, Option<Status>) {
    (
        std::iter::once(Message::Header(header(bytes))).chain(after).collect(),
        None,
    )
}

/// Holders that do what the protocol allows.
fn honest() -> Vec<(&'static str, Script)> {
    vec![
        ("one piece", |bytes, _| {
            answer(bytes, [packed(bytes, WINDOW_LOG, false)])
        }),
        ("a small window", |bytes, _| answer(bytes, [packed(bytes, 12, false)])),
        ("part of it as it is", |bytes, _| {
            let (plain, rest) = bytes.split_at(100);
            answer(bytes, [Message::Chunk(plain.to_vec()), packed(rest, WINDOW_LOG, false)])
        }),
        ("one that knows nothing of it", |bytes, _| {
            (
                std::iter::once(Message::Header(header(bytes)))
                    .chain(chunks(bytes))
                    .collect(),
                None,
            )
        }),
    ]
}

fn lies() -> Vec<(&'static str, Script)> {
    vec![
        ("bomb", |bytes, _| {
            answer(bytes, [packed(&vec![0; 64 << 20], WINDOW_LOG, false)])
        }),
        ("one byte long", |bytes, _| {
            answer(bytes, [packed(&[bytes, b"!"].concat(), WINDOW_LOG, false)])
        }),
        ("garbage", |bytes, _| {
            answer(bytes, [Message::Packed(b"not what zstd makes".to_vec())])
        }),
        ("two frames", |bytes, _| {
            let (first, second) = bytes.split_at(1000);
            answer(
                bytes,
                [packed(first, WINDOW_LOG, true), packed(second, WINDOW_LOG, false)],
            )
        }),
        ("a large window", |bytes, _| answer(bytes, [packed(bytes, 27, false)])),
        ("cut off", |bytes, _| {
            let Message::Packed(mut piece) = packed(bytes, WINDOW_LOG, false) else {
                panic!("not packed")
            };
            piece.truncate(piece.len() - 1);
            answer(bytes, [Message::Packed(piece)])
        }),
        ("no bytes", |bytes, _| {
            answer(bytes, [Message::Packed(vec![0x28, 0xB5, 0x2F, 0xFD])])
        }),
        ("no header", |bytes, _| (vec![packed(bytes, WINDOW_LOG, false)], None)),
        ("wrong bytes", |bytes, _| {
            let mut wrong = bytes.to_vec();
            wrong[17] ^= 1;
            answer(bytes, [packed(&wrong, WINDOW_LOG, false)])
        }),
    ]
}

async fn mirrored(registry: &TestRegistry, folder: &TempDir, compress: Compress) -> Summary {
    let state = TempDir::new().unwrap();
    let mirror = mirror_into(folder, &state, compress);
    mirror.run(&registry.client().await, Arc::new(Silent)).await.unwrap()
}

#[tokio::test]
async fn whatever_is_compressed_arrives_as_it_is() {
    let registry = TestRegistry::start().await;
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/samples");
    let mut originals: Vec<(String, Vec<u8>)> = matrix()
        .into_iter()
        .map(|(number, bytes)| (format!("rfc{number}.txt"), bytes))
        .collect();
    for (name, bytes) in ["alice", "bob", "carol"]
        .iter()
        .flat_map(|name| files(Path::new(&format!("{samples}/{name}"))))
    {
        if !originals.iter().any(|(other, _)| *other == name) {
            originals.push((name, bytes));
        }
    }
    originals.sort();
    let borrowed: Vec<(&str, &[u8])> = originals
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let _everything = TestPeer::start(&registry, "everything", &borrowed).await;
    for compress in [Compress::Always, Compress::Never] {
        let folder = TempDir::new().unwrap();
        let summary = mirrored(&registry, &folder, compress).await;
        assert_eq!(summary.failures.len(), 0, "{summary:?}");
        assert!(files(folder.path()) == originals, "every byte of everything");
        assert_eq!(leftovers(folder.path()), 0);
    }
}

#[tokio::test]
async fn only_who_asks_gets_compressed_chunks() {
    let registry = TestRegistry::start().await;
    let bytes = b"Network Working Group\n".repeat(20_000);
    let peer = TestPeer::start(&registry, "holder", &[("rfc1.txt", &bytes)]).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", peer.address())).unwrap();
    let mut client = FileTransferClient::new(channel.connect().await.unwrap());
    for (compression, is_compressed) in [(0, false), (1, true), (2, false), (-1, false)] {
        let request = pb::DownloadManyRequest {
            request_id: 1,
            number: 1,
            compression,
            ..pb::DownloadManyRequest::default()
        };
        let mut answers = client
            .download_many(tokio_stream::iter([request]))
            .await
            .unwrap()
            .into_inner();
        let (mut plain, mut pieces) = (0, 0);
        while let Some(answer) = within("an answer", answers.message()).await.unwrap() {
            match answer.body {
                Some(Body::Header(header)) => assert_eq!(header.size_bytes, bytes.len() as u64),
                Some(Body::Chunk(chunk)) => plain += chunk.len(),
                Some(Body::ZstdChunk(piece)) => pieces += piece.len(),
                other => panic!("{other:?}"),
            }
        }
        if is_compressed {
            assert!(
                plain == 0 && pieces > 0 && pieces < bytes.len() / 100,
                "{plain} {pieces}"
            );
        } else {
            assert_eq!((plain, pieces), (bytes.len(), 0), "{compression}");
        }
    }
}

#[tokio::test]
async fn other_holders_may_pack_as_they_like() {
    for (what, script) in honest() {
        let registry = TestRegistry::start().await;
        let bytes = document();
        let _holder = FakeHolder::start(&registry, "holder", &bytes, script).await;
        let folder = TempDir::new().unwrap();
        let summary = mirrored(&registry, &folder, Compress::Always).await;
        assert_eq!((summary.fetched, summary.failures.len()), (1, 0), "{what}: {summary:?}");
        assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), bytes, "{what}");
    }
}

/// A mirror from a liar alone, which yields nothing, and from somebody honest as well, which yields the document.
async fn check_lie(what: &str, script: Script, compress: Compress) {
    let registry = TestRegistry::start().await;
    let bytes = document();
    let liar = FakeHolder::start(&registry, "liar", &bytes, script).await;
    let folder = TempDir::new().unwrap();
    let summary = mirrored(&registry, &folder, compress).await;
    assert!(liar.was_asked(), "{what}");
    assert_eq!((summary.fetched, summary.failures.len()), (0, 1), "{what}: {summary:?}");
    assert_eq!(summary.failures[0].1.cause, Cause::WrongBytes, "{what}: {summary:?}");
    assert!(!folder.path().join("rfc1.txt").exists(), "{what}");
    assert_eq!(leftovers(folder.path()), 0, "{what}");
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", &bytes)]).await;
    let summary = mirrored(&registry, &folder, compress).await;
    assert_eq!((summary.fetched, summary.failures.len()), (1, 0), "{what}: {summary:?}");
    assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), bytes, "{what}");
}

#[tokio::test]
async fn every_lie_in_a_frame_is_found_out() {
    for (what, script) in lies() {
        check_lie(what, script, Compress::Always).await;
    }
}

#[tokio::test]
async fn what_nobody_asked_to_be_compressed_must_not_be() {
    let (_, compressing) = honest()[0];
    check_lie("compressed", compressing, Compress::Never).await;
}

/// Mirrors 4 MB of text over such a network; returns how many bytes that were for each 100 of text.
async fn percent_carried(network: &Network, compress: Compress) -> u64 {
    let _registry = start_registry(network).await;
    let documents: Vec<(String, Vec<u8>)> = (1..=32)
        .map(|number| {
            let line = |at: u32| {
                format!(
                    "{:>10} is a line of RFC {number}\n",
                    at.wrapping_mul(2_654_435_761) >> 8
                )
            };
            (
                format!("rfc{number}.txt"),
                (0..4_000).flat_map(|at| line(at).into_bytes()).collect(),
            )
        })
        .collect();
    let borrowed: Vec<(&str, &[u8])> = documents
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let total: u64 = documents.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let _alice = start_peer(network, "alice", "10.0.0.2:4000", &borrowed).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let dialer = network.dialer("10.0.0.9".parse().unwrap());
    let url = format!("http://{REGISTRY}").parse().unwrap();
    let client = RegistryClient::connect(&dialer, &url).await.unwrap();
    let mut mirror = mirror_into(&folder, &state, compress);
    mirror.dialer = dialer;
    let before = network.carried();
    eventually("everything", || {
        let (mirror, client) = (mirror.clone(), client.clone());
        async move {
            mirror.run(&client, Arc::new(Silent)).await.unwrap();
            (mirror.library.snapshot().len() == 32).then_some(())
        }
    })
    .await;
    for (name, bytes) in &documents {
        assert!(fs::read(folder.path().join(name)).unwrap() == *bytes, "{name}");
    }
    (network.carried() - before) * 100 / total
}

#[tokio::test]
async fn compressed_bytes_are_fewer() {
    let carried = percent_carried(&Network::default(), Compress::Always).await;
    assert!(carried < 50, "{carried} %");
    let carried = percent_carried(&Network::default(), Compress::Never).await;
    assert!(carried >= 100, "{carried} %");
}

#[tokio::test]
async fn a_slow_link_is_found_to_be_one() {
    // 16 Mbit/s: half a second is what it takes to see that, and another is what was on its way by then.
    let carried = percent_carried(&Network::slow(2_000_000), Compress::Auto).await;
    assert!(carried < 80, "{carried} %");
}
