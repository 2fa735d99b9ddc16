//! Each layout, file by file.

use std::{collections::BTreeMap, fs, io::Read as _};

use flate2::read::GzDecoder;
use p2p_ci::digest::Sha256;
use serde_json::Value;

use super::{Desk, entries_of_rfc_mode, files, numbers, record};

/// A text of at least 4,096 bytes, which Debian packs.
fn long() -> String {
    numbers(9110, 250)
}

/// A folder with short and long texts, numbers of four to six digits, sets of one text and of several, records, an index
/// with numbers that were never issued, and errata.
fn desk() -> Desk {
    let desk = Desk::with(&[
        ("rfc791.txt", "Internet Protocol\n"),
        ("rfc2119.txt", "Key words"),
        ("rfc8174.txt", "Ambiguity of them\n"),
        ("rfc10000.txt", "The first of five digits\n"),
        ("rfc10052.html", "<html></html>\n"),
        ("rfc100000.txt", "The first of six digits\n"),
        ("notes.txt", "not an RFC\n"),
        ("errata.json", "[{}]"),
    ]);
    desk.put("rfc9110.txt", long());
    for (number, title, also) in [
        (791, "Internet Protocol", "STD0005"),
        (2119, "Key words", "BCP0014"),
        (8174, "Ambiguity", "BCP0014"),
        (9110, "HTTP Semantics", "STD0097"),
        (10_000, "Five digits", "FYI0001"),
        (10_052, "Only HTML", "BCP0009"),
        (100_000, "Six digits", ""),
    ] {
        let also: Vec<&str> = [also].into_iter().filter(|also| !also.is_empty()).collect();
        desk.put(&format!("rfc{number}.json"), record(number, title, &also));
    }
    let index = "<rfc-index xmlns='https://www.rfc-editor.org/rfc-index'>\
        <rfc-not-issued-entry><doc-id>RFC14</doc-id></rfc-not-issued-entry></rfc-index>";
    desk.put("rfc-index.xml", index);
    desk
}

const ENTRIES: [(u32, &str); 7] = [
    (791, "Internet Protocol"),
    (2119, "Key words"),
    (8174, "Ambiguity"),
    (9110, "HTTP Semantics"),
    (10_000, "Five digits"),
    (10_052, "Only HTML"),
    (100_000, "Six digits"),
];

#[track_caller]
fn assert_lists_all(index: &[u8]) {
    let entries = entries_of_rfc_mode(index);
    let entries: Vec<(u32, &str)> = entries
        .iter()
        .map(|(number, title)| (*number, title.as_str()))
        .collect();
    assert_eq!(entries, ENTRIES);
    let text = std::str::from_utf8(index).unwrap();
    assert!(text.contains("\n0014 Not Issued. \n\n0791 Internet Protocol. A. Author, B. Other, Ed.. June 2014. "));
    assert!(text.contains("\n10052 Only HTML. ") && text.ends_with("(DOI: 10.17487/RFC100000) \n"));
}

/// Checks that a folder has files of these names and no others, with the bytes of the source's.
#[track_caller]
fn assert_has(found: &BTreeMap<String, Vec<u8>>, desk: &Desk, expected: &[(&str, &str)], made: &[&str]) {
    let mut names: Vec<&str> = expected
        .iter()
        .map(|(name, _)| *name)
        .chain(made.iter().copied())
        .collect();
    names.sort_unstable();
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), names);
    for (name, source) in expected {
        assert_eq!(found[*name], fs::read(desk.at("rfcs").join(source)).unwrap(), "{name}");
    }
}

const SOURCES: [&str; 14] = [
    "rfc791.txt",
    "rfc2119.txt",
    "rfc8174.txt",
    "rfc9110.txt",
    "rfc10000.txt",
    "rfc100000.txt",
    "rfc10052.html",
    "rfc791.json",
    "rfc2119.json",
    "rfc8174.json",
    "rfc9110.json",
    "rfc10000.json",
    "rfc10052.json",
    "rfc100000.json",
];

fn texts() -> impl Iterator<Item = &'static str> {
    SOURCES.into_iter().filter(|source| source.ends_with(".txt"))
}

