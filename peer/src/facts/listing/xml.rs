//! `rfc-index.xml`: what the text index says of each RFC and more, and the subseries with their RFCs.

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Write};

use p2p_ci::{
    document::RfcNumber,
    facts::{Facts, Issued, Line, Reference, Series, Stream},
};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::entry::in_order;
use crate::facts::{Catalogue, index_xml::NO_GROUP, record::doi_of};

/// The namespace that the index had until 2026, which is the one that tools know.
pub const NAMESPACE: &str = "http://www.rfc-editor.org/rfc-index";

/// Spaces by which elements are set in.
const INDENT: usize = 4;

/// What an author's name ends with who is an editor.
const EDITOR: &str = ", Ed.";

/// Writes `rfc-index.xml`: all RFCs of a catalogue and all subseries, each ascending.
///
/// # Errors
///
/// Those of `out`.
pub fn write_xml(catalogue: &Catalogue, out: impl Write) -> io::Result<()> {
    let writer = Writer::new_with_indent(BufWriter::new(out), b' ', INDENT);
    let mut index = Index { writer };
    index.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let start = BytesStart::new("rfc-index").with_attributes([("xmlns", NAMESPACE)]);
    index.write(Event::Start(start))?;
    for series in [Series::Bcp, Series::Fyi] {
        index.series(catalogue, series)?;
    }
    for facts in catalogue.iter() {
        index.entry(&facts)?;
    }
    index.series(catalogue, Series::Std)?;
    index.write(Event::End(BytesEnd::new("rfc-index")))?;
    let mut out = index.writer.into_inner();
    out.write_all(b"\n")?;
    out.flush()
}

struct Index<W: Write> {
    writer: Writer<W>,
}

impl<W: Write> Index<W> {
    fn write(&mut self, event: Event<'_>) -> io::Result<()> {
        self.writer.write_event(event)
    }

    /// An element around others.
    fn element(&mut self, name: &str, within: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        self.write(Event::Start(BytesStart::new(name)))?;
        within(self)?;
        self.write(Event::End(BytesEnd::new(name)))
    }

    /// An element with a text.
    fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        // Two characters that text may have and XML may not (XML 1.0 section 2.2); others are not in any fact.
        let text = text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
        self.element(name, |index| index.write(Event::Text(BytesText::new(&text))))
    }

    /// The same, unless there is no text.
    fn told(&mut self, name: &str, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.text(name, text)
    }

    /// An element around elements with a text each, unless there is none of them.
    fn texts<T: AsRef<str>>(&mut self, name: &str, inner: &str, texts: impl Iterator<Item = T>) -> io::Result<()> {
        let mut texts = texts.peekable();
        if texts.peek().is_none() {
            return Ok(());
        }
        self.element(name, |index| {
            texts.try_for_each(|text| index.text(inner, text.as_ref()))
        })
    }

    /// The sets of RFCs of one series.
    fn series(&mut self, catalogue: &Catalogue, series: Series) -> io::Result<()> {
        let name = format!("{}-entry", series.name().to_ascii_lowercase());
        for set in catalogue.all_subseries().filter(|set| set.series == series) {
            let members = catalogue.members(set).into_iter().map(Reference::to_rfc);
            self.element(&name, |index| {
                index.text("doc-id", &set.padded())?;
                index.texts("is-also", "doc-id", members.map(|member| member.padded()))
            })?;
        }
        Ok(())
    }

    fn entry(&mut self, facts: &Facts) -> io::Result<()> {
        let id = Reference::to_rfc(facts.number).padded();
        match facts.issued.as_deref() {
            None => self.element("rfc-not-issued-entry", |index| index.text("doc-id", &id)),
            Some(issued) => self.element("rfc-entry", |index| {
                index.text("doc-id", &id)?;
                index.text("title", issued.title.as_str())?;
                index.origin(issued)?;
                index.content(facts.number, issued)?;
                index.relations(issued)?;
                index.standing(facts, issued)
            }),
        }
    }

    /// Who wrote it, and when.
    fn origin(&mut self, issued: &Issued) -> io::Result<()> {
        for author in &issued.authors {
            let (name, is_editor) = author_of(author);
            self.element("author", |index| {
                index.text("name", name)?;
                index.told("title", if is_editor { "Editor" } else { "" })
            })?;
        }
        let Some(date) = issued.published else { return Ok(()) };
        self.element("date", |index| {
            index.told("month", date.month.map_or("", |month| month.name()))?;
            index.told("day", &date.day.map(|day| day.to_string()).unwrap_or_default())?;
            index.text("year", &date.year.to_string())
        })
    }

    /// What it consists of, and what it says.
    fn content(&mut self, number: RfcNumber, issued: &Issued) -> io::Result<()> {
        // The old index says ASCII, or TEXT, where the new one says TXT. Tools of today look for the latter, to know whether
        // there is a text; none is known that looks for the former.
        let formats = in_order(number, issued).map(Line::as_str);
        self.texts("format", "file-format", formats)?;
        self.told(
            "page-count",
            &issued.pages.map(|pages| pages.to_string()).unwrap_or_default(),
        )?;
        self.texts("keywords", "kw", issued.keywords.iter().map(Line::as_str))?;
        let paragraphs = issued.summary.as_str().split("\n\n").filter(|text| !text.is_empty());
        self.texts("abstract", "p", paragraphs)?;
        self.told("draft", line(issued.draft.as_ref()))
    }

    /// What it stands to others.
    fn relations(&mut self, issued: &Issued) -> io::Result<()> {
        let ids = |all: &[Reference]| all.iter().map(Reference::padded).collect::<Vec<_>>();
        let (sets, others): (Vec<Reference>, Vec<Reference>) =
            issued.also.iter().partition(|also| also.series.is_subseries());
        for (name, references) in [
            ("obsoletes", &issued.obsoletes),
            ("obsoleted-by", &issued.obsoleted_by),
            ("updates", &issued.updates),
            ("updated-by", &issued.updated_by),
            ("is-also", &sets),
            ("see-also", &others),
        ] {
            self.texts(name, "doc-id", ids(references).into_iter())?;
        }
        Ok(())
    }

    /// What it is, and where to read on.
    fn standing(&mut self, facts: &Facts, issued: &Issued) -> io::Result<()> {
        self.text("current-status", issued.status.name())?;
        self.text("publication-status", issued.published_as.name())?;
        self.told("stream", issued.stream.map_or("", Stream::name))?;
        let no_group = if issued.stream == Some(Stream::Ietf) {
            NO_GROUP
        } else {
            ""
        };
        self.told("wg_acronym", issued.group.as_ref().map_or(no_group, Line::as_str))?;
        if issued.has_errata {
            self.text(
                "errata-url",
                &format!("https://www.rfc-editor.org/errata/rfc{}", facts.number),
            )?;
        }
        self.text("doi", &doi_of(facts))
    }
}

fn line(line: Option<&Line>) -> &str {
    line.map_or("", Line::as_str)
}

/// An author's name, and whether it is an editor's.
fn author_of(author: &Line) -> (&str, bool) {
    let name = author.as_str().strip_suffix(EDITOR);
    // Only a name that is one without this.
    match name.filter(|name| !name.is_empty() && name.trim() == *name) {
        Some(name) => (name, true),
        None => (author.as_str(), false),
    }
}
