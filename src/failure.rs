//! Why a request failed: one table of reasons with their gRPC codes, read by both ends.
//!
//! A [`Failure`] travels in two ways that say the same: as the status of a call, with `google.rpc.ErrorInfo` (and
//! `BadRequest`, `RetryInfo`) in its details, or in-band as a `RequestError` where a stream must go on.

use std::{fmt, time::Duration};

use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _, pb as rpc};

use crate::{limits, text::escaped, wire::duration::decode_duration};

/// `ErrorInfo.domain` of every failure of this system.
pub const ERROR_DOMAIN: &str = "p2pci";

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal => $code:ident,)+) => {
        /// Why a request failed. Each reason has one gRPC code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The constant that goes over the wire as `ErrorInfo.reason` and `RequestError.reason`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The status code of a call that fails for this reason.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)+ }
            }
        }
    };
}

reasons! {
    /// A field is missing or has no valid value.
    InvalidRequest = "INVALID_REQUEST" => InvalidArgument,
    /// The first message of a session is no `hello`.
    HelloExpected = "HELLO_EXPECTED" => InvalidArgument,
    /// A session sent a second `hello`.
    HelloRepeated = "HELLO_REPEATED" => InvalidArgument,
    /// No `hello` arrived in time.
    HelloTimeout = "HELLO_TIMEOUT" => DeadlineExceeded,
    /// The other side speaks another version of the protocol.
    UnsupportedVersion = "UNSUPPORTED_VERSION" => FailedPrecondition,
    /// The name belongs to another live peer.
    NameTaken = "NAME_TAKEN" => AlreadyExists,
    /// The address belongs to another live peer.
    AddressTaken = "ADDRESS_TAKEN" => AlreadyExists,
    /// The advertised address is none that the operator allows.
    AddressNotAllowed = "ADDRESS_NOT_ALLOWED" => PermissionDenied,
    /// The source of the connection is none that the operator allows.
    SourceNotAllowed = "SOURCE_NOT_ALLOWED" => PermissionDenied,
    /// A newer session of the same peer has taken over.
    Superseded = "SUPERSEDED" => Aborted,
    /// No active peer has the RFC.
    RfcNotFound = "RFC_NOT_FOUND" => NotFound,
    /// This peer does not hold the document.
    DocumentNotFound = "DOCUMENT_NOT_FOUND" => NotFound,
    /// No active peer has that name or id.
    PeerNotFound = "PEER_NOT_FOUND" => NotFound,
    /// The offset lies beyond the end of the document.
    OffsetOutOfRange = "OFFSET_OUT_OF_RANGE" => OutOfRange,
    /// The file no longer has the bytes that were announced.
    DocumentChanged = "DOCUMENT_CHANGED" => DataLoss,
    /// A message is larger than the receiver accepts.
    MessageTooLarge = "MESSAGE_TOO_LARGE" => ResourceExhausted,
    /// The sender of this request has used up what it may use.
    LimitExceeded = "LIMIT_EXCEEDED" => ResourceExhausted,
    /// The server has no room for more, whoever asks.
    Overloaded = "OVERLOADED" => ResourceExhausted,
    /// The reader of a stream is too slow to keep up.
    TooSlow = "TOO_SLOW" => ResourceExhausted,
    /// The server is going away; try again later, or elsewhere.
    ShuttingDown = "SHUTTING_DOWN" => Unavailable,
    /// A defect of the server.
    Internal = "INTERNAL" => Internal,
}

