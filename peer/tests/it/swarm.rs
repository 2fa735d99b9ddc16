//! What peers do for each other when nobody misbehaves.

use std::{fs, sync::Arc};

use p2p_ci::{document::Document, limits, message::Holder};
use peer::{
    error::{Exit, PeerError},
    getter::How,
    library::{Durability, Target},
    mirror::{Compress, Mirror, Observer, Selection, Summary},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{
    TestPeer, TestRegistry, any_version, dialer, eventually, files, get, leftovers, number, open_library, write_settled,
};

/// Lengths around which chunking could go wrong.
pub(crate) fn matrix() -> Vec<(u32, Vec<u8>)> {
    let chunk = limits::CHUNK_BYTES;
    let pattern = |length: usize| {
        (0..length)
            .map(|i| u8::try_from(i * 31 % 251).unwrap())
            .collect::<Vec<u8>>()
    };
    [0, 1, chunk - 1, chunk, chunk + 1, 1_600_000, 10_000]
        .into_iter()
        .zip([1, 2, 9999, 10_000, 10_052, 100_000, 4_294_967_295])
        .map(|(length, number)| (number, pattern(length)))
        .collect()
}

#[tokio::test]
async fn documents_of_every_length_arrive_as_they_are() {
    let registry = TestRegistry::start().await;
    let documents = matrix();
    let names: Vec<(String, &[u8])> = documents
        .iter()
        .map(|(n, bytes)| (format!("rfc{n}.txt"), bytes.as_slice()))
        .collect();
    let shared: Vec<(&str, &[u8])> = names.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let alice = TestPeer::start(&registry, "alice", &shared).await;
    let folder = TempDir::new().unwrap();
    for (number, bytes) in &documents {
        let got = get(&registry, folder.path(), *number, any_version()).await.unwrap();
        let How::Fetched(fetched) = got.how else {
            panic!("{number} was not there")
        };
        assert_eq!(fetched.holder.address, alice.address());
        assert_eq!(fs::read(&fetched.path).unwrap(), *bytes, "RFC {number}");
        let original = fs::metadata(alice.folder.path().join(format!("rfc{number}.txt"))).unwrap();
        assert_eq!(
            fs::metadata(&fetched.path)
                .unwrap()
                .modified()
                .unwrap()
                .elapsed()
                .unwrap()
                .as_secs()
                / 60,
            original.modified().unwrap().elapsed().unwrap().as_secs() / 60
        );
    }
    assert_eq!(leftovers(folder.path()), 0);
}

#[tokio::test]
async fn what_nobody_has_is_not_found() {
    let registry = TestRegistry::start().await;
    let _alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one")]).await;
    let folder = TempDir::new().unwrap();
    let error = get(&registry, folder.path(), 9999, any_version()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
    assert!(error.to_string().starts_with("no active peer has RFC 9999;"), "{error}");
    let mut wish = any_version();
    wish.from = Some("bob".to_owned());
    assert_eq!(
        get(&registry, folder.path(), 1, wish.clone()).await.unwrap_err().exit(),
        Exit::NotFound
    );
    wish.from = Some("alice".to_owned());
    let error = get(&registry, folder.path(), 2, wish.clone()).await.unwrap_err();
    assert!(error.to_string().starts_with("alice does not have RFC 2"), "{error}");
    assert!(get(&registry, folder.path(), 1, wish).await.is_ok());
}

#[tokio::test]
async fn files_that_are_there_are_respected() {
    let registry = TestRegistry::start().await;
    let _alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one"), ("rfc2.txt", b"two")]).await;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rfc1.txt"), "one").unwrap();
    fs::write(folder.path().join("rfc2.txt"), "mine").unwrap();
    let got = get(&registry, folder.path(), 1, any_version()).await.unwrap();
    assert!(matches!(got.how, How::Present(_)));
    let error = get(&registry, folder.path(), 2, any_version()).await.unwrap_err();
    assert!(matches!(error, PeerError::Kept(_)), "{error}");
    assert_eq!(fs::read(folder.path().join("rfc2.txt")).unwrap(), b"mine");
    let mut wish = any_version();
    wish.replace = true;
    get(&registry, folder.path(), 2, wish).await.unwrap();
    assert_eq!(fs::read(folder.path().join("rfc2.txt")).unwrap(), b"two");
}

