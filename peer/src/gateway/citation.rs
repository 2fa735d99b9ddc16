//! How RFCs are cited (RFC 7322 section 4.8.6.2).

use p2p_ci::{
    facts::{Facts, Line},
    text::escaped,
};

use crate::facts::record::{doi_of, subseries};

/// The citation of an RFC in one line; `None` for a number that was never used.
#[must_use]
pub(super) fn cited(facts: &Facts) -> Option<String> {
    let issued = facts.issued.as_deref()?;
    let mut parts = vec![authors(&issued.authors)];
    parts.push(format!("\"{}\"", issued.title.as_str()));
    parts.extend(subseries(issued).map(|reference| reference.to_string()));
    parts.push(format!("RFC {}", facts.number));
    parts.push(format!("DOI {}", doi_of(facts)));
    parts.extend(issued.published.map(|date| date.to_string()));
    parts.push(format!("<https://www.rfc-editor.org/info/rfc{}>", facts.number));
    parts.retain(|part| !part.is_empty());
    Some(escaped(&format!("{}.", parts.join(", "))).to_string())
}

/// All authors; the last of several is not turned round.
fn authors(authors: &[Line]) -> String {
    match authors {
        [] => String::new(),
        [only] => turned(only.as_str()),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|author| turned(author.as_str())).collect();
            let comma = if first.len() > 1 { "," } else { "" };
            format!("{}{comma} and {}", first.join(", "), last.as_str())
        }
    }
}

/// `R. Fielding, Ed.` as `Fielding, R., Ed.`; what has no initials stays as it is.
fn turned(author: &str) -> String {
    let (name, editor) = match author.strip_suffix(", Ed.") {
        Some(name) => (name, ", Ed."),
        None => (author, ""),
    };
    match name.split_once(' ') {
        Some((initials, family)) if initials.ends_with('.') => format!("{family}, {initials}{editor}"),
        _ => author.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use p2p_ci::{document::RfcNumber, facts::Source};

    use super::*;
    use crate::facts::record;

    #[test]
    fn rfcs_are_cited_as_their_editor_does() {
        let record = include_bytes!("../../../xtask/samples/alice/rfc9110.json");
        let facts = record::parse(RfcNumber::new(9110).unwrap(), record, None).unwrap();
        assert_eq!(
            cited(&facts).unwrap(),
            "Fielding, R., Ed., Nottingham, M., Ed., and J. Reschke, Ed., \"HTTP Semantics\", STD 97, RFC 9110, \
             DOI 10.17487/RFC9110, June 2022, <https://www.rfc-editor.org/info/rfc9110>."
        );
        let line = |text: &str| Line::from_lossy(text).unwrap();
        assert_eq!(authors(&[line("IAB")]), "IAB");
        assert_eq!(
            authors(&[line("J. Postel"), line("J. Reynolds")]),
            "Postel, J. and J. Reynolds"
        );
        let never = Facts {
            number: RfcNumber::new(14).unwrap(),
            source: Source::Index,
            as_of: None,
            issued: None,
        };
        assert_eq!(cited(&never), None);
    }
}
