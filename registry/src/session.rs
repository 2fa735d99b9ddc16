//! One peer's session: from `hello` to the end of its stream.
//!
//! Works on values of the domain, whatever carries them. A session answers its requests in order and waits for nobody
//! but its own peer. However it ends, the peer leaves the swarm with it, because the membership is a value that the
//! session owns.

mod outbox;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use futures_core::Stream;
use p2p_ci::{
    limits::{HELLO_TIMEOUT, PROTOCOL_VERSION},
    message::{Hello, PeerRequest, Reachability, ReachabilityNotice, RegistryReply, Welcome},
    wire::ProtocolError,
};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

pub use self::outbox::{Outbox, Replies, Reply, outbox};
use crate::{
    admission::Admission,
    bucket::Bucket,
    error::{HelloError, InboundError, RegistryError, StreamEnd},
    histogram::Histogram,
    limits::{ANNOUNCE_BURST, ANNOUNCE_PER_SECOND, COMPARE_BURST, COMPARE_PER_SECOND, LAST_WORD_PATIENCE},
    reach::{Prober, Turn},
    swarm::{Application, Membership, Swarm},
};

/// What all sessions share.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Who is registered.
    pub swarm: Swarm,
    /// Connects back to peers.
    pub prober: Arc<Prober>,
    /// Decides on addresses.
    pub admission: Arc<Admission>,
    /// How long it takes from the decoded message to what it changes in the index: joining, announcing, withdrawing,
    /// leaving.
    pub effects: Arc<Histogram>,
    /// Cancelled when the registry is going away.
    pub stop: CancellationToken,
}

/// A request as it arrived.
#[derive(Debug)]
pub struct Inbound {
    /// Chosen by the peer.
    pub request_id: u64,
    /// Whether it is a `hello`, even one that is not valid.
    pub is_hello: bool,
    /// What it asks.
    pub request: Result<PeerRequest, ProtocolError>,
}

/// How a session ended in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// By `leave`.
    Left,
    /// The peer closed its half of the stream.
    Closed,
}

/// Serves a session to its end, and tells the peer how it ended.
pub async fn serve<S>(environment: Environment, source: SocketAddr, mut inbound: S, outbox: Outbox)
where
    S: Stream<Item = Result<Inbound, InboundError>> + Unpin,
{
    let result = register(&environment, source, &mut inbound, &outbox).await;
    outbox.finish(result);
}

async fn register<S>(
    environment: &Environment,
    source: SocketAddr,
    inbound: &mut S,
    outbox: &Outbox,
) -> Result<(), RegistryError>
where
    S: Stream<Item = Result<Inbound, InboundError>> + Unpin,
{
    // Boxed, as is all that is seldom under way: a session at rest would keep the room of whatever it may ever do.
    let mut session = Box::pin(open(environment, source, inbound, outbox)).await?;
    let result = session.run().await;
    session.membership.leave(match &result {
        Ok(Farewell::Left) => "it said so",
        Ok(Farewell::Closed) => "it closed its stream",
        Err(RegistryError::Ended(StreamEnd::Superseded)) => "superseded by a newer session",
        Err(RegistryError::Ended(StreamEnd::ShuttingDown)) => "the registry is shutting down",
        Err(RegistryError::Ended(_)) => "it did not read its answers",
        Err(RegistryError::Inbound(InboundError::ConnectionLost)) => "its connection was lost",
        Err(_) => "it broke the protocol",
    });
    result.map(|_| ())
}

/// Waits for `hello`, registers the peer and welcomes it.
async fn open<'a, S>(
    environment: &'a Environment,
    source: SocketAddr,
    inbound: &'a mut S,
    outbox: &'a Outbox,
) -> Result<Session<'a, S>, RegistryError>
where
    S: Stream<Item = Result<Inbound, InboundError>> + Unpin,
{
    let (request_id, hello) = tokio::select! {
        biased;
        () = environment.stop.cancelled() => return Err(StreamEnd::ShuttingDown.into()),
        hello = timeout(HELLO_TIMEOUT, await_hello(inbound)) => hello.unwrap_or(Err(HelloError::Timeout.into()))?,
    };
    let decoded = Instant::now();
    let (membership, welcome) = admit(environment, source, hello).inspect_err(|error| {
        tracing::debug!(?error, "refused");
    })?;
    environment.effects.note(decoded.elapsed());
    let label = membership.label();
    tracing::Span::current()
        .record("peer", tracing::field::display(&label.name))
        .record("id", label.id.fmt_short());
    let address = welcome.address.map(tracing::field::display);
    tracing::info!(address, "joined");
    let mut session = Session::new(environment, inbound, outbox, membership, &welcome);
    // The queue is empty so far; a peer that is gone already is noticed next.
    outbox.try_send(request_id, RegistryReply::Welcome(welcome));
    session.start_probe(Turn::First);
    Ok(session)
}

