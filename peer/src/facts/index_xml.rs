//! The RFC Editor's index as XML (`rfc-index.xml`), read as a stream: it has 14 MB.
//!
//! Its namespace was `http://www.rfc-editor.org/rfc-index` until 2026 and begins with `https:` since; numbers lost their
//! padding at the same time. Elements are told by their local names, so both are read.

use std::io::BufRead;

use p2p_ci::{
    document::{RfcNumber, Title, UnixSeconds},
    facts::{Facts, Issued, Line, Month, Prose, Published, Reference, Source, Status},
};
use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};

/// Elements within each other: the real index has five.
const MAX_DEPTH: usize = 16;

/// Bytes of text in one element: more than the longest abstract has.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Bytes between two ends of elements or texts, so that one tag without an end does not fill the memory.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Why an index could not be read to its end. What came before stands.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is no well-formed XML.
    #[error("it is no XML: {0}")]
    Xml(#[from] quick_xml::Error),
    /// It is XML of another kind.
    #[error("it is no index of RFCs: it begins with <{0}>")]
    Other(String),
    /// Nothing real is like this.
    #[error("elements are nested too deeply, or too long")]
    Bounds,
    /// It stops before its end.
    #[error("it ends in the middle")]
    CutOff,
}

/// Reads an index, last modified at `as_of`, and tells `found` of each RFC.
///
/// # Errors
///
/// [`IndexError`]; what was found before it stands.
pub fn parse(index: impl BufRead, as_of: Option<UnixSeconds>, mut found: impl FnMut(Facts)) -> Result<(), IndexError> {
    let mut reader = Reader::from_reader(index);
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut entry = Entry::default();
    let mut text = String::new();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer)?;
        match event {
            Event::Start(start) => {
                let name = start.local_name().into_inner();
                if path.is_empty() && name != b"rfc-index" {
                    return Err(IndexError::Other(String::from_utf8_lossy(name).into_owned()));
                }
                if path.len() >= MAX_DEPTH {
                    return Err(IndexError::Bounds);
                }
                if path.len() == 1 {
                    entry = Entry::default();
                }
                path.push(name.to_vec());
                text.clear();
            }
            Event::End(_) => {
                let inner = path.get(2..).unwrap_or_default();
                let names: Vec<&[u8]> = inner.iter().map(Vec::as_slice).collect();
                entry.take(&names, &text);
                text.clear();
                let ended = path.pop();
                if path.len() == 1
                    && let Some(facts) = entry.finish(ended.as_deref().unwrap_or_default(), as_of)
                {
                    found(facts);
                }
                if path.is_empty() {
                    return Ok(());
                }
            }
            Event::Text(piece) => text.push_str(&piece.xml_content(XmlVersion::Implicit1_0).unwrap_or_default()),
            Event::CData(piece) => text.push_str(&piece.xml_content(XmlVersion::Implicit1_0).unwrap_or_default()),
            Event::GeneralRef(reference) => text.push_str(&resolved(&reference)),
            Event::Eof => return Err(IndexError::CutOff),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        if text.len() > MAX_TEXT_BYTES || buffer.capacity() > MAX_EVENT_BYTES {
            return Err(IndexError::Bounds);
        }
    }
}

/// What a reference such as `&amp;` or `&#233;` stands for; nothing where it is none of XML's own.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return c.into();
    }
    let name = reference.decode().unwrap_or_default();
    resolve_predefined_entity(&name).unwrap_or_default().to_owned()
}

/// One entry of the index, as far as it was read.
#[derive(Debug, Default)]
struct Entry {
    number: Option<RfcNumber>,
    issued: Issued,
    summary: String,
    author: Option<Line>,
    is_editor: bool,
    year: Option<u32>,
    month: Option<Month>,
    day: Option<u32>,
}

