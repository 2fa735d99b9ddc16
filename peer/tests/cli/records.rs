//! Files with facts about RFCs, for tests of what peers tell about them.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Cluster, PATIENCE, Ran};

/// A metadata record with what a test needs of one.
pub(crate) fn record(number: u32, title: &str, obsoletes: &[&str], obsoleted_by: &[&str], see_also: &[&str]) -> String {
    json!({
        "doc_id": format!("RFC{number:04}"), "title": title, "authors": ["A. Author", "B. Other, Ed."],
        "pub_date": "June 2014", "status": "PROPOSED STANDARD", "pub_status": "PROPOSED STANDARD", "source": "HTTP",
        "page_count": "12", "abstract": "One.\r\n\r\nTwo.", "keywords": ["words", " "], "doi": "", "errata_url": null,
        "obsoletes": obsoletes, "obsoleted_by": obsoleted_by, "updates": [], "updated_by": [], "see_also": see_also,
    })
    .to_string()
}

/// The first page of an RFC that takes the place of others.
pub(crate) fn text(number: u32, obsoletes: &str) -> String {
    format!(
        "\n\nInternet Engineering Task Force (IETF)                    C. Third, Ed.\n\
         Request for Comments: {number}                                      Company\n\
         Obsoletes: {obsoletes}                                             June 2022\n\
         Category: Standards Track\n\n\n                    A Later Title\n\nAbstract\n\n   What it says.\n\n1.  Text\n"
    )
}

/// The names of RFCs in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("rfc")).collect();
    names.sort();
    names
}

/// Asks until the answer is as it should be: peers read what they share after they have announced it, and what is only
/// worth a short wait is not told by a machine under load.
pub(crate) async fn told(cluster: &Cluster, args: &str, is_it: impl Fn(&Ran) -> bool) -> Ran {
    repeated(async || cluster.run(args).await, is_it).await
}

/// The same of any program.
pub(crate) async fn repeated(ask: impl AsyncFn() -> Ran, is_it: impl Fn(&Ran) -> bool) -> Ran {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ran = ask().await;
        if is_it(&ran) {
            return ran;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {ran:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
