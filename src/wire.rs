//! The boundary between the wire and the domain: validate on receive, convert on send.
//!
//! Everything received goes through a `decode` function (or `TryFrom`) that checks each field and yields a value of
//! [`message`](crate::message) or a [`ProtocolError`] naming the field. Sending cannot fail: `From` makes the generated
//! types out of valid values.

pub mod duration;
pub mod facts;
pub mod file_transfer;
mod fingerprint;
pub mod found;
pub mod many;
pub(crate) mod prefix;
mod query;
pub mod registry;
pub mod watch;

use std::{fmt::Display, net::SocketAddr};

use prost_types::Timestamp;

use crate::{
    address,
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title, UnixSeconds},
    failure::{Failure, Reason},
    limits,
    message::{DocumentEntry, Holder},
    pb,
    text::escaped,
};

/// A message that does not have the shape that the protocol gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A required field is not set.
    #[error("`{field}` is missing")]
    Missing {
        /// The field's path within the message.
        field: String,
    },
    /// A field's value is not allowed.
    #[error("`{field}` is invalid: {why}")]
    Invalid {
        /// The field's path within the message.
        field: String,
        /// What is wrong with the value.
        why: String,
    },
}

impl ProtocolError {
    /// A required field is not set.
    #[must_use]
    pub fn missing(field: impl Into<String>) -> Self {
        Self::Missing { field: field.into() }
    }

    /// A field's value is not allowed.
    #[must_use]
    pub fn invalid(field: impl Into<String>, why: impl Display) -> Self {
        Self::Invalid {
            field: field.into(),
            why: why.to_string(),
        }
    }

    /// The field's path within the message.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Missing { field } | Self::Invalid { field, .. } => field,
        }
    }

    /// The same error one level further out: `number` becomes `documents[3].number`.
    #[must_use]
    fn within(self, outer: &str) -> Self {
        let path = |inner: String| format!("{outer}.{inner}");
        match self {
            Self::Missing { field } => Self::Missing { field: path(field) },
            Self::Invalid { field, why } => Self::Invalid {
                field: path(field),
                why,
            },
        }
    }
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Self {
        Failure::new(Reason::InvalidRequest, error.to_string()).with_field(error.field())
    }
}

impl From<ProtocolError> for tonic::Status {
    fn from(error: ProtocolError) -> Self {
        Failure::from(error).into()
    }
}

fn decode_number(field: &str, value: u32) -> Result<RfcNumber, ProtocolError> {
    RfcNumber::try_from(value).map_err(|error| ProtocolError::invalid(field, error))
}

/// A format that may be left open.
fn decode_optional_format(field: &str, value: i32) -> Result<Option<Format>, ProtocolError> {
    match pb::Format::try_from(value) {
        Ok(pb::Format::Unspecified) => Ok(None),
        Ok(pb::Format::Txt) => Ok(Some(Format::Txt)),
        Ok(pb::Format::Html) => Ok(Some(Format::Html)),
        Ok(pb::Format::Pdf) => Ok(Some(Format::Pdf)),
        Ok(pb::Format::Xml) => Ok(Some(Format::Xml)),
        Ok(pb::Format::Json) => Ok(Some(Format::Json)),
        Err(_) => Err(ProtocolError::invalid(
            field,
            format!("{value} is no format that is known here"),
        )),
    }
}

fn decode_format(field: &str, value: i32) -> Result<Format, ProtocolError> {
    decode_optional_format(field, value)?.ok_or_else(|| ProtocolError::missing(field))
}

impl From<Format> for pb::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Txt => Self::Txt,
            Format::Html => Self::Html,
            Format::Pdf => Self::Pdf,
            Format::Xml => Self::Xml,
            Format::Json => Self::Json,
        }
    }
}

/// A format as prost stores it in a message.
fn encode_format(format: Format) -> i32 {
    pb::Format::from(format).into()
}

fn encode_optional_format(format: Option<Format>) -> i32 {
    format.map_or_else(|| pb::Format::Unspecified.into(), encode_format)
}

fn decode_digest(field: &str, text: &str) -> Result<Sha256, ProtocolError> {
    if text.is_empty() {
        return Err(ProtocolError::missing(field));
    }
    text.parse().map_err(|error| ProtocolError::invalid(field, error))
}

fn decode_size(field: &str, size_bytes: u64) -> Result<u64, ProtocolError> {
    if size_bytes > limits::MAX_DOCUMENT_BYTES {
        return Err(ProtocolError::invalid(
            field,
            format!("{size_bytes} is more than {}", limits::MAX_DOCUMENT_BYTES),
        ));
    }
    Ok(size_bytes)
}

/// The seconds that a `google.protobuf.Timestamp` can have: 0001-01-01 to 9999-12-31. Beyond them, tools that show it
/// as a date fail, and a whole list with it.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

fn decode_time(field: &str, time: Option<Timestamp>) -> Result<Option<UnixSeconds>, ProtocolError> {
    match time {
        Some(time) if !TIMESTAMP_SECONDS.contains(&time.seconds) => {
            Err(ProtocolError::invalid(field, "it lies beyond the years 1 to 9999"))
        }
        time => Ok(time.map(|time| UnixSeconds(time.seconds))),
    }
}

