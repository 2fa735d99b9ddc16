//! What the paths of the RFC Editor's site mean, and those of `www.ietf.org/rfc`, which tools still ask for.
//!
//! Only plain characters make a path: whatever is encoded, climbs, or holds a backslash names nothing here, so no path is
//! ever decoded, and none leads to a file by its own words.

use p2p_ci::{
    document::{DocumentKey, Format, RfcNumber},
    facts::{Reference, Series},
};

/// The longest path that means something is shorter than this.
const MAX_PATH_BYTES: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// What this site is, and what it has.
    Home,
    /// An RFC in one format.
    Document(DocumentKey),
    /// The page about an RFC.
    Info(RfcNumber),
    /// The page about a subseries' member.
    SubseriesInfo(Reference),
    /// The texts of all RFCs of a subseries' member.
    Subseries(Reference),
    /// The index of all RFCs as text.
    IndexTxt,
    /// The index of all RFCs as XML.
    IndexXml,
    /// All errata.
    Errata,
    /// The newest RFCs as a feed.
    Feed(FeedKind),
    /// How an RFC is cited.
    Citation(RfcNumber),
    /// How all RFCs are cited.
    Citations,
    /// Where one RFC can be had, for download managers.
    MetalinkOf(DocumentKey),
    /// Where many RFCs can be had, for download managers.
    Metalink,
    /// Which RFCs hold some words.
    Search,
}

/// A format of feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedKind {
    /// RSS 2.0.
    Rss,
    /// Atom (RFC 4287).
    Atom,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// To this.
    Serve(Resource),
    /// To another path of this site, for good.
    Moved(String),
    /// Nowhere.
    Nowhere,
}

impl Route {
    /// Reads a path as it stands in a request, without its query.
    #[must_use]
    pub(super) fn of(path: &str) -> Self {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
        if path.len() > MAX_PATH_BYTES || !path.bytes().all(is_plain) {
            return Self::Nowhere;
        }
        let Some(inner) = path.strip_prefix('/') else {
            return Self::Nowhere;
        };
        if inner.is_empty() {
            return Self::Serve(Resource::Home);
        }
        let (inner, slash) = match inner.strip_suffix('/') {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let lower = inner.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').collect();
        let Some((resource, canonical)) = resource(&segments) else {
            return Self::Nowhere;
        };
        let canonical = format!("/{canonical}");
        let asked = format!("/{inner}{}", if slash { "/" } else { "" });
        if canonical == asked {
            Self::Serve(resource)
        } else {
            Self::Moved(canonical)
        }
    }
}

/// What a path in lower case names, with the one spelling of it that is served.
fn resource(segments: &[&str]) -> Option<(Resource, String)> {
    let as_asked = || segments.join("/");
    Some(match segments {
        ["rfc-index.txt" | "rfc-index"] | ["rfc" | "in-notes", "rfc-index.txt" | "rfc-index"] => {
            (Resource::IndexTxt, as_asked())
        }
        ["rfc-index.xml"] | ["rfc" | "in-notes", "rfc-index.xml"] => (Resource::IndexXml, as_asked()),
        ["errata.json"] => (Resource::Errata, as_asked()),
        ["rfcrss.xml"] => (Resource::Feed(FeedKind::Rss), as_asked()),
        ["rfcatom.xml"] => (Resource::Feed(FeedKind::Atom), as_asked()),
        ["in-notes" | "rfc", "rfc-ref.txt"] => (Resource::Citations, as_asked()),
        ["rfcs.meta4"] => (Resource::Metalink, as_asked()),
        ["search"] => (Resource::Search, as_asked()),
        ["refs", file] => {
            let number = digits(file.strip_prefix("ref")?.strip_suffix(".txt")?)?;
            (Resource::Citation(number), format!("refs/ref{number}.txt"))
        }
        ["info", name] => info(name)?,
        [series @ ("std" | "bcp" | "fyi"), file] | ["rfc" | "in-notes", series @ ("std" | "bcp" | "fyi"), file] => {
            let reference: Reference = file.strip_suffix(".txt")?.parse().ok()?;
            let is_it = reference.series.name().eq_ignore_ascii_case(series) && !file.contains(['-', ' ']);
            let folder = segments.get(..segments.len() - 1)?.join("/");
            let canonical = format!("{folder}/{series}{}.txt", reference.number);
            is_it.then_some((Resource::Subseries(reference), canonical))?
        }
        [folder @ ("rfc" | "in-notes"), file] => document(folder, file)?,
        _ => return None,
    })
}

/// The page about an RFC or a member of a subseries. The site has them at paths that end with a slash.
fn info(name: &str) -> Option<(Resource, String)> {
    let (series, number) = name.split_at_checked(3)?;
    let number = digits(number)?;
    let canonical = format!("info/{series}{number}/");
    Some(match series {
        "rfc" => (Resource::Info(number), canonical),
        "std" | "bcp" | "fyi" => {
            let series = Series::ALL
                .into_iter()
                .find(|known| known.name().eq_ignore_ascii_case(series))?;
            (Resource::SubseriesInfo(Reference { series, number }), canonical)
        }
        _ => return None,
    })
}

/// `rfc9110.txt`, and what it was called in other times: `rfc0791.txt`, `rfc8.txt.pdf`; without an extension, the text.
fn document(folder: &str, file: &str) -> Option<(Resource, String)> {
    let (number, extension) = match file.strip_prefix("rfc")?.split_once('.') {
        Some((number, extension)) => (digits(number)?, extension),
        None => (digits(file.strip_prefix("rfc")?)?, "txt"),
    };
    let at = |extension: &str| format!("{folder}/rfc{number}.{extension}");
    let key = |format| DocumentKey { number, format };
    if let Some(inner) = extension.strip_suffix(".meta4") {
        let format = inner.parse().ok()?;
        return Some((Resource::MetalinkOf(key(format)), at(extension)));
    }
    let format: Format = match extension {
        "txt.pdf" => Format::Pdf,
        extension => extension.parse().ok()?,
    };
    Some((Resource::Document(key(format)), at(format.extension())))
}

/// A number as digits alone, padded or not.
fn digits(text: &str) -> Option<RfcNumber> {
    const MAX_DIGITS: usize = 10;
    let is_number = text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).and_then(RfcNumber::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u32, format: Format) -> DocumentKey {
        let number = RfcNumber::new(number).unwrap();
        DocumentKey { number, format }
    }

