//! Fingerprints over the wire: a whole library in a few hundred bytes, and fields that are wrong.

use p2p_ci::{
    document::{Document, Format},
    failure::Reason,
    fingerprint::Fingerprint,
    message::{Hello, PeerRequest, RegistryReply},
    pb::{self, register_request::Body},
};

use crate::{
    bad_input::bad_request,
    support::{Session, acknowledged, client, document, heartbeat, hello, lookup, peers, raw, registry},
};

fn named(name: &str, port: u16, documents: &[Document]) -> Hello {
    Hello {
        fingerprints: Fingerprint::of_each(documents),
        ..hello(name, Some(port))
    }
}

#[tokio::test]
async fn a_series_that_is_known_is_listed_in_full_without_being_sent() {
    let registry = registry().await;
    let client = client(&registry).await;
    let series: Vec<Document> = (1..=9148).map(document).collect();
    let mut alice = Session::share(&client, "alice", &series).await;
    let believed = PeerRequest::Heartbeat {
        upload_count: 0,
        fingerprints: Fingerprint::of_each(&series),
    };
    assert_eq!(alice.ask(believed.clone()).await, acknowledged(9148));

    let mut bob = Session::open(&client, named("bob", 5001, &series)).await.unwrap();
    assert_eq!(bob.welcome.known_formats, [Format::Txt]);
    assert_eq!(bob.ask(believed.clone()).await, acknowledged(9148));
    let counts = peers(&client).await.into_iter().map(|peer| peer.document_counts);
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [[(Format::Txt, 9148)], [(Format::Txt, 9148)]]
    );
    let found = client.lookup(&lookup(9148)).await.unwrap().documents;
    assert_eq!((found[0].holder_count, &found[0].document), (2, &document(9148)));

    let withdraw = PeerRequest::Withdraw(Vec::new(), vec![Format::Txt, Format::Html]);
    assert_eq!(bob.ask(withdraw).await, RegistryReply::Withdrawn(0));
    assert_eq!(bob.ask(heartbeat(0)).await, acknowledged(0));
    let mismatched = RegistryReply::HeartbeatAck {
        document_count: 0,
        mismatched: vec![Format::Txt],
    };
    assert_eq!(bob.ask(believed.clone()).await, mismatched);
    assert_eq!(alice.ask(believed).await, acknowledged(9148), "hers are still there");
}

#[tokio::test]
async fn every_wrong_field_of_a_fingerprint_is_named() {
    type Change = fn(&mut Vec<pb::Fingerprint>);
    let cases: &[(&str, Change)] = &[
        ("fingerprints[0].format", |list| list[0].format = 0),
        ("fingerprints[1].format", |list| list[1].format = 6),
        ("fingerprints[1].format", |list| list[1].format = list[0].format),
        ("fingerprints", |list| list.resize(6, list[0].clone())),
        ("fingerprints[0].sha256", |list| list[0].sha256 = String::new()),
        ("fingerprints[1].sha256", |list| list[1].sha256 = "abc".to_owned()),
        ("fingerprints[0].document_count", |list| list[0].document_count = 40_001),
    ];
    let registry = registry().await;
    for (field, change) in cases {
        let mut fingerprints: Vec<pb::Fingerprint> = [pb::Format::Txt, pb::Format::Pdf]
            .map(|format| pb::Fingerprint {
                format: format.into(),
                document_count: 1,
                sha256: "ab".repeat(32),
            })
            .to_vec();
        change(&mut fingerprints);
        let of_hello = raw::hello(|hello| hello.fingerprints.clone_from(&fingerprints));
        let failure = raw::register(registry.local_addr(), [of_hello]).await;
        assert_eq!(
            (failure.reason, failure.field.as_deref()),
            (Reason::InvalidRequest, Some(*field))
        );
        let heartbeat = pb::Heartbeat {
            upload_count: 0,
            fingerprints,
        };
        let error = bad_request(&registry, Body::Heartbeat(heartbeat)).await;
        assert_eq!(
            (error.reason.as_str(), error.field.as_str()),
            ("INVALID_REQUEST", *field)
        );
    }
    let withdraw = pb::Withdraw {
        documents: Vec::new(),
        formats: vec![1, 2, 1],
    };
    let error = bad_request(&registry, Body::Withdraw(withdraw)).await;
    assert_eq!(error.field, "formats[2]");
}
