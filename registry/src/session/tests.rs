//! Sessions in memory, with a clock that runs only when nothing else does.

mod ending;
mod fingerprints;
mod opening;
mod reachability;
mod requests;

use p2p_ci::{
    failure::{Failure, Reason},
    identity::PeerName,
    message::{Hello, PeerRequest, RegistryReply, Welcome},
    wire::ProtocolError,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{Environment, Inbound, Replies, outbox, serve};
use crate::{
    error::{InboundError, RegistryError},
    testing::{Line, TestDialer, environment},
};

/// Longer than anything a session waits for; it costs nothing, for the clock jumps.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3600);

const SOURCE: &str = "192.0.2.9:55555";

fn hello_of(name: &str) -> Hello {
    Hello {
        protocol_version: 1,
        name: name.parse::<PeerName>().unwrap(),
        port: Some(40123),
        advertise: None,
        resume_token: None,
        fingerprints: Vec::new(),
    }
}

fn hello(name: &str) -> PeerRequest {
    PeerRequest::Hello(hello_of(name))
}

/// A heartbeat as people type it: without fingerprints.
fn heartbeat(upload_count: u32) -> PeerRequest {
    PeerRequest::Heartbeat {
        upload_count,
        fingerprints: Vec::new(),
    }
}

/// The answer to a heartbeat that is not at odds with the index.
fn acknowledged(document_count: u32) -> RegistryReply {
    RegistryReply::HeartbeatAck {
        document_count,
        mismatched: Vec::new(),
    }
}

/// A peer's end of a session in memory.
struct Peer {
    requests: Option<mpsc::Sender<Result<Inbound, InboundError>>>,
    replies: Option<Replies>,
    session: JoinHandle<()>,
    last_id: u64,
}

impl Peer {
    fn connect(environment: &Environment) -> Self {
        let (requests, inbound) = mpsc::channel(64);
        let (outbox, replies) = outbox();
        let inbound = ReceiverStream::new(inbound);
        let session = serve(environment.clone(), SOURCE.parse().unwrap(), inbound, outbox);
        Self {
            requests: Some(requests),
            replies: Some(replies),
            session: tokio::spawn(session),
            last_id: 0,
        }
    }

    async fn join(environment: &Environment, name: &str) -> (Self, Welcome) {
        Self::join_with(environment, hello_of(name)).await
    }

    async fn join_with(environment: &Environment, hello: Hello) -> (Self, Welcome) {
        let mut peer = Self::connect(environment);
        let reply = peer.ask(PeerRequest::Hello(hello)).await;
        let RegistryReply::Welcome(welcome) = &reply else {
            panic!("{reply:?}");
        };
        let welcome = welcome.clone();
        (peer, welcome)
    }

    async fn send_item(&mut self, item: Result<Inbound, InboundError>) {
        self.requests.as_ref().unwrap().send(item).await.unwrap();
    }

    async fn send(&mut self, request: Result<PeerRequest, ProtocolError>) -> u64 {
        self.last_id += 1;
        let is_hello = matches!(request, Ok(PeerRequest::Hello(_)));
        let request_id = self.last_id;
        self.send_item(Ok(Inbound {
            request_id,
            is_hello,
            request,
        }))
        .await;
        request_id
    }

    async fn next(&mut self) -> Option<Result<(u64, RegistryReply), RegistryError>> {
        let next = self.replies.as_mut().unwrap().next();
        tokio::time::timeout(PATIENCE, next).await.expect("something happens")
    }

    /// Asks, and returns the answer to that; notices in between are passed over.
    async fn ask(&mut self, request: PeerRequest) -> RegistryReply {
        let id = self.send(Ok(request)).await;
        loop {
            match self.next().await {
                Some(Ok((0, _))) => {}
                Some(Ok((answered, reply))) => {
                    assert_eq!(answered, id);
                    return reply;
                }
                other => panic!("the session ended: {other:?}"),
            }
        }
    }

    /// Why the session ended; `None` when it ended in good order.
    async fn end(&mut self) -> Option<Failure> {
        loop {
            match self.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some(error.into()),
                None => return None,
            }
        }
    }

    #[track_caller]
    fn assert_ended(failure: Option<Failure>, reason: Reason) {
        assert_eq!(failure.map(|failure| failure.reason), Some(reason));
    }
}

async fn refusing() -> Environment {
    environment(TestDialer::new(Line::Refused).await)
}
