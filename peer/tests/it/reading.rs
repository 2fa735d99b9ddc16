//! The site that a peer serves: what readers of RFCs ask for, and what they get.

use std::{io::Read as _, sync::Arc};

use p2p_ci::{digest::Sha256, transport::Dialer};

use crate::{
    browser::TestSite,
    support::{TestPeer, TestRegistry, dialer, eventually, files, write_settled},
    wiretap::Wiretap,
};

/// A text of several chunks, so that its pieces are put together.
fn large() -> Vec<u8> {
    (0..700_000_u32).map(|at| b'a' + (at % 23) as u8).collect()
}

#[tokio::test]
async fn documents_are_served_whole_in_part_or_not_at_all() {
    let registry = TestRegistry::start().await;
    let large = large();
    let files: [(&str, &[u8]); 2] = [("rfc9110.txt", &large), ("rfc8.txt", b"")];
    let site = TestSite::start(&registry, "site", &files, &dialer()).await;

    let whole = site.get("/rfc/rfc9110.txt").await.is(200);
    assert_eq!(whole.body, large);
    assert_eq!(whole.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("etag"), format!("\"{}\"", Sha256::of(&large)));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let modified = whole.header("last-modified").to_owned();

    for (range, first, last) in [
        ("bytes=100-199", 100, 199),
        ("bytes=-5", 699_995, 699_999),
        ("bytes=300000-", 300_000, 699_999),
    ] {
        let part = site.get_with("/rfc/rfc9110.txt", &[("range", range)]).await.is(206);
        assert_eq!(part.body, large[first..=last], "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/700000"));
    }
    let none = site
        .get_with("/rfc/rfc9110.txt", &[("range", "bytes=700000-")])
        .await
        .is(416);
    assert_eq!(none.header("content-range"), "bytes */700000");
    site.get_with("/rfc/rfc8.txt", &[("range", "bytes=0-")]).await.is(416);
    assert!(site.get("/rfc/rfc8.txt").await.is(200).body.is_empty());

    let known = [("if-none-match", whole.header("etag"))];
    let same = site.get_with("/rfc/rfc9110.txt", &known).await.is(304);
    assert!(same.body.is_empty() && same.header("etag") == whole.header("etag"));
    site.get_with("/rfc/rfc9110.txt", &[("if-modified-since", &modified)])
        .await
        .is(304);
    site.get_with("/rfc/rfc9110.txt", &[("if-none-match", "\"x\"")])
        .await
        .is(200);
}

