//! Registries that name what there is not, or what makes no sense: it is told, and nothing is stored.

use p2p_ci::{digest::Sha256, pb};
use peer::{error::Exit, mirror::Compress};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    fake_registry::FakeRegistry,
    support::{any_version, files, get_within, leftovers, within},
    swarm::{Silent, mirror_into},
};

/// The document with the number 1, at a holder where nobody listens.
fn entry(address: &str) -> pb::DocumentEntry {
    pb::DocumentEntry {
        document: Some(pb::Document {
            number: 1,
            format: pb::Format::Txt.into(),
            sha256: Sha256::of(b"one").to_string(),
            size_bytes: 3,
            ..pb::Document::default()
        }),
        holder_count: 1,
        holders: vec![pb::Holder {
            peer_id: "7".repeat(32),
            name: "alice".to_owned(),
            address: address.to_owned(),
        }],
    }
}

type Change = fn(&mut pb::DocumentEntry);

fn document(entry: &mut pb::DocumentEntry) -> &mut pb::Document {
    entry.document.as_mut().unwrap()
}

/// What a registry may say of the document, the exit code of a download then, and a part of what is told.
const LIES: [(&str, Change, Exit, &str); 19] = [
    ("no document", |entry| entry.document = None, Exit::Failed, "document"),
    (
        "no holder",
        |entry| entry.holders.clear(),
        Exit::Unreachable,
        "no holder that can be reached",
    ),
    (
        "another number",
        |entry| document(entry).number = 2,
        Exit::Failed,
        "something else than was asked for",
    ),
    ("number 0", |entry| document(entry).number = 0, Exit::Failed, "number"),
    (
        "another format",
        |entry| document(entry).format = 2,
        Exit::Failed,
        "something else than was asked for",
    ),
    (
        "a format that is none",
        |entry| document(entry).format = 99,
        Exit::Failed,
        "format",
    ),
    (
        "no digest",
        |entry| document(entry).sha256.clear(),
        Exit::Failed,
        "sha256",
    ),
    (
        "a digest that is none",
        |entry| document(entry).sha256 = "x".repeat(64),
        Exit::Failed,
        "sha256",
    ),
    (
        "16 EiB",
        |entry| document(entry).size_bytes = u64::MAX,
        Exit::Failed,
        "size_bytes",
    ),
    (
        "a title that acts",
        |entry| document(entry).title = "\u{1b}[2J".to_owned(),
        Exit::Failed,
        "title",
    ),
    (
        "no peer id",
        |entry| entry.holders[0].peer_id.clear(),
        Exit::Failed,
        "peer_id",
    ),
    (
        "a name that acts",
        |entry| entry.holders[0].name = "\u{202e}".to_owned(),
        Exit::Failed,
        "name",
    ),
    (
        "a name of 64 KiB",
        |entry| entry.holders[0].name = "a".repeat(65_536),
        Exit::Failed,
        "name",
    ),
    (
        "no address",
        |entry| entry.holders[0].address.clear(),
        Exit::Failed,
        "address",
    ),
    (
        "a host name",
        |entry| entry.holders[0].address = "localhost:5000".to_owned(),
        Exit::Failed,
        "address",
    ),
    (
        "port 0",
        |entry| entry.holders[0].address = "127.0.0.1:0".to_owned(),
        Exit::Failed,
        "address",
    ),
    (
        "the port of mail",
        |entry| entry.holders[0].address = "127.0.0.1:25".to_owned(),
        Exit::Failed,
        "address",
    ),
    (
        "everybody",
        |entry| entry.holders[0].address = "255.255.255.255:5000".to_owned(),
        Exit::Failed,
        "address",
    ),
    (
        "nobody",
        |entry| entry.holders[0].address = "0.0.0.0:5000".to_owned(),
        Exit::Failed,
        "address",
    ),
];

#[tokio::test]
async fn what_makes_no_sense_is_told_and_nothing_is_stored() {
    for (what, change, exit, told) in LIES {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut entry = entry(&nobody.to_string());
        change(&mut entry);
        let registry = FakeRegistry::naming(vec![entry]);
        let context = registry.context();
        let folder = TempDir::new().unwrap();
        let got = within(what, get_within(&context, folder.path(), 1, any_version())).await;
        let error = got.unwrap_err();
        assert_eq!(error.exit(), exit, "{what}: {error}");
        let message = error.to_string();
        assert!(message.contains(told), "{what}: {message}");
        assert!(
            message.len() <= 300 && !message.contains(char::is_control),
            "{what}: {message}"
        );

        let (to, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let client = context.connect().await.unwrap();
        let mirror = mirror_into(&to, &state, Compress::Auto);
        let mirrored = within(what, mirror.run(&client, std::sync::Arc::new(Silent))).await;
        if let Ok(summary) = mirrored {
            assert_eq!(summary.fetched, 0, "{what}");
        }
        for folder in [&folder, &to] {
            assert_eq!((files(folder.path()).len(), leftovers(folder.path())), (0, 0), "{what}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_names_nothing_at_all_has_nothing() {
    let registry = FakeRegistry::naming(Vec::new());
    let context = registry.context();
    let folder = TempDir::new().unwrap();
    let error = get_within(&context, folder.path(), 1, any_version()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
    assert_eq!(error.to_string(), "no active peer has RFC 1");
}

#[tokio::test]
async fn more_versions_than_any_answer_has_are_refused() {
    let registry = FakeRegistry::naming(vec![entry("127.0.0.1:5000"); 257]);
    let context = registry.context();
    let folder = TempDir::new().unwrap();
    let error = get_within(&context, folder.path(), 1, any_version()).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Failed, "{error}");
    assert!(error.to_string().contains("257 entries are more than 256"), "{error}");
}