async fn await_hello<S>(inbound: &mut S) -> Result<(u64, Hello), RegistryError>
where
    S: Stream<Item = Result<Inbound, InboundError>> + Unpin,
{
    let first = inbound.next().await.ok_or(HelloError::Expected)??;
    match first.request {
        Ok(PeerRequest::Hello(hello)) => Ok((first.request_id, hello)),
        // A hello with a field that is wrong, or a message with nothing in it.
        Err(error) if first.is_hello || error == ProtocolError::missing("body") => Err(error.into()),
        Ok(_) | Err(_) => Err(HelloError::Expected.into()),
    }
}

fn admit(environment: &Environment, source: SocketAddr, hello: Hello) -> Result<(Membership, Welcome), RegistryError> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(HelloError::UnsupportedVersion(hello.protocol_version).into());
    }
    let application = Application {
        address: environment.admission.address_of(&hello, source)?,
        source,
        name: hello.name,
        resume_token: hello.resume_token,
    };
    let (membership, mut welcome) = environment.swarm.join(application)?;
    welcome.known_formats = membership.adopt(&hello.fingerprints)?;
    Ok((membership, welcome))
}

/// An attempt to connect back that is under way.
type Probe = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A registered session.
struct Session<'a, S> {
    environment: &'a Environment,
    inbound: &'a mut S,
    outbox: &'a Outbox,
    membership: Membership,
    address: Option<SocketAddr>,
    /// `None` once the peer was reached, and for an observer.
    probe: Option<Probe>,
    started: Instant,
    announces: Bucket,
    comparisons: Bucket,
}