#[tokio::test]
async fn of_two_versions_the_one_with_most_holders_is_taken_unless_the_digest_says_otherwise() {
    let registry = TestRegistry::start().await;
    let _alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"most")]).await;
    let _bob = TestPeer::start(&registry, "bob", &[("rfc1.txt", b"most")]).await;
    let _carol = TestPeer::start(&registry, "carol", &[("rfc1.txt", b"rare")]).await;
    let folder = TempDir::new().unwrap();
    let got = get(&registry, folder.path(), 1, any_version()).await.unwrap();
    assert_eq!(got.entry.holder_count, 2);
    assert_eq!(got.others.len(), 1, "the other version is told");
    assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), b"most");
    let rare = p2p_ci::digest::Sha256::of(b"rare").fmt_short();
    let mut wish = any_version();
    wish.sha256_prefix = rare.parse().unwrap();
    let other_folder = TempDir::new().unwrap();
    get(&registry, other_folder.path(), 1, wish.clone()).await.unwrap();
    assert_eq!(fs::read(other_folder.path().join("rfc1.txt")).unwrap(), b"rare");
    wish.sha256_prefix = "0000".parse().unwrap();
    assert_eq!(
        get(&registry, other_folder.path(), 1, wish).await.unwrap_err().exit(),
        Exit::NotFound
    );
}

/// Keeps what people are told.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<String>>);

impl Observer for Told {
    fn planned(&self, _: u64, _: u64) {}
    fn received(&self, _: u64) {}
    fn stored(&self, _: &Document, _: &Holder) {}
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

#[tokio::test]
async fn a_mirror_tells_which_of_several_versions_it_takes() {
    let registry = TestRegistry::start().await;
    let _alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"most"), ("rfc2.txt", b"a")]).await;
    let _bob = TestPeer::start(&registry, "bob", &[("rfc1.txt", b"most"), ("rfc2.txt", b"b")]).await;
    let _carol = TestPeer::start(&registry, "carol", &[("rfc1.txt", b"rare"), ("rfc3.txt", b"c")]).await;
    let (folder, state, told) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        Arc::new(Told::default()),
    );
    let mirror = Mirror {
        dialer: dialer(),
        library: open_library(folder.path(), state.path()),
        target: Target::open(folder.path(), Durability::None).unwrap(),
        selection: Selection::default(),
        replace: false,
        compress: Compress::Auto,
        known: peer::known::Memory::default(),
        stop: CancellationToken::new(),
    };
    let observer = Arc::clone(&told) as Arc<dyn Observer>;
    let summary = mirror.run(&registry.client().await, observer).await.unwrap();
    assert_eq!((summary.fetched, summary.contested), (3, 2));
    assert_eq!(fs::read(folder.path().join("rfc1.txt")).unwrap(), b"most");
    let digest = |bytes: &[u8]| p2p_ci::digest::Sha256::of(bytes).fmt_short().to_string();
    let lines = told.0.lock().unwrap().clone();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("RFC 1 ") && lines[0].contains("held more widely"),
        "{lines:?}"
    );
    assert!(lines[0].contains(&digest(b"most")) && lines[0].contains(&digest(b"rare")));
    assert!(lines[1].contains("RFC 2 ") && lines[1].contains("a tie"), "{lines:?}");
}

