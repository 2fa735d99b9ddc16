//! Connecting back: when, how often, and what the peer is told.

use std::time::Duration;

use p2p_ci::message::{PeerRequest, Reachability, ReachabilityNotice, RegistryReply};
use tokio::time::{Instant, timeout};

use super::*;
use crate::limits::{PROBE_AGAIN, PROBE_INTERVAL, PROBE_TIMEOUT};

/// The next notice, with the time that it took.
async fn notice(peer: &mut Peer) -> (ReachabilityNotice, Duration) {
    let start = Instant::now();
    loop {
        match peer.next().await {
            Some(Ok((0, RegistryReply::Reachability(notice)))) => return (notice, start.elapsed()),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_reachable_and_is_not_tried_again() {
    let dialer = TestDialer::new(Line::Healthy).await;
    let environment = environment(dialer.clone());
    let (mut peer, welcome) = Peer::join(&environment, "alice").await;
    let (notice, _) = notice(&mut peer).await;
    assert_eq!(notice.reachability, Reachability::Reachable);
    assert_eq!((notice.address, notice.detail), (welcome.address, String::new()));
    tokio::time::sleep(10 * PROBE_AGAIN).await;
    assert_eq!(dialer.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_is_given_up_after_three_seconds() {
    let environment = environment(TestDialer::new(Line::Silent).await);
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    let (notice, took) = notice(&mut peer).await;
    assert_eq!(notice.reachability, Reachability::Unreachable);
    assert_eq!(notice.detail, "no answer from 192.0.2.9:40123 within 3 s");
    assert_eq!(took, PROBE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_peer_is_tried_again_and_told_only_when_it_changes() {
    let dialer = TestDialer::new(Line::Refused).await;
    let environment = environment(dialer.clone());
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    let (first, _) = notice(&mut peer).await;
    assert_eq!(first.reachability, Reachability::Unreachable);
    assert!(
        first.detail.contains("192.0.2.9:40123") && first.detail.contains("refused"),
        "{}",
        first.detail
    );

    assert!(
        timeout(PROBE_AGAIN * 4 + PROBE_AGAIN / 2, notice(&mut peer))
            .await
            .is_err(),
        "no news"
    );
    assert_eq!(dialer.dialled(), 5, "once, and then every 30 s");

    dialer.becomes(Line::Healthy);
    let (second, took) = notice(&mut peer).await;
    assert_eq!(second.reachability, Reachability::Reachable);
    assert!(took <= PROBE_AGAIN, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_address_is_tried_once_in_ten_seconds_whoever_asks() {
    let dialer = TestDialer::new(Line::Refused).await;
    let environment = environment(dialer.clone());
    let start = Instant::now();
    for _ in 0..50 {
        let (mut peer, _) = Peer::join(&environment, "alice").await;
        // Nobody leaves in the very moment in which an attempt begins.
        tokio::time::sleep(Duration::from_millis(700)).await;
        peer.ask(PeerRequest::Leave).await;
        peer.session.await.unwrap();
    }
    let allowed = start.elapsed().as_secs() / PROBE_INTERVAL.as_secs() + 1;
    assert!(dialer.dialled() as u64 <= allowed, "{} of {allowed}", dialer.dialled());
    assert!(dialer.dialled() >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_comes_back_at_once_counts_as_reachable_as_before() {
    let dialer = TestDialer::new(Line::Healthy).await;
    let environment = environment(dialer.clone());
    for _ in 0..3 {
        let (mut peer, _) = Peer::join(&environment, "alice").await;
        let (notice, took) = notice(&mut peer).await;
        assert_eq!(notice.reachability, Reachability::Reachable);
        assert!(took < Duration::from_secs(1));
        peer.ask(PeerRequest::Leave).await;
    }
    assert_eq!(dialer.dialled(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_not_tried() {
    let dialer = TestDialer::new(Line::Healthy).await;
    let environment = environment(dialer.clone());
    let observer = p2p_ci::message::Hello {
        port: None,
        ..hello_of("eve")
    };
    let (mut peer, _) = Peer::join_with(&environment, observer).await;
    assert!(timeout(Duration::from_secs(60), notice(&mut peer)).await.is_err());
    assert_eq!(dialer.dialled(), 0);
}