impl Entry {
    /// Takes the text of the element that ends, given its name and those of the elements around it within the entry.
    fn take(&mut self, path: &[&[u8]], text: &str) {
        let issued = &mut self.issued;
        match path {
            [b"doc-id"] => self.number = text.parse::<Reference>().ok().and_then(|reference| reference.rfc()),
            [b"title"] => issued.title = Title::from_lossy(text),
            [b"author", b"name"] => self.author = Line::from_lossy(text),
            [b"author", b"title"] => self.is_editor = text.trim().eq_ignore_ascii_case("editor"),
            [b"author"] => {
                let name = self.author.take();
                let is_editor = std::mem::take(&mut self.is_editor);
                issued.authors.extend(name.and_then(|name| match is_editor {
                    true => Line::from_lossy(&format!("{}, Ed.", name.as_str())),
                    false => Some(name),
                }));
            }
            [b"date", b"year"] => self.year = text.trim().parse().ok(),
            [b"date", b"month"] => self.month = text.trim().parse().ok(),
            [b"date", b"day"] => self.day = text.trim().parse().ok(),
            [b"format", b"file-format"] => issued.formats.extend(Line::from_lossy(match text.trim() {
                "ASCII" | "TEXT" => "TXT",
                name => name,
            })),
            [b"page-count"] => issued.pages = text.trim().parse().ok(),
            [b"keywords", b"kw"] => issued.keywords.extend(Line::from_lossy(text)),
            [b"abstract", b"p"] => {
                self.summary.push_str(text);
                self.summary.push_str("\n\n");
            }
            [b"draft"] => issued.draft = Line::from_lossy(text),
            [b"obsoletes", b"doc-id"] => issued.obsoletes.extend(text.parse::<Reference>()),
            [b"obsoleted-by", b"doc-id"] => issued.obsoleted_by.extend(text.parse::<Reference>()),
            [b"updates", b"doc-id"] => issued.updates.extend(text.parse::<Reference>()),
            [b"updated-by", b"doc-id"] => issued.updated_by.extend(text.parse::<Reference>()),
            [b"is-also" | b"see-also", b"doc-id"] => issued.also.extend(text.parse::<Reference>()),
            [b"current-status"] => issued.status = text.parse().unwrap_or(Status::Unknown),
            [b"publication-status"] => issued.published_as = text.parse().unwrap_or(Status::Unknown),
            [b"stream"] => issued.stream = text.parse().ok(),
            [b"wg_acronym"] => issued.group = Line::from_lossy(text).filter(|group| group.as_str() != NO_GROUP),
            [b"errata-url"] => issued.has_errata = !text.trim().is_empty(),
            [b"doi"] => issued.doi = Line::from_lossy(text),
            _ => {}
        }
    }

    /// The entry as a whole, when it is one of an RFC.
    fn finish(&mut self, kind: &[u8], as_of: Option<UnixSeconds>) -> Option<Facts> {
        let entry = std::mem::take(self);
        let issued = match kind {
            b"rfc-entry" => {
                let mut issued = entry.issued;
                issued.published = entry.year.and_then(|year| Published::new(year, entry.month, entry.day));
                issued.summary = Prose::from_lossy(&entry.summary);
                Some(Box::new(issued.bounded()))
            }
            b"rfc-not-issued-entry" => None,
            _ => return None,
        };
        Some(Facts {
            number: entry.number?,
            source: Source::Index,
            as_of,
            issued,
        })
    }
}

