//! The messages of a session, from and to the wire. Questions to the index are in `query`, what `Watch` streams is in
//! [`watch`](super::watch).

use std::{net::SocketAddr, time::Duration};

use super::{
    ProtocolError, decode_address, decode_list, decode_port,
    duration::{decode_duration, encode_duration},
    fingerprint::{decode_fingerprints, decode_formats, encode_formats},
    none_if_empty,
};
use crate::{
    failure::{Failure, Reason, bounded},
    limits,
    message::{Hello, PeerRequest, Reachability, ReachabilityNotice, RegistryReply, Welcome},
    pb,
};

/// Splits a request of a session into its id and what it asks, so that even a bad one can be answered by its id.
pub fn decode_request(request: pb::RegisterRequest) -> (u64, Result<PeerRequest, ProtocolError>) {
    (request.request_id, decode_request_body(request.body))
}

fn decode_request_body(body: Option<pb::register_request::Body>) -> Result<PeerRequest, ProtocolError> {
    use pb::register_request::Body;
    Ok(match body.ok_or_else(|| ProtocolError::missing("body"))? {
        Body::Hello(hello) => PeerRequest::Hello(hello.try_into()?),
        Body::Announce(announce) => PeerRequest::Announce(decode_list(
            "documents",
            limits::MAX_BATCH_DOCUMENTS,
            announce.documents,
        )?),
        Body::Withdraw(withdraw) => PeerRequest::Withdraw(
            decode_list("documents", limits::MAX_BATCH_DOCUMENTS, withdraw.documents)?,
            decode_formats("formats", &withdraw.formats)?,
        ),
        Body::Heartbeat(heartbeat) => PeerRequest::Heartbeat {
            upload_count: heartbeat.upload_count,
            fingerprints: decode_fingerprints("fingerprints", heartbeat.fingerprints)?,
        },
        Body::Lookup(lookup) => PeerRequest::Lookup(lookup.try_into()?),
        Body::List(list) => PeerRequest::List(list.try_into()?),
        Body::Leave(pb::Leave {}) => PeerRequest::Leave,
    })
}

/// Asks `request` as number `request_id` of a session.
#[must_use]
pub fn encode_request(request_id: u64, request: PeerRequest) -> pb::RegisterRequest {
    use pb::register_request::Body;
    let body = match request {
        PeerRequest::Hello(hello) => Body::Hello(hello.into()),
        PeerRequest::Announce(documents) => Body::Announce(pb::Announce {
            documents: documents.iter().map(Into::into).collect(),
        }),
        PeerRequest::Withdraw(keys, formats) => Body::Withdraw(pb::Withdraw {
            documents: keys.into_iter().map(Into::into).collect(),
            formats: encode_formats(&formats),
        }),
        PeerRequest::Heartbeat {
            upload_count,
            fingerprints,
        } => Body::Heartbeat(pb::Heartbeat {
            upload_count,
            fingerprints: fingerprints.iter().map(Into::into).collect(),
        }),
        PeerRequest::Lookup(query) => Body::Lookup((&query).into()),
        PeerRequest::List(query) => Body::List(query.into()),
        PeerRequest::Leave => Body::Leave(pb::Leave {}),
    };
    pb::RegisterRequest {
        request_id,
        body: Some(body),
    }
}

/// Splits an answer of a session into the request's id and the reply.
pub fn decode_reply(response: pb::RegisterResponse) -> Result<(u64, RegistryReply), ProtocolError> {
    use pb::register_response::Body;
    let reply = match response.body.ok_or_else(|| ProtocolError::missing("body"))? {
        Body::Welcome(welcome) => RegistryReply::Welcome(welcome.try_into()?),
        Body::Announced(pb::Announced { document_count }) => RegistryReply::Announced(document_count),
        Body::Withdrawn(pb::Withdrawn { document_count }) => RegistryReply::Withdrawn(document_count),
        Body::HeartbeatAck(ack) => RegistryReply::HeartbeatAck {
            document_count: ack.document_count,
            mismatched: decode_formats("mismatched_formats", &ack.mismatched_formats)?,
        },
        Body::Found(found) => RegistryReply::Found(found.try_into()?),
        Body::Page(page) => RegistryReply::Page(page.try_into()?),
        Body::Left(pb::Left {}) => RegistryReply::Left,
        Body::Error(error) => RegistryReply::Failed(error.into()),
        Body::Reachability(notice) => RegistryReply::Reachability(notice.try_into()?),
        Body::ShuttingDown(pb::ShuttingDown {}) => RegistryReply::ShuttingDown,
    };
    Ok((response.request_id, reply))
}

/// Answers request `request_id` of a session.
#[must_use]
pub fn encode_reply(request_id: u64, reply: RegistryReply) -> pb::RegisterResponse {
    use pb::register_response::Body;
    let body = match reply {
        RegistryReply::Welcome(welcome) => Body::Welcome(welcome.into()),
        RegistryReply::Announced(document_count) => Body::Announced(pb::Announced { document_count }),
        RegistryReply::Withdrawn(document_count) => Body::Withdrawn(pb::Withdrawn { document_count }),
        RegistryReply::HeartbeatAck {
            document_count,
            mismatched,
        } => Body::HeartbeatAck(pb::HeartbeatAck {
            document_count,
            mismatched_formats: encode_formats(&mismatched),
        }),
        RegistryReply::Found(found) => Body::Found((&found).into()),
        RegistryReply::Page(page) => Body::Page(page.into()),
        RegistryReply::Left => Body::Left(pb::Left {}),
        RegistryReply::Failed(failure) => Body::Error(failure.into()),
        RegistryReply::Reachability(notice) => Body::Reachability(notice.into()),
        RegistryReply::ShuttingDown => Body::ShuttingDown(pb::ShuttingDown {}),
    };
    pb::RegisterResponse {
        request_id,
        body: Some(body),
    }
}

