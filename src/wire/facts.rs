//! Facts about RFCs, from and to the wire.

use std::num::NonZeroU16;

use prost::Message as _;

use super::{
    ProtocolError, decode_list, decode_number, decode_time, encode_time, none_if_empty,
    query::{decode_range, encode_range},
};
use crate::{
    document::Title,
    facts::{Facts, Issued, Line, Month, Prose, Published, Reference, Source, Status, Stream},
    limits,
    message::{DescribeQuery, Described},
    pb,
};

impl TryFrom<pb::DescribeRequest> for DescribeQuery {
    type Error = ProtocolError;

    fn try_from(request: pb::DescribeRequest) -> Result<Self, ProtocolError> {
        check_count("ranges", request.ranges.len(), limits::MAX_DESCRIBE_RANGES)?;
        let ranges: Result<_, _> = request.ranges.into_iter().map(decode_range).collect();
        let version = none_if_empty(&request.unless_version).map(|version| decode_version("unless_version", version));
        Ok(Self {
            ranges: ranges?,
            references: decode_references("references", limits::MAX_DESCRIBE_REFERENCES, &request.references)?,
            with_successors: request.with_successors,
            unless_version: version.transpose()?,
        })
    }
}

impl From<&DescribeQuery> for pb::DescribeRequest {
    fn from(query: &DescribeQuery) -> Self {
        Self {
            ranges: query.ranges.iter().copied().map(encode_range).collect(),
            references: encode_references(&query.references),
            with_successors: query.with_successors,
            unless_version: query.unless_version.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::DescribeResponse> for Described {
    type Error = ProtocolError;

    fn try_from(response: pb::DescribeResponse) -> Result<Self, ProtocolError> {
        match none_if_empty(&response.version) {
            Some(version) => Ok(Self::Opening {
                version: decode_version("version", version)?,
                http_port: decode_http_port(response.http_port)?,
                asks_upstream: response.asks_upstream,
            }),
            None => decode_list("facts", limits::MAX_DESCRIBED, response.facts).map(Self::Facts),
        }
    }
}

impl From<&Described> for pb::DescribeResponse {
    fn from(described: &Described) -> Self {
        match described {
            Described::Opening {
                version,
                http_port,
                asks_upstream,
            } => Self {
                version: version.clone(),
                asks_upstream: *asks_upstream,
                http_port: http_port.map_or(0, |port| port.get().into()),
                facts: Vec::new(),
            },
            Described::Facts(facts) => Self {
                facts: facts.iter().map(Into::into).collect(),
                ..Self::default()
            },
        }
    }
}

impl TryFrom<pb::RfcFacts> for Facts {
    type Error = ProtocolError;

    fn try_from(facts: pb::RfcFacts) -> Result<Self, ProtocolError> {
        let source = match pb::FactSource::try_from(facts.source) {
            Ok(pb::FactSource::Text) => Source::Text,
            Ok(pb::FactSource::Index) => Source::Index,
            Ok(pb::FactSource::Record) => Source::Record,
            Ok(pb::FactSource::Unspecified) => return Err(ProtocolError::missing("source")),
            Err(_) => return Err(ProtocolError::invalid("source", "it is none that is known here")),
        };
        Ok(Self {
            number: decode_number("number", facts.number)?,
            source,
            as_of: decode_time("as_of_time", facts.as_of_time)?,
            issued: if facts.not_issued {
                None
            } else {
                Some(Box::new(decode_issued(facts)?))
            },
        })
    }
}

/// What is known of one RFC as the bytes of an `RfcFacts`, for keeping.
#[must_use]
pub fn encode(facts: &Facts) -> Vec<u8> {
    pb::RfcFacts::from(facts).encode_to_vec()
}

/// What such bytes hold.
///
/// # Errors
///
/// [`ProtocolError`], also for bytes that are no message at all.
pub fn decode(bytes: &[u8]) -> Result<Facts, ProtocolError> {
    let facts = pb::RfcFacts::decode(bytes).map_err(|error| ProtocolError::invalid("facts", error))?;
    facts.try_into()
}

fn decode_issued(facts: pb::RfcFacts) -> Result<Issued, ProtocolError> {
    let references = |field, texts: &[String]| decode_references(field, limits::MAX_FACT_ENTRIES, texts);
    let month = match facts.month {
        0 => None,
        month => Some(Month::new(month).ok_or_else(|| ProtocolError::invalid("month", "it is not within 1 to 12"))?),
    };
    let published = match facts.year {
        0 => None,
        year => Some(
            Published::new(year, month, Some(facts.day))
                .ok_or_else(|| ProtocolError::invalid("year", "it is not within 1000 to 9999"))?,
        ),
    };
    let issued = Issued {
        title: Title::try_from(facts.title).map_err(|error| ProtocolError::invalid("title", error))?,
        authors: decode_lines("authors", &facts.authors)?,
        published,
        status: decode_status(facts.status),
        published_as: decode_status(facts.published_status),
        stream: decode_stream(facts.stream),
        group: Line::from_lossy(&facts.group),
        obsoletes: references("obsoletes", &facts.obsoletes)?,
        obsoleted_by: references("obsoleted_by", &facts.obsoleted_by)?,
        updates: references("updates", &facts.updates)?,
        updated_by: references("updated_by", &facts.updated_by)?,
        also: references("also", &facts.also)?,
        formats: decode_lines("formats", &facts.formats)?,
        pages: Some(facts.page_count).filter(|pages| *pages > 0),
        keywords: decode_lines("keywords", &facts.keywords)?,
        summary: Prose::from_lossy(&facts.r#abstract),
        doi: Line::from_lossy(&facts.doi),
        draft: Line::from_lossy(&facts.draft),
        has_errata: facts.has_errata,
    };
    Ok(issued.bounded())
}

impl From<&Facts> for pb::RfcFacts {
    fn from(facts: &Facts) -> Self {
        let source = match facts.source {
            Source::Text => pb::FactSource::Text,
            Source::Index => pb::FactSource::Index,
            Source::Record => pb::FactSource::Record,
        };
        let described = Self {
            number: facts.number.get(),
            source: source.into(),
            as_of_time: facts.as_of.map(encode_time),
            ..Self::default()
        };
        match facts.issued.as_deref() {
            None => Self {
                not_issued: true,
                ..described
            },
            Some(issued) => encode_issued(issued, described),
        }
    }
}

fn encode_issued(issued: &Issued, described: pb::RfcFacts) -> pb::RfcFacts {
    let line = |line: &Option<Line>| line.as_ref().map(|line| line.as_str().to_owned()).unwrap_or_default();
    let lines = |lines: &[Line]| lines.iter().map(|line| line.as_str().to_owned()).collect();
    let published = issued.published;
    let month = published.and_then(|date| date.month);
    pb::RfcFacts {
        title: issued.title.as_str().to_owned(),
        authors: lines(&issued.authors),
        year: published.map_or(0, |date| date.year.into()),
        month: month.map_or(0, |month| month.number().into()),
        day: published.and_then(|date| date.day).unwrap_or_default().into(),
        status: encode_status(issued.status),
        published_status: encode_status(issued.published_as),
        stream: encode_stream(issued.stream),
        group: line(&issued.group),
        obsoletes: encode_references(&issued.obsoletes),
        obsoleted_by: encode_references(&issued.obsoleted_by),
        updates: encode_references(&issued.updates),
        updated_by: encode_references(&issued.updated_by),
        also: encode_references(&issued.also),
        formats: lines(&issued.formats),
        page_count: issued.pages.unwrap_or_default(),
        keywords: lines(&issued.keywords),
        r#abstract: issued.summary.as_str().to_owned(),
        doi: line(&issued.doi),
        draft: line(&issued.draft),
        has_errata: issued.has_errata,
        ..described
    }
}

/// A status that is not known here is none: more of them may come.
fn decode_status(status: i32) -> Status {
    match pb::RfcStatus::try_from(status) {
        Ok(pb::RfcStatus::InternetStandard) => Status::InternetStandard,
        Ok(pb::RfcStatus::DraftStandard) => Status::DraftStandard,
        Ok(pb::RfcStatus::ProposedStandard) => Status::ProposedStandard,
        Ok(pb::RfcStatus::BestCurrentPractice) => Status::BestCurrentPractice,
        Ok(pb::RfcStatus::Informational) => Status::Informational,
        Ok(pb::RfcStatus::Experimental) => Status::Experimental,
        Ok(pb::RfcStatus::Historic) => Status::Historic,
        Ok(pb::RfcStatus::Unspecified) | Err(_) => Status::Unknown,
    }
}

fn encode_status(status: Status) -> i32 {
    let status = match status {
        Status::InternetStandard => pb::RfcStatus::InternetStandard,
        Status::DraftStandard => pb::RfcStatus::DraftStandard,
        Status::ProposedStandard => pb::RfcStatus::ProposedStandard,
        Status::BestCurrentPractice => pb::RfcStatus::BestCurrentPractice,
        Status::Informational => pb::RfcStatus::Informational,
        Status::Experimental => pb::RfcStatus::Experimental,
        Status::Historic => pb::RfcStatus::Historic,
        Status::Unknown => pb::RfcStatus::Unspecified,
    };
    status.into()
}

fn decode_stream(stream: i32) -> Option<Stream> {
    match pb::RfcStream::try_from(stream) {
        Ok(pb::RfcStream::Ietf) => Some(Stream::Ietf),
        Ok(pb::RfcStream::Irtf) => Some(Stream::Irtf),
        Ok(pb::RfcStream::Iab) => Some(Stream::Iab),
        Ok(pb::RfcStream::Independent) => Some(Stream::Independent),
        Ok(pb::RfcStream::Editorial) => Some(Stream::Editorial),
        Ok(pb::RfcStream::Legacy) => Some(Stream::Legacy),
        Ok(pb::RfcStream::Unspecified) | Err(_) => None,
    }
}

fn encode_stream(stream: Option<Stream>) -> i32 {
    let stream = match stream {
        Some(Stream::Ietf) => pb::RfcStream::Ietf,
        Some(Stream::Irtf) => pb::RfcStream::Irtf,
        Some(Stream::Iab) => pb::RfcStream::Iab,
        Some(Stream::Independent) => pb::RfcStream::Independent,
        Some(Stream::Editorial) => pb::RfcStream::Editorial,
        Some(Stream::Legacy) => pb::RfcStream::Legacy,
        None => pb::RfcStream::Unspecified,
    };
    stream.into()
}

fn check_count(field: &str, count: usize, max: usize) -> Result<(), ProtocolError> {
    match count {
        count if count > max => Err(ProtocolError::invalid(
            field,
            format!("{count} entries are more than {max}"),
        )),
        _ => Ok(()),
    }
}

fn decode_version(field: &str, version: &str) -> Result<String, ProtocolError> {
    if version.len() > limits::MAX_FACTS_VERSION_BYTES || !version.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = format!(
            "a version has at most {} visible characters",
            limits::MAX_FACTS_VERSION_BYTES
        );
        return Err(ProtocolError::invalid(field, why));
    }
    Ok(version.to_owned())
}

fn decode_http_port(port: u32) -> Result<Option<NonZeroU16>, ProtocolError> {
    let port = u16::try_from(port).map_err(|_| ProtocolError::invalid("http_port", format!("{port} is no port")))?;
    Ok(NonZeroU16::new(port))
}

/// Lines are what they are once they are clean: a blank one among them is none.
fn decode_lines(field: &str, texts: &[String]) -> Result<Vec<Line>, ProtocolError> {
    check_count(field, texts.len(), limits::MAX_FACT_ENTRIES)?;
    Ok(texts.iter().filter_map(|text| Line::from_lossy(text)).collect())
}

fn decode_references(field: &str, max: usize, texts: &[String]) -> Result<Vec<Reference>, ProtocolError> {
    check_count(field, texts.len(), max)?;
    let decode = |(index, text): (usize, &String)| {
        let reference = text.parse::<Reference>();
        reference.map_err(|error| ProtocolError::invalid(format!("{field}[{index}]"), error))
    };
    texts.iter().enumerate().map(decode).collect()
}

fn encode_references(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::unpadded).collect()
}

#[cfg(test)]
mod tests;
