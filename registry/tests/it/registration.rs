//! Registering over the wire: what is taken, and what is refused with which words.

use bytes::Bytes;
use p2p_ci::{
    client::CallError,
    failure::Reason,
    limits::{MAX_REGISTRY_REQUEST_BYTES, PREFACE_TIMEOUT},
    message::{Hello, PeerRequest, Reachability, RegistryReply},
    pb::{self, register_request::Body},
};

use crate::support::{
    MemoryNet, Session, assert_well_said, client, hello, numbers, peers, raw, refused, registry, registry_with, within,
};

#[tokio::test]
async fn a_peer_registers_and_leaves() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut alice = Session::share(&client, "alice", &[]).await;
    let welcome = alice.welcome.clone();
    assert_eq!(welcome.observed.ip(), "127.0.0.1".parse::<std::net::IpAddr>().unwrap());
    let peer = peers(&client).await.remove(0);
    assert_eq!(
        (peer.id, peer.name.as_str(), peer.address),
        (welcome.session_id, "alice", welcome.address)
    );
    assert_eq!(peer.reachability, Reachability::Reachable);
    assert!(peer.registered.0 > 1_700_000_000);
    assert_eq!(alice.ask(PeerRequest::Leave).await, RegistryReply::Left);
    assert_eq!(peers(&client).await, []);
    assert_eq!(alice.end().await, None);
}

#[tokio::test]
async fn headers_come_before_anything_is_sent() {
    let registry = registry().await;
    let mut call = raw::RawCall::start(registry.local_addr(), "Register").await;
    assert_eq!(call.headers().await["content-type"], "application/grpc");
}

#[tokio::test]
async fn the_first_message_must_be_hello() {
    let registry = registry().await;
    let address = registry.local_addr();
    let heartbeat = raw::request(1, Body::Heartbeat(pb::Heartbeat::default()));
    assert_eq!(raw::register(address, [heartbeat]).await.reason, Reason::HelloExpected);
    let zero = pb::DocumentKey { number: 0, format: 0 };
    let wrong = raw::request(
        1,
        Body::Withdraw(pb::Withdraw {
            documents: vec![zero],
            formats: Vec::new(),
        }),
    );
    assert_eq!(raw::register(address, [wrong]).await.reason, Reason::HelloExpected);

    let nothing = raw::register(
        address,
        [raw::message(&pb::RegisterRequest {
            request_id: 1,
            body: None,
        })],
    )
    .await;
    assert_eq!(
        (nothing.reason, nothing.field.as_deref()),
        (Reason::InvalidRequest, Some("body"))
    );
    // A message of fields that do not exist (number 100, a varint) is one with nothing in it.
    let unknown = raw::register(address, [raw::framed(&[0xa0, 0x06, 0x01])]).await;
    assert_eq!(
        (unknown.reason, unknown.field.as_deref()),
        (Reason::InvalidRequest, Some("body"))
    );

    let twice = raw::register(address, [raw::hello(|_| {}), raw::hello(|_| {})]).await;
    assert_eq!(twice.reason, Reason::HelloRepeated);
    let wrong_second = raw::hello(|hello| hello.name = String::new());
    let twice = raw::register(address, [raw::hello(|_| {}), wrong_second]).await;
    assert_eq!(twice.reason, Reason::HelloRepeated);
    assert_eq!(peers(&client(&registry).await).await, []);
}

#[tokio::test]
async fn every_wrong_field_of_hello_is_named() {
    type Change = fn(&mut pb::Hello);
    let cases: &[(&str, Change)] = &[
        ("name", |hello| hello.name = String::new()),
        ("name", |hello| hello.name = "x".repeat(60_000)),
        ("name", |hello| hello.name = "\u{1b}]0;x\u{7}".to_owned()),
        ("name", |hello| hello.name = "a b".to_owned()),
        ("port", |hello| hello.port = 22),
        ("port", |hello| hello.port = 80),
        ("port", |hello| hello.port = 1023),
        ("port", |hello| hello.port = 65_536),
        // What a client that sends -1 puts on the wire.
        ("port", |hello| hello.port = u32::MAX),
        ("advertise_address", |hello| {
            hello.advertise_address = "example.org:5000".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "0.0.0.0:5000".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "[::]:5000".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "224.0.0.1:5000".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "[ff02::1]:5000".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "255.255.255.255:5000".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "10.0.0.1:80".to_owned()
        }),
        ("advertise_address", |hello| {
            hello.advertise_address = "10.0.0.1:5000".to_owned()
        }),
        ("resume_token", |hello| {
            hello.resume_token = "../../etc/passwd".to_owned()
        }),
    ];
    let registry = registry().await;
    for (field, change) in cases {
        let failure = raw::register(registry.local_addr(), [raw::hello(change)]).await;
        assert_eq!(failure.reason, Reason::InvalidRequest, "{failure}");
        assert_eq!(failure.field.as_deref(), Some(*field), "{failure}");
    }
    assert_eq!(peers(&client(&registry).await).await, []);
}

