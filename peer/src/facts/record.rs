//! The RFC Editor's metadata record of one RFC (`rfcN.json`): read leniently, written as it was written in 2023.

use p2p_ci::{
    document::{RfcNumber, Title, UnixSeconds},
    facts::{Facts, Issued, Line, Prose, Reference, Series, Source, Status, Stream},
};
use serde::Serialize;
use serde_json::Value;

/// The largest record that is read: real ones have less than 10 KB.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// What the record's `source` says of an RFC of no group of the IETF.
const NO_GROUP: &str = "IETF - NON WORKING GROUP";

/// Reads the record of RFC `number`, last modified at `as_of`.
///
/// A field of the wrong type counts as missing. `None` when it is no JSON object, or the record of another RFC.
#[must_use]
pub fn parse(number: RfcNumber, bytes: &[u8], as_of: Option<UnixSeconds>) -> Option<Facts> {
    if bytes.len() > MAX_RECORD_BYTES {
        return None;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let record: Value = serde_json::from_slice(bytes).ok()?;
    let record = Record(record.as_object()?);
    let told: Reference = record.text("doc_id").parse().ok()?;
    if told.rfc() != Some(number) {
        return None;
    }
    let (stream, group) = source_of(record.text("source"));
    let status = |field| record.text(field).parse().unwrap_or(Status::Unknown);
    let issued = Issued {
        title: Title::from_lossy(record.text("title")),
        authors: record.lines("authors"),
        published: record.text("pub_date").parse().ok(),
        status: status("status"),
        published_as: status("pub_status"),
        stream,
        group,
        obsoletes: record.references("obsoletes"),
        obsoleted_by: record.references("obsoleted_by"),
        updates: record.references("updates"),
        updated_by: record.references("updated_by"),
        also: record.references("see_also"),
        formats: record.formats(),
        pages: record.number("page_count"),
        keywords: record.lines("keywords"),
        summary: Prose::from_lossy(record.text("abstract")),
        doi: record.line("doi"),
        draft: record.line("draft"),
        has_errata: !record.text("errata_url").trim().is_empty(),
    };
    Some(Facts {
        number,
        source: Source::Record,
        as_of,
        issued: Some(Box::new(issued.bounded())),
    })
}

/// Who published an RFC, by what the record's `source` says: a stream, or a group of the IETF or the IRTF.
fn source_of(source: &str) -> (Option<Stream>, Option<Line>) {
    let source = source.trim();
    if source.eq_ignore_ascii_case(NO_GROUP) {
        return (Some(Stream::Ietf), None);
    }
    match source.parse() {
        Ok(stream) => (Some(stream), None),
        Err(()) if source.ends_with("Research Group") => (Some(Stream::Irtf), Line::from_lossy(source)),
        Err(()) if source.is_empty() => (None, None),
        Err(()) => (Some(Stream::Ietf), Line::from_lossy(source)),
    }
}

/// A record's fields, as far as they have the right type.
struct Record<'a>(&'a serde_json::Map<String, Value>);

