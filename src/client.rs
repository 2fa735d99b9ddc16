//! Typed clients of both services: values in, values out, a deadline around every wait.

mod call;
pub mod facts;
pub mod file_transfer;
mod health;
mod many;
pub mod registry;
pub mod stranger;

use std::{error::Error, fmt, time::Duration};

use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

pub use self::health::check_health;
use crate::{
    failure::{Failure, bounded},
    limits,
    transport::Received,
    wire::ProtocolError,
};

/// Why a call did not get its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection could be made, or it broke.
    #[error("cannot reach {address}: {detail}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        detail: String,
    },
    /// The other side did not answer in time.
    #[error("{what} took too long")]
    TimedOut {
        /// What was waited for.
        what: String,
    },
    /// The other side said no, and why.
    #[error("{0}")]
    Refused(Failure),
    /// The other side answered with something that this protocol does not allow, or does not speak it.
    #[error("{0}")]
    Violation(String),
}

impl From<ProtocolError> for CallError {
    fn from(error: ProtocolError) -> Self {
        Self::Violation(format!("the answer breaks the protocol: {error}"))
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        if let Some(failure) = Failure::from_status(&status) {
            return Self::Refused(failure);
        }
        let detail = match status.source() {
            Some(source) => chain(source),
            None => bounded(status.message()),
        };
        match status.code() {
            Code::Unavailable | Code::Cancelled => Self::Unreachable {
                address: "the other side".to_owned(),
                detail,
            },
            Code::DeadlineExceeded => Self::TimedOut {
                what: "the answer".to_owned(),
            },
            Code::Unimplemented => Self::Violation("it does not speak p2pci.v1".to_owned()),
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => from_transport(&status, &detail),
        }
    }
}

/// A status that the transport made up, or that a server of somebody else sent.
fn from_transport(status: &Status, detail: &str) -> CallError {
    let broken = status.source().is_some_and(is_broken_connection);
    if broken {
        return CallError::Unreachable {
            address: "the other side".to_owned(),
            detail: detail.to_owned(),
        };
    }
    CallError::Violation(format!("it answered with {:?}: {detail}", status.code()))
}

/// Whether an error is one of I/O, as opposed to one of the protocol spoken over it.
fn is_broken_connection(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // h2 keeps an error of I/O to itself instead of naming it as its source.
        let of_io = error.is::<std::io::Error>() || error.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_io);
        if of_io {
            return true;
        }
        next = error.source();
    }
    false
}

/// Messages that only say that something of theirs failed.
const VAGUE: [&str; 2] = ["transport error", "error reading a body from connection"];

/// An error with what caused it, for people: tonic's own message alone is just "transport error".
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        next = error.source();
    }
    // What hyper and tonic put before the cause says nothing to people.
    while parts.len() > 1 && parts.first().is_some_and(|first| VAGUE.contains(&first.as_str())) {
        parts.remove(0);
    }
    bounded(&parts.join(": "))
}

/// Waits for `call` within [`limits::REQUEST_TIMEOUT`].
async fn within<T>(what: &str, call: impl Future<Output = Result<T, Status>>) -> Result<T, CallError> {
    tokio::time::timeout(limits::REQUEST_TIMEOUT, call)
        .await
        .map_err(|_| CallError::TimedOut { what: what.to_owned() })?
        .map_err(CallError::from)
}

/// Whether an answer can be one to the question that was asked.
type Fits<D> = Box<dyn Fn(&D) -> bool + Send + Sync>;

/// A stream of answers, decoded one by one.
pub struct Answers<P, D> {
    stream: Streaming<P>,
    idle_limit: Option<Duration>,
    received: Received,
    /// How many more answers are taken; a server must not make its client store without end.
    left: usize,
    fits: Option<Fits<D>>,
}

impl<P, D> fmt::Debug for Answers<P, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("idle_limit", &self.idle_limit)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<P, D> Answers<P, D>
where
    D: TryFrom<P>,
    CallError: From<D::Error>,
{
    /// A stream that may stay silent for `idle_limit` between two answers, or for ever. Where `received` is given, a
    /// message that is still arriving on that connection is no silence.
    fn new(stream: Streaming<P>, idle_limit: Option<Duration>, received: Received) -> Self {
        Self {
            stream,
            idle_limit,
            received,
            left: usize::MAX,
            fits: None,
        }
    }

    /// Takes no more than `max` answers, and only such that fit the question.
    fn limited(mut self, max: usize, fits: impl Fn(&D) -> bool + Send + Sync + 'static) -> Self {
        self.left = max;
        self.fits = Some(Box::new(fits));
        self
    }

    /// The next answer, or `None` when the stream ended with status OK.
    ///
    /// # Errors
    ///
    /// Every [`CallError`]; after one the stream is of no more use.
    pub async fn next(&mut self) -> Result<Option<D>, CallError> {
        let message = self.stream.message();
        let message = match self.idle_limit {
            Some(limit) => unless_silent(limit, &self.received, message).await?,
            None => message.await,
        };
        let Some(message) = message? else { return Ok(None) };
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| CallError::Violation("it answers without end".to_owned()))?;
        let answer = D::try_from(message)?;
        match &self.fits {
            Some(fits) if !fits(&answer) => Err(off_the_question()),
            Some(_) | None => Ok(Some(answer)),
        }
    }
}

