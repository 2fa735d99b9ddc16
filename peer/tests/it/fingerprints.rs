//! Registering by fingerprints: how little is sent, and that the index has everything all the same.

use std::sync::Arc;

use p2p_ci::{document::Document, fingerprint::Fingerprint, registry_url::RegistryUrl};
use peer::{
    library::Library,
    node::{Node, NodeConfig},
    uplink::NodeEvent,
};
use tempfile::TempDir;

use crate::{
    fake_registry::FakeRegistry,
    support::{TestRegistry, eventually, is_known, open_library, within, write_settled},
    wiretap::Wiretap,
};

/// RFCs in a folder of these tests: more than one announcement takes.
const RFCS: u32 = 300;

/// What registering with a list that is known may send, besides the 24 bytes that open every HTTP/2 connection.
const FEW_BYTES: u64 = 1024 + 24;

/// A folder with so many RFCs.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for number in 1..=RFCS {
        let text = format!("Request for Comments: {number}\n");
        write_settled(folder.path(), &format!("rfc{number}.txt"), text.as_bytes());
    }
    folder
}

/// A library of such a folder, which must stay as long as it is used.
fn library() -> (Library, [TempDir; 2]) {
    let (folder, state) = (folder(), TempDir::new().unwrap());
    let library = open_library(folder.path(), state.path());
    assert_eq!(library.snapshot().len(), RFCS as usize);
    (library, [folder, state])
}

fn start(registry: &RegistryUrl, name: &str, library: &Library, wiretap: &Wiretap) -> Node {
    let mut config = NodeConfig::new(registry.clone());
    config.name = Some(name.parse().unwrap());
    Node::start(config, library.clone(), Arc::new(wiretap.clone())).unwrap()
}

/// Waits until the registry lists a peer with so many documents.
async fn listed(registry: &TestRegistry, name: &str, documents: u32) {
    let client = registry.client().await;
    eventually(&format!("{name} is listed with {documents} documents"), || async {
        let mut peers = client.list_peers().await.unwrap();
        while let Some(peer) = peers.next().await.unwrap() {
            if peer.name.as_str() == name {
                return (peer.document_count() == u64::from(documents)).then_some(());
            }
        }
        None
    })
    .await;
}

/// Waits until the registry knows the list of these documents by its fingerprint.
async fn known(registry: &TestRegistry, documents: &[Document]) {
    let client = registry.client().await;
    let fingerprint = Fingerprint::of_each(documents)[0];
    eventually("the list is known", || async {
        is_known(&client, fingerprint).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_second_peer_with_a_folder_sends_next_to_nothing_and_is_listed_in_full() {
    let registry = TestRegistry::start().await;
    let wiretap = Wiretap::on(registry.server.local_addr());
    let (first, _folders) = library();
    let _alice = start(&registry.url, "alice", &first, &wiretap);
    listed(&registry, "alice", RFCS).await;
    known(&registry, &first.snapshot()).await;
    let announced = wiretap.made()[0].sent();
    assert!(announced > 20_000, "{announced} bytes are not a whole list");

    let (second, folders) = library();
    let bob = start(&registry.url, "bob", &second, &wiretap);
    let mut events = bob.events();
    listed(&registry, "bob", RFCS).await;
    let keys = within("announced", async {
        loop {
            if let NodeEvent::Announced(keys) = events.recv().await.unwrap() {
                return keys;
            }
        }
    })
    .await;
    assert_eq!(keys.len(), RFCS as usize, "it is news for people as always");
    let named = wiretap.made()[1].sent();
    assert!(
        named < FEW_BYTES,
        "{named} bytes to name a list, {announced} to announce it"
    );

    // What changes from then on is told as always.
    write_settled(folders[0].path(), "rfc9999.txt", b"one more");
    second.rescan().unwrap();
    listed(&registry, "bob", RFCS + 1).await;
}

#[tokio::test]
async fn a_peer_whose_connection_was_cut_comes_back_with_everything_and_sends_next_to_nothing() {
    let registry = TestRegistry::start().await;
    let wiretap = Wiretap::on(registry.server.local_addr());
    let (library, _folders) = library();
    let _alice = start(&registry.url, "alice", &library, &wiretap);
    listed(&registry, "alice", RFCS).await;
    known(&registry, &library.snapshot()).await;

    wiretap.made()[0].cut();
    eventually("back", || async { (wiretap.made().len() == 2).then_some(()) }).await;
    listed(&registry, "alice", RFCS).await;
    let sent = wiretap.made()[1].sent();
    assert!(sent < FEW_BYTES, "{sent} bytes");
}

#[tokio::test]
async fn what_the_registry_lost_is_noticed_and_told_again() {
    let registry = TestRegistry::start().await;
    let forgetful = FakeRegistry::forgetful(registry.server.local_addr());
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for file in ["rfc1.txt", "rfc2.txt", "rfc1.html", "rfc2.html"] {
        write_settled(folder.path(), file, file.as_bytes());
    }
    let library = open_library(folder.path(), state.path());
    let wiretap = Wiretap::on(registry.server.local_addr());
    let _alice = start(&forgetful.url, "alice", &library, &wiretap);
    listed(&registry, "alice", 4).await;
    assert!(forgetful.has_forgotten(), "RFC 2 in HTML was kept from it at first");
    known(&registry, &library.snapshot()).await;
}
