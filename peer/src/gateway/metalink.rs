//! Lists for download managers (Metalink, RFC 5854): what each file's digest is, and which sites of this swarm have it.
//!
//! Every site of the swarm serves every RFC, since it fetches what it lacks. So all that are known are named for each file,
//! and a download manager takes from several at once, checks, and goes on with others when one is gone.

use std::io;

use axum::{
    http::{StatusCode, request::Parts},
    response::Response,
};
use p2p_ci::document::{DocumentKey, Format, RfcRange};
use quick_xml::{Writer, events::BytesText};

use super::{
    documents::{Whole, changing},
    feeds::site_of,
    reply::{self, kind},
    site::Site,
};
use crate::error::PeerError;

/// One file of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: DocumentKey,
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
}

/// What a list is asked for: `numbers=1-1000` and `format=txt`, both of which may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    range: RfcRange,
    format: Format,
}

impl Asked {
    /// Reads a query; unknown words in it mean nothing.
    fn of_query(query: &str) -> Result<Self, String> {
        let mut asked = Self {
            range: RfcRange::ALL,
            format: Format::Txt,
        };
        for (name, value) in query.split('&').filter_map(|word| word.split_once('=')) {
            match name {
                "numbers" => asked.range = value.parse().map_err(|error| format!("numbers: {error}"))?,
                "format" => asked.format = value.parse().map_err(|error| format!("format: {error}"))?,
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// Where one RFC can be had.
pub(super) async fn of_one(site: &Site, key: DocumentKey, request: &Parts) -> Response {
    match site.have(key, false).await {
        Ok(document) => {
            let listed = Listed {
                key,
                size_bytes: document.size_bytes,
                sha256: document.id.sha256.to_string(),
            };
            list(site, &[listed], request)
        }
        Err(error) => reply::of_error(&error),
    }
}

/// Where many RFCs can be had: those that are here, and those that the registry knows of.
pub(super) async fn of_many(site: &Site, query: &str, request: &Parts) -> Response {
    let Asked { range, format } = match Asked::of_query(query) {
        Ok(asked) => asked,
        Err(wrong) => return reply::sentence(StatusCode::BAD_REQUEST, &wrong),
    };
    let listed = site.list(range, format).await;
    if listed.is_empty() {
        let told = format!("nobody has any RFC of {range} as {format}");
        return reply::sentence(StatusCode::NOT_FOUND, &told);
    }
    list(site, &listed, request)
}

fn list(site: &Site, listed: &[Listed], request: &Parts) -> Response {
    let own = site_of(request);
    let others = site.gateways().into_iter().map(|address| format!("http://{address}"));
    let sites: Vec<String> = std::iter::once(own.clone())
        .chain(others.filter(|other| *other != own))
        .collect();
    match write(listed, &sites) {
        Ok(body) => changing(request, kind::METALINK, Whole::new(body, None)),
        Err(error) => reply::of_error(&PeerError::system("writing a list")(error)),
    }
}

/// The list as XML. Sites take turns at being the first.
fn write(listed: &[Listed], sites: &[String]) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec());
    let metalink = xml
        .create_element("metalink")
        .with_attribute(("xmlns", "urn:ietf:params:xml:ns:metalink"));
    metalink.write_inner_content(|xml| {
        for (at, file) in listed.iter().enumerate() {
            let name = file.key.file_name();
            xml.create_element("file")
                .with_attribute(("name", name.as_str()))
                .write_inner_content(|xml| {
                    text(xml, "size", &file.size_bytes.to_string())?;
                    let hash = xml.create_element("hash").with_attribute(("type", "sha-256"));
                    hash.write_text_content(BytesText::new(&file.sha256))?;
                    let turn = at % sites.len().max(1);
                    let (later, first) = sites.split_at_checked(turn).unwrap_or((sites, &[]));
                    for (rank, site) in first.iter().chain(later).enumerate() {
                        let url = format!("{site}/rfc/{name}");
                        let priority = (rank + 1).to_string();
                        let element = xml
                            .create_element("url")
                            .with_attribute(("priority", priority.as_str()));
                        element.write_text_content(BytesText::new(&url))?;
                    }
                    Ok(())
                })?;
        }
        Ok(())
    })?;
    Ok(xml.into_inner())
}

fn text(xml: &mut Writer<Vec<u8>>, name: &str, value: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(value))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use p2p_ci::document::RfcNumber;

    use super::*;

    #[test]
    fn sites_take_turns_at_being_the_first() {
        let listed: Vec<Listed> = [1, 10_052]
            .into_iter()
            .map(|number| Listed {
                key: DocumentKey {
                    number: RfcNumber::new(number).unwrap(),
                    format: Format::Txt,
                },
                size_bytes: 7,
                sha256: "ab".repeat(32),
            })
            .collect();
        let sites = ["http://a:1".to_owned(), "http://b&c:2".to_owned()];
        let xml = String::from_utf8(write(&listed, &sites).unwrap()).unwrap();
        let urls: Vec<&str> = xml
            .split("<url ")
            .skip(1)
            .map(|rest| rest.split("</url>").next().unwrap())
            .collect();
        assert_eq!(
            urls,
            [
                "priority=\"1\">http://a:1/rfc/rfc1.txt",
                "priority=\"2\">http://b&amp;c:2/rfc/rfc1.txt",
                "priority=\"1\">http://b&amp;c:2/rfc/rfc10052.txt",
                "priority=\"2\">http://a:1/rfc/rfc10052.txt",
            ]
        );
        assert!(
            xml.contains("<file name=\"rfc10052.txt\"><size>7</size><hash type=\"sha-256\">abab"),
            "{xml}"
        );
    }

    #[test]
    fn queries_are_read_and_their_mistakes_told() {
        let asked = Asked::of_query("numbers=1-1000&format=html&x=y&z").unwrap();
        assert_eq!(
            (asked.range.to_string().as_str(), asked.format),
            ("1-1000", Format::Html)
        );
        assert_eq!(Asked::of_query("").unwrap().range, RfcRange::ALL);
        for wrong in ["numbers=x", "numbers=9-1", "format=ps", "numbers="] {
            assert!(Asked::of_query(wrong).is_err(), "{wrong}");
        }
    }
}
