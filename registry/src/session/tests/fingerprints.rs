//! Lists that are named instead of announced, and what a peer believes to have in the index.

use p2p_ci::{
    document::{Document, Format},
    failure::Reason,
    fingerprint::Fingerprint,
    message::WatchEvent,
};

use super::*;
use crate::{
    index::IndexLimits,
    limits::COMPARE_BURST,
    swarm::{Swarm, SwarmLimits, Watch},
    testing::{LIMITS, document, key},
};

fn documents(first: u32, last: u32) -> Vec<Document> {
    (first..=last).map(document).collect()
}

fn html(first: u32, last: u32) -> Vec<Document> {
    let mut documents = documents(first, last);
    documents
        .iter_mut()
        .for_each(|document| document.id.key.format = Format::Html);
    documents
}

fn of<'a>(documents: impl IntoIterator<Item = &'a Document>) -> Vec<Fingerprint> {
    Fingerprint::of_each(documents)
}

/// A peer named `name` on a port of its own that names these lists.
fn naming(name: &str, port: u16, fingerprints: Vec<Fingerprint>) -> Hello {
    Hello {
        port: Some(port),
        fingerprints,
        ..hello_of(name)
    }
}

fn believing(fingerprints: Vec<Fingerprint>) -> PeerRequest {
    PeerRequest::Heartbeat {
        upload_count: 0,
        fingerprints,
    }
}

/// Registers alice with these documents, which are known by their fingerprints from then on.
async fn alice_with(environment: &Environment, documents: &[Document]) -> Peer {
    let (mut alice, welcome) = Peer::join_with(environment, naming("alice", 40001, of(documents))).await;
    assert_eq!(welcome.known_formats, [], "nobody said so before");
    for batch in documents.chunks(250) {
        alice.ask(PeerRequest::Announce(batch.to_vec())).await;
    }
    let total = u32::try_from(documents.len()).unwrap();
    assert_eq!(alice.ask(believing(of(documents))).await, acknowledged(total));
    alice
}

