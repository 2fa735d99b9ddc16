//! The site against what browsers never send.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    browser::TestSite,
    support::{TestRegistry, dialer, within},
};

/// The status of an answer.
fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn paths_that_climb_or_are_encoded_lead_nowhere() {
    let registry = TestRegistry::start().await;
    let site = TestSite::start(&registry, "site", &[("rfc7.txt", b"seven")], &dialer()).await;
    for path in [
        "/../../etc/passwd",
        "/rfc/../../etc/passwd",
        "/rfc/..%2f..%2fetc%2fpasswd",
        "/rfc/%2e%2e/rfc7.txt",
        "/rfc/rfc7.txt%00",
        "/rfc/rfc7.txt%0d%0aX:y",
        "/rfc\\rfc7.txt",
        "//rfc/rfc7.txt",
        "/rfc/./rfc7.txt",
        "/.p2pci-part/",
        "/rfc/rfc7.txt;x=1",
        "/rfc/rfc%37.txt",
    ] {
        let answer = site
            .raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await;
        assert!(["404", "400"].contains(&status(&answer)), "{path}: {answer}");
        assert!(
            !answer.contains("seven") && !answer.contains("root:"),
            "{path}: {answer}"
        );
    }
    // A query changes nothing, however odd it is.
    let odd = format!("/rfc/rfc7.txt?{}", "%00'\";--".repeat(100).replace('"', "%22"));
    assert_eq!(site.get(&odd).await.is(200).body, &b"seven"[..]);
    let long = format!(
        "GET /rfc/rfc7.txt?{} HTTP/1.1\r\nHost: x\r\n\r\n",
        "q".repeat(64 * 1024)
    );
    assert!(["414", "431", "400"].contains(&status(&site.raw(long.as_bytes()).await)));
}

#[tokio::test]
async fn heads_that_are_none_are_refused_and_others_are_served() {
    let registry = TestRegistry::start().await;
    let site = TestSite::start(&registry, "site", &[("rfc7.txt", b"seven")], &dialer()).await;
    let many: String = (0..1000).map(|at| format!("X-{at}: y\r\n")).collect();
    let huge = format!("X: {}\r\n", "y".repeat(100_000));
    for head in [
        "",
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "GET /rfc/rfc7.txt\u{0} HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &format!("GET / HTTP/1.1\r\n{many}\r\n"),
        &format!("GET / HTTP/1.1\r\n{huge}\r\n"),
    ] {
        let closing = async {
            let mut stream = TcpStream::connect(site.address()).await.unwrap();
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer = within(head.get(..20).unwrap_or(head), closing).await;
        assert!(
            ["none", "400", "404", "431"].contains(&status(&answer)),
            "{head:.40}: {answer}"
        );
    }
    let with_body = "GET /rfc/rfc7.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = site.raw(with_body.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("seven"),
        "{answer}"
    );
    let unfinished = "GET /rfc/rfc7.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nhello";
    let mut stream = TcpStream::connect(site.address()).await.unwrap();
    stream.write_all(unfinished.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    within("an answer all the same", stream.read_exact(&mut first))
        .await
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    site.get("/rfc/rfc7.txt").await.is(200);
}

#[tokio::test]
async fn who_never_ends_a_head_is_hung_up_on_and_holds_up_nobody() {
    let registry = TestRegistry::start().await;
    let site = TestSite::start(&registry, "site", &[("rfc7.txt", b"seven")], &dialer()).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(site.address()).await.unwrap();
        stream.write_all(b"GET /rfc/rfc7.txt HTTP/1.1\r\nX: ").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(site.get("/rfc/rfc7.txt").await.is(200).body, &b"seven"[..]);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(40)).await;
    tokio::time::resume();
    for mut stream in slow {
        let mut rest = Vec::new();
        // Reset or closed: either way it is over.
        let _ = within("the end of a slow reader", stream.read_to_end(&mut rest)).await;
    }
}
