//! A peer with more documents than one may announce.

use std::fs;

use p2p_ci::limits::MAX_SESSION_DOCUMENTS;
use peer::{
    library::{Library, SkipReason},
    node::{Node, NodeConfig},
    uplink::NodeEvent,
};
use tempfile::TempDir;

use crate::support::{TestRegistry, any_version, dialer, get, key, within, write_settled};

/// Documents beyond the limit.
const EXCESS: usize = 3;

/// A folder in memory where there is one: these are many files.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

#[tokio::test]
async fn so_many_documents_are_announced_as_a_peer_may_and_the_rest_is_told() {
    let registry = TestRegistry::start().await;
    let (folder, state) = (folder(), TempDir::new().unwrap());
    let last = u32::try_from(MAX_SESSION_DOCUMENTS).unwrap();
    for number in 1..=MAX_SESSION_DOCUMENTS + EXCESS {
        // Without bytes they fit into the 64 MB of memory that a container has for files.
        write_settled(folder.path(), &format!("rfc{number}.txt"), b"");
    }
    write_settled(folder.path(), &format!("rfc{last}.txt"), b"the last one");
    let (library, report) = Library::open(folder.path(), state.path(), &|_| {}).unwrap();
    assert_eq!(report.skipped.count(SkipReason::Excess), EXCESS as u64);
    let mut config = NodeConfig::new(registry.url.clone());
    config.name = Some("alice".parse().unwrap());
    let node = Node::start(config, library, dialer()).unwrap();
    let mut events = node.events();
    let mut announced = Vec::new();
    within("everything announced", async {
        while announced.len() < MAX_SESSION_DOCUMENTS {
            match events.recv().await.unwrap() {
                NodeEvent::Announced(keys) => announced.extend(keys),
                NodeEvent::Rejected(keys, why) => panic!("{} are refused: {why}", keys.len()),
                _ => {}
            }
        }
    })
    .await;
    assert!(announced.contains(&key(last)) && !announced.contains(&key(last + 1)));
    let mut peers = registry.client().await.list_peers().await.unwrap();
    let alice = peers.next().await.unwrap().unwrap();
    assert_eq!(alice.document_count(), MAX_SESSION_DOCUMENTS as u64);
    // And the last of them can be had.
    let copy = TempDir::new().unwrap();
    get(&registry, copy.path(), last, any_version()).await.unwrap();
    assert_eq!(fs::read(copy.path().join("rfc40000.txt")).unwrap(), b"the last one");
}