fn encode_time(time: UnixSeconds) -> Timestamp {
    Timestamp {
        seconds: time.0,
        nanos: 0,
    }
}

/// proto3 strings that are not set are empty.
fn none_if_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// An address of a peer: a literal IP address of one host, and a port that needs no privilege.
fn decode_address(field: &str, text: &str) -> Result<SocketAddr, ProtocolError> {
    /// An address is at most `[` + 45 digits and colons + `]:65535`.
    const SHOWN_BYTES: usize = 60;
    let address: SocketAddr = text.parse().map_err(|_| {
        let shown: String = text.chars().take(SHOWN_BYTES).collect();
        ProtocolError::invalid(field, format!("\"{}\" is not of the form IP:PORT", escaped(&shown)))
    })?;
    let address = address::canonical(address);
    if !address::is_host(address.ip()) {
        return Err(ProtocolError::invalid(
            field,
            format!("{} is not the address of one host", address.ip()),
        ));
    }
    decode_port(field, u32::from(address.port()))?;
    Ok(address)
}

/// A port that a peer may have; see [`limits::LOWEST_PEER_PORT`].
fn decode_port(field: &str, port: u32) -> Result<u16, ProtocolError> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port >= limits::LOWEST_PEER_PORT)
        .ok_or_else(|| {
            let why = format!("port {port} is not within {} to {}", limits::LOWEST_PEER_PORT, u16::MAX);
            ProtocolError::invalid(field, why)
        })
}

impl TryFrom<pb::DocumentKey> for DocumentKey {
    type Error = ProtocolError;

    fn try_from(key: pb::DocumentKey) -> Result<Self, ProtocolError> {
        Ok(Self {
            number: decode_number("number", key.number)?,
            format: decode_format("format", key.format)?,
        })
    }
}

impl From<DocumentKey> for pb::DocumentKey {
    fn from(key: DocumentKey) -> Self {
        Self {
            number: key.number.get(),
            format: encode_format(key.format),
        }
    }
}

impl TryFrom<pb::Document> for Document {
    type Error = ProtocolError;

    fn try_from(document: pb::Document) -> Result<Self, ProtocolError> {
        let key = DocumentKey {
            number: decode_number("number", document.number)?,
            format: decode_format("format", document.format)?,
        };
        Ok(Self {
            id: DocumentId {
                key,
                sha256: decode_digest("sha256", &document.sha256)?,
            },
            size_bytes: decode_size("size_bytes", document.size_bytes)?,
            title: Title::try_from(document.title).map_err(|error| ProtocolError::invalid("title", error))?,
            modified: decode_time("modified_time", document.modified_time)?,
        })
    }
}

impl From<&Document> for pb::Document {
    fn from(document: &Document) -> Self {
        Self {
            number: document.id.key.number.get(),
            format: encode_format(document.id.key.format),
            sha256: document.id.sha256.to_string(),
            size_bytes: document.size_bytes,
            title: document.title.as_str().to_owned(),
            modified_time: document.modified.map(encode_time),
        }
    }
}

impl TryFrom<pb::Holder> for Holder {
    type Error = ProtocolError;

    fn try_from(holder: pb::Holder) -> Result<Self, ProtocolError> {
        Ok(Self {
            id: holder
                .peer_id
                .parse()
                .map_err(|error| ProtocolError::invalid("peer_id", error))?,
            name: holder
                .name
                .parse()
                .map_err(|error| ProtocolError::invalid("name", error))?,
            address: decode_address("address", &holder.address)?,
        })
    }
}

impl From<&Holder> for pb::Holder {
    fn from(holder: &Holder) -> Self {
        Self {
            peer_id: holder.id.to_string(),
            name: holder.name.as_str().to_owned(),
            address: address::spelled(holder.address),
        }
    }
}

impl TryFrom<pb::DocumentEntry> for DocumentEntry {
    type Error = ProtocolError;

    fn try_from(entry: pb::DocumentEntry) -> Result<Self, ProtocolError> {
        let document = entry.document.ok_or_else(|| ProtocolError::missing("document"))?;
        Ok(Self {
            document: document
                .try_into()
                .map_err(|error: ProtocolError| error.within("document"))?,
            holder_count: entry.holder_count,
            holders: decode_list("holders", limits::MAX_HOLDERS, entry.holders)?,
        })
    }
}

impl From<&DocumentEntry> for pb::DocumentEntry {
    fn from(entry: &DocumentEntry) -> Self {
        Self {
            document: Some((&entry.document).into()),
            holder_count: entry.holder_count,
            holders: entry.holders.iter().map(Into::into).collect(),
        }
    }
}

/// Decodes a bounded list, all of it or nothing.
fn decode_list<P, D>(field: &str, max: usize, list: Vec<P>) -> Result<Vec<D>, ProtocolError>
where
    D: TryFrom<P, Error = ProtocolError>,
{
    if list.len() > max {
        return Err(ProtocolError::invalid(
            field,
            format!("{} entries are more than {max}", list.len()),
        ));
    }
    list.into_iter()
        .enumerate()
        .map(|(index, item)| D::try_from(item).map_err(|error| error.within(&format!("{field}[{index}]"))))
        .collect()
}