/// What of a text's name is its number.
fn number(source: &str) -> &str {
    source.trim_start_matches("rfc").split('.').next().unwrap()
}

#[tokio::test]
async fn flat_has_everything_and_the_index() {
    let desk = desk();
    let (summary, found) = desk.out("--layout flat", 0).await;
    let expected: Vec<(&str, &str)> = SOURCES.iter().map(|name| (*name, *name)).collect();
    assert_has(&found, &desk, &expected, &["rfc-index.txt"]);
    assert_lists_all(&found["rfc-index.txt"]);
    assert_eq!((&summary["exported"], &summary["made"]), (&15.into(), &1.into()));
    assert_eq!(
        summary["linked"].as_u64().unwrap() + summary["cloned"].as_u64().unwrap(),
        14
    );
    // And once more: all is there.
    let (summary, again) = desk.out("--layout flat", 0).await;
    assert_eq!((&summary["exported"], &summary["present"]), (&0.into(), &15.into()));
    assert_eq!(again, found);
    let ran = desk.run("--layout flat ../out").await.exits(0);
    assert!(
        ran.stdout.starts_with("exported 0 files, 0 bytes to ") && ran.stderr.is_empty(),
        "{ran:#?}"
    );
    assert!(ran.stdout.ends_with(" s (15 already there)\n"), "{ran:#?}");
}

#[tokio::test]
async fn padded_numbers_have_four_digits_at_least() {
    let desk = desk();
    let (_, found) = desk.out("--layout padded", 0).await;
    let names: Vec<String> = SOURCES.iter().map(|name| name.replace("rfc791.", "rfc0791.")).collect();
    let expected: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(SOURCES).collect();
    assert_has(&found, &desk, &expected, &[]);
}

#[tokio::test]
async fn numbers_alone_name_texts() {
    let desk = desk();
    let (_, found) = desk.out("--layout number", 0).await;
    let expected: Vec<(&str, &str)> = texts().map(|name| (number(name), name)).collect();
    assert_has(&found, &desk, &expected, &[]);
    let (_, found) = desk.out("--layout number-index", 0).await;
    assert_has(&found, &desk, &expected, &["INDEX"]);
    let index = String::from_utf8(found["INDEX"].clone()).unwrap();
    assert_eq!(index.lines().count(), ENTRIES.len() + 1);
    assert!(index.starts_with("0014 Not Issued.\n0791 Internet Protocol. A. Author, "));
}

