//! A gRPC server as both processes run it: limited, gated, and owned by whoever started it.

mod connections;
mod deadline;

use std::{sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::util::MapResponse;

use crate::{
    address::AllowedSources,
    failure::{Failure, Reason},
    line::{Allowance, Ledger},
    transport::Incoming,
    turns::Turns,
};

/// A gRPC server at work, owned: dropping it ends it, and closes its connections.
#[derive(Debug)]
pub struct Serving {
    stop: CancellationToken,
    /// One for each of its runtimes, and one that accepts for them where they do not.
    tasks: JoinSet<()>,
    handles: Vec<AbortHandle>,
}

impl Serving {
    /// Serves `routes` on `incoming`, to sources that are `allowed`.
    #[must_use]
    pub fn spawn(routes: Routes, allowed: AllowedSources, incoming: Incoming) -> Self {
        Self::spawn_with(routes, allowed, incoming, Allowance::default())
    }

    /// The same, where connections that take nothing and ask for nothing have another `allowance`.
    #[must_use]
    pub fn spawn_with(routes: Routes, allowed: AllowedSources, incoming: Incoming, allowance: Allowance) -> Self {
        let alone = vec![(Handle::current(), incoming, None)];
        Self::start(routes, allowed, alone, None, allowance)
    }

    /// The same on several runtimes, each of which serves connections of its own to their end. What they get them from, if it
    /// is not the streams themselves, is `accepting`: it runs here, until no more are accepted. At each of them, sources
    /// take turns, so that none keeps the others waiting.
    #[must_use]
    pub fn spawn_on(
        routes: Routes,
        allowed: AllowedSources,
        runtimes: Vec<(Handle, Incoming)>,
        accepting: Option<BoxFuture<'static, ()>>,
        allowance: Allowance,
    ) -> Self {
        let taking_turns = |(runtime, incoming)| (runtime, incoming, Some(Turns::default()));
        let runtimes = runtimes.into_iter().map(taking_turns).collect();
        Self::start(routes, allowed, runtimes, accepting, allowance)
    }

    fn start(
        routes: Routes,
        allowed: AllowedSources,
        runtimes: Vec<(Handle, Incoming, Option<Turns>)>,
        accepting: Option<BoxFuture<'static, ()>>,
        allowance: Allowance,
    ) -> Self {
        let stop = CancellationToken::new();
        let ledger = Ledger::new(allowance);
        let service = MapResponse::new(routes.prepare(), explain as fn(_) -> _);
        let allowed = Arc::new(allowed);
        let mut tasks = JoinSet::new();
        let mut handles = Vec::new();
        for (runtime, incoming, turns) in runtimes {
            let watched = ledger.clone();
            let watches = handles.is_empty();
            let server = connections::Server {
                service: service.clone(),
                allowed: Arc::clone(&allowed),
                ledger: ledger.clone(),
                turns: turns.clone(),
                stop: stop.clone(),
            };
            let serving = server.serve(incoming);
            let serve = async move {
                tokio::select! {
                    biased;
                    () = serving => {}
                    () = watched.watch(), if watches => {}
                    () = pass(turns) => {}
                }
            };
            handles.push(tasks.spawn_on(serve, &runtime));
        }
        if let Some(accepting) = accepting {
            let stopped = stop.clone();
            handles.push(tasks.spawn(async move {
                stopped.run_until_cancelled(accepting).await;
            }));
        }
        Self { stop, tasks, handles }
    }

    /// Waits until the server ends by itself, which it does only where no more connections can come. A panic in it goes on
    /// here.
    pub async fn ended(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    /// Whether a part of the server has ended already, without being told to: where more connections can come, it has broken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.handles.iter().any(AbortHandle::is_finished)
    }

    /// Accepts no more, and waits at most `grace` for the open streams to end. Says whether they all did.
    pub async fn drain(mut self, grace: Duration) -> bool {
        self.stop.cancel();
        let all_ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                // What one of them failed of is no reason to leave the others' streams.
                if let Err(error) = ended {
                    tracing::error!(%error, "a server broke");
                }
            }
        };
        let drained = tokio::time::timeout(grace, all_ended).await.is_ok();
        if !drained {
            tracing::warn!(
                grace_s = grace.as_secs(),
                "some connections did not end in time; leaving them"
            );
        }
        drained
    }
}

/// Passes turns on for ever, if they are taken.
async fn pass(turns: Option<Turns>) {
    match turns {
        Some(turns) => turns.pass().await,
        None => std::future::pending().await,
    }
}

/// Gives the reasons of this system to requests that tonic refuses before a handler sees them.
fn explain(response: http::Response<Body>) -> http::Response<Body> {
    let undecoded = response.extensions().get::<Status>().and_then(of_undecoded);
    match undecoded {
        Some(failure) => Status::from(failure).into_http(),
        None => response,
    }
}

/// What it means that tonic could not decode a request, which it answers with codes that mean something else in this
/// protocol; `None` for every other status.
#[must_use]
pub fn of_undecoded(status: &Status) -> Option<Failure> {
    if !status.details().is_empty() {
        return None;
    }
    let message = status.message();
    if status.code() == Code::OutOfRange {
        let advice = "ask for less at once";
        return Some(Failure::new(Reason::MessageTooLarge, format!("{message}; {advice}")));
    }
    let is_malformed = status.code() == Code::Internal && message.starts_with("failed to decode");
    let advice = "check that both sides use the same .proto files";
    is_malformed.then(|| Failure::new(Reason::InvalidRequest, format!("{message}; {advice}")))
}

#[cfg(test)]
mod tests;
