//! A peer is in the index as long as its stream is open: no longer, and no shorter.

use std::{net::SocketAddr, time::Duration};

use p2p_ci::{
    client::registry::RegistryClient,
    message::{Hello, PeerRequest, RegistryReply},
    pb::{self, register_request::Body},
    transport::tcp_dialer,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::Instant,
};

use crate::support::{
    Session, acknowledged, client, document, heartbeat, hello, lookup, peers, raw, registry, until, url_of,
};

async fn register_raw(registry: SocketAddr, name: &str) -> raw::RawCall {
    let mut call = raw::RawCall::start(registry, "Register").await;
    call.headers().await;
    call.send(raw::hello(|hello| hello.name = name.to_owned()));
    call
}

#[tokio::test]
async fn a_peer_whose_connection_breaks_is_gone_within_a_second() {
    let registry = registry().await;
    let client = client(&registry).await;
    for round in 0..50 {
        let call = register_raw(registry.local_addr(), "victim").await;
        until(async || peers(&client).await.len() == 1).await;
        let start = Instant::now();
        call.kill();
        until(async || peers(&client).await.is_empty()).await;
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "round {round}: {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn a_peer_that_closes_its_half_has_left() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut call = register_raw(registry.local_addr(), "typed-by-hand").await;
    until(async || peers(&client).await.len() == 1).await;
    call.half_close();
    let (received, status) = call.end().await;
    assert_eq!(status.code(), tonic::Code::Ok);
    assert!(received > 0, "the welcome came before the end");
    assert_eq!(peers(&client).await, []);
}

/// Breaks the old connection at the same moment as the same peer comes back on a new one.
#[tokio::test]
async fn a_peer_that_comes_back_at_once_is_never_evicted_by_its_old_session() {
    let registry = registry().await;
    let observer = client(&registry).await;
    let url = url_of(registry.local_addr());
    let mut token = None;
    let mut old: Option<Session> = None;
    for round in 0..100 {
        let client = RegistryClient::connect(&tcp_dialer(), &url).await.unwrap();
        let again = Hello {
            resume_token: token,
            ..hello("alice", Some(5000))
        };
        let broken = tokio::spawn(async move { drop(old) });
        let mut new = Session::open(&client, again).await.unwrap();
        let reply = new.ask(PeerRequest::Announce(vec![document(1)])).await;
        assert_eq!(reply, RegistryReply::Announced(1));
        broken.await.unwrap();
        let ack = new.ask(heartbeat(0)).await;
        assert_eq!(ack, acknowledged(1), "round {round}");
        let here: Vec<_> = peers(&observer).await.into_iter().map(|peer| peer.id).collect();
        assert_eq!(here, [new.welcome.session_id], "round {round}");
        token = Some(new.welcome.resume_token);
        old = Some(new);
    }
}

/// Passes bytes on until it is told to freeze; then both connections stay open and silent, as when a cable is cut.
async fn freezing_proxy(registry: SocketAddr) -> (SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (freeze, frozen) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut inner, _) = listener.accept().await.unwrap();
        let mut outer = TcpStream::connect(registry).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
            _ = frozen => std::future::pending().await,
        }
    });
    (address, freeze)
}

#[tokio::test]
async fn those_who_vanish_or_do_not_read_are_gone_in_time_and_delay_nobody() {
    let registry = registry().await;
    let client = client(&registry).await;
    let documents: Vec<_> = (1..=2000).map(document).collect();
    let _sharing = Session::share(&client, "sharing", &documents).await;

    let (proxy, freeze) = freezing_proxy(registry.local_addr()).await;
    let _vanishing = register_raw(proxy, "vanishing").await;
    let mut unread = register_raw(registry.local_addr(), "unread").await;
    let observing = Session::open(&client, hello("observing", None)).await.unwrap();
    until(async || peers(&client).await.len() == 4).await;

    let start = Instant::now();
    freeze.send(()).unwrap();
    for request_id in 2..40 {
        unread.send(raw::request(request_id, Body::List(pb::ListPageRequest::default())));
    }
    let mut slowest = Duration::ZERO;
    let has = |peers: &[p2p_ci::message::PeerInfo], name: &str| peers.iter().any(|peer| peer.name.as_str() == name);
    let (mut vanished, mut ended) = (None, None);
    while vanished.is_none() || ended.is_none() {
        let asked = Instant::now();
        client.lookup(&lookup(1000)).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        let here = peers(&client).await;
        if !has(&here, "vanishing") {
            vanished.get_or_insert(start.elapsed());
        }
        if !has(&here, "unread") {
            ended.get_or_insert(start.elapsed());
        }
        assert!(has(&here, "observing") && has(&here, "sharing"), "silent, but alive");
        assert!(start.elapsed() < Duration::from_secs(30), "{vanished:?}, {ended:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(vanished.unwrap() < Duration::from_secs(20), "{vanished:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    drop((unread, observing));
}

#[tokio::test]
async fn a_stream_reset_by_the_peer_ends_its_session_only() {
    let registry = registry().await;
    let client = client(&registry).await;
    let _stays = Session::open(&client, hello("stays", None)).await.unwrap();
    let mut call = register_raw(registry.local_addr(), "resetting").await;
    until(async || peers(&client).await.len() == 2).await;
    call.requests.send_reset(h2::Reason::CANCEL);
    until(async || peers(&client).await.len() == 1).await;
}

#[tokio::test]
async fn half_a_message_is_no_message() {
    let registry = registry().await;
    let client = client(&registry).await;
    let mut call = raw::RawCall::start(registry.local_addr(), "Register").await;
    let whole = raw::hello(|_| {});
    call.send(whole.slice(..whole.len() - 1));
    call.half_close();
    let failure = call.failure().await;
    assert_eq!(failure.reason, p2p_ci::failure::Reason::InvalidRequest);
    assert_eq!(peers(&client).await, []);
}
