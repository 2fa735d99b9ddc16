//! Announcing, looking up and listing over the wire.

use crate::support::{
    Session, acknowledged, client, document, everything, failed, healthy_port, heartbeat, hello, key, lookup, number,
    numbers, peers, refused, registry, within,
};
use p2p_ci::{
    digest::Sha256,
    document::{Document, Format, RfcRange, Title},
    failure::Reason,
    limits::MAX_SESSION_DOCUMENTS,
    message::{
        IndexFilter, ListPageQuery, ListQuery, Listed, LookupManyQuery, PeerRef, PeerRequest, Reachability,
        RegistryReply,
    },
};

#[tokio::test]
async fn what_is_announced_is_found_at_once_and_gone_when_withdrawn() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut alice = Session::share(&client, "alice", &[document(1), document(2)]).await;
    let entry = client.lookup(&lookup(2)).await.unwrap().documents.remove(0);
    assert_eq!(entry.document, document(2));
    assert_eq!((entry.holder_count, entry.holders.len()), (1, 1));
    assert_eq!(entry.holders[0].name.as_str(), "alice");
    assert_eq!(Some(entry.holders[0].address), alice.welcome.address);
    assert_eq!(numbers(&client).await, [1, 2]);

    let reply = alice
        .ask(PeerRequest::Withdraw(vec![key(2), key(77)], Vec::new()))
        .await;
    assert_eq!(reply, RegistryReply::Withdrawn(1));
    let failure = refused(client.lookup(&lookup(2)).await, Reason::RfcNotFound);
    assert!(failure.message.starts_with("no active peer has RFC 2;"), "{failure}");
    assert_eq!(numbers(&client).await, [1]);
}

#[tokio::test]
async fn a_changed_document_replaces_the_earlier_one_and_claims_are_kept() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut alice = Session::share(&client, "alice", &[document(1)]).await;
    let mut changed = document(1);
    changed.id.sha256 = Sha256::of(b"changed");
    changed.title = Title::default();
    let reply = alice.ask(PeerRequest::Announce(vec![changed.clone()])).await;
    assert_eq!(reply, RegistryReply::Announced(1));
    let _bob = Session::share(
        &client,
        "bob",
        &[Document {
            title: Title::from_lossy("Bob's title"),
            ..changed.clone()
        }],
    )
    .await;
    let found = client.lookup(&lookup(1)).await.unwrap().documents;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].document.id, found[0].holder_count), (changed.id, 2));
    assert_eq!(
        found[0].document.title.as_str(),
        "Bob's title",
        "the first that is not empty"
    );

    let mut query = lookup(1);
    query.sha256_prefix = changed.id.sha256.to_string()[..9].parse().unwrap();
    assert_eq!(client.lookup(&query).await.unwrap().documents.len(), 1);
    query.sha256_prefix = "0000".parse().unwrap();
    let failure = refused(client.lookup(&query).await, Reason::RfcNotFound);
    let expected = "no active peer has RFC 1 with a digest that starts with 0000;";
    assert!(failure.message.starts_with(expected), "{failure}");
    let mut query = lookup(1);
    query.format = Some(Format::Pdf);
    let failure = refused(client.lookup(&query).await, Reason::RfcNotFound);
    let expected = "no active peer has RFC 1 as pdf;";
    assert!(failure.message.starts_with(expected), "{failure}");
}

/// A peer whose port answers nothing: shown, counted, never handed out.
#[tokio::test]
async fn an_unreachable_peer_is_told_so_and_never_handed_out() {
    let registry = registry().await;
    let client = client(&registry).await;
    let (serving, port) = healthy_port().await;
    drop(serving);
    let mut lost = Session::open(&client, hello("lost", Some(port))).await.unwrap();
    assert_eq!(lost.reachability().await, Reachability::Unreachable);
    lost.ask(PeerRequest::Announce(vec![document(1)])).await;
    let failure = refused(client.lookup(&lookup(1)).await, Reason::RfcNotFound);
    assert_eq!(failure.message, "RFC 1 is only held by 1 peer that others cannot reach");

    let mut list = client.list_documents(everything()).await.unwrap();
    let entry = within(list.next()).await.unwrap().unwrap().entry;
    assert_eq!((entry.holder_count, entry.holders.len()), (1, 0));
}

#[tokio::test]
async fn odd_documents_are_taken() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut empty = document(u32::MAX);
    empty.size_bytes = 0;
    empty.title = Title::from_lossy("<script>&amp; \u{202e}RTL");
    let _alice = Session::share(&client, "alice", &[empty.clone(), document(99_999)]).await;
    let found = client.lookup(&lookup(u32::MAX)).await.unwrap().documents;
    assert_eq!(
        found[0].document, empty,
        "a title is passed on as it is; who shows it escapes it"
    );
}

#[tokio::test]
async fn one_session_announces_so_many_documents_and_no_more() {
    let registry = registry().await;
    let client = client(&registry).await;
    let all: Vec<Document> = (1..=40_000).map(document).collect();
    let mut alice = Session::share(&client, "alice", &all).await;
    let last = alice.ask(PeerRequest::Announce(vec![document(40_001)])).await;
    failed(&last, Reason::LimitExceeded);
    let ack = alice.ask(heartbeat(0)).await;
    assert_eq!(ack, acknowledged(u32::try_from(MAX_SESSION_DOCUMENTS).unwrap()));
    let alice = peers(&client).await.remove(0);
    assert_eq!(alice.document_counts, [(Format::Txt, 40_000)]);
}