#[tokio::test]
async fn answers_are_packed_and_harmless_where_that_helps() {
    let registry = TestRegistry::start().await;
    let large = large();
    let html = b"<script>alert(1)</script>";
    let files: [(&str, &[u8]); 2] = [("rfc9110.txt", &large), ("rfc7.html", html)];
    let site = TestSite::start(&registry, "site", &files, &dialer()).await;
    let whole = site.get("/rfc/rfc9110.txt").await.is(200);
    let head = site.ask("HEAD", "/rfc/rfc9110.txt", &[]).await.is(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("700000", 0));
    let packed = site
        .get_with("/rfc/rfc9110.txt", &[("accept-encoding", "gzip")])
        .await
        .is(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, large);
    assert_eq!(
        packed.header("etag"),
        format!("W/{}", whole.header("etag")),
        "other bytes have another tag"
    );
    let ranged = [("accept-encoding", "gzip"), ("range", "bytes=0-99")];
    assert_eq!(
        site.get_with("/rfc/rfc9110.txt", &ranged).await.is(206).body,
        large[..100]
    );

    let page = site.get("/rfc/rfc7.html").await.is(200);
    assert_eq!(
        (page.body.as_ref(), page.header("content-type")),
        (&html[..], "text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .starts_with("sandbox; default-src 'none'")
    );
}

#[tokio::test]
async fn other_spellings_are_moved_and_the_rest_is_told() {
    let registry = TestRegistry::start().await;
    let site = TestSite::start(&registry, "site", &[("rfc7.txt", b"seven")], &dialer()).await;
    for (path, to) in [
        ("/rfc/rfc09110.txt", "/rfc/rfc9110.txt"),
        ("/info/rfc7", "/info/rfc7/"),
        ("/rfc/rfc7.txt/", "/rfc/rfc7.txt"),
        ("/rfc/rfc7", "/rfc/rfc7.txt"),
    ] {
        assert_eq!(site.get(path).await.is(301).header("location"), to, "{path}");
    }
    let missing = site.get("/rfc/rfc100000.txt").await.is(404);
    assert!(
        missing.text().starts_with("no active peer has RFC 100000"),
        "{missing:?}"
    );
    let nothing = site.get("/etc/passwd").await.is(404);
    assert!(nothing.text().contains("/rfc/rfc9110.txt"), "{nothing:?}");
    let written = site.ask("DELETE", "/rfc/rfc7.txt", &[]).await.is(405);
    assert_eq!(written.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn what_others_have_is_fetched_once_however_many_ask() {
    let registry = TestRegistry::start().await;
    let alice = TestPeer::start(&registry, "alice", &[("rfc10052.txt", b"far away")]).await;
    let tap = Wiretap::on(alice.address());
    let dialer: Dialer = Arc::new(tap.clone());
    let site = Arc::new(TestSite::start(&registry, "site", &[], &dialer).await);
    let readers: Vec<_> = (0..200)
        .map(|_| {
            let site = Arc::clone(&site);
            tokio::spawn(async move { site.get("/rfc/rfc10052.txt").await })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap().is(200).body, &b"far away"[..]);
    }
    assert_eq!(tap.made().len(), 1, "one transfer");
    assert_eq!(
        files(site.peer.folder.path()),
        [("rfc10052.txt".to_owned(), b"far away".to_vec())]
    );
    site.peer.announced(&registry, 1).await;
    site.get("/rfc/rfc10052.txt").await.is(200);
}

#[tokio::test]
async fn without_a_registry_what_is_here_still_serves() {
    let registry = TestRegistry::start().await;
    let site = TestSite::start(&registry, "site", &[("rfc7.txt", b"seven")], &dialer()).await;
    let TestRegistry { server, .. } = registry;
    server.shutdown().await;
    assert_eq!(site.get("/rfc/rfc7.txt").await.is(200).body, &b"seven"[..]);
    let missing = site.get("/rfc/rfc8.txt").await.is(503);
    assert!(missing.text().starts_with("cannot reach the registry"), "{missing:?}");
    assert!(!missing.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_file_that_changes_is_served_as_it_is_then() {
    let registry = TestRegistry::start().await;
    let site = TestSite::start(&registry, "site", &[("rfc7.txt", b"seven")], &dialer()).await;
    let first = site.get("/rfc/rfc7.txt").await.is(200);
    write_settled(site.peer.folder.path(), "rfc7.txt", b"other bytes");
    let other = eventually("the other bytes", || async {
        let now = site.get("/rfc/rfc7.txt").await;
        // In between it may be that nobody has it.
        (now.status == 200)
            .then_some(now)
            .filter(|now| now.body == b"other bytes"[..])
    })
    .await;
    assert_ne!(first.header("etag"), other.header("etag"));
    assert_eq!(other.header("etag"), format!("\"{}\"", Sha256::of(b"other bytes")));
}

#[tokio::test]
async fn facts_of_others_make_the_pages_and_feeds() {
    let registry = TestRegistry::start().await;
    let record = include_bytes!("../../../xtask/samples/bob/rfc2119.json");
    let text = include_bytes!("../../../xtask/samples/alice/rfc9110.txt");
    let files: [(&str, &[u8]); 3] = [
        ("rfc2119.json", record),
        ("rfc2119.txt", b"key words"),
        ("rfc9110.txt", text),
    ];
    let _alice = TestPeer::start(&registry, "alice", &files).await;
    let site = TestSite::start(&registry, "site", &[], &dialer()).await;
    let page = eventually("the page about RFC 9110", || async {
        let page = site.get("/info/rfc9110/").await;
        (page.status == 200).then_some(page)
    })
    .await;
    assert!(page.text().contains("<h1>RFC 9110: HTTP Semantics</h1>"), "{page:?}");
    assert!(page.text().contains("href=\"/info/rfc7230/\""), "{page:?}");
    let bcp = eventually("BCP 14", || async {
        let page = site.get("/bcp/bcp14.txt").await;
        (page.status == 200).then_some(page)
    })
    .await;
    assert_eq!(bcp.body, &b"key words"[..]);
    assert!(
        site.get("/info/bcp14/")
            .await
            .is(200)
            .text()
            .contains("RFC 2119</a>: Key words")
    );
    let record = site.get("/rfc/rfc9110.json").await.is(200);
    assert!(
        record.text().contains("\"doc_id\":\"RFC9110\""),
        "written from the text: {record:?}"
    );
    let citation = site.get("/refs/ref2119.txt").await.is(200);
    assert!(
        citation.text().starts_with("Bradner, S., \"Key words for use in RFCs"),
        "{citation:?}"
    );
    let feed = eventually("both in the feed", || async {
        let feed = site.get("/rfcatom.xml").await.is(200);
        (feed.text().matches("<entry>").count() == 2).then_some(feed)
    })
    .await;
    assert!(
        feed.text()
            .contains(&format!("href=\"http://{}/info/rfc9110/\"", site.address()))
    );
    let known = [("if-none-match", feed.header("etag"))];
    site.get_with("/rfcatom.xml", &known).await.is(304);
    site.get("/info/rfc4711/").await.is(404);
    site.get("/bcp/bcp15.txt").await.is(404);
}

#[tokio::test]
async fn lists_name_the_sites_of_the_swarm() {
    let registry = TestRegistry::start().await;
    let _alice = TestPeer::start(&registry, "alice", &[("rfc1.txt", b"one"), ("rfc2.txt", b"two")]).await;
    let site = TestSite::start(&registry, "site", &[("rfc3.txt", b"three")], &dialer()).await;
    let list = site.get("/rfcs.meta4?numbers=1-3").await.is(200);
    assert_eq!(list.header("content-type"), "application/metalink4+xml; charset=utf-8");
    for (number, bytes) in [(1, &b"one"[..]), (2, b"two"), (3, b"three")] {
        let hash = Sha256::of(bytes);
        let file = format!(
            "<file name=\"rfc{number}.txt\"><size>{}</size><hash type=\"sha-256\">{hash}</hash>\
             <url priority=\"1\">http://{}/rfc/rfc{number}.txt</url></file>",
            bytes.len(),
            site.address()
        );
        assert!(list.text().contains(&file), "{file} in {list:?}");
    }
    assert!(
        site.get("/rfc/rfc2.txt.meta4")
            .await
            .is(200)
            .text()
            .contains("<file name=\"rfc2.txt\">")
    );
    site.get("/rfcs.meta4?numbers=9-1").await.is(400);
    site.get("/rfcs.meta4?numbers=4000-5000").await.is(404);
}