#[tokio::test]
async fn a_mirror_leaves_those_alone_who_lied_to_others() {
    let registry = TestRegistry::start().await;
    let liar = TestPeer::start(&registry, "liar", &[("rfc1.txt", b"one"), ("rfc2.txt", b"two")]).await;
    let _honest = TestPeer::start(&registry, "honest", &[("rfc1.txt", b"one")]).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mirror = mirror_into(&folder, &state, Compress::Auto);
    let holder = Holder {
        id: p2p_ci::identity::SessionId::from_bytes([7; 16]),
        name: "liar".parse().unwrap(),
        address: liar.address(),
    };
    while !mirror.known.strike(&holder) {}
    let summary = mirror.run(&registry.client().await, Arc::new(Silent)).await.unwrap();
    assert_eq!((summary.fetched, summary.failures.len()), (1, 1), "{summary:?}");
    assert!(summary.failures[0].1.message.contains("left alone"), "{summary:?}");
    assert_eq!(files(folder.path()), [("rfc1.txt".to_owned(), b"one".to_vec())]);
}

#[tokio::test]
async fn two_mirrors_into_one_folder_do_not_take_each_other_for_strangers() {
    let registry = TestRegistry::start().await;
    let documents: Vec<(String, Vec<u8>)> = (1..=200)
        .map(|n| (format!("rfc{n}.txt"), format!("document {n}\n").repeat(n).into_bytes()))
        .collect();
    let borrowed: Vec<(&str, &[u8])> = documents
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let _alice = TestPeer::start(&registry, "alice", &borrowed).await;
    let (folder, first, second) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let (one, two) = tokio::join!(mirror(&registry, &folder, &first), mirror(&registry, &folder, &second));
    for summary in [&one, &two] {
        assert_eq!((summary.kept, summary.failures.len()), (0, 0), "{summary:?}");
        assert_eq!(summary.fetched + summary.present, 200, "{summary:?}");
    }
    assert_eq!(
        one.fetched + two.fetched,
        200,
        "each document was stored by one of them"
    );
}

#[tokio::test]
async fn ranges_that_overlap_do_not_make_versions() {
    let registry = TestRegistry::start().await;
    let _alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one"), ("rfc2.txt", b"two")]).await;
    let (folder, state, told) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        Arc::new(Told::default()),
    );
    let mirror = Mirror {
        dialer: dialer(),
        library: open_library(folder.path(), state.path()),
        target: Target::open(folder.path(), Durability::None).unwrap(),
        selection: Selection {
            ranges: vec!["1-2".parse().unwrap(), "2-5".parse().unwrap()],
            formats: Vec::new(),
        },
        replace: false,
        compress: Compress::Auto,
        known: peer::known::Memory::default(),
        stop: CancellationToken::new(),
    };
    let observer = Arc::clone(&told) as Arc<dyn Observer>;
    let summary = mirror.run(&registry.client().await, observer).await.unwrap();
    assert_eq!((summary.fetched, summary.contested), (2, 0));
    assert_eq!(told.0.lock().unwrap().clone(), Vec::<String>::new());
}

#[tokio::test]
async fn what_changes_in_a_folder_changes_in_the_index() {
    let registry = TestRegistry::start().await;
    let alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one")]).await;
    fs::write(alice.folder.path().join("rfc2.txt"), "two").unwrap();
    alice.announced(&registry, 2).await;
    fs::write(alice.folder.path().join("rfc2.txt"), "two, changed").unwrap();
    let client = registry.client().await;
    let query = p2p_ci::message::LookupQuery {
        number: number(2),
        format: None,
        sha256_prefix: p2p_ci::digest::DigestPrefix::default(),
        max_holders: 8,
    };
    eventually("changed", || {
        let (client, query) = (client.clone(), query.clone());
        async move {
            let entries = client.lookup(&query).await.unwrap_or_default().documents;
            let changed = p2p_ci::digest::Sha256::of(b"two, changed");
            (entries.len() == 1 && entries[0].document.id.sha256 == changed).then_some(())
        }
    })
    .await;
    fs::remove_file(alice.folder.path().join("rfc1.txt")).unwrap();
    alice.announced(&registry, 1).await;
}

