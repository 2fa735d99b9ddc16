//! Pages for people: what this site has, and what is known about an RFC.

use axum::{http::StatusCode, response::Response};
use maud::{DOCTYPE, Markup, html};
use p2p_ci::{
    document::{DocumentKey, Format, RfcNumber},
    facts::{Facts, Issued, Line, Reference},
    text::escaped,
};

use super::{
    citation::cited,
    reply::{self, kind},
    site::Site,
};
use crate::{
    facts::{Chain, record::doi_of},
    output::human,
};

/// RFCs that the first page names.
const NEWEST: usize = 12;

/// How pages look: as plain as what they are about.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
dt{font-weight:600}dd{margin:0 0 .5rem 1rem}.note{border-left:.25rem solid #c60;padding-left:.75rem}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8cf}}";

pub(super) fn page(title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    reply::answer(StatusCode::OK, kind::HTML, page.into_string())
}

/// A text of somebody else.
pub(super) fn shown(text: &str) -> String {
    escaped(text).to_string()
}

/// What this site has, and where.
pub(super) fn home(site: &Site) -> Response {
    let documents = site.library().count() as u64;
    let (known, newest) = site.catalogue().look(|catalogue| {
        let mut newest: Vec<Facts> = catalogue
            .descending()
            .filter(|facts| facts.issued.is_some())
            .take(NEWEST)
            .collect();
        newest.truncate(NEWEST);
        (catalogue.len() as u64, newest)
    });
    page(
        "RFCs",
        &html! {
            h1 { "RFCs" }
            p {
                "This peer holds " (human::count(documents, "document")) " and knows of " (human::count(known, "RFC")) ". "
                "What it lacks it gets from the peers around, and checks every byte."
            }
            dl {
                dt { "RFCs" }
                dd { code { "/rfc/rfc9110.txt" } ", " code { ".html" } ", " code { ".pdf" } ", " code { ".xml" } ", " code { ".json" } }
                dt { "Indexes" }
                dd {
                    a href="/rfc-index.txt" { "rfc-index.txt" } " (" a href="/rfc-index.txt?style=2026" { "as of 2026" } "), "
                    a href="/rfc-index.xml" { "rfc-index.xml" } ", " a href="/errata.json" { "errata.json" }
                }
                dt { "Subseries" }
                dd { code { "/bcp/bcp14.txt" } ", " code { "/std/std97.txt" } ", " code { "/fyi/fyi36.txt" } }
                dt { "Feeds of the newest" }
                dd { a href="/rfcatom.xml" { "Atom" } ", " a href="/rfcrss.xml" { "RSS" } }
                @if site.index().is_some() {
                    dt { "Words" }
                    dd { code { "/search?q=dns+over+https" } }
                }
                dt { "For download managers" }
                dd { code { "/rfcs.meta4?numbers=1-1000" } }
            }
            @if !newest.is_empty() {
                h2 { "Newest" }
                ul { @for facts in &newest { li { (linked(facts)) } } }
            }
        },
    )
}

/// A link to the page about an RFC, with its title.
fn linked(facts: &Facts) -> Markup {
    let title = facts
        .issued
        .as_deref()
        .map(|issued| shown(issued.title.as_str()))
        .unwrap_or_default();
    html! { a href=(format!("/info/rfc{}/", facts.number)) { "RFC " (facts.number) } ": " (title) }
}

/// Links to the pages about these.
fn links(references: &[Reference]) -> Markup {
    html! {
        @for (at, reference) in references.iter().enumerate() {
            @if at > 0 { ", " }
            @if reference.rfc().is_some() || reference.series.is_subseries() {
                a href=(format!("/info/{}/", reference.unpadded().to_ascii_lowercase())) { (reference) }
            } @else { (reference) }
        }
    }
}

/// The page about an RFC.
pub(super) fn info(site: &Site, number: RfcNumber) -> Response {
    let (facts, chain) = site
        .catalogue()
        .look(|catalogue| (catalogue.get(number), catalogue.chain(number)));
    let formats: Vec<Format> = Format::ALL
        .into_iter()
        .filter(|format| {
            site.library()
                .get(DocumentKey {
                    number,
                    format: *format,
                })
                .is_some()
        })
        .collect();
    let Some(facts) = facts else {
        if formats.is_empty() {
            return reply::sentence(StatusCode::NOT_FOUND, &format!("nothing is known here of RFC {number}"));
        }
        return page(
            &format!("RFC {number}"),
            &html! { h1 { "RFC " (number) } (bodies(number, &formats)) },
        );
    };
    let Some(issued) = facts.issued.as_deref() else {
        return page(
            &format!("RFC {number}"),
            &html! { h1 { "RFC " (number) } p { "This number was never issued." } },
        );
    };
    let title = shown(issued.title.as_str());
    let formats = if formats.is_empty() {
        published_formats(issued)
    } else {
        formats
    };
    page(
        &format!("RFC {number}: {title}"),
        &html! {
            h1 { "RFC " (number) ": " (title) }
            (standing(&chain))
            (bodies(number, &formats))
            (described(&facts, issued))
            @for paragraph in issued.summary.as_str().split("\n\n").filter(|text| !text.is_empty()) { p { (shown(paragraph)) } }
        },
    )
}

/// Formats in which an RFC was published, that may be had from somebody.
fn published_formats(issued: &Issued) -> Vec<Format> {
    let named = issued.formats.iter().filter_map(|name| name.as_str().parse().ok());
    let formats: Vec<Format> = named.collect();
    if formats.is_empty() { vec![Format::Txt] } else { formats }
}

fn bodies(number: RfcNumber, formats: &[Format]) -> Markup {
    html! {
        p {
            @for format in formats { a href=(format!("/rfc/rfc{number}.{format}")) { (format) } " " }
        }
    }
}

/// Whether an RFC still stands.
fn standing(chain: &Chain) -> Markup {
    let current: Vec<Reference> = chain.current.iter().copied().map(Reference::to_rfc).collect();
    html! {
        @if !current.is_empty() { p class="note" { "Obsolete. Current: " (links(&current)) } }
        @if chain.is_circular { p class="note" { "What is said to have taken its place leads back to itself." } }
    }
}

fn described(facts: &Facts, issued: &Issued) -> Markup {
    let lines = |lines: &[Line]| {
        let shown: Vec<String> = lines.iter().map(|line| shown(line.as_str())).collect();
        shown.join(", ")
    };
    let published = issued.published.map(|date| date.to_string()).unwrap_or_default();
    let stream = issued.stream.map(|stream| stream.name().to_owned()).unwrap_or_default();
    let values = [
        ("Authors", lines(&issued.authors)),
        ("Published", published),
        ("Status", issued.status.name().to_owned()),
        ("Stream", stream),
        ("Keywords", lines(&issued.keywords)),
        ("DOI", shown(&doi_of(facts))),
    ];
    let relations = [
        ("Also", &issued.also),
        ("Obsoletes", &issued.obsoletes),
        ("Obsoleted by", &issued.obsoleted_by),
        ("Updates", &issued.updates),
        ("Updated by", &issued.updated_by),
    ];
    html! {
        dl {
            @for (name, value) in values { @if !value.is_empty() { dt { (name) } dd { (value) } } }
            @for (name, references) in relations { @if !references.is_empty() { dt { (name) } dd { (links(references)) } } }
        }
    }
}

/// The page about a member of a subseries.
pub(super) fn subseries(site: &Site, reference: Reference) -> Response {
    let members: Vec<Facts> = site.catalogue().look(|catalogue| {
        let members = catalogue.members(reference);
        members.into_iter().filter_map(|number| catalogue.get(number)).collect()
    });
    if members.is_empty() {
        return reply::sentence(StatusCode::NOT_FOUND, &format!("nothing is known here of {reference}"));
    }
    let text = format!(
        "/{series}/{series}{number}.txt",
        series = reference.series.name().to_ascii_lowercase(),
        number = reference.number
    );
    page(
        &reference.to_string(),
        &html! {
            h1 { (reference) }
            p { a href=(text) { "All of it as text" } }
            ul { @for facts in &members { li { (linked(facts)) } } }
        },
    )
}

/// How an RFC is cited.
pub(super) fn citation(site: &Site, number: RfcNumber) -> Response {
    let facts = site.catalogue().look(|catalogue| catalogue.get(number));
    match facts.as_ref().and_then(cited) {
        Some(cited) => reply::answer(StatusCode::OK, kind::TEXT, format!("{cited}\n")),
        None => reply::sentence(StatusCode::NOT_FOUND, &format!("nothing is known here of RFC {number}")),
    }
}
