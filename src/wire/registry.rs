//! The messages of Registry, from and to the wire; what `Watch` streams is in [`watch`](super::watch).

use std::{net::SocketAddr, time::Duration};

use super::{
    ProtocolError, decode_address, decode_list, decode_number, decode_optional_format, decode_port,
    encode_optional_format,
};
use crate::{
    digest::DigestPrefix,
    document::{DocumentId, Format, RfcNumber, RfcRange},
    failure::{Failure, Reason},
    limits,
    message::{
        Hello, IndexFilter, ListPage, ListPageQuery, ListQuery, LookupManyQuery, LookupQuery, PeerRef, PeerRequest,
        Reachability, ReachabilityNotice, RegistryReply, Welcome,
    },
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
        Body::Withdraw(withdraw) => PeerRequest::Withdraw(decode_list(
            "documents",
            limits::MAX_BATCH_DOCUMENTS,
            withdraw.documents,
        )?),
        Body::Heartbeat(heartbeat) => PeerRequest::Heartbeat {
            upload_count: heartbeat.upload_count,
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
        PeerRequest::Withdraw(keys) => Body::Withdraw(pb::Withdraw {
            documents: keys.into_iter().map(Into::into).collect(),
        }),
        PeerRequest::Heartbeat { upload_count } => Body::Heartbeat(pb::Heartbeat { upload_count }),
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
        Body::HeartbeatAck(pb::HeartbeatAck { document_count }) => RegistryReply::HeartbeatAck(document_count),
        Body::Found(found) => {
            RegistryReply::Found(decode_list("documents", limits::MAX_BATCH_DOCUMENTS, found.documents)?)
        }
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
        RegistryReply::HeartbeatAck(document_count) => Body::HeartbeatAck(pb::HeartbeatAck { document_count }),
        RegistryReply::Found(entries) => Body::Found(pb::LookupResponse {
            documents: entries.iter().map(Into::into).collect(),
        }),
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
        failure.field = Some(error.field).filter(|field| !field.is_empty());
        failure.retry_after = error.retry_after.map(decode_duration);
        failure
    }
}

/// No span that this protocol tells is longer; anything beyond is taken for this.
const MAX_DURATION: Duration = Duration::from_secs(3600);

fn decode_duration(duration: prost_types::Duration) -> Duration {
    Duration::try_from(duration).unwrap_or_default().min(MAX_DURATION)
}

fn encode_duration(duration: Duration) -> prost_types::Duration {
    duration.min(MAX_DURATION).try_into().unwrap_or_default()
}

fn none_if_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
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
            reconnect_spread: welcome.reconnect_spread.map_or(Duration::ZERO, decode_duration),
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
            detail: notice.detail,
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

/// How many holders an answer shows for each document.
fn decode_max_holders(value: u32, default: usize) -> Result<usize, ProtocolError> {
    match usize::try_from(value) {
        Ok(0) => Ok(default),
        Ok(max) if max <= limits::MAX_HOLDERS => Ok(max),
        Ok(_) | Err(_) => Err(ProtocolError::invalid(
            "max_holders",
            format!("{value} is more than {}", limits::MAX_HOLDERS),
        )),
    }
}

/// A bound that fits its field by construction.
fn encode_count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl TryFrom<pb::LookupRequest> for LookupQuery {
    type Error = ProtocolError;

    fn try_from(request: pb::LookupRequest) -> Result<Self, ProtocolError> {
        Ok(Self {
            number: decode_number("number", request.number)?,
            format: decode_optional_format("format", request.format)?,
            sha256_prefix: none_if_empty(&request.sha256_prefix)
                .map(|text| {
                    text.parse()
                        .map_err(|error| ProtocolError::invalid("sha256_prefix", error))
                })
                .transpose()?
                .unwrap_or_else(DigestPrefix::default),
            max_holders: decode_max_holders(request.max_holders, limits::DEFAULT_LOOKUP_HOLDERS)?,
        })
    }
}

impl From<&LookupQuery> for pb::LookupRequest {
    fn from(query: &LookupQuery) -> Self {
        Self {
            number: query.number.get(),
            format: encode_optional_format(query.format),
            sha256_prefix: query.sha256_prefix.as_str().to_owned(),
            max_holders: encode_count(query.max_holders),
        }
    }
}

impl TryFrom<pb::LookupManyRequest> for LookupManyQuery {
    type Error = ProtocolError;

    fn try_from(request: pb::LookupManyRequest) -> Result<Self, ProtocolError> {
        let count = request.numbers.len();
        if count == 0 {
            return Err(ProtocolError::missing("numbers"));
        }
        if count > limits::MAX_LOOKUP_NUMBERS {
            return Err(ProtocolError::invalid(
                "numbers",
                format!("{count} are more than {}", limits::MAX_LOOKUP_NUMBERS),
            ));
        }
        let numbers: Result<Vec<RfcNumber>, ProtocolError> = request
            .numbers
            .into_iter()
            .enumerate()
            .map(|(index, number)| decode_number(&format!("numbers[{index}]"), number))
            .collect();
        Ok(Self {
            numbers: numbers?,
            format: decode_optional_format("format", request.format)?,
            max_holders: decode_max_holders(request.max_holders, limits::DEFAULT_LOOKUP_HOLDERS)?,
        })
    }
}

