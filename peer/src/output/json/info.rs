//! What is known about an RFC, as an object.

use p2p_ci::facts::{Facts, Line, Reference, Source};
use serde::Serialize;

use crate::{
    facts::{Chain, record::doi_of},
    output::human,
};

/// What is known about an RFC: what `info` prints.
#[derive(Debug, Serialize)]
pub struct InfoObject<'a> {
    number: u32,
    /// `false` for a number that was never used; everything but `source` and `as_of` is empty then.
    issued: bool,
    title: &'a str,
    authors: Vec<&'a str>,
    /// As the RFC Editor writes it, `June 2022`; `null` where nobody says.
    published: Option<String>,
    status: &'static str,
    published_status: &'static str,
    stream: Option<&'static str>,
    group: Option<&'a str>,
    obsoletes: Vec<String>,
    obsoleted_by: Vec<String>,
    updates: Vec<String>,
    updated_by: Vec<String>,
    also: Vec<String>,
    /// RFCs that took its place and are current; empty when it is current itself.
    current: Vec<u32>,
    /// Whether the chain of RFCs that took its place leads back to itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    circular: bool,
    pages: Option<u32>,
    keywords: Vec<&'a str>,
    r#abstract: &'a str,
    doi: String,
    errata: bool,
    /// `record`, `index` or `text`.
    source: &'static str,
    /// When that was written, as RFC 3339 has it; `null` where nobody says.
    as_of: Option<String>,
}

impl<'a> InfoObject<'a> {
    /// What is known about an RFC, and what it leads to.
    #[must_use]
    pub fn new(facts: &'a Facts, chain: &Chain) -> Self {
        let unknown = Self {
            number: facts.number.get(),
            issued: false,
            title: "",
            authors: Vec::new(),
            published: None,
            status: "",
            published_status: "",
            stream: None,
            group: None,
            obsoletes: Vec::new(),
            obsoleted_by: Vec::new(),
            updates: Vec::new(),
            updated_by: Vec::new(),
            also: Vec::new(),
            current: chain.current.iter().map(|number| number.get()).collect(),
            circular: chain.is_circular,
            pages: None,
            keywords: Vec::new(),
            r#abstract: "",
            doi: String::new(),
            errata: false,
            source: source_name(facts.source),
            as_of: facts.as_of.map(human::utc),
        };
        let Some(issued) = facts.issued.as_deref() else {
            return unknown;
        };
        Self {
            issued: true,
            title: issued.title.as_str(),
            authors: texts(&issued.authors),
            published: issued.published.map(|date| date.to_string()),
            status: issued.status.name(),
            published_status: issued.published_as.name(),
            stream: issued.stream.map(|stream| stream.name()),
            group: issued.group.as_ref().map(Line::as_str),
            obsoletes: names(&issued.obsoletes),
            obsoleted_by: names(&issued.obsoleted_by),
            updates: names(&issued.updates),
            updated_by: names(&issued.updated_by),
            also: names(&issued.also),
            pages: issued.pages,
            keywords: texts(&issued.keywords),
            r#abstract: issued.summary.as_str(),
            doi: doi_of(facts),
            errata: issued.has_errata,
            ..unknown
        }
    }
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Record => "record",
        Source::Index => "index",
        Source::Text => "text",
    }
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(Line::as_str).collect()
}

fn names(references: &[Reference]) -> Vec<String> {
    references.iter().map(Reference::unpadded).collect()
}
