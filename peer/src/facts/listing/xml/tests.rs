//! What is written, and that it is what is read.

use p2p_ci::{
    document::{Title, UnixSeconds},
    facts::{Month, Prose, Published, Source, Status},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::facts::index_xml::parse;

/// How the index tells of RFC 2119 with what a test knows of it.
const WORDS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<rfc-index xmlns="http://www.rfc-editor.org/rfc-index">
    <bcp-entry>
        <doc-id>BCP0014</doc-id>
        <is-also>
            <doc-id>RFC2119</doc-id>
        </is-also>
    </bcp-entry>
    <rfc-entry>
        <doc-id>RFC2119</doc-id>
        <title>Words &amp; &lt;b&gt;�</title>
        <author>
            <name>S. Bradner</name>
        </author>
        <author>
            <name>B. Leiba</name>
            <title>Editor</title>
        </author>
        <author>
            <name>, Ed.</name>
        </author>
        <date>
            <month>April</month>
            <day>1</day>
            <year>1997</year>
        </date>
        <format>
            <file-format>TXT</file-format>
            <file-format>HTML</file-format>
        </format>
        <page-count>3</page-count>
        <abstract>
            <p>One.</p>
            <p>Two.</p>
        </abstract>
        <is-also>
            <doc-id>BCP0014</doc-id>
        </is-also>
        <see-also>
            <doc-id>RFC0001</doc-id>
        </see-also>
        <current-status>UNKNOWN</current-status>
        <publication-status>UNKNOWN</publication-status>
        <stream>IETF</stream>
        <wg_acronym>NON WORKING GROUP</wg_acronym>
        <errata-url>https://www.rfc-editor.org/errata/rfc2119</errata-url>
        <doi>10.17487/RFC2119</doi>
    </rfc-entry>
    <rfc-not-issued-entry>
        <doc-id>RFC10052</doc-id>
    </rfc-not-issued-entry>
</rfc-index>
"#;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

fn catalogue(all: impl IntoIterator<Item = Facts>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for facts in all {
        catalogue.learn(facts, NOW);
    }
    catalogue
}

fn written(catalogue: &Catalogue) -> String {
    let mut bytes = Vec::new();
    write_xml(catalogue, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn issued(number: u32, issued: Issued) -> Facts {
    Facts {
        number: RfcNumber::new(number).unwrap(),
        source: Source::Record,
        as_of: None,
        issued: Some(Box::new(issued)),
    }
}

fn lines(texts: &[&str]) -> Vec<Line> {
    texts.iter().filter_map(|text| Line::from_lossy(text)).collect()
}

#[test]
fn an_entry_is_as_the_old_index_has_it() {
    let words = Issued {
        title: Title::from_lossy("Words & <b>\u{ffff}"),
        authors: lines(&["S. Bradner", "B. Leiba, Ed.", ", Ed."]),
        published: "1 April 1997".parse().ok(),
        formats: lines(&["HTML", "TXT"]),
        also: ["BCP14", "RFC1"].iter().map(|text| text.parse().unwrap()).collect(),
        stream: Some(Stream::Ietf),
        pages: Some(3),
        summary: Prose::from_lossy("One.\n\nTwo."),
        has_errata: true,
        ..Issued::default()
    };
    let never = Facts {
        issued: None,
        ..issued(10_052, Issued::default())
    };
    assert_eq!(written(&catalogue([issued(2119, words), never])), WORDS);
}

fn any_line() -> impl Strategy<Value = Option<Line>> {
    "[ -~é&<>\u{202e}]{0,40}|[A-Z]\\. [A-Z][a-z]{1,9}, Ed\\."
        .prop_map(|text| Line::from_lossy(&text).filter(|line| line.as_str() != NO_GROUP))
}

fn any_lines() -> impl Strategy<Value = Vec<Line>> {
    vec(any_line(), 0..4).prop_map(|lines| lines.into_iter().flatten().collect())
}

fn any_references() -> impl Strategy<Value = Vec<Reference>> {
    let reference = (select(&Series::ALL[..]), 1_u32..120_000).prop_map(|(series, number)| Reference {
        series,
        number: RfcNumber::new(number).unwrap(),
    });
    vec(reference, 0..4)
}

fn any_date() -> impl Strategy<Value = Option<Published>> {
    (1900_u32..2100, option::of(1_u32..13), option::of(1_u32..32)).prop_map(|(year, month, day)| {
        let month = month.and_then(Month::new);
        Published::new(year, month, day)
    })
}

fn any_issued() -> impl Strategy<Value = Issued> {
    let texts = (any_line(), any_lines(), any_lines(), any_lines(), "[ -~\n]{0,200}");
    let relations = vec(any_references(), 5);
    let standing = (
        select(&Status::ALL[..]),
        select(&Status::ALL[..]),
        option::of(select(&Stream::ALL[..])),
    );
    let rest = (
        any_line(),
        any_line(),
        any_line(),
        any_date(),
        option::of(0_u32..2000),
        any::<bool>(),
    );
    (texts, relations, standing, rest).prop_map(|(texts, mut relations, standing, rest)| {
        let (title, authors, keywords, formats, summary) = texts;
        let (status, published_as, stream) = standing;
        let (group, doi, draft, published, pages, has_errata) = rest;
        let mut next = || relations.pop().unwrap_or_default();
        Issued {
            title: Title::from_lossy(title.as_ref().map_or("", Line::as_str)),
            authors,
            published,
            status,
            published_as,
            stream,
            group,
            obsoletes: next(),
            obsoleted_by: next(),
            updates: next(),
            updated_by: next(),
            also: next(),
            formats,
            pages,
            keywords,
            summary: Prose::from_lossy(&summary),
            doi,
            draft,
            has_errata,
        }
    })
}

/// What of facts the index can say.
fn sayable(facts: Facts) -> Facts {
    let doi = Line::from_lossy(&doi_of(&facts));
    let number = facts.number;
    let as_it_says = |issued: Issued| {
        let formats = in_order(number, &issued).filter_map(|format| match format.as_str() {
            "ASCII" | "TEXT" => Line::from_lossy("TXT"),
            name => Line::from_lossy(name),
        });
        Issued {
            formats: formats.collect(),
            doi,
            ..issued.clone()
        }
    };
    Facts {
        source: Source::Index,
        as_of: None,
        issued: facts.issued.map(|issued| Box::new(as_it_says(*issued))),
        ..facts
    }
}

proptest! {
    /// What was written is read as the same facts, and subseries have the members that they had.
    #[test]
    fn what_is_written_is_what_is_read(all in vec((1_u32..120_000, option::of(any_issued())), 0..8)) {
        let all = catalogue(all.into_iter().map(|(number, told)| Facts {
            issued: told.map(Box::new),
            ..issued(number, Issued::default())
        }));
        let xml = written(&all);
        let mut read = Vec::new();
        parse(xml.as_bytes(), None, |facts| read.push(facts)).unwrap();
        let expected: Vec<Facts> = all.iter().map(sayable).collect();
        prop_assert_eq!(&read, &expected);
        let again = catalogue(read);
        for set in all.all_subseries() {
            let id = format!("<doc-id>{}</doc-id>\n        <is-also>", set.padded());
            prop_assert_eq!(xml.matches(&id).count(), 1);
            prop_assert_eq!(again.members(set), all.members(set));
        }
    }
}
