//! Watch over the wire.

use p2p_ci::{
    client::{Answers, registry::RegistryClient},
    document::Format,
    failure::Reason,
    message::{PeerRequest, Reachability, WatchEvent},
    pb,
};

use crate::support::{Session, client, document, key, refused, registry, registry_with, until, within};

type Events = Answers<pb::WatchResponse, WatchEvent>;

async fn next(events: &mut Events) -> WatchEvent {
    within(events.next()).await.unwrap().expect("the watch goes on")
}

/// What happened, in a few words.
fn told(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Peer(peer) => format!("{} is here with {}", peer.name, peer.document_count()),
        WatchEvent::SnapshotEnd => "that is all".to_owned(),
        WatchEvent::Joined(peer) => format!("{} joined", peer.name),
        WatchEvent::Left(label) => format!("{} left", label.name),
        WatchEvent::Announced(changed) => format!(
            "{} announced {:?} {}",
            changed.peer.name,
            changed.format,
            ranges(changed)
        ),
        WatchEvent::Withdrawn(changed) => format!(
            "{} withdrew {:?} {}",
            changed.peer.name,
            changed.format,
            ranges(changed)
        ),
        WatchEvent::Reachability(label, Reachability::Reachable) => format!("{} is reachable", label.name),
        WatchEvent::Reachability(label, other) => format!("{} is {}", label.name, other.as_str()),
        WatchEvent::Reset => "again".to_owned(),
    }
}

fn ranges(changed: &p2p_ci::message::Changed) -> String {
    let ranges: Vec<String> = changed.ranges.iter().map(ToString::to_string).collect();
    ranges.join(",")
}

#[tokio::test]
async fn a_watcher_is_told_who_is_here_and_what_happens() {
    let registry = registry().await;
    let client = client(&registry).await;
    let _alice = Session::share(&client, "alice", &[document(1), document(2)]).await;
    let mut events = client.watch().await.unwrap();
    assert_eq!(told(&next(&mut events).await), "alice is here with 2");
    assert_eq!(told(&next(&mut events).await), "that is all");

    let mut html = document(4);
    html.id.key.format = Format::Html;
    let documents = [document(3), document(4), document(9), html];
    let mut bob = Session::share(&client, "bob", &documents).await;
    bob.ask(PeerRequest::Withdraw(vec![key(4)], Vec::new())).await;
    drop(bob);
    for expected in [
        "bob joined",
        "bob is reachable",
        "bob announced Txt 3-4,9",
        "bob announced Html 4",
        "bob withdrew Txt 4",
        "bob left",
    ] {
        assert_eq!(told(&next(&mut events).await), expected);
    }
}

#[tokio::test]
async fn there_are_so_many_places_for_watchers_and_they_are_freed() {
    let registry = registry_with(|config| config.max_watchers = 2).await;
    let client = client(&registry).await;
    let open = async |client: &RegistryClient| client.watch().await;
    let mut first = open(&client).await.unwrap();
    assert_eq!(next(&mut first).await, WatchEvent::SnapshotEnd);
    let _second = open(&client).await.unwrap();
    let failure = refused(open(&client).await.map(|_| ()), Reason::Overloaded);
    assert!(failure.message.contains('2'), "{failure}");
    drop(first);
    until(async || open(&client).await.is_ok()).await;
}

#[tokio::test]
async fn no_watcher_is_let_in_where_there_is_no_place() {
    let registry = registry_with(|config| config.max_watchers = 0).await;
    let client = client(&registry).await;
    refused(client.watch().await.map(|_| ()), Reason::Overloaded);
}