/// An answer that is about something else than was asked for.
fn off_the_question() -> CallError {
    CallError::Violation("it answered with something else than was asked for".to_owned())
}

/// Bytes in an idle limit's time that are no silence: a link of a few kilobytes a second brings more, the pings of HTTP/2
/// (17 bytes each) bring less.
const PROGRESS_BYTES: u64 = 1024;

/// How often it is looked within an idle limit's time whether something arrives: a silence is noticed a twentieth late.
const LOOKS: u32 = 20;

/// Waits for `message` for as long as something arrives.
async fn unless_silent<T>(
    limit: Duration,
    received: &Received,
    message: impl Future<Output = T>,
) -> Result<T, CallError> {
    tokio::pin!(message);
    let (mut bytes, mut since) = (received.bytes(), Instant::now());
    loop {
        if let Ok(message) = tokio::time::timeout(limit / LOOKS, &mut message).await {
            return Ok(message);
        }
        let by_now = received.bytes();
        if by_now - bytes >= PROGRESS_BYTES {
            (bytes, since) = (by_now, Instant::now());
        } else if since.elapsed() >= limit {
            let what = format!("the next message ({} s)", limit.as_secs());
            return Err(CallError::TimedOut { what });
        }
    }
}

impl CallError {
    /// The same error, with the address that it happened at where the transport left it out.
    #[must_use]
    pub fn at(self, address: &dyn std::fmt::Display) -> Self {
        match self {
            Self::Unreachable { address: _, detail } => Self::Unreachable {
                address: address.to_string(),
                detail,
            },
            Self::Violation(what) => Self::Violation(format!("{address}: {what}")),
            Self::TimedOut { what } => Self::TimedOut {
                what: format!("{what} from {address}"),
            },
            refused @ Self::Refused(_) => refused,
        }
    }

    /// The failure that the other side told, if it told one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Refused(failure) => Some(failure),
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Violation(_) => None,
        }
    }
}

/// Registry's full gRPC name, under which its health is known.
pub const REGISTRY_SERVICE: &str = "p2pci.v1.Registry";

/// FileTransfer's full gRPC name, under which its health is known.
pub const FILE_TRANSFER_SERVICE: &str = "p2pci.v1.FileTransfer";

/// Facts' full gRPC name, under which its health is known.
pub const FACTS_SERVICE: &str = "p2pci.v1.Facts";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb;

    #[tokio::test(start_paused = true)]
    async fn a_message_may_take_long_but_not_be_silent_for_long() {
        let limit = Duration::from_secs(10);
        let (received, began) = (Received::default(), Instant::now());
        // Little by little, for a minute; then nothing.
        let lasts = Duration::from_secs(60);
        let arriving = received.clone();
        let trickle = tokio::spawn(async move {
            while began.elapsed() < lasts {
                tokio::time::sleep(Duration::from_secs(1)).await;
                arriving.add(PROGRESS_BYTES / 4);
            }
        });
        let ended = unless_silent(limit, &received, std::future::pending::<()>()).await;
        assert!(matches!(ended, Err(CallError::TimedOut { .. })), "{ended:?}");
        let silent = began.elapsed() - lasts;
        assert!(silent <= limit + 2 * limit / LOOKS, "noticed after {silent:?}");
        assert!(silent > limit - Duration::from_secs(5), "noticed after {silent:?}");
        trickle.await.unwrap();
        assert_eq!(unless_silent(limit, &received, std::future::ready(7)).await, Ok(7));
    }

    #[test]
    fn service_names_are_those_of_the_generated_code() {
        assert_eq!(pb::registry_server::SERVICE_NAME, REGISTRY_SERVICE);
        assert_eq!(pb::file_transfer_server::SERVICE_NAME, FILE_TRANSFER_SERVICE);
        assert_eq!(pb::facts_server::SERVICE_NAME, FACTS_SERVICE);
    }

    #[test]
    fn statuses_of_others_are_told_apart() {
        assert!(matches!(
            CallError::from(Status::unavailable("x")),
            CallError::Unreachable { .. }
        ));
        assert!(matches!(
            CallError::from(Status::unimplemented("")),
            CallError::Violation(_)
        ));
        assert!(matches!(
            CallError::from(Status::deadline_exceeded("")),
            CallError::TimedOut { .. }
        ));
        let failure = Failure::new(crate::failure::Reason::RfcNotFound, "no");
        assert_eq!(
            CallError::from(Status::from(failure.clone())),
            CallError::Refused(failure)
        );
    }
}
