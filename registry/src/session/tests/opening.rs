//! How a session opens, and how it does not.

use std::time::Duration;

use p2p_ci::{
    failure::Reason,
    limits::HELLO_TIMEOUT,
    message::{Hello, PeerRequest},
};
use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hello_is_answered_by_a_welcome() {
    let environment = refusing().await;
    let (_peer, welcome) = Peer::join(&environment, "alice").await;
    assert_eq!(welcome.observed, SOURCE.parse().unwrap());
    assert_eq!(welcome.address, Some("192.0.2.9:40123".parse().unwrap()));
    assert_eq!(welcome.heartbeat_interval, Duration::from_secs(10));
    assert_eq!(welcome.reconnect_spread, Duration::from_millis(101));
    assert_eq!(environment.swarm.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_hello_the_session_ends_in_ten_seconds() {
    let environment = refusing().await;
    let start = Instant::now();
    let mut peer = Peer::connect(&environment);
    Peer::assert_ended(peer.end().await, Reason::HelloTimeout);
    assert_eq!(start.elapsed(), HELLO_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn anything_but_a_hello_first_ends_the_session() {
    let environment = refusing().await;
    let wrong_announce = ProtocolError::invalid("documents[0].number", "RFC numbers start at 1");
    for first in [
        Ok(heartbeat(1)),
        Ok(PeerRequest::Leave),
        Ok(PeerRequest::Announce(Vec::new())),
        Err(wrong_announce),
    ] {
        let mut peer = Peer::connect(&environment);
        peer.send(first).await;
        Peer::assert_ended(peer.end().await, Reason::HelloExpected);
    }
    let mut peer = Peer::connect(&environment);
    peer.requests = None;
    Peer::assert_ended(peer.end().await, Reason::HelloExpected);
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_is_wrong_is_told_which_field() {
    let environment = refusing().await;
    let mut empty = Peer::connect(&environment);
    empty.send(Err(ProtocolError::missing("body"))).await;
    let failure = empty.end().await.unwrap();
    assert_eq!(
        (failure.reason, failure.field.as_deref()),
        (Reason::InvalidRequest, Some("body"))
    );

    let mut wrong = Peer::connect(&environment);
    let request = Err(ProtocolError::invalid("port", "port 80 is not within 1024 to 65535"));
    wrong
        .send_item(Ok(Inbound {
            request_id: 1,
            is_hello: true,
            request,
        }))
        .await;
    let failure = wrong.end().await.unwrap();
    assert_eq!(
        (failure.reason, failure.field.as_deref()),
        (Reason::InvalidRequest, Some("port"))
    );
    assert_eq!(environment.swarm.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_version_is_told_which_one_is_spoken() {
    let environment = refusing().await;
    for protocol_version in [0, 2, u32::MAX] {
        let mut peer = Peer::connect(&environment);
        let hello = Hello {
            protocol_version,
            ..hello_of("alice")
        };
        peer.send(Ok(PeerRequest::Hello(hello))).await;
        let failure = peer.end().await.unwrap();
        assert_eq!(failure.reason, Reason::UnsupportedVersion);
        assert_eq!(failure.metadata, [("supported_versions", "1".to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_hello_ends_the_session_even_a_wrong_one() {
    let environment = refusing().await;
    for request in [Ok(hello("alice")), Err(ProtocolError::invalid("name", "no"))] {
        let (mut peer, _) = Peer::join(&environment, "alice").await;
        peer.send_item(Ok(Inbound {
            request_id: 2,
            is_hello: true,
            request,
        }))
        .await;
        Peer::assert_ended(peer.end().await, Reason::HelloRepeated);
        assert_eq!(environment.swarm.session_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_name_or_address_is_taken_over_by_its_token_only() {
    let environment = refusing().await;
    let (_alice, welcome) = Peer::join(&environment, "alice").await;
    let mut same_name = Peer::connect(&environment);
    same_name
        .send(Ok(PeerRequest::Hello(Hello {
            port: Some(40124),
            ..hello_of("alice")
        })))
        .await;
    Peer::assert_ended(same_name.end().await, Reason::NameTaken);

    let mut same_address = Peer::connect(&environment);
    same_address.send(Ok(hello("bob"))).await;
    Peer::assert_ended(same_address.end().await, Reason::AddressTaken);

    let mut wrong_token = Peer::connect(&environment);
    let guess = p2p_ci::identity::ResumeToken::from_bytes([1; 16]);
    wrong_token
        .send(Ok(PeerRequest::Hello(Hello {
            resume_token: Some(guess),
            ..hello_of("alice")
        })))
        .await;
    Peer::assert_ended(wrong_token.end().await, Reason::NameTaken);
    assert_eq!(environment.swarm.session_count(), 1);

    let (_newer, newer_welcome) = Peer::join_with(
        &environment,
        Hello {
            resume_token: Some(welcome.resume_token),
            ..hello_of("alice")
        },
    )
    .await;
    assert_ne!(newer_welcome.session_id, welcome.session_id);
    assert_ne!(
        newer_welcome.resume_token, welcome.resume_token,
        "the old copy cannot take it back"
    );
    assert_eq!(environment.swarm.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_registry_that_goes_away_takes_no_more_sessions() {
    let environment = refusing().await;
    environment.stop.cancel();
    let mut peer = Peer::connect(&environment);
    peer.send(Ok(hello("alice"))).await;
    Peer::assert_ended(peer.end().await, Reason::ShuttingDown);
}
