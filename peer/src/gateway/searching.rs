//! Pages that tell which RFCs hold some words.

use axum::{http::StatusCode, response::Response};
use maud::{Markup, html};

use super::{
    pages::{page, shown},
    reply,
    site::Site,
};
use crate::{
    blocking::{Haste, apart},
    library::Library,
    limits::USUAL_RESULTS,
    search::{Asked, Hit, Passage, Passages, Place, SearchError, Searching},
};

/// The longest query as it stands in a path: each character of the longest that is read may be written as three.
const MAX_QUERY_BYTES: usize = 3 * 2048;

/// Which RFCs hold the words of `q=`.
pub(super) async fn search(site: &Site, query: &str) -> Response {
    let unavailable = |sentence: &str| reply::sentence(StatusCode::SERVICE_UNAVAILABLE, sentence);
    let Some(place) = site.index().cloned() else {
        return unavailable("this site has no search index; `peer join --search` keeps one");
    };
    if query.len() > MAX_QUERY_BYTES {
        return reply::sentence(StatusCode::URI_TOO_LONG, "the query is too long");
    }
    let words = query
        .split('&')
        .find_map(|word| word.strip_prefix("q="))
        .unwrap_or_default();
    let words = unescaped(words);
    let asked = match Asked::read(&words) {
        Ok(asked) => asked,
        Err(error) => return reply::sentence(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let Some(turn) = site.search_turn() else {
        return unavailable("too many searches at a time; try again in a moment");
    };
    let library = site.library().clone();
    let found = apart("search", Haste::Some, move || {
        // Whoever asked may be gone; who comes next waits for the thread all the same.
        let _turn = turn;
        found(&place, &library, &asked)
    })
    .await;
    match found {
        Some(Ok(hits)) => results(&words, &hits),
        Some(Err(error)) => unavailable(&error.to_string()),
        None => unavailable("the search index is damaged"),
    }
}

fn found(place: &Place, library: &Library, asked: &Asked) -> Result<Vec<(Hit, Passage)>, SearchError> {
    let searching = Searching::open(place, library)?;
    let mut passages = Passages::new(searching.worths(asked));
    let hits = searching.find(asked, usize::from(USUAL_RESULTS))?.into_iter();
    let with_passage = hits.map(|hit| {
        let passage = passages.of(library, hit.number);
        (hit, passage)
    });
    Ok(with_passage.collect())
}

fn results(words: &str, hits: &[(Hit, Passage)]) -> Response {
    let words = shown(words);
    page(
        &words,
        &html! {
            h1 { (words) }
            @if hits.is_empty() { p { "Nothing matches." } }
            dl { @for (hit, passage) in hits { (result(hit, passage)) } }
        },
    )
}

fn result(hit: &Hit, passage: &Passage) -> Markup {
    let piece = |from: usize, to: usize| shown(passage.text.get(from..to).unwrap_or_default());
    let starts = std::iter::once(0).chain(passage.marks.iter().map(|mark| mark.end));
    let last = passage.marks.last().map_or(0, |mark| mark.end);
    html! {
        dt { a href=(format!("/info/rfc{}/", hit.number)) { "RFC " (hit.number) } ": " (shown(&hit.title)) }
        dd {
            (shown(&hit.published)) ", " (shown(&hit.status))
            @if !hit.current.is_empty() {
                ". Obsolete, current: "
                @for (at, number) in hit.current.iter().enumerate() {
                    @if at > 0 { ", " }
                    a href=(format!("/info/rfc{number}/")) { "RFC " (number) }
                }
            }
            @if !passage.text.is_empty() {
                br;
                @if !passage.section.is_empty() { i { (shown(&passage.section)) } ": " }
                @for (start, mark) in starts.zip(&passage.marks) {
                    (piece(start, mark.start)) b { (piece(mark.start, mark.end)) }
                }
                (piece(last, passage.text.len()))
            }
        }
    }
}

/// The text of a value in a query (WHATWG URL, section 5.1): what is no escape stays as it is.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = || {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
            u8::from_str_radix(digits, 16).ok()
        };
        rest = after;
        match (first, escape()) {
            (b'+', _) => bytes.push(b' '),
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_browsers_write_them() {
        for (value, text) in [
            ("dns+over%20https", "dns over https"),
            ("%22slow+start%22", "\"slow start\""),
            ("100%", "100%"),
            ("%zz%2", "%zz%2"),
            ("%C3%A9", "é"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(unescaped(value), text);
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read(value in "[%+a-f0-9é]{0,40}") {
            unescaped(&value);
        }
    }
}