/// Follows nothing.
pub(crate) struct Silent;

impl Observer for Silent {
    fn planned(&self, _: u64, _: u64) {}
    fn received(&self, _: u64) {}
    fn stored(&self, _: &Document, _: &Holder) {}
    fn note(&self, _: &str) {}
}

/// Everything into `folder`.
pub(crate) fn mirror_into(folder: &TempDir, state: &TempDir, compress: Compress) -> Mirror {
    Mirror {
        dialer: dialer(),
        library: open_library(folder.path(), state.path()),
        target: Target::open(folder.path(), Durability::None).unwrap(),
        selection: Selection::default(),
        replace: false,
        compress,
        known: peer::known::Memory::default(),
        stop: CancellationToken::new(),
    }
}

pub(crate) async fn mirror(registry: &TestRegistry, folder: &TempDir, state: &TempDir) -> Summary {
    let mirror = mirror_into(folder, state, Compress::Auto);
    mirror.run(&registry.client().await, Arc::new(Silent)).await.unwrap()
}

#[tokio::test]
async fn a_mirror_takes_everything_from_everybody_and_only_once() {
    let registry = TestRegistry::start().await;
    let documents: Vec<(String, Vec<u8>)> = (1..=300)
        .map(|n| (format!("rfc{n}.txt"), format!("document {n}\n").repeat(n).into_bytes()))
        .collect();
    let part = |range: std::ops::Range<usize>| -> Vec<(&str, &[u8])> {
        documents[range]
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
            .collect()
    };
    let _alice = TestPeer::start(&registry, "alice", &part(0..200)).await;
    let _bob = TestPeer::start(&registry, "bob", &part(100..300)).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_settled(folder.path(), "rfc7.txt", &documents[6].1);
    write_settled(folder.path(), "rfc8.txt", b"mine");
    write_settled(folder.path(), "notes.md", b"not an RFC");
    let summary = mirror(&registry, &folder, &state).await;
    assert_eq!(
        (summary.fetched, summary.present, summary.kept, summary.failures.len()),
        (298, 1, 1, 0),
        "{:?}",
        summary.failures.first()
    );
    let given = |name: &str| summary.by_holder[&name.parse().unwrap()];
    let (alice, bob) = (given("alice"), given("bob"));
    assert!(
        alice.documents >= 98 && bob.documents >= 100,
        "both gave what only they had"
    );
    assert_eq!(summary.by_holder.len(), 2);
    assert_eq!(alice.documents + bob.documents, summary.fetched);
    assert_eq!(alice.bytes + bob.bytes, summary.bytes);
    for (name, bytes) in files(folder.path()) {
        match name.as_str() {
            "rfc8.txt" => assert_eq!(bytes, b"mine"),
            "notes.md" => assert_eq!(bytes, b"not an RFC"),
            name => assert_eq!(
                Some(&bytes),
                documents.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes),
                "{name}"
            ),
        }
    }
    assert_eq!(files(folder.path()).len(), 301);
    let again = mirror(&registry, &folder, &state).await;
    assert_eq!((again.fetched, again.present), (0, 299));
    assert_eq!(leftovers(folder.path()), 0);
}

#[tokio::test]
async fn real_rfcs_with_odd_bytes_arrive_as_they_are() {
    let registry = TestRegistry::start().await;
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/samples");
    let mut originals = Vec::new();
    for name in ["alice", "bob", "carol"] {
        originals.extend(files(std::path::Path::new(&format!("{samples}/{name}"))));
    }
    originals.sort();
    let borrowed: Vec<(&str, &[u8])> = originals
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let _everything = TestPeer::start(&registry, "everything", &borrowed).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    mirror(&registry, &folder, &state).await;
    let copies = files(folder.path());
    assert_eq!(copies.len(), originals.len());
    assert!(copies == originals, "every byte of every sample");
}
