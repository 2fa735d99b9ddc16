//! The registry goes away in good order, whatever its clients do.

use std::time::Duration;

use p2p_ci::{
    client::{CallError, check_health},
    failure::Reason,
    message::RegistryReply,
    pb::{self, register_request::Body},
    transport::tcp_dialer,
};
use tokio::{net::TcpStream, time::Instant};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::support::{Session, client, document, everything, hello, peers, raw, registry, until, within};

/// The figure that the registry keeps, and a little for a loaded machine.
const DRAINED_WITHIN: Duration = Duration::from_secs(9);

#[tokio::test]
async fn everybody_is_told_and_the_port_is_free_again() {
    let registry = registry().await;
    let address = registry.local_addr();
    let client = client(&registry).await;
    let mut alice = Session::share(&client, "alice", &[document(1)]).await;
    let mut events = client.watch().await.unwrap();
    for _ in 0..2 {
        within(events.next()).await.unwrap().unwrap();
    }
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let request = HealthCheckRequest { service: String::new() };
    let mut health = health.watch(request).await.unwrap().into_inner();
    let status = within(health.message()).await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::Serving);

    let start = Instant::now();
    let ended = tokio::spawn(registry.shutdown());
    loop {
        match within(alice.receiver.next()).await.unwrap().unwrap() {
            (0, RegistryReply::ShuttingDown) => break,
            (0, _) => {}
            other => panic!("{other:?}"),
        }
    }
    let Some(CallError::Refused(failure)) = alice.end().await else {
        panic!("the session goes on");
    };
    assert_eq!(failure.reason, Reason::ShuttingDown);
    assert!(failure.retry_after.is_some());
    let Err(CallError::Refused(failure)) = within(events.next()).await else {
        panic!("the watch goes on");
    };
    assert_eq!(failure.reason, Reason::ShuttingDown);
    assert_eq!(
        within(health.message()).await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert_eq!(within(health.message()).await.unwrap(), None);
    drop((alice, events, health, client));
    assert!(ended.await.unwrap(), "nobody was left behind");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn clients_that_do_nothing_delay_the_end_by_no_more_than_the_drain() {
    let registry = registry().await;
    let address = registry.local_addr();
    let client = client(&registry).await;
    let documents: Vec<_> = (1..=3000).map(document).collect();
    let _sharing = Session::share(&client, "sharing", &documents).await;
    let _idle = Session::open(&client, hello("idle", None)).await.unwrap();
    let _watch = client.watch().await.unwrap();
    let _list = client.list_documents(everything()).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut unread = raw::RawCall::start(address, "Register").await;
    unread.headers().await;
    unread.send(raw::hello(|_| {}));
    for request_id in 2..30 {
        unread.send(raw::request(request_id, Body::List(pb::ListPageRequest::default())));
    }
    until(async || peers(&client).await.len() == 3).await;
    let start = Instant::now();
    registry.shutdown().await;
    assert!(start.elapsed() < DRAINED_WITHIN, "{:?}", start.elapsed());
    assert!(check_health(&tcp_dialer(), address, "").await.is_err());
    drop(unread);
}

#[tokio::test]
async fn a_registry_that_is_dropped_accepts_no_more() {
    let registry = registry().await;
    let address = registry.local_addr();
    check_health(&tcp_dialer(), address, "").await.unwrap();
    check_health(&tcp_dialer(), address, p2p_ci::client::REGISTRY_SERVICE)
        .await
        .unwrap();
    drop(registry);
    until(async || TcpStream::connect(address).await.is_err()).await;
}

#[tokio::test]
async fn the_port_is_free_as_soon_as_a_registry_has_ended() {
    let mut address = "127.0.0.1:0".parse().unwrap();
    for _ in 0..20 {
        let server = registry::Server::bind(registry::Config::at(address)).await.unwrap();
        address = server.local_addr();
        assert!(server.shutdown().await);
    }
}
