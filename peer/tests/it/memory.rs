//! The real registry and real peers over an in-memory network with a paused clock: cables that are pulled, and how long
//! that takes to be noticed.

use std::{net::IpAddr, time::Duration};

use p2p_ci::{
    client::registry::RegistryClient,
    digest::Sha256,
    document::{DocumentClaim, DocumentId, Format},
    fingerprint::Fingerprint,
    limits::HEARTBEAT_INTERVAL,
};
use peer::uplink::LinkState;
use tokio::time::Instant;

use crate::{
    network::{self, Network, Peer, REGISTRY, start_registry},
    support::{is_known, key},
};

async fn start_peer(network: &Network, name: &str, address: &str, file: &str) -> Peer {
    network::start_peer(network, name, address, &[(file, b"a document")]).await
}

async fn names(client: &RegistryClient) -> Vec<String> {
    let mut peers = client.list_peers().await.unwrap();
    let mut names = Vec::new();
    while let Some(peer) = peers.next().await.unwrap() {
        names.push(peer.name.to_string());
    }
    names
}

/// How long, on the test's clock, until the registry lists exactly these peers.
async fn until_listed(client: &RegistryClient, expected: &[&str]) -> Duration {
    let began = Instant::now();
    while names(client).await != expected {
        assert!(
            began.elapsed() < Duration::from_secs(600),
            "not {expected:?} but {:?}",
            names(client).await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_pulled_cable_is_noticed_by_both_ends_and_the_peer_comes_back() {
    let network = Network::default();
    let _registry = start_registry(&network).await;
    let alice = start_peer(&network, "alice", "10.0.0.2:4000", "rfc1.txt").await;
    let _bob = start_peer(&network, "bob", "10.0.0.3:4000", "rfc2.txt").await;
    let observer = RegistryClient::connect(
        &network.dialer("10.0.0.9".parse().unwrap()),
        &format!("http://{REGISTRY}").parse().unwrap(),
    )
    .await
    .unwrap();
    let mut sorted = names(&observer).await;
    while sorted.len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sorted = names(&observer).await;
    }

    let alice_host: IpAddr = "10.0.0.2".parse().unwrap();
    network.plug(alice_host, false);
    let gone = until_listed(&observer, &["bob"]).await;
    assert!(gone <= Duration::from_secs(20), "gone after {gone:?}");
    let mut link = alice.node.link();
    let began = Instant::now();
    drop(
        link.wait_for(|state| !matches!(state, LinkState::Registered { .. }))
            .await
            .unwrap(),
    );
    assert!(
        gone + began.elapsed() <= Duration::from_secs(25),
        "the peer noticed after {:?}",
        gone + began.elapsed()
    );

    network.plug(alice_host, true);
    let back = until_listed(&observer, &["bob", "alice"]).await;
    assert!(back <= Duration::from_secs(40), "back after {back:?}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_connect_back_says_so() {
    let network = Network::default();
    let _registry = start_registry(&network).await;
    let alice = start_peer(&network, "alice", "10.0.0.2:4000", "rfc1.txt").await;
    let mut link = alice.node.link();
    drop(
        link.wait_for(|state| {
            matches!(
                state,
                LinkState::Registered {
                    reachability: Some(_),
                    ..
                }
            )
        })
        .await
        .unwrap(),
    );

    let bob = start_peer(&network, "bob", "10.0.0.3:4000", "rfc2.txt").await;
    // Nobody listens where this one is about to say that it does: it registers when this test first waits.
    network.unlisten("10.0.0.3:4000".parse().unwrap());
    let mut link = bob.node.link();
    let began = Instant::now();
    let told = link
        .wait_for(|state| {
            matches!(
                state,
                LinkState::Registered {
                    reachability: Some(_),
                    ..
                }
            )
        })
        .await
        .unwrap()
        .clone();
    let LinkState::Registered {
        reachability: Some(notice),
        ..
    } = told
    else {
        panic!("{told:?}")
    };
    assert_eq!(notice.reachability, p2p_ci::message::Reachability::Unreachable);
    assert!(
        began.elapsed() <= Duration::from_secs(5),
        "told after {:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_is_known_as_soon_as_it_is_told_and_not_at_the_next_heartbeat_only() {
    let network = Network::default();
    let _registry = start_registry(&network).await;
    let began = Instant::now();
    let _alice = start_peer(&network, "alice", "10.0.0.2:4000", "rfc1.txt").await;
    let url = format!("http://{REGISTRY}").parse().unwrap();
    let client = RegistryClient::connect(&network.dialer("10.0.0.9".parse().unwrap()), &url)
        .await
        .unwrap();
    let document = DocumentClaim {
        id: DocumentId {
            key: key(1),
            sha256: Sha256::of(b"a document"),
        },
        size_bytes: 10,
    };
    while !is_known(&client, Fingerprint::of(Format::Txt, [document])).await {
        assert!(began.elapsed() < HEARTBEAT_INTERVAL / 2, "not yet known");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