#[tokio::test]
async fn another_version_is_refused_with_the_supported_one() {
    use tonic_types::StatusExt as _;
    let registry = registry().await;
    for version in [0, 2, u32::MAX] {
        let mut call = raw::RawCall::start(registry.local_addr(), "Register").await;
        call.send(raw::hello(|hello| hello.protocol_version = version));
        let (_, status) = call.end().await;
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "UNSUPPORTED_VERSION");
        assert_eq!(info.metadata["supported_versions"], "1");
    }
}

#[tokio::test]
async fn messages_that_are_no_messages_end_the_session() {
    let registry = registry().await;
    let address = registry.local_addr();
    // Field 2 (hello), 5 bytes: field 2 (name), 3 bytes that are not UTF-8.
    let not_utf8 = raw::framed(&[0x12, 0x05, 0x12, 0x03, 0xff, 0xfe, 0xfd]);
    let garbage = raw::framed(&[0xff; 40]);
    let flagged = Bytes::from_static(&[1, 0, 0, 0, 1, 0]);
    let unknown_flag = Bytes::from_static(&[7, 0, 0, 0, 1, 0]);
    for frame in [not_utf8, garbage, flagged, unknown_flag] {
        let failure = raw::register(address, [frame]).await;
        assert_eq!(failure.reason, Reason::InvalidRequest, "{failure}");
    }
    assert_eq!(peers(&client(&registry).await).await, []);
}

#[tokio::test]
async fn a_message_of_the_largest_size_is_read_and_a_larger_one_ends_the_session() {
    let registry = registry().await;
    let address = registry.local_addr();
    // A name that makes the message exactly so long is read, and refused for what it says.
    let overhead = raw::hello(|hello| hello.name = "x".repeat(60_000)).len() - 5 - 60_000;
    let of_size = |bytes: usize| raw::hello(|hello| hello.name = "x".repeat(bytes - overhead));
    assert_eq!(
        of_size(MAX_REGISTRY_REQUEST_BYTES).len(),
        MAX_REGISTRY_REQUEST_BYTES + 5
    );
    let fits = raw::register(address, [of_size(MAX_REGISTRY_REQUEST_BYTES)]).await;
    assert_eq!(
        (fits.reason, fits.field.as_deref()),
        (Reason::InvalidRequest, Some("name"))
    );
    let larger = raw::register(address, [of_size(MAX_REGISTRY_REQUEST_BYTES + 1)]).await;
    assert_eq!(larger.reason, Reason::MessageTooLarge);
    // Only the announcement of a length counts, not the bytes.
    let declared = Bytes::from_static(&[0, 0x80, 0, 0, 0]);
    assert_eq!(
        raw::register(address, [declared.clone()]).await.reason,
        Reason::MessageTooLarge
    );

    let later = raw::register(address, [raw::hello(|_| {}), declared]).await;
    assert_eq!(later.reason, Reason::MessageTooLarge);
    assert_eq!(peers(&client(&registry).await).await, []);
}

#[tokio::test]
async fn a_live_name_or_address_needs_the_token_and_a_superseded_session_ends() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut old = Session::share(&client, "alice", &[]).await;
    let port = old.welcome.address.unwrap().port();
    let same_name = Session::open(&client, hello("alice", None))
        .await
        .map(|session| session.welcome);
    assert_eq!(refused(same_name, Reason::NameTaken).field.as_deref(), Some("name"));
    let same_address = Session::open(&client, hello("mallory", Some(port)))
        .await
        .map(|session| session.welcome);
    assert_eq!(
        refused(same_address, Reason::AddressTaken).field.as_deref(),
        Some("port")
    );
    assert_eq!(peers(&client).await.len(), 1);

    let again = Hello {
        resume_token: Some(old.welcome.resume_token),
        ..hello("alice", Some(port))
    };
    let new = Session::open(&client, again).await.unwrap();
    let Some(CallError::Refused(failure)) = old.end().await else {
        panic!("the old session goes on");
    };
    assert_eq!(failure.reason, Reason::Superseded);
    assert_well_said(&failure);
    let left: Vec<_> = peers(&client).await.into_iter().map(|peer| peer.id).collect();
    assert_eq!(left, [new.welcome.session_id]);
}