impl<'a, S> Session<'a, S>
where
    S: Stream<Item = Result<Inbound, InboundError>> + Unpin,
{
    fn new(
        environment: &'a Environment,
        inbound: &'a mut S,
        outbox: &'a Outbox,
        membership: Membership,
        welcome: &Welcome,
    ) -> Self {
        Self {
            environment,
            inbound,
            outbox,
            membership,
            address: welcome.address,
            probe: None,
            started: Instant::now(),
            announces: Bucket::full(ANNOUNCE_BURST, ANNOUNCE_PER_SECOND),
            comparisons: Bucket::full(COMPARE_BURST, COMPARE_PER_SECOND),
        }
    }

    async fn run(&mut self) -> Result<Farewell, RegistryError> {
        loop {
            // Most urgent first: the end, then news for the peer, then its requests.
            let item = tokio::select! {
                biased;
                end = interrupted(self.environment, &self.membership) => return Err(Box::pin(self.last_word(end)).await),
                () = self.outbox.closed() => return Err(InboundError::ConnectionLost.into()),
                outcome = finished(&mut self.probe) => {
                    Box::pin(self.tell_reachability(outcome)).await?;
                    continue;
                }
                item = self.inbound.next() => item,
            };
            let Some(item) = item else {
                return Ok(Farewell::Closed);
            };
            if let Some(farewell) = Box::pin(self.serve(item?)).await? {
                return Ok(farewell);
            }
        }
    }

    /// Answers a request; returns how the session ends if it does.
    async fn serve(&mut self, inbound: Inbound) -> Result<Option<Farewell>, RegistryError> {
        let Inbound {
            request_id,
            is_hello,
            request,
        } = inbound;
        if is_hello {
            return Err(HelloError::Repeated.into());
        }
        if let Ok(PeerRequest::Leave) = request {
            return self.say_left(request_id).await.map(Some);
        }
        let reply = match request {
            Ok(request) => self.answer(request).await,
            Err(error) => Err(error.into()),
        };
        let reply = reply.unwrap_or_else(|error| RegistryReply::Failed(error.into()));
        self.reply(request_id, reply).await?;
        Ok(None)
    }

    async fn answer(&mut self, request: PeerRequest) -> Result<RegistryReply, RegistryError> {
        let decoded = Instant::now();
        match request {
            PeerRequest::Announce(documents) => {
                let amount = u32::try_from(documents.len()).unwrap_or(u32::MAX);
                self.announces
                    .check(amount, self.started.elapsed())
                    .map_err(|retry_after| RegistryError::AnnouncesTooFast { retry_after })?;
                // What is refused is looked at as well.
                self.announces.spend(amount);
                let total = self.membership.announce(documents)?;
                self.environment.effects.note(decoded.elapsed());
                Ok(RegistryReply::Announced(total))
            }
            PeerRequest::Withdraw(keys, formats) => {
                let total = self.membership.withdraw(keys, &formats)?;
                self.environment.effects.note(decoded.elapsed());
                Ok(RegistryReply::Withdrawn(total))
            }
            PeerRequest::Heartbeat {
                upload_count,
                fingerprints,
            } => {
                let document_count = self.membership.heartbeat(upload_count)?;
                let may_look = || {
                    let is_affordable = self.comparisons.check(document_count, self.started.elapsed()).is_ok();
                    if is_affordable {
                        self.comparisons.spend(document_count);
                    }
                    is_affordable
                };
                let mismatched = self.membership.compare(&fingerprints, may_look)?;
                if !mismatched.is_empty() {
                    tracing::debug!(?mismatched, "it believes to have something else in the index");
                }
                Ok(RegistryReply::HeartbeatAck {
                    document_count,
                    mismatched,
                })
            }
            PeerRequest::Lookup(query) => self.membership.lookup(&query).map(RegistryReply::Found),
            PeerRequest::List(query) => Ok(RegistryReply::Page(self.membership.list(&query).await)),
            PeerRequest::Hello(_) => Err(HelloError::Repeated.into()),
            PeerRequest::Leave => Ok(RegistryReply::Left),
        }
    }

    /// Queues a reply, unless the session is interrupted while the queue is full.
    async fn reply(&mut self, request_id: u64, reply: RegistryReply) -> Result<(), RegistryError> {
        let Some(reply) = self.outbox.try_send(request_id, reply) else {
            return Ok(());
        };
        tokio::select! {
            biased;
            end = interrupted(self.environment, &self.membership) => Err(self.last_word(end).await),
            sent = self.outbox.send(request_id, reply) => sent,
        }
    }

    /// Leaves first, so that the peer is gone when it reads that it is.
    async fn say_left(&mut self, request_id: u64) -> Result<Farewell, RegistryError> {
        let decoded = Instant::now();
        self.membership.end_now();
        self.environment.effects.note(decoded.elapsed());
        self.outbox.send(request_id, RegistryReply::Left).await?;
        Ok(Farewell::Left)
    }

    /// Tells a peer that reads that the registry is going away; its stream ends next.
    async fn last_word(&mut self, end: StreamEnd) -> RegistryError {
        if end == StreamEnd::ShuttingDown {
            // A peer that does not read learns it from the end of its stream.
            let _ = self
                .outbox
                .send_within(LAST_WORD_PATIENCE, 0, RegistryReply::ShuttingDown)
                .await;
        }
        end.into()
    }

    fn start_probe(&mut self, turn: Turn) {
        let prober = Arc::clone(&self.environment.prober);
        self.probe = self.address.map(|address| -> Probe {
            Box::pin(async move {
                if turn == Turn::Again {
                    Prober::pause().await;
                }
                prober.probe(address, turn).await
            })
        });
    }

    /// Acts on the outcome of connecting back: the swarm knows it, and the peer is told when it is news.
    async fn tell_reachability(&mut self, outcome: Result<(), String>) -> Result<(), RegistryError> {
        let (reachability, detail) = match outcome {
            Ok(()) => {
                self.probe = None;
                (Reachability::Reachable, String::new())
            }
            Err(detail) => {
                self.start_probe(Turn::Again);
                (Reachability::Unreachable, detail)
            }
        };
        let id = self.membership.label().id;
        if self.environment.swarm.set_reachability(id, reachability) {
            // Without a value, the field is left out.
            let told = (!detail.is_empty()).then_some(detail.as_str());
            tracing::info!(reachability = reachability.as_str(), detail = told, "connected back");
            let notice = ReachabilityNotice {
                reachability,
                address: self.address,
                detail,
            };
            self.reply(0, RegistryReply::Reachability(notice)).await?;
        }
        Ok(())
    }
}

/// Waits until the registry goes away or another session takes this one over.
async fn interrupted(environment: &Environment, membership: &Membership) -> StreamEnd {
    tokio::select! {
        biased;
        () = membership.superseded().cancelled() => StreamEnd::Superseded,
        () = environment.stop.cancelled() => StreamEnd::ShuttingDown,
    }
}

/// Waits for the outcome of a probe; for ever when there is none.
async fn finished(probe: &mut Option<Probe>) -> Result<(), String> {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}
