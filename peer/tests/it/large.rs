//! A peer with more documents than one may announce.

use std::fs;

use p2p_ci::limits::MAX_SESSION_DOCUMENTS;
use peer::{
    library::{Library, SkipReason},
    node::{Node, NodeConfig},
    uplink::NodeEvent,
};
use tempfile::TempDir;

use crate::support::{TestRegistry, any_version, dialer, get, key, number, within, write_settled};

/// Documents beyond the limit.
const EXCESS: usize = 3;

#[tokio::test]
async fn so_many_documents_are_announced_as_a_peer_may_and_the_rest_is_told() {
    let registry = TestRegistry::start().await;
    // Not in /dev/shm, which has 64 MB in a container.
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for number in 1..=MAX_SESSION_DOCUMENTS + EXCESS {
        let name = format!("rfc{number}.txt");
        write_settled(folder.path(), &name, number.to_string().as_bytes());
    }
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
    let last = u32::try_from(MAX_SESSION_DOCUMENTS).unwrap();
    assert!(announced.contains(&key(last)) && !announced.contains(&key(last + 1)));
    let mut peers = registry.client().await.list_peers().await.unwrap();
    let alice = peers.next().await.unwrap().unwrap();
    assert_eq!(alice.document_count(), MAX_SESSION_DOCUMENTS as u64);
    // And the last of them can be had.
    let copy = TempDir::new().unwrap();
    get(&registry, copy.path(), last, any_version()).await.unwrap();
    assert_eq!(
        fs::read(copy.path().join("rfc40000.txt")).unwrap(),
        number(last).get().to_string().into_bytes()
    );
}