impl From<LookupManyQuery> for pb::LookupManyRequest {
    fn from(query: LookupManyQuery) -> Self {
        Self {
            numbers: query.numbers.into_iter().map(RfcNumber::get).collect(),
            format: encode_optional_format(query.format),
            max_holders: encode_count(query.max_holders),
        }
    }
}

fn decode_filter(range: Option<pb::NumberRange>, format: i32) -> Result<IndexFilter, ProtocolError> {
    let range = range.map(decode_range).transpose()?.unwrap_or(RfcRange::ALL);
    Ok(IndexFilter {
        range,
        format: decode_optional_format("format", format)?,
    })
}

/// An inclusive range in which 0 leaves an end open.
pub(super) fn decode_range(range: pb::NumberRange) -> Result<RfcRange, ProtocolError> {
    let first = RfcNumber::new(range.first).unwrap_or(RfcRange::ALL.first);
    let last = RfcNumber::new(range.last).unwrap_or(RfcRange::ALL.last);
    if first > last {
        return Err(ProtocolError::invalid(
            "range",
            format!("{first}-{last} ends before it starts"),
        ));
    }
    Ok(RfcRange { first, last })
}

pub(super) fn encode_range(range: RfcRange) -> pb::NumberRange {
    pb::NumberRange {
        first: range.first.get(),
        last: range.last.get(),
    }
}

impl TryFrom<pb::ListPageRequest> for ListPageQuery {
    type Error = ProtocolError;

    fn try_from(request: pb::ListPageRequest) -> Result<Self, ProtocolError> {
        let page_size = match usize::try_from(request.page_size) {
            Ok(0) => limits::MAX_BATCH_DOCUMENTS,
            Ok(size) if size <= limits::MAX_BATCH_DOCUMENTS => size,
            Ok(_) | Err(_) => {
                let why = format!("{} is more than {}", request.page_size, limits::MAX_BATCH_DOCUMENTS);
                return Err(ProtocolError::invalid("page_size", why));
            }
        };
        Ok(Self {
            filter: decode_filter(request.range, request.format)?,
            page_size,
            after: none_if_empty(&request.page_token).map(decode_page_token).transpose()?,
        })
    }
}

impl From<ListPageQuery> for pb::ListPageRequest {
    fn from(query: ListPageQuery) -> Self {
        Self {
            range: Some(encode_range(query.filter.range)),
            format: encode_optional_format(query.filter.format),
            page_size: encode_count(query.page_size),
            page_token: query.after.map(encode_page_token).unwrap_or_default(),
        }
    }
}

/// A page token names the last document of its page: `9110.txt.<digest>`.
fn encode_page_token(after: DocumentId) -> String {
    format!("{}.{}.{}", after.key.number, after.key.format, after.sha256)
}

fn decode_page_token(token: &str) -> Result<DocumentId, ProtocolError> {
    let parse = || {
        let mut parts = token.splitn(3, '.');
        let number = parts.next()?.parse().ok()?;
        let format: Format = parts.next()?.parse().ok()?;
        let sha256 = parts.next()?.parse().ok()?;
        Some(DocumentId {
            key: crate::document::DocumentKey { number, format },
            sha256,
        })
    };
    parse().ok_or_else(|| ProtocolError::invalid("page_token", "use the next_page_token of an earlier page as it is"))
}

impl TryFrom<pb::ListPage> for ListPage {
    type Error = ProtocolError;

    fn try_from(page: pb::ListPage) -> Result<Self, ProtocolError> {
        Ok(Self {
            entries: decode_list("documents", limits::MAX_BATCH_DOCUMENTS, page.documents)?,
            next: none_if_empty(&page.next_page_token)
                .map(decode_page_token)
                .transpose()?,
        })
    }
}

impl From<ListPage> for pb::ListPage {
    fn from(page: ListPage) -> Self {
        Self {
            documents: page.entries.iter().map(Into::into).collect(),
            next_page_token: page.next.map(encode_page_token).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::ListDocumentsRequest> for ListQuery {
    type Error = ProtocolError;

    fn try_from(request: pb::ListDocumentsRequest) -> Result<Self, ProtocolError> {
        Ok(Self {
            filter: decode_filter(request.range, request.format)?,
            peer: none_if_empty(&request.peer).map(decode_peer_ref).transpose()?,
            max_holders: decode_max_holders(request.max_holders, limits::DEFAULT_LIST_HOLDERS)?,
        })
    }
}

fn decode_peer_ref(text: &str) -> Result<PeerRef, ProtocolError> {
    match text.parse() {
        Ok(id) => Ok(PeerRef::Id(id)),
        Err(_) => text
            .parse()
            .map(PeerRef::Name)
            .map_err(|error| ProtocolError::invalid("peer", error)),
    }
}

impl From<ListQuery> for pb::ListDocumentsRequest {
    fn from(query: ListQuery) -> Self {
        Self {
            range: Some(encode_range(query.filter.range)),
            format: encode_optional_format(query.filter.format),
            peer: match query.peer {
                Some(PeerRef::Id(id)) => id.to_string(),
                Some(PeerRef::Name(name)) => name.to_string(),
                None => String::new(),
            },
            max_holders: encode_count(query.max_holders),
        }
    }
}