#[track_caller]
fn assert_mismatched(reply: RegistryReply, formats: &[Format]) {
    let RegistryReply::HeartbeatAck { mismatched, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(mismatched, formats);
}

/// What a watcher is told of documents that came, by peer.
async fn announced(watch: &mut Watch) -> Vec<(String, Format, String)> {
    let mut told = Vec::new();
    while let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(1), watch.next()).await {
        if let WatchEvent::Announced(changed) = &*event.unwrap() {
            let ranges: Vec<String> = changed.ranges.iter().map(ToString::to_string).collect();
            told.push((changed.peer.name.to_string(), changed.format, ranges.join(",")));
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_list_that_somebody_else_holds_need_not_be_announced() {
    let environment = refusing().await;
    let mut all = documents(1, 300);
    all.extend(documents(400, 400));
    let _alice = alice_with(&environment, &all).await;
    let mut watch = environment.swarm.watch(environment.stop.clone()).unwrap();
    assert_eq!(announced(&mut watch).await, []);
    let (mut bob, welcome) = Peer::join_with(&environment, naming("bob", 40002, of(&all))).await;
    assert_eq!(welcome.known_formats, [Format::Txt]);
    assert_eq!(bob.ask(heartbeat(0)).await, acknowledged(301));
    assert_eq!(
        announced(&mut watch).await,
        [("bob".to_owned(), Format::Txt, "1-300,400".to_owned())],
        "as if it had announced"
    );
    assert_eq!(bob.ask(believing(of(&all))).await, acknowledged(301));
    let withdraw = PeerRequest::Withdraw(vec![key(1)], Vec::new());
    assert_eq!(bob.ask(withdraw).await, RegistryReply::Withdrawn(300));
}

#[tokio::test(start_paused = true)]
async fn only_lists_that_are_known_are_told_so() {
    let environment = refusing().await;
    let (texts, pages) = (documents(1, 20), html(1, 20));
    let _alice = alice_with(&environment, &texts).await;
    let both = of(texts.iter().chain(&pages));
    let (mut bob, welcome) = Peer::join_with(&environment, naming("bob", 40002, both.clone())).await;
    assert_eq!(welcome.known_formats, [Format::Txt], "nobody has those pages");
    assert_eq!(bob.ask(heartbeat(0)).await, acknowledged(20));
    bob.ask(PeerRequest::Announce(pages)).await;
    assert_eq!(bob.ask(believing(both)).await, acknowledged(40));

    let other = of(&documents(1, 21));
    let (mut carol, welcome) = Peer::join_with(&environment, naming("carol", 40003, other)).await;
    assert_eq!(welcome.known_formats, [], "one document more is another list");
    assert_eq!(carol.ask(heartbeat(0)).await, acknowledged(0));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_still_known_when_the_only_one_who_held_it_comes_back() {
    let environment = refusing().await;
    let all = documents(1, 300);
    let mut alice = alice_with(&environment, &all).await;
    alice.ask(PeerRequest::Leave).await;
    assert_eq!(alice.end().await, None);
    // Others take the places of what is gone.
    let (mut bob, _) = Peer::join_with(&environment, naming("bob", 40002, Vec::new())).await;
    bob.ask(PeerRequest::Announce(documents(1000, 1200))).await;
    let (mut alice, welcome) = Peer::join_with(&environment, naming("alice", 40001, of(&all))).await;
    assert_eq!(welcome.known_formats, [Format::Txt]);
    assert_eq!(alice.ask(believing(of(&all))).await, acknowledged(300));
    let bobs = of(&documents(1000, 1200));
    assert_eq!(bob.ask(believing(bobs)).await, acknowledged(201));
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_session_over_has_its_list_at_once() {
    let environment = refusing().await;
    let all = documents(1, 300);
    let (mut old, welcome) = Peer::join_with(&environment, naming("alice", 40001, Vec::new())).await;
    for batch in all.chunks(250) {
        old.ask(PeerRequest::Announce(batch.to_vec())).await;
    }
    assert_eq!(old.ask(believing(of(&all))).await, acknowledged(300));
    let again = Hello {
        resume_token: Some(welcome.resume_token),
        ..naming("alice", 40001, of(&all))
    };
    let (mut new, welcome) = Peer::join_with(&environment, again).await;
    assert_eq!(welcome.known_formats, [Format::Txt]);
    Peer::assert_ended(old.end().await, Reason::Superseded);
    assert_eq!(new.ask(believing(of(&all))).await, acknowledged(300));
}

#[tokio::test(start_paused = true)]
async fn a_belief_that_is_wrong_is_told_until_the_format_is_announced_again() {
    let environment = refusing().await;
    let mut alice = alice_with(&environment, &documents(1, 9)).await;
    alice.ask(PeerRequest::Announce(html(1, 2))).await;
    let believed = of(documents(1, 8).iter().chain(&html(1, 2)));
    assert_mismatched(alice.ask(believing(believed.clone())).await, &[Format::Txt]);
    assert_mismatched(alice.ask(believing(believed.clone())).await, &[Format::Txt]);
    assert_eq!(alice.ask(heartbeat(0)).await, acknowledged(11), "nothing is compared");

    let withdraw = PeerRequest::Withdraw(vec![key(1)], vec![Format::Txt]);
    assert_eq!(alice.ask(withdraw).await, RegistryReply::Withdrawn(2));
    alice.ask(PeerRequest::Announce(documents(1, 8))).await;
    assert_eq!(alice.ask(believing(believed)).await, acknowledged(10));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_nobody_proved_to_have_is_not_known() {
    let environment = refusing().await;
    let (mut liar, _) = Peer::join_with(&environment, naming("liar", 40001, Vec::new())).await;
    liar.ask(PeerRequest::Announce(documents(1, 3))).await;
    assert_mismatched(liar.ask(believing(of(&documents(1, 300)))).await, &[Format::Txt]);
    for lie in [of(&documents(1, 300)), of(&documents(1, 3))] {
        let (mut bob, welcome) = Peer::join_with(&environment, naming("bob", 40002, lie)).await;
        assert_eq!(welcome.known_formats, [], "the second one was never claimed");
        bob.ask(PeerRequest::Leave).await;
        assert_eq!(bob.end().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_list_is_no_way_around_a_limit() {
    let few = IndexLimits {
        session_documents: 15,
        documents_per_source: 20,
        ..LIMITS.index
    };
    let environment = Environment {
        swarm: Swarm::new(SwarmLimits { index: few, ..LIMITS }).unwrap(),
        ..refusing().await
    };
    let (texts, pages) = (documents(1, 10), html(1, 10));
    let mut alice = alice_with(&environment, &texts).await;
    let (mut bob, _) = Peer::join_with(&environment, naming("bob", 40002, Vec::new())).await;
    bob.ask(PeerRequest::Announce(pages.clone())).await;
    bob.ask(believing(of(&pages))).await;
    let both = of(texts.iter().chain(&pages));
    let (mut carol, welcome) = Peer::join_with(&environment, naming("carol", 40003, both)).await;
    assert_eq!(welcome.known_formats, [Format::Txt], "20 documents are more than 15");
    let reply = carol.ask(PeerRequest::Announce(pages.clone())).await;
    assert!(
        matches!(&reply, RegistryReply::Failed(failure) if failure.reason == Reason::LimitExceeded),
        "{reply:?}"
    );
    // What nobody holds any more counts for whoever brings it back.
    for peer in [&mut alice, &mut carol] {
        peer.ask(PeerRequest::Leave).await;
        assert_eq!(peer.end().await, None);
    }
    bob.ask(PeerRequest::Announce(documents(21, 25))).await;
    let (mut dave, welcome) = Peer::join_with(&environment, naming("dave", 40004, Vec::new())).await;
    assert_eq!(welcome.known_formats, []);
    dave.ask(PeerRequest::Announce(documents(31, 35))).await;
    let (mut alice, welcome) = Peer::join_with(&environment, naming("alice", 40001, of(&texts))).await;
    assert_eq!(welcome.known_formats, [], "its source has brought in 20 already");
    assert_eq!(alice.ask(heartbeat(0)).await, acknowledged(0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_no_list() {
    let environment = refusing().await;
    let nothing = vec![Fingerprint::of(Format::Txt, [])];
    let (mut alice, _) = Peer::join_with(&environment, naming("alice", 40001, nothing.clone())).await;
    assert_eq!(
        alice.ask(believing(nothing.clone())).await,
        acknowledged(0),
        "it is true"
    );
    let (_bob, welcome) = Peer::join_with(&environment, naming("bob", 40002, nothing)).await;
    assert_eq!(welcome.known_formats, []);
}

#[tokio::test(start_paused = true)]
async fn an_observers_fingerprints_are_passed_over() {
    let environment = refusing().await;
    let all = documents(1, 3);
    let _alice = alice_with(&environment, &all).await;
    let observer = Hello {
        port: None,
        ..naming("eve", 1, of(&all))
    };
    let (mut eve, welcome) = Peer::join_with(&environment, observer).await;
    assert_eq!(welcome.known_formats, []);
    assert_eq!(eve.ask(heartbeat(0)).await, acknowledged(0));
}

#[tokio::test(start_paused = true)]
async fn a_library_that_changes_all_the_time_is_not_always_compared() {
    let environment = refusing().await;
    let all = documents(1, 250);
    let mut alice = alice_with(&environment, &all).await;
    let wrong = of(&documents(1, 2));
    for _ in 1..COMPARE_BURST / 250 {
        alice.ask(PeerRequest::Withdraw(vec![key(1)], Vec::new())).await;
        alice.ask(PeerRequest::Announce(vec![document(1)])).await;
        assert_mismatched(alice.ask(believing(wrong.clone())).await, &[Format::Txt]);
    }
    assert_mismatched(alice.ask(believing(wrong.clone())).await, &[Format::Txt]);
    alice.ask(PeerRequest::Withdraw(vec![key(1)], Vec::new())).await;
    assert_mismatched(alice.ask(believing(wrong.clone())).await, &[]);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_mismatched(alice.ask(believing(wrong)).await, &[Format::Txt]);
}
