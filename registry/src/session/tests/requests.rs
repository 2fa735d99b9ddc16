//! Requests within a session: answered in order, and a failed one changes nothing.

use std::time::Duration;

use p2p_ci::{
    failure::Reason,
    limits::MAX_BATCH_DOCUMENTS,
    message::{Hello, IndexFilter, ListPageQuery, LookupQuery, PeerRequest, Reachability, RegistryReply},
};

use super::*;
use crate::testing::{document, key};

#[track_caller]
fn failed(reply: RegistryReply, reason: Reason) -> p2p_ci::failure::Failure {
    let RegistryReply::Failed(failure) = &reply else {
        panic!("{reply:?}");
    };
    assert_eq!(failure.reason, reason, "{failure}");
    failure.clone()
}

fn lookup(number: u32) -> PeerRequest {
    PeerRequest::Lookup(LookupQuery {
        number: key(number).number,
        format: None,
        sha256_prefix: Default::default(),
        max_holders: 8,
    })
}

#[tokio::test(start_paused = true)]
async fn documents_come_and_go() {
    let environment = refusing().await;
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    let announce = PeerRequest::Announce(vec![document(1), document(2)]);
    assert_eq!(peer.ask(announce.clone()).await, RegistryReply::Announced(2));
    assert_eq!(peer.ask(announce).await, RegistryReply::Announced(2));
    let withdraw = PeerRequest::Withdraw(vec![key(2), key(3)], Vec::new());
    assert_eq!(peer.ask(withdraw).await, RegistryReply::Withdrawn(1));
    let beat = heartbeat(7);
    assert_eq!(peer.ask(beat).await, acknowledged(1));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_answered_and_the_session_goes_on() {
    let environment = refusing().await;
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    let id = peer.send(Err(ProtocolError::missing("documents[3].sha256"))).await;
    let reply = loop {
        match peer.next().await.unwrap().unwrap() {
            (0, _) => {}
            (answered, reply) => {
                assert_eq!(answered, id);
                break reply;
            }
        }
    };
    let failure = failed(reply, Reason::InvalidRequest);
    assert_eq!(failure.field.as_deref(), Some("documents[3].sha256"));
    failed(peer.ask(lookup(9999)).await, Reason::RfcNotFound);
    let beat = heartbeat(0);
    assert_eq!(peer.ask(beat).await, acknowledged(0));
}

#[tokio::test(start_paused = true)]
async fn an_observer_announces_nothing() {
    let environment = refusing().await;
    let observer = Hello {
        port: None,
        ..hello_of("eve")
    };
    let (mut peer, welcome) = Peer::join_with(&environment, observer).await;
    assert_eq!(welcome.address, None);
    let reply = peer.ask(PeerRequest::Announce(vec![document(1)])).await;
    failed(reply, Reason::InvalidRequest);
    assert_eq!(
        peer.ask(PeerRequest::Withdraw(vec![key(1)], Vec::new())).await,
        RegistryReply::Withdrawn(0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_announcements_then_a_rate() {
    let environment = refusing().await;
    let (mut peer, _) = Peer::join(&environment, "alice").await;
    let batch: Vec<_> = (1..=250).map(document).collect();
    for _ in 0..160 {
        let reply = peer.ask(PeerRequest::Announce(batch.clone())).await;
        assert_eq!(reply, RegistryReply::Announced(250));
    }
    let reply = peer.ask(PeerRequest::Announce(batch.clone())).await;
    let failure = failed(reply, Reason::LimitExceeded);
    let retry_after = failure.retry_after.unwrap();
    assert!(
        retry_after > Duration::ZERO && retry_after <= Duration::from_millis(500),
        "{retry_after:?}"
    );
    tokio::time::sleep(retry_after).await;
    let reply = peer.ask(PeerRequest::Announce(batch.clone())).await;
    assert_eq!(reply, RegistryReply::Announced(250));
    failed(peer.ask(PeerRequest::Announce(batch)).await, Reason::LimitExceeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_counts_as_announced() {
    let environment = refusing().await;
    let observer = Hello {
        port: None,
        ..hello_of("eve")
    };
    let (mut peer, _) = Peer::join_with(&environment, observer).await;
    let batch: Vec<_> = (1..=250).map(document).collect();
    for _ in 0..160 {
        let reply = peer.ask(PeerRequest::Announce(batch.clone())).await;
        failed(reply, Reason::InvalidRequest);
    }
    failed(peer.ask(PeerRequest::Announce(batch)).await, Reason::LimitExceeded);
}

#[tokio::test(start_paused = true)]
async fn the_asker_is_left_out_of_lookup_and_list() {
    let environment = refusing().await;
    let (mut alice, welcome) = Peer::join(&environment, "alice").await;
    let (mut bob, _) = Peer::join_with(
        &environment,
        Hello {
            port: Some(40124),
            ..hello_of("bob")
        },
    )
    .await;
    alice.ask(PeerRequest::Announce(vec![document(1), document(2)])).await;
    bob.ask(PeerRequest::Announce(vec![document(2), document(3)])).await;
    environment
        .swarm
        .set_reachability(welcome.session_id, Reachability::Reachable);

    let failure = failed(alice.ask(lookup(1)).await, Reason::RfcNotFound);
    assert!(failure.message.starts_with("no active peer has RFC 1"), "{failure}");
    let RegistryReply::Found(found) = bob.ask(lookup(2)).await else {
        panic!("alice has RFC 2");
    };
    let entries = found.documents;
    assert_eq!((entries[0].holder_count, entries[0].holders.len()), (1, 1));
    assert_eq!(entries[0].holders[0].id, welcome.session_id);

    let whole = PeerRequest::List(ListPageQuery {
        filter: IndexFilter::ALL,
        page_size: MAX_BATCH_DOCUMENTS,
        after: None,
    });
    let RegistryReply::Page(page) = alice.ask(whole).await else {
        panic!("no page");
    };
    let numbers: Vec<u32> = page.entries.iter().map(|e| e.document.id.key.number.get()).collect();
    assert_eq!(numbers, [2, 3]);
    assert!(page.entries.iter().all(|entry| entry.holder_count == 1));
    assert_eq!(page.next, None);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_has_just_started_says_so() {
    let environment = refusing().await;
    let (mut alice, welcome) = Peer::join(&environment, "alice").await;
    alice.ask(PeerRequest::Announce(vec![document(1)])).await;
    environment
        .swarm
        .set_reachability(welcome.session_id, Reachability::Reachable);
    let observer = Hello {
        port: None,
        ..hello_of("bob")
    };
    let (mut bob, _) = Peer::join_with(&environment, observer).await;
    let mut converging = async |seconds| {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let failure = failed(bob.ask(lookup(2)).await, Reason::RfcNotFound);
        let RegistryReply::Found(found) = bob.ask(lookup(1)).await else {
            panic!("alice has RFC 1");
        };
        let page = PeerRequest::List(ListPageQuery {
            filter: IndexFilter::ALL,
            page_size: 8,
            after: None,
        });
        let RegistryReply::Page(page) = bob.ask(page).await else {
            panic!("alice has RFC 1");
        };
        assert_eq!(page.converging, found.converging);
        assert_eq!(failure.message.contains("just started"), found.converging, "{failure}");
        (found.converging, failure.retry_after)
    };
    let left = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(converging(19).await, (true, left(1)));
    assert_eq!(converging(1).await, (false, None));
}