impl<'a> Record<'a> {
    fn text(&self, field: &str) -> &'a str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn line(&self, field: &str) -> Option<Line> {
        Line::from_lossy(self.text(field))
    }

    fn texts(&self, field: &str) -> impl Iterator<Item = &'a str> {
        let list = self.0.get(field).and_then(Value::as_array).map(Vec::as_slice);
        list.unwrap_or_default().iter().filter_map(Value::as_str)
    }

    fn lines(&self, field: &str) -> Vec<Line> {
        self.texts(field).filter_map(Line::from_lossy).collect()
    }

    fn references(&self, field: &str) -> Vec<Reference> {
        self.texts(field).filter_map(|text| text.parse().ok()).collect()
    }

    /// The record says ASCII or TEXT where the index says TXT.
    fn formats(&self) -> Vec<Line> {
        let named = self.texts("format").map(|name| match name {
            "ASCII" | "TEXT" => "TXT",
            name => name,
        });
        named.filter_map(Line::from_lossy).collect()
    }

    /// A number, which the record writes as a text.
    fn number(&self, field: &str) -> Option<u32> {
        match self.0.get(field)? {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// A record as the RFC Editor writes it: fields in its order, numbers padded to four digits.
#[derive(Serialize)]
struct Written<'a> {
    draft: &'a str,
    doc_id: String,
    title: &'a str,
    authors: Vec<&'a str>,
    format: Vec<&'a str>,
    page_count: String,
    pub_status: &'static str,
    status: &'static str,
    source: &'a str,
    r#abstract: &'a str,
    pub_date: String,
    keywords: Vec<&'a str>,
    obsoletes: Vec<String>,
    obsoleted_by: Vec<String>,
    updates: Vec<String>,
    updated_by: Vec<String>,
    see_also: Vec<String>,
    doi: String,
    errata_url: Option<String>,
}

/// The record of an RFC whose record nobody has; `None` for a number that was never used.
#[must_use]
pub fn write(facts: &Facts) -> Option<Vec<u8>> {
    let issued = facts.issued.as_deref()?;
    let padded = |references: &[Reference]| references.iter().map(Reference::padded).collect();
    let source = match (&issued.group, issued.stream) {
        (Some(group), _) => group.as_str(),
        (None, Some(Stream::Ietf)) => NO_GROUP,
        (None, Some(stream)) => stream.name(),
        (None, None) => "",
    };
    let number = facts.number;
    let written = Written {
        draft: text(&issued.draft),
        doc_id: Reference::to_rfc(number).padded(),
        title: issued.title.as_str(),
        authors: texts(&issued.authors),
        format: texts(&issued.formats),
        page_count: issued.pages.map(|pages| pages.to_string()).unwrap_or_default(),
        pub_status: issued.published_as.name(),
        status: issued.status.name(),
        source,
        r#abstract: issued.summary.as_str(),
        pub_date: issued.published.map(|date| date.to_string()).unwrap_or_default(),
        keywords: texts(&issued.keywords),
        obsoletes: padded(&issued.obsoletes),
        obsoleted_by: padded(&issued.obsoleted_by),
        updates: padded(&issued.updates),
        updated_by: padded(&issued.updated_by),
        see_also: padded(&issued.also),
        doi: doi_of(facts),
        errata_url: issued
            .has_errata
            .then(|| format!("https://www.rfc-editor.org/errata/rfc{number}")),
    };
    serde_json::to_vec(&written).ok()
}

fn text(line: &Option<Line>) -> &str {
    line.as_ref().map_or("", Line::as_str)
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(Line::as_str).collect()
}

/// The DOI of an RFC: what is told, or the one that all RFCs have by their number (RFC 7669 section 4).
#[must_use]
pub fn doi_of(facts: &Facts) -> String {
    let told = facts.issued.as_deref().and_then(|issued| issued.doi.as_ref());
    told.map_or_else(
        || format!("10.17487/{}", Reference::to_rfc(facts.number).padded()),
        |doi| doi.as_str().to_owned(),
    )
}

/// The subseries that an RFC belongs to: STD, BCP, FYI.
pub fn subseries(issued: &Issued) -> impl Iterator<Item = Reference> {
    let is_subseries = |reference: &Reference| Series::is_subseries(reference.series);
    issued.also.iter().copied().filter(is_subseries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC_9110: &str = include_str!("../../../xtask/samples/alice/rfc9110.json");

    fn number(value: u32) -> RfcNumber {
        RfcNumber::new(value).unwrap()
    }

    #[test]
    fn a_real_record_is_read_and_written() {
        let facts = parse(number(9110), RFC_9110.as_bytes(), Some(UnixSeconds(7))).unwrap();
        let issued = facts.issued.as_deref().unwrap();
        assert_eq!(issued.title.as_str(), "HTTP Semantics");
        assert_eq!(issued.authors.first().unwrap().as_str(), "R. Fielding, Ed.");
        assert_eq!(issued.published.unwrap().to_string(), "June 2022");
        assert_eq!(issued.status, Status::InternetStandard);
        assert_eq!(
            (issued.stream, issued.group.as_ref().unwrap().as_str()),
            (Some(Stream::Ietf), "HTTP")
        );
        assert_eq!(issued.also.first().unwrap().to_string(), "STD 97");
        assert!(
            issued
                .obsoletes
                .iter()
                .any(|reference| reference.to_string() == "RFC 7230")
        );
        let again = parse(number(9110), &write(&facts).unwrap(), Some(UnixSeconds(7)));
        assert_eq!(again.as_ref(), Some(&facts), "the same, there and back");
    }

    #[test]
    fn what_is_odd_costs_its_field_only() {
        let odd = r#"{"doc_id":"RFC10052","title":["x"],"authors":"A. B.","page_count":12,"status":{},
            "obsoletes":[1,"RFC0001"," RFC2","ISO 1","RFC0001"],"keywords":[""," ","<b>\u001b[31m"],"pub_date":"someday",
            "errata_url":null,"abstract":7}"#;
        let facts = parse(number(10_052), odd.as_bytes(), None).unwrap();
        let issued = facts.issued.unwrap();
        assert_eq!(
            (issued.title.as_str(), issued.pages, issued.status),
            ("", Some(12), Status::Unknown)
        );
        assert!(issued.authors.is_empty() && issued.published.is_none() && issued.summary.is_empty());
        assert_eq!(
            issued.obsoletes,
            [Reference::to_rfc(number(1)), Reference::to_rfc(number(2))]
        );
        assert_eq!(issued.keywords.first().unwrap().as_str(), "<b>[31m");
        assert!(!issued.has_errata);
    }

    #[test]
    fn what_is_no_record_of_this_rfc_tells_nothing() {
        for (text, asked) in [
            (RFC_9110, 9111),
            ("", 1),
            ("[]", 1),
            (r#"{"title":"x"}"#, 1),
            (r#"{"doc_id":"STD0001"}"#, 1),
            (&"[".repeat(200_000), 1),
        ] {
            assert_eq!(parse(number(asked), text.as_bytes(), None), None);
        }
    }
}