impl Reason {
    /// The reason with this wire constant.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

/// A request that failed, with a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// What went wrong, with which input, and what to do: one sentence, at most
    /// [`limits::MAX_ERROR_MESSAGE_BYTES`] bytes, without control characters.
    pub message: String,
    /// The request's field that is wrong, if one is.
    pub field: Option<String>,
    /// When to try again, if that helps.
    pub retry_after: Option<Duration>,
    /// Facts for programs (`ErrorInfo.metadata`).
    pub metadata: Vec<(&'static str, String)>,
}

impl Failure {
    /// A failure with a message; whatever the message repeats of its input is escaped and cut.
    #[must_use]
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Self {
        Self {
            reason,
            message: bounded(message.as_ref()),
            field: None,
            retry_after: None,
            metadata: Vec::new(),
        }
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// Reads back what a server of this system put into a status; `None` for a status of anybody else.
    #[must_use]
    pub fn from_status(status: &Status) -> Option<Self> {
        let details = rpc::Status::decode(status.details()).ok()?.details;
        let info: rpc::ErrorInfo = detail(&details, "google.rpc.ErrorInfo")?;
        if info.domain != ERROR_DOMAIN {
            return None;
        }
        let mut failure = Self::new(Reason::from_wire(&info.reason)?, status.message());
        failure.field = detail(&details, "google.rpc.BadRequest")
            .and_then(|bad: rpc::BadRequest| bad.field_violations.into_iter().next())
            .map(|violation| bounded(&violation.field));
        failure.retry_after = detail(&details, "google.rpc.RetryInfo")
            .and_then(|retry: rpc::RetryInfo| retry.retry_delay)
            .map(decode_duration);
        Some(failure)
    }
}

/// The first of `details` that is a message of this name.
fn detail<M: Message + Default>(details: &[prost_types::Any], name: &str) -> Option<M> {
    let is_it = |any: &&prost_types::Any| any.type_url.rsplit('/').next() == Some(name);
    M::decode(details.iter().find(is_it)?.value.as_slice()).ok()
}

/// Escapes control characters and cuts at a character boundary: how every sentence of others is taken in.
#[must_use]
pub fn bounded(message: &str) -> String {
    let mut text = escaped(message).to_string();
    if text.len() > limits::MAX_ERROR_MESSAGE_BYTES {
        let mut end = limits::MAX_ERROR_MESSAGE_BYTES - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let metadata: Vec<(String, String)> = failure
            .metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::with_error_info(
            failure.reason.as_str(),
            ERROR_DOMAIN,
            metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
        if let Some(field) = &failure.field {
            details.add_bad_request_violation(field, &failure.message);
        }
        if let Some(delay) = failure.retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(failure.reason.code(), failure.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_round_trip_and_are_distinct() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_wire(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::from_wire("NO_SUCH_REASON"), None);
    }

    /// What programs act on, written down once more.
    #[test]
    fn each_reason_has_its_code() {
        let of = |reason: &str| match reason {
            "INVALID_REQUEST" | "HELLO_EXPECTED" | "HELLO_REPEATED" => 3,
            "HELLO_TIMEOUT" => 4,
            "RFC_NOT_FOUND" | "DOCUMENT_NOT_FOUND" | "PEER_NOT_FOUND" => 5,
            "NAME_TAKEN" | "ADDRESS_TAKEN" => 6,
            "ADDRESS_NOT_ALLOWED" | "SOURCE_NOT_ALLOWED" => 7,
            "MESSAGE_TOO_LARGE" | "LIMIT_EXCEEDED" | "OVERLOADED" | "TOO_SLOW" => 8,
            "UNSUPPORTED_VERSION" => 9,
            "SUPERSEDED" => 10,
            "OFFSET_OUT_OF_RANGE" => 11,
            "INTERNAL" => 13,
            "SHUTTING_DOWN" => 14,
            "DOCUMENT_CHANGED" => 15,
            other => panic!("{other} has no code here"),
        };
        for reason in Reason::ALL {
            let status = Status::from(Failure::new(*reason, "why"));
            assert_eq!(i32::from(status.code()), of(reason.as_str()), "{reason:?}");
        }
    }

    #[test]
    fn a_status_carries_the_whole_failure() {
        let failure = Failure::new(Reason::LimitExceeded, "too many")
            .with_field("documents")
            .with_retry_after(Duration::from_secs(3));
        let status = Status::from(failure.clone());
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(Failure::from_status(&status), Some(failure));
        assert_eq!(Failure::from_status(&Status::not_found("by somebody else")), None);
    }

    #[test]
    fn no_details_of_others_do_harm() {
        let retry = rpc::RetryInfo {
            retry_delay: Some(prost_types::Duration {
                seconds: i64::MIN,
                nanos: i32::MIN,
            }),
        };
        let info = rpc::ErrorInfo {
            reason: Reason::Overloaded.as_str().to_owned(),
            domain: ERROR_DOMAIN.to_owned(),
            ..rpc::ErrorInfo::default()
        };
        let any = |name: &str, value: Vec<u8>| prost_types::Any {
            type_url: format!("type.googleapis.com/{name}"),
            value,
        };
        let details = rpc::Status {
            details: vec![
                any("google.rpc.RetryInfo", retry.encode_to_vec()),
                any("google.rpc.ErrorInfo", info.encode_to_vec()),
                any("google.rpc.BadRequest", vec![0xff; 9]),
            ],
            ..rpc::Status::default()
        };
        let status = Status::with_details(
            Code::ResourceExhausted,
            "x".repeat(5000),
            details.encode_to_vec().into(),
        );
        let failure = Failure::from_status(&status).unwrap();
        assert_eq!((failure.reason, failure.field), (Reason::Overloaded, None));
        assert_eq!(failure.retry_after, Some(Duration::ZERO));
        assert!(failure.message.len() <= limits::MAX_ERROR_MESSAGE_BYTES);
        let broken = Status::with_details(Code::Internal, "", vec![0xff; 64].into());
        assert_eq!(Failure::from_status(&broken), None);
    }

    #[test]
    fn messages_are_bounded_and_clean() {
        let failure = Failure::new(Reason::Internal, "\u{1b}é".repeat(500));
        assert!(failure.message.len() <= limits::MAX_ERROR_MESSAGE_BYTES);
        assert!(!failure.message.contains('\u{1b}'));
    }
}