    #[track_caller]
    fn served(path: &str, resource: Resource) {
        assert_eq!(Route::of(path), Route::Serve(resource), "{path}");
    }

    #[track_caller]
    fn moved(path: &str, to: &str) {
        assert_eq!(Route::of(path), Route::Moved(to.to_owned()), "{path}");
        assert!(matches!(Route::of(to), Route::Serve(_)), "{to} is moved on");
    }

    #[test]
    fn the_paths_of_both_sites_are_served() {
        for (path, number, format) in [
            ("/rfc/rfc9110.txt", 9110, Format::Txt),
            ("/in-notes/rfc1.txt", 1, Format::Txt),
            ("/rfc/rfc10052.html", 10_052, Format::Html),
            ("/rfc/rfc100000.json", 100_000, Format::Json),
            ("/rfc/rfc8.pdf", 8, Format::Pdf),
        ] {
            served(path, Resource::Document(key(number, format)));
        }
        for path in [
            "/rfc-index.txt",
            "/rfc/rfc-index.txt",
            "/in-notes/rfc-index.txt",
            "/rfc/rfc-index",
        ] {
            served(path, Resource::IndexTxt);
        }
        served("/rfc/rfc-index.xml", Resource::IndexXml);
        served("/", Resource::Home);
        served("/info/rfc9110/", Resource::Info(RfcNumber::new(9110).unwrap()));
        served("/info/bcp14/", Resource::SubseriesInfo("BCP14".parse().unwrap()));
        served("/bcp/bcp14.txt", Resource::Subseries("BCP14".parse().unwrap()));
        served("/rfc/std/std97.txt", Resource::Subseries("STD97".parse().unwrap()));
        served("/rfcatom.xml", Resource::Feed(FeedKind::Atom));
        served("/refs/ref9110.txt", Resource::Citation(RfcNumber::new(9110).unwrap()));
        served("/rfc/rfc9110.txt.meta4", Resource::MetalinkOf(key(9110, Format::Txt)));
        served("/rfcs.meta4", Resource::Metalink);
    }

    #[test]
    fn other_spellings_lead_there() {
        moved("/rfc/rfc09110.txt", "/rfc/rfc9110.txt");
        moved("/rfc/rfc0001.txt", "/rfc/rfc1.txt");
        moved("/rfc/RFC9110.TXT", "/rfc/rfc9110.txt");
        moved("/rfc/rfc9110.txt/", "/rfc/rfc9110.txt");
        moved("/rfc/rfc9110", "/rfc/rfc9110.txt");
        moved("/rfc/rfc8.txt.pdf", "/rfc/rfc8.pdf");
        moved("/info/rfc9110", "/info/rfc9110/");
        moved("/info/rfc0791/", "/info/rfc791/");
        moved("/bcp/bcp0014.txt", "/bcp/bcp14.txt");
        moved("/rfc-index.txt/", "/rfc-index.txt");
        moved("/refs/ref0001.txt", "/refs/ref1.txt");
    }

    #[test]
    fn what_names_nothing_leads_nowhere() {
        for path in [
            "",
            "rfc",
            "//",
            "/rfc//rfc1.txt",
            "/rfc/../rfc/rfc1.txt",
            "/rfc/%72fc1.txt",
            "/rfc/rfc1.txt%00",
            "/rfc\\rfc1.txt",
            "/rfc/rfc0.txt",
            "/rfc/rfc.txt",
            "/rfc/rfc-1.txt",
            "/rfc/rfc99999999999.txt",
            "/rfc/rfc1.exe",
            "/rfc/rfc1.txt.gz",
            "/std/bcp14.txt",
            "/bcp/bcp-14.txt",
            "/info/ien1/",
            "/info/rfc/",
            "/info/é/",
            "/etc/passwd",
            "/.p2pci-part/x",
        ] {
            assert_eq!(Route::of(path), Route::Nowhere, "{path}");
        }
        assert_eq!(Route::of(&format!("/{}", "a".repeat(10_000))), Route::Nowhere);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_answered_and_moves_once(path in "/(rfc|info|bcp|in-notes)?/?(rfc|RFC|bcp|std)?0{0,3}[0-9]{0,11}[./a-z0-9]{0,12}") {
            if let Route::Moved(to) = Route::of(&path) {
                prop_assert!(matches!(Route::of(&to), Route::Serve(_)), "{} to {}", path, to);
            }
        }
    }
}
