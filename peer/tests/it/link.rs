//! The session with the registry: lost, found again, refused.

use std::net::SocketAddr;

use peer::{
    node::NodeConfig,
    uplink::{LinkState, NodeEvent},
};
use tempfile::TempDir;

use crate::support::{TestPeer, TestRegistry, dialer, eventually, open_library, within};

#[tokio::test]
async fn peers_come_back_to_a_registry_that_was_restarted() {
    let registry = TestRegistry::start().await;
    let address: SocketAddr = registry.server.local_addr();
    let alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one"), ("rfc2.txt", b"two")]).await;
    let bob = TestPeer::start(&registry, "bob", &[("rfc3.txt", b"three")]).await;
    registry.server.shutdown().await;
    let mut link = alice.node.link();
    drop(
        within(
            "lost",
            link.wait_for(|state| matches!(state, LinkState::Waiting { .. })),
        )
        .await
        .unwrap(),
    );
    let registry = TestRegistry::start_on(address).await;
    alice.reachable().await;
    bob.reachable().await;
    alice.announced(&registry, 2).await;
    bob.announced(&registry, 1).await;
    assert_eq!(registry.peer_count().await, 2);
}

#[tokio::test]
async fn a_peer_that_leaves_is_gone_and_so_is_one_that_is_dropped() {
    let registry = TestRegistry::start().await;
    let alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one")]).await;
    let bob = TestPeer::start(&registry, "bob", &[("rfc1.txt", b"one")]).await;
    alice.node.shutdown(std::time::Duration::from_secs(5)).await;
    assert_eq!(registry.peer_count().await, 1, "a leave is confirmed");
    drop(bob);
    eventually("gone", || async { (registry.peer_count().await == 0).then_some(()) }).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_the_first_bearer_stays() {
    let registry = TestRegistry::start().await;
    let alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one")]).await;
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut config = NodeConfig::new(registry.url.clone());
    config.name = Some("alice".parse().unwrap());
    let node = peer::node::Node::start(config, open_library(folder.path(), state.path()), dialer()).unwrap();
    let mut events = node.events();
    let failure = within("refused", async {
        loop {
            if let NodeEvent::Refused(failure) = events.recv().await.unwrap() {
                return failure;
            }
        }
    })
    .await;
    assert_eq!(failure.reason, p2p_ci::failure::Reason::NameTaken);
    assert_eq!(registry.peer_count().await, 1);
    alice.announced(&registry, 1).await;
}

#[tokio::test]
async fn an_address_to_serve_on_that_is_taken_is_told_at_once() {
    let registry = TestRegistry::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut config = NodeConfig::new(registry.url.clone());
    config.listen = Some(address);
    let library = open_library(folder.path(), state.path());
    let start = || peer::node::Node::start(config.clone(), library.clone(), dialer());
    let message = start().unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("cannot listen on {address}; ")),
        "{message}"
    );
    assert!(message.contains("in use"), "{message}");
    drop(taken);
    let node = start().unwrap();
    let served = within("served", async {
        node.address().wait_for(Option::is_some).await.unwrap().to_owned()
    });
    assert_eq!(served.await, Some(address));
}
