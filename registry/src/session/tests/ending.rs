//! However a session ends, its peer is gone with it, and no other one.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use p2p_ci::{
    failure::Reason,
    message::{Hello, PeerRequest, RegistryReply},
};
use tokio::time::{Instant, timeout};

use super::*;
use crate::{
    limits::{LAST_WORD_PATIENCE, OUTBOX_PATIENCE},
    testing::document,
};

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_is_gone_when_it_reads_so() {
    let environment = refusing().await;
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    assert_eq!(peer.ask(PeerRequest::Leave).await, RegistryReply::Left);
    assert_eq!(environment.swarm.session_count(), 0);
    assert_eq!(peer.end().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_is_gone_even_before_it_can_be_told() {
    let environment = refusing().await;
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    // The verdict on its address and three answers fill the queue, so that `left` has to wait.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        peer.send(Ok(heartbeat(0))).await;
    }
    peer.send(Ok(PeerRequest::Leave)).await;
    tokio::time::sleep(OUTBOX_PATIENCE / 2).await;
    assert_eq!(environment.swarm.session_count(), 0);
    assert!(!peer.session.is_finished(), "it waits to say so");
    assert_eq!(peer.end().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_on_either_side_ends_the_session() {
    let environment = refusing().await;
    let (mut closing, _) = Peer::join(&environment, "alice").await;
    closing.requests = None;
    assert_eq!(closing.end().await, None);
    assert_eq!(environment.swarm.session_count(), 0);

    let (mut cut, _) = Peer::join(&environment, "alice").await;
    cut.replies = None;
    timeout(PATIENCE, cut.session).await.expect("it ends").unwrap();
    assert_eq!(environment.swarm.session_count(), 0);

    for (error, reason) in [
        (InboundError::ConnectionLost, Reason::Internal),
        (InboundError::TooLarge, Reason::MessageTooLarge),
        (InboundError::Malformed("bad".to_owned()), Reason::InvalidRequest),
    ] {
        let (mut broken, _) = Peer::join(&environment, "alice").await;
        broken.send_item(Err(error)).await;
        Peer::assert_ended(broken.end().await, reason);
        assert_eq!(environment.swarm.session_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_dropped_ends_the_session() {
    let environment = refusing().await;
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    peer.session.abort();
    Peer::assert_ended(peer.end().await, Reason::Internal);
    assert_eq!(environment.swarm.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_ended_and_nobody_waits_for_it() {
    let environment = refusing().await;
    let (mut idle, _) = Peer::join(&environment, "idle").await;
    let (mut other, _) = Peer::join_with(
        &environment,
        Hello {
            port: Some(40124),
            ..hello_of("other")
        },
    )
    .await;
    // The queue holds four replies; the fifth has no room.
    let start = Instant::now();
    for _ in 0..5 {
        idle.send(Ok(heartbeat(0))).await;
    }
    let ack = other.ask(heartbeat(0)).await;
    assert_eq!(ack, acknowledged(0));
    assert!(start.elapsed() < OUTBOX_PATIENCE);
    timeout(PATIENCE, &mut idle.session).await.expect("it ends").unwrap();
    assert_eq!(start.elapsed(), OUTBOX_PATIENCE);
    assert_eq!(environment.swarm.session_count(), 1);
    Peer::assert_ended(idle.end().await, Reason::TooSlow);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_session_is_told_and_its_documents_are_gone_at_once() {
    let environment = refusing().await;
    let (mut old, welcome) = Peer::join(&environment, "alice").await;
    old.ask(PeerRequest::Announce(vec![document(1), document(2)])).await;
    let again = Hello {
        resume_token: Some(welcome.resume_token),
        ..hello_of("alice")
    };
    let (mut new, _) = Peer::join_with(&environment, again).await;
    let ack = new.ask(heartbeat(0)).await;
    assert_eq!(ack, acknowledged(0), "nothing of the old session is left");
    Peer::assert_ended(old.end().await, Reason::Superseded);
    assert_eq!(environment.swarm.session_count(), 1);
}

/// Whatever the old session still does, and however it ends, the new one and its documents stay.
#[tokio::test(start_paused = true)]
async fn a_late_clean_up_never_touches_the_newer_session() {
    let environment = refusing().await;
    for round in 0..1000u32 {
        let (mut old, welcome) = Peer::join(&environment, "alice").await;
        // Requests of the old session that are still under way.
        for number in 1..4 {
            old.send(Ok(PeerRequest::Announce(vec![document(number)]))).await;
        }
        if round % 2 == 0 {
            old.send(Ok(PeerRequest::Leave)).await;
        }
        let again = Hello {
            resume_token: Some(welcome.resume_token),
            ..hello_of("alice")
        };
        let mut new = Peer::connect(&environment);
        new.send(Ok(PeerRequest::Hello(again))).await;
        new.send(Ok(PeerRequest::Announce(vec![document(5)]))).await;
        // The old session ends before the new one is registered, or learns of it and ends afterwards.
        if round % 4 < 2 {
            assert!(matches!(new.next().await, Some(Ok((1, RegistryReply::Welcome(_))))));
        }
        match round % 3 {
            0 => old.replies = None,
            1 => old.requests = None,
            _ => old.session.abort(),
        }
        let _ = old.session.await;
        while !matches!(new.next().await, Some(Ok((2, RegistryReply::Announced(1))))) {}
        let ack = new.ask(heartbeat(0)).await;
        assert_eq!(ack, acknowledged(1), "round {round}");
        assert_eq!(environment.swarm.session_count(), 1, "round {round}");
        new.ask(PeerRequest::Leave).await;
        timeout(PATIENCE, new.session).await.expect("it ends").unwrap();
        assert_eq!(environment.swarm.session_count(), 0);
    }
}

/// A stream of requests that panics where a defect would.
struct Panicking(Option<Inbound>);

impl Stream for Panicking {
    type Item = Result<Inbound, InboundError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => panic!("a defect, on purpose"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_session_only() {
    let environment = refusing().await;
    let (mut other, _) = Peer::join(&environment, "other").await;
    let (outbox, replies) = outbox();
    let first = Inbound {
        request_id: 1,
        is_hello: true,
        request: Ok(PeerRequest::Hello(Hello {
            port: None,
            ..hello_of("unlucky")
        })),
    };
    let session = serve(
        environment.clone(),
        SOURCE.parse().unwrap(),
        Panicking(Some(first)),
        outbox,
    );
    let mut unlucky = Peer {
        requests: None,
        replies: Some(replies),
        session: tokio::spawn(session),
        last_id: 1,
    };
    Peer::assert_ended(unlucky.end().await, Reason::Internal);
    assert!(unlucky.session.await.unwrap_err().is_panic());
    assert_eq!(environment.swarm.session_count(), 1);
    let ack = other.ask(heartbeat(0)).await;
    assert_eq!(ack, acknowledged(0));
}

#[tokio::test(start_paused = true)]
async fn the_registry_that_goes_away_says_so() {
    let environment = refusing().await;
    let (mut reading, _) = Peer::join(&environment, "reading").await;
    let (mut full, _) = Peer::join_with(
        &environment,
        Hello {
            port: Some(40124),
            ..hello_of("full")
        },
    )
    .await;
    for _ in 0..8 {
        full.send(Ok(heartbeat(0))).await;
    }
    tokio::task::yield_now().await;
    let start = Instant::now();
    environment.stop.cancel();
    let mut words = Vec::new();
    let failure = loop {
        match reading.next().await {
            Some(Ok((0, reply))) => words.push(reply),
            Some(Err(error)) => break Failure::from(error),
            other => panic!("{other:?}"),
        }
    };
    assert!(words.contains(&RegistryReply::ShuttingDown));
    assert_eq!(failure.reason, Reason::ShuttingDown);
    assert!(failure.retry_after.is_some());
    timeout(PATIENCE, &mut full.session).await.expect("it ends").unwrap();
    assert!(
        start.elapsed() <= LAST_WORD_PATIENCE,
        "one that does not read delays nothing"
    );
    Peer::assert_ended(full.end().await, Reason::ShuttingDown);
    assert_eq!(environment.swarm.session_count(), 0);
}