#[tokio::test]
async fn the_registrys_own_address_is_refused_and_an_allowed_range_is_taken() {
    let registry = registry_with(|config| config.allow_advertise = vec!["10.0.0.0/8".parse().unwrap()]).await;
    let client = client(&registry).await;
    let own = Session::open(&client, hello("alice", Some(registry.local_addr().port()))).await;
    refused(own.map(|session| session.welcome), Reason::AddressNotAllowed);
    let advertise = |address: &str| Hello {
        advertise: Some(address.parse().unwrap()),
        ..hello("alice", Some(5000))
    };
    for outside in [
        "127.0.0.1:5000",
        "[::1]:5000",
        "169.254.169.254:5000",
        "[fe80::1]:5000",
        "11.0.0.1:5000",
    ] {
        let refusal = Session::open(&client, advertise(outside))
            .await
            .map(|session| session.welcome);
        let failure = refused(refusal, Reason::AddressNotAllowed);
        assert!(failure.message.contains("--allow-advertise"), "{failure}");
    }
    let inside = Session::open(&client, advertise("10.255.0.1:5000")).await.unwrap();
    assert_eq!(inside.welcome.address, Some("10.255.0.1:5000".parse().unwrap()));
}

#[tokio::test]
async fn one_address_has_so_many_sessions_and_gets_them_back() {
    let registry = registry_with(|config| config.max_sessions_per_address = 3).await;
    let client = client(&registry).await;
    let mut sessions = Vec::new();
    for name in ["a", "b", "c"] {
        sessions.push(Session::open(&client, hello(name, None)).await.unwrap());
    }
    let fourth = Session::open(&client, hello("d", None))
        .await
        .map(|session| session.welcome);
    let failure = refused(fourth, Reason::LimitExceeded);
    assert!(failure.message.contains("--max-sessions-per-address"), "{failure}");
    sessions[0].ask(PeerRequest::Leave).await;
    Session::open(&client, hello("d", None)).await.unwrap();
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    use tokio::io::AsyncReadExt as _;
    let registry = registry_with(|config| config.max_connections_per_address = 2).await;
    let first = client(&registry).await;
    let _second = client(&registry).await;
    let mut third = tokio::net::TcpStream::connect(registry.local_addr()).await.unwrap();
    let closed = within(third.read(&mut [0; 1])).await;
    assert!(matches!(closed, Ok(0) | Err(_)));
    assert_eq!(numbers(&first).await, [0u32; 0]);
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    use tokio::io::AsyncReadExt as _;
    let registry = registry().await;
    let start = tokio::time::Instant::now();
    let mut silent = tokio::net::TcpStream::connect(registry.local_addr()).await.unwrap();
    let mut received = Vec::new();
    let _ = within(silent.read_to_end(&mut received)).await;
    assert!(start.elapsed() < PREFACE_TIMEOUT + std::time::Duration::from_secs(2));
}

#[tokio::test]
async fn strangers_are_told_why_they_may_not_come() {
    let (_registry, net) = MemoryNet::registry("203.0.113.9:5000", |_| {}).await;
    let client = MemoryNet::client(&net).await;
    let failure = refused(client.list_peers().await.map(|_| ()), Reason::SourceNotAllowed);
    assert!(failure.message.contains("--allow-from 203.0.113.9"), "{failure}");
    let session = Session::open(&client, hello("alice", None))
        .await
        .map(|session| session.welcome);
    refused(session, Reason::SourceNotAllowed);

    let allow = "203.0.113.0/24".parse().unwrap();
    let (_registry, net) = MemoryNet::registry("203.0.113.9:5000", |config| config.allow_from.push(allow)).await;
    let client = MemoryNet::client(&net).await;
    let session = Session::open(&client, hello("alice", Some(40123))).await.unwrap();
    assert_eq!(session.welcome.address, Some("203.0.113.9:40123".parse().unwrap()));
}
