//! What particular tools ask the site for, and how they take its answers apart. The site's own folder is empty.

use serde_json::Value;

use crate::{
    browser::TestSite,
    support::{TestPeer, TestRegistry, dialer, eventually},
};

/// A record as the RFC Editor has it, of an RFC that may have any number of digits.
fn record(number: u32, title: &str) -> Vec<u8> {
    serde_json::json!({
        "doc_id": format!("RFC{number:04}"), "title": title, "authors": ["A. Author", "B. C. Other, Ed."],
        "format": ["TEXT", "HTML"], "page_count": "9", "pub_date": "June 2026", "status": "PROPOSED STANDARD",
        "pub_status": "PROPOSED STANDARD", "source": "HTTP", "abstract": "What it says.", "keywords": ["one", "two"],
        "obsoletes": ["RFC0007"], "obsoleted_by": [], "updates": [], "updated_by": [], "see_also": [],
        "doi": format!("10.17487/RFC{number:04}"), "errata_url": null, "draft": "draft-x-00",
    })
    .to_string()
    .into_bytes()
}

const NUMBERS: [u32; 5] = [7, 9999, 10_000, 10_052, 100_000];

/// A site with an empty folder, in a swarm where somebody has these RFCs and their records.
async fn site() -> (TestRegistry, TestPeer, TestSite) {
    let registry = TestRegistry::start().await;
    let title =
        |number| format!("The Title of {number}: a Long One That Must Be Folded into Several Lines of the Index");
    let files: Vec<(String, Vec<u8>)> = NUMBERS
        .into_iter()
        .flat_map(|number| {
            let text = (format!("rfc{number}.txt"), format!("the text of {number}").into_bytes());
            [text, (format!("rfc{number}.json"), record(number, &title(number)))]
        })
        .collect();
    let borrowed: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let alice = TestPeer::start(&registry, "alice", &borrowed).await;
    let site = TestSite::start(&registry, "site", &[], &dialer()).await;
    eventually("the site to know of all RFCs", || async {
        let index = site.get("/rfc-index.txt").await;
        index.text().contains("\n100000 ").then_some(())
    })
    .await;
    (registry, alice, site)
}

/// The entries of a text index as rfc-mode for Emacs finds them: an entry begins with digits and a space at the start of a
/// line, and goes on to the first line that ends with a space; its title ends with the first full stop before a space.
fn entries_of_rfc_mode(index: &str) -> Vec<(u32, String)> {
    let mut entries = Vec::new();
    let mut lines = index.lines();
    while let Some(first) = lines.next() {
        let Some((digits, rest)) = first.split_once(' ') else {
            continue;
        };
        let Ok(number) = digits.parse::<u32>() else { continue };
        let mut entry = rest.to_owned();
        let mut last = first;
        while !last.ends_with(' ') {
            last = lines
                .next()
                .unwrap_or_else(|| panic!("the entry of {number} has no end"));
            entry.push(' ');
            entry.push_str(last.trim_start());
        }
        let title = entry.split(". ").next().unwrap_or_default().to_owned();
        entries.push((number, title));
    }
    entries
}

#[tokio::test]
async fn rfc_mode_reads_the_index_and_opens_rfcs() {
    let (_registry, _alice, site) = site().await;
    // Its URL is a pattern, in which `-index` takes the place of a number.
    let index = site.get("/rfc/rfc-index.txt").await.is(200);
    let entries = entries_of_rfc_mode(index.text());
    let numbers: Vec<u32> = entries.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, NUMBERS, "in the order of their numbers");
    for (number, title) in entries {
        let folded = "a Long One That Must Be Folded into Several Lines of the Index";
        assert_eq!(title, format!("The Title of {number}: {folded}"));
        let opened = site.get(&format!("/rfc/rfc{number}.txt")).await.is(200);
        assert_eq!(opened.text(), format!("the text of {number}"));
    }
    let later = site.get("/rfc-index.txt?style=2026").await.is(200);
    assert!(
        later.text().contains("\n7 The Title of 7") && !later.text().contains(" \n\n"),
        "{}",
        later.text()
    );
}

#[tokio::test]
async fn rfc_mcp_builds_its_base_from_index_errata_and_texts() {
    let (_registry, _alice, site) = site().await;
    let index = site.get("/rfc-index.xml").await.is(200);
    assert_eq!(index.header("content-type"), "application/xml; charset=utf-8");
    let mut found = Vec::new();
    peer::facts::index_xml::parse(index.text().as_bytes(), None, |facts| found.push(facts)).unwrap();
    let numbers: Vec<u32> = found.iter().map(|facts| facts.number.get()).collect();
    assert_eq!(numbers, NUMBERS);
    let first = found[0].issued.as_deref().unwrap();
    assert_eq!((first.authors[1].as_str(), first.pages), ("B. C. Other, Ed.", Some(9)));
    let errata = site.get("/errata.json").await.is(200);
    assert!(
        serde_json::from_slice::<Value>(&errata.body).unwrap().is_array(),
        "{errata:?}"
    );
    for number in NUMBERS {
        let metadata = site.get(&format!("/rfc/rfc{number}.json")).await.is(200);
        let metadata: Value = serde_json::from_slice(&metadata.body).unwrap();
        assert_eq!(metadata["doc_id"], format!("RFC{number:04}"));
    }
}

#[tokio::test]
async fn irfc_and_others_ask_for_what_the_ietf_had() {
    let (_registry, _alice, site) = site().await;
    for (path, body) in [
        ("/rfc/rfc7.txt", "the text of 7"),
        ("/in-notes/rfc10052.txt", "the text of 10052"),
    ] {
        assert_eq!(site.get(path).await.is(200).text(), body);
    }
    let index = site.get("/rfc/rfc-index").await.is(200);
    assert_eq!(index.body, site.get("/in-notes/rfc-index.txt").await.is(200).body);
    // What documentation generators link to.
    let page = site.get("/rfc/rfc7.html").await;
    assert_eq!(page.status, 404, "nobody has it as a page");
}
