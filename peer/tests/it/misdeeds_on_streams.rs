//! Holders that begin a stream of downloads well and then do not deliver what they announced: it costs what they kept
//! back and nothing else, and never a wrong byte.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use p2p_ci::{
    digest::Sha256,
    failure::{Failure, Reason},
    pb::{self, download_many_response::Body},
};
use tempfile::TempDir;

use crate::{
    fake_holder::{ManyRequests, ManySender, OnlyStreams, Registered, claim},
    support::{TestPeer, TestRegistry, files, leftovers, within},
    swarm::mirror,
};

/// Documents of the liar.
const DOCUMENTS: u32 = 20;

/// Documents that it delivers before it begins to lie.
const HONEST: usize = 5;

/// The most that may be sent in vain: what the windows take, and some that was on its way. A tenth of what an endless
/// answer would have sent by the end of the test.
const MOST_IN_VAIN: u64 = 32 << 20;

/// One request, and what its honest answer would be.
struct Asked {
    id: u64,
    header: pb::DocumentHeader,
    bytes: Vec<u8>,
}

/// What is sent for one request: answers by their request, and then the end of the stream where that is all.
type Steps = Box<dyn Iterator<Item = Step> + Send>;

enum Step {
    Say(u64, Body),
    End,
    /// Nothing more, and no end either.
    Silence,
}

type Script = fn(Asked) -> Steps;

fn header(asked: &Asked) -> Body {
    Body::Header(asked.header.clone())
}

fn chunk(bytes: &[u8]) -> Body {
    Body::Chunk(bytes.to_vec().into())
}

fn say(id: u64, bodies: impl IntoIterator<Item = Body, IntoIter: Send + 'static>) -> Steps {
    Box::new(bodies.into_iter().map(move |body| Step::Say(id, body)))
}

/// The answer that was asked for, as that of request `id`.
fn answer(asked: &Asked, id: u64) -> Steps {
    let chunks: Vec<Body> = asked.bytes.chunks(10_000).map(chunk).collect();
    say(id, std::iter::once(header(asked)).chain(chunks))
}

fn misdeeds() -> Vec<(&'static str, Script)> {
    vec![
        ("other bytes", |mut asked| {
            asked.bytes[17] ^= 1;
            answer(&asked, asked.id)
        }),
        ("another document", |mut asked| {
            asked.header.number += 1;
            answer(&asked, asked.id)
        }),
        ("another version", |mut asked| {
            asked.bytes[17] ^= 1;
            asked.header.sha256 = Sha256::of(&asked.bytes).to_string();
            answer(&asked, asked.id)
        }),
        ("nothing, and the end", |_| Box::new(std::iter::once(Step::End))),
        ("a half, and the end", |asked| {
            let half = say(asked.id, [header(&asked), chunk(&asked.bytes[..100])]);
            Box::new(half.chain([Step::End]))
        }),
        ("everything twice", |asked| {
            Box::new(answer(&asked, asked.id).chain(answer(&asked, asked.id)))
        }),
        ("two headers", |asked| say(asked.id, [header(&asked), header(&asked)])),
        ("the answer to the next request", |asked| answer(&asked, asked.id + 1)),
        ("what nobody asked for", |asked| answer(&asked, u64::MAX)),
        ("bytes without a header", |asked| say(asked.id, [chunk(&asked.bytes)])),
        ("bytes without end", |asked| {
            let bytes = std::iter::repeat_with(|| chunk(&[7; 100_000]));
            say(asked.id, std::iter::once(header(&asked)).chain(bytes))
        }),
        ("empty chunks without end", |asked| {
            let nothing = std::iter::repeat_with(|| chunk(&[]));
            say(asked.id, std::iter::once(header(&asked)).chain(nothing))
        }),
        ("answers without end", |asked| {
            Box::new((asked.id..).flat_map(move |id| answer(&asked, id)))
        }),
        ("refusals without end", |asked| {
            let refusal = || Body::Error(Failure::new(Reason::DocumentNotFound, "no").into());
            say(asked.id, std::iter::repeat_with(refusal))
        }),
        ("compressed bytes that nobody asked for", |asked| {
            say(asked.id, [header(&asked), Body::ZstdChunk(asked.bytes.clone().into())])
        }),
        ("a refusal for each", |asked| {
            let refusal = Failure::new(Reason::DocumentChanged, "it changed");
            say(asked.id, [Body::Error(refusal.into())])
        }),
    ]
}

fn document(number: u32) -> Vec<u8> {
    format!("document {number}\n")
        .repeat(200 * number as usize)
        .into_bytes()
}