impl From<Failure> for pb::RequestError {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.reason.code().into(),
            message: failure.message,
            reason: failure.reason.as_str().to_owned(),
            field: failure.field.unwrap_or_default(),
            retry_after: failure.retry_after.map(encode_duration),
        }
    }
}

impl From<pb::RequestError> for Failure {
    /// A reason that is not known here is a defect on one side or the other, and is treated as one.
    fn from(error: pb::RequestError) -> Self {
        let mut failure = Failure::new(
            Reason::from_wire(&error.reason).unwrap_or(Reason::Internal),
            error.message,
        );
        failure.field = none_if_empty(&error.field).map(bounded);
        failure.retry_after = error.retry_after.map(decode_duration);
        failure
    }
}

fn decode_optional_address(field: &str, text: &str) -> Result<Option<SocketAddr>, ProtocolError> {
    none_if_empty(text).map(|text| decode_address(field, text)).transpose()
}

impl TryFrom<pb::Hello> for Hello {
    type Error = ProtocolError;

    fn try_from(hello: pb::Hello) -> Result<Self, ProtocolError> {
        Ok(Self {
            protocol_version: hello.protocol_version,
            name: hello
                .name
                .parse()
                .map_err(|error| ProtocolError::invalid("name", error))?,
            port: if hello.port == 0 {
                None
            } else {
                Some(decode_port("port", hello.port)?)
            },
            advertise: decode_optional_address("advertise_address", &hello.advertise_address)?,
            resume_token: none_if_empty(&hello.resume_token)
                .map(|text| {
                    text.parse()
                        .map_err(|error| ProtocolError::invalid("resume_token", error))
                })
                .transpose()?,
            fingerprints: decode_fingerprints("fingerprints", hello.fingerprints)?,
        })
    }
}

impl From<Hello> for pb::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            protocol_version: hello.protocol_version,
            name: hello.name.to_string(),
            port: hello.port.map(u32::from).unwrap_or_default(),
            advertise_address: hello.advertise.map(|address| address.to_string()).unwrap_or_default(),
            resume_token: hello.resume_token.map(|token| token.reveal()).unwrap_or_default(),
            fingerprints: hello.fingerprints.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Welcome> for Welcome {
    type Error = ProtocolError;

    fn try_from(welcome: pb::Welcome) -> Result<Self, ProtocolError> {
        Ok(Self {
            session_id: welcome
                .session_id
                .parse()
                .map_err(|error| ProtocolError::invalid("session_id", error))?,
            resume_token: welcome
                .resume_token
                .parse()
                .map_err(|error| ProtocolError::invalid("resume_token", error))?,
            observed: welcome
                .observed_address
                .parse()
                .map_err(|error| ProtocolError::invalid("observed_address", error))?,
            address: decode_optional_address("address", &welcome.address)?,
            heartbeat_interval: welcome
                .heartbeat_interval
                .map_or(limits::HEARTBEAT_INTERVAL, decode_duration),
            reconnect_spread: welcome
                .reconnect_spread
                .map_or(Duration::ZERO, decode_duration)
                .min(limits::MAX_RECONNECT_SPREAD),
            known_formats: decode_formats("known_formats", &welcome.known_formats)?,
        })
    }
}

impl From<Welcome> for pb::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            session_id: welcome.session_id.to_string(),
            resume_token: welcome.resume_token.reveal(),
            observed_address: welcome.observed.to_string(),
            address: welcome.address.map(|address| address.to_string()).unwrap_or_default(),
            heartbeat_interval: Some(encode_duration(welcome.heartbeat_interval)),
            reconnect_spread: Some(encode_duration(welcome.reconnect_spread)),
            known_formats: encode_formats(&welcome.known_formats),
        }
    }
}

pub(super) fn decode_reachability(field: &str, value: i32) -> Result<Reachability, ProtocolError> {
    match pb::Reachability::try_from(value) {
        Ok(pb::Reachability::Observer) => Ok(Reachability::Observer),
        Ok(pb::Reachability::Pending) => Ok(Reachability::Pending),
        Ok(pb::Reachability::Reachable) => Ok(Reachability::Reachable),
        Ok(pb::Reachability::Unreachable) => Ok(Reachability::Unreachable),
        Ok(pb::Reachability::Unspecified) => Err(ProtocolError::missing(field)),
        Err(_) => Err(ProtocolError::invalid(field, format!("{value} is not known here"))),
    }
}

pub(super) fn encode_reachability(reachability: Reachability) -> i32 {
    match reachability {
        Reachability::Observer => pb::Reachability::Observer,
        Reachability::Pending => pb::Reachability::Pending,
        Reachability::Reachable => pb::Reachability::Reachable,
        Reachability::Unreachable => pb::Reachability::Unreachable,
    }
    .into()
}

impl TryFrom<pb::ReachabilityNotice> for ReachabilityNotice {
    type Error = ProtocolError;

    fn try_from(notice: pb::ReachabilityNotice) -> Result<Self, ProtocolError> {
        Ok(Self {
            reachability: decode_reachability("reachability", notice.reachability)?,
            address: decode_optional_address("address", &notice.address)?,
            detail: bounded(&notice.detail),
        })
    }
}

impl From<ReachabilityNotice> for pb::ReachabilityNotice {
    fn from(notice: ReachabilityNotice) -> Self {
        Self {
            reachability: encode_reachability(notice.reachability),
            address: notice.address.map(|address| address.to_string()).unwrap_or_default(),
            detail: notice.detail,
        }
    }
}
