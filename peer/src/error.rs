//! What can go wrong in a peer, and the exit code that it ends with.

use std::process::ExitCode;

use p2p_ci::{client::CallError, failure::Reason, text::escaped};

use crate::{
    library::{LibraryError, StoreError},
    search::SearchError,
};

/// How a command ended. The numbers are promised to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// Something else than the following failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No active peer has what was asked for, or nothing matches.
    NotFound = 3,
    /// The registry, or every holder, cannot be reached.
    Unreachable = 4,
    /// Bytes did not have the digest that they should have.
    Integrity = 5,
    /// Some of what was asked for is done.
    Partly = 6,
    /// The user ended it: 128 + SIGINT, as shells have it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The command line makes no sense, in a way that only shows when it is carried out.
    #[error("{0}")]
    Usage(String),
    /// The registry could not be asked.
    #[error("{}", registry_sentence(url, source))]
    Registry {
        /// The registry as the user named it.
        url: String,
        /// What went wrong.
        source: CallError,
    },
    /// No active peer has it.
    #[error("{0}")]
    NotFound(String),
    /// No active peer is called what the user named.
    #[error("{0}")]
    NoSuchPeer(String),
    /// The registry cannot be asked, and none of the peers that are known has it.
    #[error("{0}")]
    Offline(String),
    /// Nobody who has it could be reached.
    #[error("{0}")]
    HoldersUnreachable(String),
    /// Bytes did not have the digest that they should have, from any holder.
    #[error("{0}")]
    Integrity(String),
    /// The registry does not take this peer in.
    #[error("the registry refused this peer: {0}")]
    Refused(String),
    /// A file with other bytes is there, and was not to be replaced.
    #[error("{0}")]
    Kept(String),
    /// The shared folder cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The target folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the folder holds cannot be searched.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A defect has ended a part of this peer without which it is none.
    #[error("{0} failed by a defect of this program; please report what it logged above, and start it again")]
    Broken(&'static str),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl PeerError {
    /// The exit code for this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NotFound(_) | Self::NoSuchPeer(_) => Exit::NotFound,
            Self::HoldersUnreachable(_) | Self::Offline(_) => Exit::Unreachable,
            Self::Integrity(_) | Self::Store(StoreError::Integrity { .. }) => Exit::Integrity,
            Self::Registry { source, .. } => exit_of_call(source),
            Self::Kept(_) | Self::Store(StoreError::Exists(_)) => Exit::Partly,
            Self::Refused(_)
            | Self::Library(_)
            | Self::Store(_)
            | Self::Search(_)
            | Self::Broken(_)
            | Self::System { .. } => Exit::Failed,
        }
    }

    /// Something that the system refused.
    pub fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// A constant for programs, as `--json` shows it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Usage(_) => "USAGE",
            Self::Registry { source, .. } => source
                .failure()
                .map_or("REGISTRY_UNREACHABLE", |failure| failure.reason.as_str()),
            Self::NotFound(_) => Reason::RfcNotFound.as_str(),
            Self::NoSuchPeer(_) => Reason::PeerNotFound.as_str(),
            Self::HoldersUnreachable(_) => "HOLDERS_UNREACHABLE",
            Self::Offline(_) => "REGISTRY_UNREACHABLE",
            Self::Integrity(_) | Self::Store(StoreError::Integrity { .. }) => "INTEGRITY",
            Self::Refused(_) => "REFUSED",
            Self::Kept(_) | Self::Store(StoreError::Exists(_)) => "FILE_EXISTS",
            Self::Library(_) => "LIBRARY",
            Self::Store(_) => "TARGET",
            Self::Search(_) => "SEARCH",
            Self::Broken(_) => "INTERNAL",
            Self::System { .. } => "SYSTEM",
        }
    }
}

/// The error for a peer that the user named and that is not active.
#[must_use]
pub fn no_such_peer(named: &str) -> PeerError {
    PeerError::NoSuchPeer(format!(
        "no active peer is called {}; `peer peers` lists them",
        escaped(named)
    ))
}

fn exit_of_call(error: &CallError) -> Exit {
    match error {
        CallError::Unreachable { .. } | CallError::TimedOut { .. } => Exit::Unreachable,
        CallError::Violation(_) => Exit::Failed,
        CallError::Refused(failure) => match failure.reason {
            Reason::RfcNotFound | Reason::PeerNotFound | Reason::DocumentNotFound => Exit::NotFound,
            Reason::ShuttingDown => Exit::Unreachable,
            Reason::DocumentChanged => Exit::Integrity,
            Reason::InvalidRequest
            | Reason::HelloExpected
            | Reason::HelloRepeated
            | Reason::HelloTimeout
            | Reason::UnsupportedVersion
            | Reason::NameTaken
            | Reason::AddressTaken
            | Reason::AddressNotAllowed
            | Reason::SourceNotAllowed
            | Reason::Superseded
            | Reason::OffsetOutOfRange
            | Reason::MessageTooLarge
            | Reason::LimitExceeded
            | Reason::Overloaded
            | Reason::TooSlow
            | Reason::Internal => Exit::Failed,
        },
    }
}

/// Says what went wrong at the registry, and what the user can do.
fn registry_sentence(url: &str, error: &CallError) -> String {
    match error {
        CallError::Unreachable { detail, .. } => {
            format!(
                "cannot reach the registry at {url}: {}; is it running? --registry names another",
                escaped(detail)
            )
        }
        CallError::TimedOut { what } => {
            format!("the registry at {url} does not answer: {} took too long", escaped(what))
        }
        CallError::Refused(failure) => escaped(&failure.message).to_string(),
        CallError::Violation(what) => format!("{url} is no P2P-CI registry: {}", escaped(what)),
    }
}
