//! Facts there and back, and what is refused.

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
        prop_assert_eq!(decode(&encode(&facts)), Ok(facts.clone()));
        let described = Described::Facts(vec![facts]);
        prop_assert_eq!(Described::try_from(pb::DescribeResponse::from(&described)), Ok(described));
    }

    #[test]
    fn openings_are_the_same_there_and_back(port: u16, asks_upstream: bool) {
        let http_port = NonZeroU16::new(port);
        let opening = Described::Opening { version: "v1".to_owned(), http_port, asks_upstream };
        prop_assert_eq!(Described::try_from(pb::DescribeResponse::from(&opening)), Ok(opening));
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
    let opening = pb::DescribeResponse {
        version: "v".to_owned(),
        http_port: 65_536,
        ..pb::DescribeResponse::default()
    };
    assert!(
        Described::try_from(opening)
            .unwrap_err()
            .to_string()
            .contains("`http_port`")
    );
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