/// What `wg_acronym` says where no group wrote the RFC.
pub(super) const NO_GROUP: &str = "NON WORKING GROUP";

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<rfc-index xmlns="http://www.rfc-editor.org/rfc-index" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <bcp-entry><doc-id>BCP0014</doc-id><is-also><doc-id>RFC2119</doc-id></is-also></bcp-entry>
  <rfc-entry>
    <doc-id>RFC9110</doc-id>
    <title>HTTP Semantics &amp; caf&#233;</title>
    <author><name>R. Fielding</name><title>Editor</title></author>
    <author><name>A. N. Other</name></author>
    <date><month>June</month><year>2022</year></date>
    <format><file-format>HTML</file-format><file-format>TEXT</file-format></format>
    <page-count>194</page-count>
    <keywords><kw>HTTP</kw><kw/><kw> </kw></keywords>
    <abstract><p>One
       of two.</p><p>Two.</p></abstract>
    <draft>draft-ietf-httpbis-semantics-19</draft>
    <obsoletes><doc-id>RFC2818</doc-id><doc-id>NIC10</doc-id><doc-id>ISO1</doc-id></obsoletes>
    <updates><doc-id>RFC3864</doc-id></updates>
    <is-also><doc-id>STD0097</doc-id></is-also>
    <current-status>INTERNET STANDARD</current-status>
    <publication-status>INTERNET STANDARD</publication-status>
    <stream>IETF</stream><area>art</area><wg_acronym>httpbis</wg_acronym>
    <errata-url>https://www.rfc-editor.org/errata/rfc9110</errata-url>
    <doi>10.17487/RFC9110</doi>
  </rfc-entry>
  <rfc-not-issued-entry><doc-id>RFC0014</doc-id></rfc-not-issued-entry>
</rfc-index>"#;

    #[track_caller]
    fn read(xml: &str) -> (Vec<Facts>, Result<(), IndexError>) {
        let mut all = Vec::new();
        let ended = parse(xml.as_bytes(), Some(UnixSeconds(7)), |facts| all.push(facts));
        (all, ended)
    }

    #[test]
    fn both_namespaces_and_both_spellings_are_read() {
        let new = OLD
            .replace("http://www.rfc-editor.org", "https://www.rfc-editor.org")
            .replace("RFC0014", "RFC14")
            .replace("STD0097", "STD97")
            .replace("rfc-entry", "x:rfc-entry");
        for xml in [OLD, &new] {
            let (all, ended) = read(xml);
            ended.unwrap();
            let [http, never] = all.as_slice() else {
                panic!("{all:?}")
            };
            assert_eq!((never.number.get(), &never.issued), (14, &None));
            let issued = http.issued.as_deref().unwrap();
            assert_eq!(issued.title.as_str(), "HTTP Semantics & café");
            let authors: Vec<&str> = issued.authors.iter().map(Line::as_str).collect();
            assert_eq!(authors, ["R. Fielding, Ed.", "A. N. Other"]);
            assert_eq!(issued.published.unwrap().to_string(), "June 2022");
            assert_eq!(issued.summary.as_str(), "One of two.\n\nTwo.");
            assert_eq!(
                (issued.pages, issued.keywords.len(), issued.obsoletes.len()),
                (Some(194), 1, 2)
            );
            assert_eq!(issued.also.first().unwrap().to_string(), "STD 97");
            assert_eq!(issued.group.as_ref().unwrap().as_str(), "httpbis");
            assert!(issued.has_errata && issued.status == Status::InternetStandard);
        }
    }

    #[test]
    fn what_was_read_before_the_trouble_stands() {
        let half = OLD.split("<rfc-not-issued").next().unwrap();
        let (all, ended) = read(half);
        assert_eq!((all.len(), matches!(ended, Err(IndexError::CutOff))), (1, true));
        let deep = format!("{half}{}", "<a>".repeat(1000));
        let (all, ended) = read(&deep);
        assert_eq!((all.len(), matches!(ended, Err(IndexError::Bounds))), (1, true));
        let long = format!("{half}<a>{}", "x".repeat(100_000));
        assert!(matches!(read(&long).1, Err(IndexError::Bounds)));
        for (xml, told) in [
            ("<html></html>", "<html>"),
            ("", "middle"),
            ("<rfc-index><a></b>", "no XML"),
            ("\0", "middle"),
        ] {
            let (all, ended) = read(xml);
            assert!(all.is_empty() && ended.unwrap_err().to_string().contains(told), "{xml}");
        }
    }

    #[test]
    fn entities_of_its_own_are_not_expanded() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;">]><rfc-index><rfc-entry><doc-id>RFC1</doc-id>
            <title>x&b;y</title></rfc-entry></rfc-index>"#;
        let (all, ended) = read(bomb);
        ended.unwrap();
        assert_eq!(all.first().unwrap().issued.as_ref().unwrap().title.as_str(), "xy");
    }
}