#[tokio::test]
async fn debian_packs_what_is_long() {
    let desk = desk();
    let (summary, found) = desk.out("--layout debian-gz", 0).await;
    let unpacked = |name: &str| {
        assert_eq!(found[name][..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "no name, no time");
        let mut bytes = Vec::new();
        GzDecoder::new(&*found[name]).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let plain: Vec<(String, &str)> = SOURCES
        .iter()
        .filter(|name| **name != "rfc9110.txt")
        .map(|name| (format!("links/{name}"), *name))
        .collect();
    let expected: Vec<(&str, &str)> = plain.iter().map(|(path, name)| (path.as_str(), *name)).collect();
    assert_has(&found, &desk, &expected, &["links/rfc9110.txt.gz", "rfc-index.txt.gz"]);
    assert_eq!(unpacked("links/rfc9110.txt.gz"), long().as_bytes());
    assert_lists_all(&unpacked("rfc-index.txt.gz"));
    assert_eq!((&summary["copied"], &summary["made"]), (&1.into(), &1.into()));
    // What somebody else has packed is as good, and this program reads it as it reads Debian's.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, long().as_bytes()).unwrap();
    fs::write(desk.at("out/links/rfc9110.txt.gz"), packed.finish().unwrap()).unwrap();
    let (summary, _) = desk.out("--layout debian-gz", 0).await;
    assert_eq!((&summary["exported"], &summary["present"]), (&0.into(), &15.into()));
    let back = desk.run("--layout flat --from ../out ../back").await.exits(0);
    assert_eq!(
        fs::read(desk.at("back/rfc9110.txt")).unwrap(),
        long().as_bytes(),
        "{back:#?}"
    );
}

#[tokio::test]
async fn the_old_tree_has_sets_and_both_indexes() {
    let desk = desk();
    let ran = desk.run("--layout in-notes ../out").await.exits(0);
    assert!(
        ran.stdout.contains(", 1 sets left out, as they lack a text)\n"),
        "{ran:#?}"
    );
    let found = files(&desk.at("out"));
    let plain: Vec<(String, &str)> = SOURCES.iter().map(|name| (format!("in-notes/{name}"), *name)).collect();
    let mut expected: Vec<(&str, &str)> = plain.iter().map(|(path, name)| (path.as_str(), *name)).collect();
    expected.extend([
        ("in-notes/std/std5.txt", "rfc791.txt"),
        ("in-notes/std/std97.txt", "rfc9110.txt"),
        ("in-notes/fyi/fyi1.txt", "rfc10000.txt"),
    ]);
    let made = [
        "in-notes/bcp/bcp14.txt",
        "in-notes/rfc-index.txt",
        "in-notes/rfc-index.xml",
    ];
    assert_has(&found, &desk, &expected, &made);
    assert_eq!(found["in-notes/bcp/bcp14.txt"], b"Key words\nAmbiguity of them\n");
    assert_lists_all(&found["in-notes/rfc-index.txt"]);
    let xml = String::from_utf8(found["in-notes/rfc-index.xml"].clone()).unwrap();
    assert!(xml.contains("<rfc-index xmlns=\"http://www.rfc-editor.org/rfc-index\">"));
    let ids: Vec<&str> = xml
        .split("<rfc-entry>\n        <doc-id>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "RFC0791",
            "RFC2119",
            "RFC8174",
            "RFC9110",
            "RFC10000",
            "RFC10052",
            "RFC100000"
        ]
    );
}

#[tokio::test]
async fn names_without_extension_have_an_index_of_lines() {
    let desk = desk();
    let (_, found) = desk.out("--layout no-extension", 0).await;
    let plain: Vec<(String, &str)> = texts().map(|name| (format!("rfc/rfc{}", number(name)), name)).collect();
    let mut expected: Vec<(&str, &str)> = plain.iter().map(|(path, name)| (path.as_str(), *name)).collect();
    expected.extend([("rfc/std5", "rfc791.txt"), ("rfc/std97", "rfc9110.txt")]);
    assert_has(&found, &desk, &expected, &["rfc/INDEX"]);
    let index = String::from_utf8(found["rfc/INDEX"].clone()).unwrap();
    let starts: Vec<&str> = index.lines().map(|line| line.split('.').next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "RFC0791: Internet Protocol",
            "RFC2119: Key words",
            "RFC8174: Ambiguity",
            "RFC9110: HTTP Semantics",
            "RFC10000: Five digits",
            "RFC10052: Only HTML",
            "RFC100000: Six digits",
            "STD0005: Internet Protocol (RFC0791)",
            "STD0097: HTTP Semantics (RFC9110)",
        ]
    );
    assert!(!index.contains("(Format:") && !index.contains(" \n"));
}

#[tokio::test]
async fn a_cache_by_addresses_has_texts_records_and_errata() {
    let desk = desk();
    fs::remove_file(desk.at("rfcs/rfc8174.json")).unwrap();
    let (_, found) = desk.out("--layout sha256-url", 0).await;
    let digest = |path: &str| Sha256::of(format!("https://www.rfc-editor.org/{path}").as_bytes()).to_string();
    let sources = || SOURCES.iter().filter(|name| **name != "rfc8174.json");
    let plain: Vec<(String, &str)> = sources().map(|name| (digest(&format!("rfc/{name}")), *name)).collect();
    let mut expected: Vec<(&str, &str)> = plain.iter().map(|(path, name)| (path.as_str(), *name)).collect();
    let (errata, made) = (digest("errata.json"), digest("rfc/rfc8174.json"));
    expected.push((&errata, "errata.json"));
    assert_has(&found, &desk, &expected, &[&made]);
    let known = "b0a7ba3817a5518b609f59cf294e1f585487af51d71ceb697ee2a722cd448b00";
    assert_eq!(found[known], long().as_bytes(), "the text of RFC 9110");
    let record: Value = serde_json::from_slice(&found[&made]).unwrap();
    assert_eq!(
        record["doc_id"], "RFC8174",
        "made of its first page, as nobody has its record"
    );
}
