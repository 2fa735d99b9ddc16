//! Facts about RFCs, from and to the wire.

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
            Some(version) => decode_version("version", version).map(Self::Version),
            None => decode_list("facts", limits::MAX_DESCRIBED, response.facts).map(Self::Facts),
        }
    }
}

impl From<&Described> for pb::DescribeResponse {
    fn from(described: &Described) -> Self {
        match described {
            Described::Version(version) => Self {
                version: version.clone(),
                facts: Vec::new(),
            },
            Described::Facts(facts) => Self {
                version: String::new(),
                facts: facts.iter().map(Into::into).collect(),
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
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;
    use crate::{
        document::{RfcNumber, RfcRange, UnixSeconds},
        facts::Series,
    };

    fn number() -> impl Strategy<Value = RfcNumber> {
        (1_u32..=u32::MAX).prop_map(|value| RfcNumber::new(value).unwrap())
    }

    fn references() -> impl Strategy<Value = Vec<Reference>> {
        let reference = (select(Series::ALL.to_vec()), number());
        vec(
            reference.prop_map(|(series, number)| Reference { series, number }),
            0..5,
        )
    }

    fn lines() -> impl Strategy<Value = Vec<Line>> {
        vec("[^ ]{0,300}", 0..5).prop_map(|texts| texts.iter().filter_map(|text| Line::from_lossy(text)).collect())
    }

    prop_compose! {
        fn issued()(
            title in "\\PC{0,200}", authors in lines(), keywords in lines(), formats in lines(),
            (year, month, day) in (1000_u32..=9999, option::of(1_u32..=12), option::of(1_u32..=31)),
            status in select(Status::ALL.to_vec()), published_as in select(Status::ALL.to_vec()),
            stream in option::of(select(Stream::ALL.to_vec())), group in lines(),
            (obsoletes, obsoleted_by, updates, updated_by, also) in
                (references(), references(), references(), references(), references()),
            summary in "(?s).{0,400}", pages in option::of(1_u32..), has_errata: bool,
        ) -> Issued {
            let published = Published::new(year, month.and_then(Month::new), day);
            Issued {
                title: Title::from_lossy(&title), authors, published, status, published_as, stream,
                group: group.first().cloned(), obsoletes, obsoleted_by, updates, updated_by, also, formats, pages, keywords,
                summary: Prose::from_lossy(&summary), doi: None, draft: None, has_errata,
            }.bounded()
        }
    }

    proptest! {
        #[test]
        fn facts_are_the_same_there_and_back(
            number in number(), issued in option::of(issued()), as_of in option::of(0_i64..2_000_000_000),
            source in select(vec![Source::Text, Source::Index, Source::Record]),
        ) {
            let as_of = as_of.map(UnixSeconds);
            let facts = Facts { number, source, as_of, issued: issued.map(Box::new) };
            let described = Described::Facts(vec![facts]);
            prop_assert_eq!(Described::try_from(pb::DescribeResponse::from(&described)), Ok(described));
        }

        #[test]
        fn questions_are_the_same_there_and_back(numbers in vec(number(), 0..9), references in references(), with: bool) {
            let query = DescribeQuery {
                ranges: numbers.into_iter().map(RfcRange::from).collect(),
                references,
                with_successors: with,
                unless_version: with.then(|| "v1".to_owned()),
            };
            prop_assert_eq!(DescribeQuery::try_from(pb::DescribeRequest::from(&query)), Ok(query));
        }
    }

    #[track_caller]
    fn refused(facts: pb::RfcFacts) -> String {
        Facts::try_from(facts).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_field() {
        let valid = pb::RfcFacts {
            number: 1,
            source: pb::FactSource::Text.into(),
            ..pb::RfcFacts::default()
        };
        let with = |change: fn(&mut pb::RfcFacts)| {
            let mut facts = valid.clone();
            change(&mut facts);
            refused(facts)
        };
        assert!(Facts::try_from(valid.clone()).is_ok());
        assert!(with(|facts| facts.number = 0).contains("`number`"));
        assert!(with(|facts| facts.source = 0).contains("`source` is missing"));
        assert!(with(|facts| facts.year = 1).contains("`year`"));
        assert!(with(|facts| facts.month = 13).contains("`month`"));
        assert!(with(|facts| facts.title = "\u{1b}".into()).contains("`title`"));
        assert!(with(|facts| facts.also = vec!["BCP14".into(), "x".into()]).contains("`also[1]`"));
        assert!(with(|facts| facts.authors = vec![String::new(); 129]).contains("129 entries"));
        assert!(with(|facts| facts.updates = vec!["RFC1".into(); 129]).contains("129 entries"));
        let version = |text: &str| pb::DescribeRequest {
            unless_version: text.to_owned(),
            ..pb::DescribeRequest::default()
        };
        assert!(DescribeQuery::try_from(version(&"v".repeat(65))).is_err());
        assert!(DescribeQuery::try_from(version("a b")).is_err());
    }

    #[test]
    fn one_rfc_always_fits_a_message() {
        let line = "é".repeat(1000);
        let lines = vec![Line::from_lossy(&line).unwrap(); 1000];
        let longest = vec!["RFC4294967295".parse().unwrap(); 1000];
        let issued = Issued {
            title: Title::from_lossy(&line),
            authors: lines.clone(),
            keywords: lines.clone(),
            formats: lines,
            obsoletes: longest,
            summary: Prose::from_lossy(&line.repeat(100)),
            ..Issued::default()
        };
        let facts = Facts {
            number: RfcNumber::new(1).unwrap(),
            source: Source::Record,
            as_of: None,
            issued: Some(Box::new(issued.bounded())),
        };
        let length = prost::Message::encoded_len(&pb::RfcFacts::from(&facts));
        assert!(
            limits::MAX_DESCRIBE_BYTES + length < limits::MAX_TRANSFER_MESSAGE_BYTES,
            "{length}"
        );
    }
}
