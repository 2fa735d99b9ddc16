//! Questions to the index and its pages, from and to the wire.

use super::{ProtocolError, decode_list, decode_number, decode_optional_format, encode_optional_format, none_if_empty};
use crate::{
    digest::DigestPrefix,
    document::{DocumentClaim, DocumentId, DocumentKey, Format, RfcNumber, RfcRange},
    limits,
    message::{
        IndexFilter, ListPage, ListPageQuery, ListQuery, Listed, LookupAnswer, LookupManyQuery, LookupQuery, PeerRef,
    },
    pb,
};

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

/// A page token names the last document of its page: `9110.txt.<digest>.<length>`.
fn encode_page_token(after: DocumentClaim) -> String {
    let DocumentClaim { id, size_bytes } = after;
    format!("{}.{}.{}.{size_bytes}", id.key.number, id.key.format, id.sha256)
}

fn decode_page_token(token: &str) -> Result<DocumentClaim, ProtocolError> {
    let parse = || {
        let mut parts = token.splitn(4, '.');
        let number = parts.next()?.parse().ok()?;
        let format: Format = parts.next()?.parse().ok()?;
        let sha256 = parts.next()?.parse().ok()?;
        let size_bytes = parts.next()?.parse().ok()?;
        let key = DocumentKey { number, format };
        Some(DocumentClaim {
            id: DocumentId { key, sha256 },
            size_bytes,
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
            converging: page.converging,
        })
    }
}

impl From<ListPage> for pb::ListPage {
    fn from(page: ListPage) -> Self {
        Self {
            documents: page.entries.iter().map(Into::into).collect(),
            next_page_token: page.next.map(encode_page_token).unwrap_or_default(),
            converging: page.converging,
        }
    }
}

impl TryFrom<pb::LookupResponse> for LookupAnswer {
    type Error = ProtocolError;

    fn try_from(response: pb::LookupResponse) -> Result<Self, ProtocolError> {
        Ok(Self {
            documents: decode_list("documents", limits::MAX_BATCH_DOCUMENTS, response.documents)?,
            converging: response.converging,
        })
    }
}

impl From<&LookupAnswer> for pb::LookupResponse {
    fn from(found: &LookupAnswer) -> Self {
        Self {
            documents: found.documents.iter().map(Into::into).collect(),
            converging: found.converging,
        }
    }
}

impl TryFrom<pb::ListDocumentsResponse> for Listed {
    type Error = ProtocolError;

    fn try_from(response: pb::ListDocumentsResponse) -> Result<Self, ProtocolError> {
        let entry = response.entry.ok_or_else(|| ProtocolError::missing("entry"))?;
        Ok(Self {
            entry: entry.try_into()?,
            converging: response.converging,
        })
    }
}

impl From<&Listed> for pb::ListDocumentsResponse {
    fn from(listed: &Listed) -> Self {
        Self {
            entry: Some((&listed.entry).into()),
            converging: listed.converging,
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
