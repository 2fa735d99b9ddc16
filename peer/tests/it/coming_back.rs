//! How peers come back to a registry that went away: not all at the same moment, over an in-memory network with a paused
//! clock.

use std::{collections::BTreeSet, time::Duration};

use peer::{limits, uplink::NodeEvent};
use tokio::sync::broadcast;

use crate::network::{Network, REGISTRY, start_peer, start_registry};

/// Peers of one registry: so many that half of a span stays empty by chance in one of a billion runs.
const PEERS: usize = 32;

/// How long a peer waits after it has lost its session, or has tried in vain.
async fn next_pause(events: &mut broadcast::Receiver<NodeEvent>) -> Duration {
    loop {
        if let NodeEvent::Disconnected { retry_in, .. } = events.recv().await.unwrap() {
            return retry_in;
        }
    }
}

/// Whether pauses lie in both halves of a span, and no two of them are the same.
#[track_caller]
fn assert_spread(pauses: &[Duration], span: Duration) {
    assert!(
        pauses.iter().all(|pause| *pause <= span),
        "longer than {span:?}: {pauses:?}"
    );
    let distinct: BTreeSet<_> = pauses.iter().collect();
    assert_eq!(distinct.len(), pauses.len(), "at the same moment: {pauses:?}");
    let early = pauses.iter().filter(|pause| **pause < span / 2).count();
    assert!(
        (1..pauses.len()).contains(&early),
        "all in one half of {span:?}: {pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn peers_that_lost_the_same_registry_come_back_one_by_one() {
    let network = Network::default();
    let registry = start_registry(&network).await;
    let mut peers = Vec::new();
    for number in 0..PEERS {
        let (name, address) = (format!("peer-{number}"), format!("10.0.1.{number}:4000"));
        let peer = start_peer(&network, &name, &address, &[]).await;
        let mut link = peer.node.link();
        let is_registered =
            |state: &peer::uplink::LinkState| matches!(state, peer::uplink::LinkState::Registered { .. });
        drop(link.wait_for(is_registered).await.unwrap());
        peers.push((peer.node.events(), peer));
    }
    // A session that was lost at once would count as one of a registry that flaps.
    tokio::time::sleep(limits::STABLE_AFTER * 2).await;
    network.unlisten(REGISTRY.parse().unwrap());
    drop(registry);

    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (events, _) in &mut peers {
        first.push(next_pause(events).await);
        second.push(next_pause(events).await);
    }
    // What a registry names to so many: 100 ms, and 1 ms for each that was there when a peer came.
    assert_spread(&first, Duration::from_millis(100 + PEERS as u64));
    assert_spread(&second, limits::BACKOFF_BASE);
}
