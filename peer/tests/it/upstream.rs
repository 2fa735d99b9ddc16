//! What nobody around has, from a site that behaves as the RFC Editor's does.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::{
    browser::TestSite,
    support::{TestPeer, TestRegistry, dialer, files},
};

/// A request that the site was asked.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    user_agent: String,
    at: Instant,
}

/// A site with some RFCs, which remembers what it was asked. It refuses who does not say what it is, and what it lacks is a
/// page, both as the real one does.
struct Editor {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Editor {
    async fn start(documents: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let documents: HashMap<String, String> = documents
            .iter()
            .map(|(name, text)| (format!("/rfc/{name}"), (*text).to_owned()))
            .collect();
        let documents = Arc::new(documents);
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let told = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (documents, told) = (Arc::clone(&documents), Arc::clone(&told));
                let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let response = answer(&documents, &told, &request);
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self {
            address,
            asked,
            serving,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    documents: &HashMap<String, String>,
    asked: &Mutex<Vec<Asked>>,
    request: &Request<hyper::body::Incoming>,
) -> Response<Full<Bytes>> {
    let user_agent = request
        .headers()
        .get("user-agent")
        .map_or("", |agent| agent.to_str().unwrap())
        .to_owned();
    let path = request.uri().path().to_owned();
    let is_known = user_agent.starts_with("p2p-ci/");
    asked.lock().unwrap().push(Asked {
        path: path.clone(),
        user_agent,
        at: Instant::now(),
    });
    let (status, body) = match documents.get(&path) {
        _ if !is_known => (403, "<html>who are you?</html>".to_owned()),
        Some(text) => (200, text.clone()),
        None => (404, "<!DOCTYPE html><title>Not found</title>".to_owned()),
    };
    let response = Response::builder()
        .status(status)
        .header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    response.body(Full::new(Bytes::from(body))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_asks_for_everybody_and_shares_what_it_gets() {
    let registry = TestRegistry::start().await;
    let editor = Editor::start(&[
        ("rfc1.txt", "one"),
        ("rfc2.txt", "two"),
        ("rfc3.txt", "<html>Forbidden</html>"),
        ("rfc4.txt", "four"),
    ])
    .await;
    let url = editor.url();
    let alice = TestSite::start_with(&registry, "alice", &[], &dialer(), Some(&url)).await;
    let bob = TestSite::start_with(&registry, "bob", &[], &dialer(), Some(&url)).await;
    // May not ask itself, and has others ask.
    let carol = TestSite::start(&registry, "carol", &[], &dialer()).await;
    alice.knows(2, 1).await;
    bob.knows(2, 1).await;
    carol.knows(2, 2).await;

    for site in [&carol, &bob, &alice] {
        let answer = site.get("/rfc/rfc1.txt").await.is(200);
        assert_eq!(
            (answer.body.as_ref(), answer.header("last-modified")),
            (&b"one"[..], "Sun, 06 Nov 1994 08:49:37 GMT")
        );
        assert_eq!(files(site.peer.folder.path()).len(), 1, "each has it then");
    }
    let (one, other) = tokio::join!(bob.get("/rfc/rfc2.txt"), carol.get("/rfc/rfc2.txt"));
    assert_eq!(
        (one.is(200).body, other.is(200).body),
        (Bytes::from("two"), Bytes::from("two"))
    );
    let asked = editor.asked();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/rfc/rfc1.txt", "/rfc/rfc2.txt"], "each once for all three");
    assert!(
        asked.iter().all(|asked| asked.user_agent.contains("cache of RFCs")),
        "{asked:?}"
    );

    // Two wishes for one document that are kept apart, as one of them must not be passed on.
    let elected = if alice.address() < bob.address() { &alice } else { &bob };
    let relayed = [("p2pci-relayed", "1")];
    let (own, passed_on) = tokio::join!(
        elected.get("/rfc/rfc4.txt"),
        elected.get_with("/rfc/rfc4.txt", &relayed)
    );
    assert_eq!(
        (own.is(200).body, passed_on.is(200).body),
        (Bytes::from("four"), Bytes::from("four"))
    );
    assert_eq!(editor.asked().len(), 3, "asked once all the same");

    let missing = carol.get("/rfc/rfc9999.txt").await.is(404);
    assert!(missing.text().starts_with("no active peer has RFC 9999"), "{missing:?}");
    let page = elected.get("/rfc/rfc3.txt").await.is(503);
    assert!(page.text().contains("something else than the document"), "{page:?}");
    for site in [&alice, &bob, &carol] {
        let stored = files(site.peer.folder.path());
        assert!(
            !stored.iter().any(|(name, _)| name == "rfc3.txt"),
            "no page is stored: {stored:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_is_not_asked_for_what_somebody_has_and_not_often() {
    let registry = TestRegistry::start().await;
    let editor = Editor::start(&[("rfc1.txt", "one"), ("rfc2.txt", "two"), ("rfc7.txt", "not this one")]).await;
    let _dave = TestPeer::start(&registry, "dave", &[("rfc7.txt", b"seven")]).await;
    let alice = TestSite::start_with(&registry, "alice", &[], &dialer(), Some(&editor.url())).await;
    assert_eq!(alice.get("/rfc/rfc7.txt").await.is(200).body, &b"seven"[..]);
    assert!(editor.asked().is_empty(), "a peer has it");
    let (one, two) = tokio::join!(alice.get("/rfc/rfc1.txt"), alice.get("/rfc/rfc2.txt"));
    assert_eq!((one.status, two.status), (200, 200));
    let at: Vec<Instant> = editor.asked().iter().map(|asked| asked.at).collect();
    let [first, second] = at[..] else { panic!("{at:?}") };
    assert!(
        second - first >= Duration::from_millis(490),
        "one after the other, with a pause: {:?}",
        second - first
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_elected_peer_is_gone_another_one_asks() {
    let registry = TestRegistry::start().await;
    let editor = Editor::start(&[("rfc1.txt", "one")]).await;
    let url = editor.url();
    let alice = TestSite::start_with(&registry, "alice", &[], &dialer(), Some(&url)).await;
    let bob = TestSite::start_with(&registry, "bob", &[], &dialer(), Some(&url)).await;
    let carol = TestSite::start(&registry, "carol", &[], &dialer()).await;
    carol.knows(2, 2).await;
    let elected_is_alice = alice.address() < bob.address();
    let (gone, there) = if elected_is_alice { (alice, bob) } else { (bob, alice) };
    drop(gone);
    assert_eq!(carol.get("/rfc/rfc1.txt").await.is(200).body, &b"one"[..]);
    drop(there);
    let cut_off = Editor::start(&[]).await;
    let url = cut_off.url();
    drop(cut_off);
    let dave = TestSite::start_with(&registry, "dave", &[], &dialer(), Some(&url)).await;
    let failed = dave.get("/rfc/rfc4711.txt").await.is(503);
    assert!(failed.text().contains(&url), "{failed:?}");
}
