//! The newest RFCs as a feed: RSS 2.0, and Atom (RFC 4287).

use std::io;

use axum::{
    http::{Uri, header, request::Parts},
    response::Response,
};
use p2p_ci::{document::UnixSeconds, facts::Facts};
use quick_xml::Writer;

use super::{
    documents::{Whole, changing},
    path::FeedKind,
    reply::{self, kind},
    site::Site,
};
use crate::{error::PeerError, output::human};

/// RFCs in a feed: what is published in a month.
const ENTRIES: usize = 30;

/// Who publishes RFCs.
const TITLE: &str = "RFCs";

/// Answers a request for a feed.
pub(super) fn feed(site: &Site, kind: FeedKind, request: &Parts) -> Response {
    let newest: Vec<Facts> = site.catalogue().look(|catalogue| {
        let issued = catalogue.descending().filter(|facts| facts.issued.is_some());
        issued.take(ENTRIES).collect()
    });
    let at = site_of(request);
    let (written, content) = match kind {
        FeedKind::Rss => (rss(&newest, &at), kind::RSS),
        FeedKind::Atom => (atom(&newest, &at), kind::ATOM),
    };
    match written {
        Ok(body) => changing(
            request,
            content,
            Whole::new(body, newest.iter().filter_map(|facts| facts.as_of).max()),
        ),
        Err(error) => reply::of_error(&PeerError::system("writing a feed")(error)),
    }
}

/// How the reader calls this site: `http://127.0.0.1:7780`. Whoever sends a strange name gets strange links.
pub(super) fn site_of(request: &Parts) -> String {
    let named = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = named.filter(|host| {
        format!("http://{host}/")
            .parse::<Uri>()
            .is_ok_and(|uri| uri.host().is_some())
    });
    format!("http://{}", host.unwrap_or("localhost"))
}

/// The first days of months as RSS has them (RFC 5322 section 3.3); of a date without a month, nothing.
fn published(facts: &Facts) -> Option<UnixSeconds> {
    let date = facts.issued.as_deref()?.published?;
    let (month, day) = (u32::from(date.month?.number()), date.day.unwrap_or(1));
    let days = human::days_since_1970(i64::from(date.year), month, u32::from(day));
    Some(UnixSeconds(days * 86_400))
}

type Xml = Writer<Vec<u8>>;

fn element(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name)
        .write_text_content(quick_xml::events::BytesText::new(text))?;
    Ok(())
}

fn rss(newest: &[Facts], at: &str) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec());
    xml.create_element("rss")
        .with_attribute(("version", "2.0"))
        .write_inner_content(|xml| {
            xml.create_element("channel").write_inner_content(|xml| {
                element(xml, "title", TITLE)?;
                element(xml, "link", at)?;
                element(xml, "description", "The newest RFCs")?;
                newest.iter().try_for_each(|facts| rss_item(xml, facts, at))
            })?;
            Ok(())
        })?;
    Ok(xml.into_inner())
}

fn rss_item(xml: &mut Xml, facts: &Facts, at: &str) -> io::Result<()> {
    let Some(issued) = facts.issued.as_deref() else {
        return Ok(());
    };
    let link = format!("{at}/info/rfc{}/", facts.number);
    xml.create_element("item").write_inner_content(|xml| {
        element(
            xml,
            "title",
            &format!("RFC {}: {}", facts.number, issued.title.as_str()),
        )?;
        element(xml, "link", &link)?;
        element(xml, "guid", &link)?;
        element(xml, "description", issued.summary.as_str())?;
        if let Some(day) = published(facts).and_then(|day| u64::try_from(day.0).ok()) {
            let day = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day);
            element(xml, "pubDate", &httpdate::fmt_http_date(day))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn atom(newest: &[Facts], at: &str) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec());
    let updated = newest.iter().filter_map(published).max().unwrap_or(UnixSeconds(0));
    let feed = xml
        .create_element("feed")
        .with_attribute(("xmlns", "http://www.w3.org/2005/Atom"));
    feed.write_inner_content(|xml| {
        element(xml, "title", TITLE)?;
        element(xml, "id", &format!("{at}/rfcatom.xml"))?;
        element(xml, "updated", &human::utc(updated))?;
        xml.create_element("author")
            .write_inner_content(|xml| element(xml, "name", "RFC Editor"))?;
        newest.iter().try_for_each(|facts| atom_entry(xml, facts, at))
    })?;
    Ok(xml.into_inner())
}

fn atom_entry(xml: &mut Xml, facts: &Facts, at: &str) -> io::Result<()> {
    let Some(issued) = facts.issued.as_deref() else {
        return Ok(());
    };
    let link = format!("{at}/info/rfc{}/", facts.number);
    xml.create_element("entry").write_inner_content(|xml| {
        element(
            xml,
            "title",
            &format!("RFC {}: {}", facts.number, issued.title.as_str()),
        )?;
        element(xml, "id", &link)?;
        xml.create_element("link")
            .with_attribute(("href", link.as_str()))
            .write_empty()?;
        element(xml, "updated", &human::utc(published(facts).unwrap_or(UnixSeconds(0))))?;
        for author in &issued.authors {
            xml.create_element("author")
                .write_inner_content(|xml| element(xml, "name", author.as_str()))?;
        }
        element(xml, "summary", issued.summary.as_str())
    })?;
    Ok(())
}
