//! What is said of RFCs, in every way in which it is said: over the wire, in a metadata record, in an index, on a first page.

use std::io::BufReader;

use p2p_ci::{
    document::{RfcNumber, UnixSeconds},
    facts::{Facts, Line},
    limits,
    wire::facts::{decode, encode},
};
use peer::facts::{heading, index_xml, record};

/// No facts take more memory than this: every list and every text of them has its bound.
const MOST_BYTES: usize = 256 * 1024;

/// Reads the rest of the bytes as what the first one says.
pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let number = RfcNumber::new(9110).expect("not 0");
    let as_of = Some(UnixSeconds(1));
    match kind % 4 {
        0 => {
            if let Ok(facts) = decode(bytes) {
                check(&facts);
                assert_eq!(decode(&encode(&facts)), Ok(facts), "the same, there and back");
            }
        }
        1 => {
            if let Some(facts) = record::parse(number, bytes, as_of) {
                check(&facts);
                let written = record::write(&facts).expect("a record is of an RFC that was issued");
                let again = record::parse(number, &written, as_of).expect("what is written is read");
                check(&again);
            }
        }
        2 => {
            // Whatever is wrong with it, what was read before stands.
            let _ = index_xml::parse(BufReader::new(bytes), as_of, |facts| check(&facts));
        }
        _ => check(&heading::parse(number, bytes, bytes.len() as u64, as_of)),
    }
}

/// Everything is bounded, and nothing acts on a terminal by itself.
fn check(facts: &Facts) {
    assert!(facts.weight_bytes() <= MOST_BYTES, "{} bytes", facts.weight_bytes());
    let Some(issued) = facts.issued.as_deref() else {
        return;
    };
    let lists = [&issued.authors, &issued.formats, &issued.keywords];
    for list in lists {
        assert!(list.len() <= limits::MAX_FACT_ENTRIES);
    }
    let singles = [&issued.group, &issued.doi, &issued.draft];
    let lines = lists.into_iter().flatten().chain(singles.into_iter().flatten());
    for text in lines.map(Line::as_str).chain([issued.title.as_str()]) {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    assert!(issued.summary.as_str().len() <= limits::MAX_FACT_PROSE_BYTES);
    assert!(!issued.summary.as_str().chars().any(|c| c.is_control() && c != '\n'));
    let relations = [
        &issued.obsoletes,
        &issued.obsoleted_by,
        &issued.updates,
        &issued.updated_by,
        &issued.also,
    ];
    for references in relations {
        assert!(references.len() <= limits::MAX_FACT_ENTRIES && references.is_sorted());
    }
}