/// Follows the script from the request after the first [`HONEST`] ones on; counts the bytes that it sends.
async fn lie(mut requests: ManyRequests, sender: ManySender, script: Script, sent_bytes: Arc<AtomicU64>) {
    let mut place = 0;
    while let Ok(Some(request)) = requests.message().await {
        let bytes = document(request.number);
        let asked = Asked {
            id: request.request_id,
            header: pb::DocumentHeader {
                number: request.number,
                format: request.format,
                size_bytes: bytes.len() as u64,
                sha256: Sha256::of(&bytes).to_string(),
                modified_time: None,
            },
            bytes,
        };
        let steps = if place < HONEST {
            answer(&asked, asked.id)
        } else {
            script(asked)
        };
        place += 1;
        for step in steps {
            let (request_id, body) = match step {
                Step::Say(request_id, body) => (request_id, body),
                Step::End => return,
                Step::Silence => return sender.closed().await,
            };
            if let Body::Chunk(chunk) = &body {
                sent_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
            let response = pb::DownloadManyResponse {
                request_id,
                body: Some(body),
            };
            if sender.send(Ok(response)).await.is_err() {
                return;
            }
        }
    }
}

/// Registers a liar; returns what counts the bytes that it sends.
async fn liar(registry: &TestRegistry, script: Script) -> (Registered, Arc<AtomicU64>) {
    let sent_bytes = Arc::<AtomicU64>::default();
    let count = Arc::clone(&sent_bytes);
    let service = OnlyStreams(move |requests, sender| lie(requests, sender, script, Arc::clone(&count)));
    let documents = (1..=DOCUMENTS).map(|number| claim(number, &document(number))).collect();
    (
        Registered::start(registry, "liar", documents, service).await,
        sent_bytes,
    )
}

/// How many documents a folder holds. Each must be whole, and nothing else there.
fn whole_documents(folder: &Path, what: &str) -> u64 {
    let files = files(folder);
    for (name, bytes) in &files {
        let number = name.strip_prefix("rfc").and_then(|name| name.strip_suffix(".txt"));
        let number = number.and_then(|number| number.parse().ok()).expect(name);
        assert!(*bytes == document(number), "{what}: {name}");
    }
    assert_eq!(leftovers(folder), 0, "{what}");
    files.len() as u64
}

#[tokio::test]
async fn what_a_liar_delivered_before_is_kept_and_the_rest_is_told() {
    for (what, script) in misdeeds() {
        let registry = TestRegistry::start().await;
        let (_liar, sent_bytes) = liar(&registry, script).await;
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = mirror(&registry, &folder, &state).await;
        let here = whole_documents(folder.path(), what);
        assert_eq!(summary.fetched, here, "{what}");
        assert!((HONEST as u64..u64::from(DOCUMENTS)).contains(&here), "{what}: {here}");
        let failures = summary.failures.len() as u64;
        assert_eq!(failures, u64::from(DOCUMENTS) - here, "{what}: each of the others");
        for (_, problem) in &summary.failures {
            assert!(problem.message.starts_with("liar: "), "{what}: {}", problem.message);
            assert!(problem.message.len() <= 300, "{what}: {}", problem.message);
        }
        assert!(sent_bytes.load(Ordering::Relaxed) < MOST_IN_VAIN, "{what}");
    }
}

/// A peer that delivers everything.
async fn honest(registry: &TestRegistry) -> TestPeer {
    let documents: Vec<(String, Vec<u8>)> = (1..=DOCUMENTS)
        .map(|number| (format!("rfc{number}.txt"), document(number)))
        .collect();
    let borrowed: Vec<(&str, &[u8])> = documents.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    TestPeer::start(registry, "honest", &borrowed).await
}

#[tokio::test]
async fn what_a_liar_keeps_back_comes_from_somebody_honest() {
    for (what, script) in misdeeds() {
        let registry = TestRegistry::start().await;
        let (_liar, sent_bytes) = liar(&registry, script).await;
        let _honest = honest(&registry).await;
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = mirror(&registry, &folder, &state).await;
        assert_eq!(
            (summary.fetched, summary.failures.len()),
            (u64::from(DOCUMENTS), 0),
            "{what}: {:?}",
            summary.failures
        );
        assert_eq!(whole_documents(folder.path(), what), u64::from(DOCUMENTS), "{what}");
        assert!(sent_bytes.load(Ordering::Relaxed) < MOST_IN_VAIN, "{what}");
    }
}

#[tokio::test]
async fn a_holder_that_falls_silent_is_given_up_and_not_waited_for_where_others_deliver() {
    let script: Script = |asked| Box::new([Step::Say(asked.id, header(&asked)), Step::Silence].into_iter());
    let alone = async {
        let registry = TestRegistry::start().await;
        let (_silent, _) = liar(&registry, script).await;
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = within("it is given up", mirror(&registry, &folder, &state)).await;
        let here = whole_documents(folder.path(), "alone");
        assert_eq!((summary.fetched, here), (HONEST as u64, HONEST as u64));
        assert_eq!(summary.failures.len(), DOCUMENTS as usize - HONEST);
    };
    let beside = async {
        let registry = TestRegistry::start().await;
        let (_silent, _) = liar(&registry, script).await;
        let _honest = honest(&registry).await;
        let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let summary = within("the other one delivers", mirror(&registry, &folder, &state)).await;
        assert_eq!((summary.fetched, summary.failures.len()), (u64::from(DOCUMENTS), 0));
        assert_eq!(whole_documents(folder.path(), "beside"), u64::from(DOCUMENTS));
    };
    tokio::join!(alone, beside);
}