#[tokio::test]
async fn pages_of_a_sessions_list_lead_through_all_that_is_asked_for() {
    let registry = registry().await;
    let client = client(&registry).await;
    let all: Vec<Document> = (1..=2000).map(document).collect();
    let _alice = Session::share(&client, "alice", &all).await;
    let mut bob = Session::share(&client, "bob", &[document(2001)]).await;
    assert_eq!(pages(&mut bob, IndexFilter::ALL).await, (1..=2000).collect::<Vec<_>>());
    let middle = RfcRange {
        first: number(300),
        last: number(900),
    };
    let some = IndexFilter {
        range: middle,
        format: None,
    };
    assert_eq!(pages(&mut bob, some).await, (300..=900).collect::<Vec<_>>());
    let html = IndexFilter {
        range: RfcRange::ALL,
        format: Some(Format::Html),
    };
    assert_eq!(pages(&mut bob, html).await, [0u32; 0]);
}

async fn pages(session: &mut Session, filter: IndexFilter) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut after = None;
    loop {
        let query = ListPageQuery {
            filter,
            page_size: 256,
            after,
        };
        let reply = session.ask(PeerRequest::List(query)).await;
        let RegistryReply::Page(page) = reply else {
            panic!("{reply:?}");
        };
        assert!(page.entries.len() <= 256);
        numbers.extend(page.entries.iter().map(|entry| entry.document.id.key.number.get()));
        after = page.next;
        if after.is_none() {
            return numbers;
        }
    }
}

#[tokio::test]
async fn a_list_can_be_of_one_peer_one_format_and_one_range() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut html = document(5);
    html.id.key.format = Format::Html;
    let alice = Session::share(&client, "alice", &[document(1), document(5), html]).await;
    let _bob = Session::share(&client, "bob", &[document(5), document(9)]).await;
    let list = async |query: ListQuery| -> Vec<(u32, Format, u32)> {
        let mut stream = client.list_documents(query).await.unwrap();
        let mut found = Vec::new();
        while let Some(Listed { entry, .. }) = within(stream.next()).await.unwrap() {
            let key = entry.document.id.key;
            found.push((key.number.get(), key.format, entry.holder_count));
        }
        found
    };
    use Format::{Html, Txt};
    assert_eq!(
        list(everything()).await,
        [(1, Txt, 1), (5, Txt, 2), (5, Html, 1), (9, Txt, 1)]
    );
    for peer in [
        PeerRef::Name("alice".parse().unwrap()),
        PeerRef::Id(alice.welcome.session_id),
    ] {
        let of_alice = ListQuery {
            peer: Some(peer),
            ..everything()
        };
        assert_eq!(list(of_alice).await, [(1, Txt, 1), (5, Txt, 2), (5, Html, 1)]);
    }
    let filter = IndexFilter {
        range: RfcRange {
            first: number(2),
            last: number(8),
        },
        format: Some(Txt),
    };
    let filtered = ListQuery { filter, ..everything() };
    assert_eq!(list(filtered).await, [(5, Txt, 2)]);

    let nobody = ListQuery {
        peer: Some(PeerRef::Name("nobody".parse().unwrap())),
        ..everything()
    };
    let failure = refused(client.list_documents(nobody).await.map(|_| ()), Reason::PeerNotFound);
    assert!(failure.message.contains("nobody"), "{failure}");
}

#[tokio::test]
async fn many_lookups_are_answered_in_their_order() {
    let registry = registry().await;
    let client = client(&registry).await;
    let _alice = Session::share(&client, "alice", &[document(1), document(3)]).await;
    let asked: Vec<u32> = [3, 10_053, 1, 3].into_iter().chain(20_000..20_200).collect();
    let query = LookupManyQuery {
        numbers: asked.iter().copied().map(number).collect(),
        format: None,
        max_holders: 1,
    };
    let mut stream = client.lookup_many(query).await.unwrap();
    let mut answered = Vec::new();
    let mut found = 0;
    while let Some(answer) = within(stream.next()).await.unwrap() {
        found += answer.documents.len();
        answered.push(answer.number);
    }
    assert_eq!((answered, found), (asked, 3));
}

#[tokio::test]
async fn one_number_with_very_many_documents_still_fits_an_answer() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut sessions = Vec::new();
    for who in 0..60u32 {
        let documents: Vec<Document> = Format::ALL
            .into_iter()
            .map(|format| {
                let mut odd = document(1);
                odd.id.key.format = format;
                odd.id.sha256 = Sha256::of(&who.to_be_bytes());
                odd.title = Title::from_lossy(&"x".repeat(512));
                odd
            })
            .collect();
        // Each on a connection of its own, as real peers are.
        let client = crate::support::client(&registry).await;
        sessions.push(Session::share(&client, &format!("p{who}"), &documents).await);
    }
    let mut query = lookup(1);
    query.max_holders = 20;
    let found = client.lookup(&query).await.unwrap().documents;
    assert_eq!(found.len(), 256, "of 300");
    for format in Format::ALL {
        let of_format = found.iter().filter(|entry| entry.document.id.key.format == format);
        assert!(of_format.count() >= 51);
    }
}

#[tokio::test]
async fn an_observer_looks_but_shares_nothing() {
    let registry = registry().await;
    let client = client(&registry).await;
    let _alice = Session::share(&client, "alice", &[document(1)]).await;
    let mut eve = Session::open(&client, hello("eve", None)).await.unwrap();
    assert_eq!(eve.welcome.address, None);
    failed(
        &eve.ask(PeerRequest::Announce(vec![document(2)])).await,
        Reason::InvalidRequest,
    );
    let reply = eve.ask(PeerRequest::Lookup(lookup(1))).await;
    assert!(matches!(reply, RegistryReply::Found(found) if found.documents.len() == 1));
    failed(&eve.ask(PeerRequest::Lookup(lookup(2))).await, Reason::RfcNotFound);
}
