//! Holders that announce large documents and hardly send them: nobody waits for the memory that is kept for these.

use std::{sync::Arc, time::Duration};

use p2p_ci::{
    document::Document,
    limits::MAX_DOCUMENT_BYTES,
    message::Holder,
    pb::{self, download_many_response::Body},
};
use peer::{
    limits::WINDOW_BUDGET_BYTES,
    mirror::{Compress, Observer},
};
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    fake_holder::{ManyRequests, ManySender, OnlyStreams, Registered, claim},
    support::{TestRegistry, files},
    swarm::mirror_into,
};

/// Bytes that come at a time, and how often: more than silence, and far less than a document needs.
const DRIP_BYTES: usize = 2 * 1024;
const DRIP_INTERVAL: Duration = Duration::from_millis(500);

/// Documents of the honest holder, and the bytes of each.
const HONEST: u32 = 40;
const HONEST_BYTES: usize = 100_000;

fn honest(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(HONEST_BYTES / 4)
}

fn large(number: u32) -> Document {
    let mut document = claim(number, &number.to_be_bytes());
    document.size_bytes = MAX_DOCUMENT_BYTES;
    document
}

fn header(asked: &pb::DownloadManyRequest, size_bytes: u64) -> Body {
    Body::Header(pb::DocumentHeader {
        number: asked.number,
        format: asked.format,
        size_bytes,
        sha256: asked.sha256.clone(),
        modified_time: None,
    })
}

/// Announces a document, and lets its bytes drip; `count` is told once the memory for all of them must have been taken.
async fn drip(mut requests: ManyRequests, sender: ManySender, count: watch::Sender<usize>) {
    let Ok(Some(asked)) = requests.message().await else {
        return;
    };
    let _ = say(&sender, &asked, header(&asked, MAX_DOCUMENT_BYTES)).await;
    let mut drips = 0;
    while say(&sender, &asked, Body::Chunk(vec![b'.'; DRIP_BYTES].into()))
        .await
        .is_ok()
    {
        drips += 1;
        if drips == 2 {
            count.send_modify(|count| *count += 1);
        }
        tokio::time::sleep(DRIP_INTERVAL).await;
    }
}

/// Delivers once so many others drip.
async fn deliver(mut requests: ManyRequests, sender: ManySender, mut dripping: watch::Receiver<usize>, others: usize) {
    while let Ok(Some(asked)) = requests.message().await {
        dripping.wait_for(|count| *count >= others).await.unwrap();
        let bytes = honest(asked.number);
        let _ = say(&sender, &asked, header(&asked, bytes.len() as u64)).await;
        let _ = say(&sender, &asked, Body::Chunk(bytes.into())).await;
    }
}

/// Fails once nobody listens any more.
async fn say(sender: &ManySender, asked: &pb::DownloadManyRequest, body: Body) -> Result<(), impl std::fmt::Debug> {
    let response = pb::DownloadManyResponse {
        request_id: asked.request_id,
        body: Some(body),
    };
    sender.send(Ok(response)).await
}

/// Ends the mirror when the honest holder's documents are all here.
struct Ends {
    left: std::sync::atomic::AtomicU32,
    stop: CancellationToken,
}

impl Observer for Ends {
    fn planned(&self, _documents: u64, _bytes: u64) {}
    fn received(&self, _bytes: u64) {}
    fn stored(&self, _document: &Document, _holder: &Holder) {
        if self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            self.stop.cancel();
        }
    }
    fn note(&self, _line: &str) {}
}

#[tokio::test]
async fn who_keeps_all_memory_waiting_is_given_up_and_the_others_go_on() {
    let registry = TestRegistry::start().await;
    let dripping = watch::Sender::new(0);
    let count = WINDOW_BUDGET_BYTES / MAX_DOCUMENT_BYTES as usize;
    let mut holders = Vec::new();
    for at in 0..count {
        let told = dripping.clone();
        let service = OnlyStreams(move |requests, sender| drip(requests, sender, told.clone()));
        let documents = (1..=3).map(|place| large(3 * at as u32 + place)).collect();
        holders.push(Registered::start(&registry, &format!("dripping-{at}"), documents, service).await);
    }
    let service = OnlyStreams(move |requests, sender| deliver(requests, sender, dripping.subscribe(), count));
    let numbers = 1000..1000 + HONEST;
    let documents = numbers.clone().map(|number| claim(number, &honest(number))).collect();
    holders.push(Registered::start(&registry, "honest", documents, service).await);
    let (folder, state) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mirror = mirror_into(&folder, &state, Compress::Never);
    let ends = Ends {
        left: HONEST.into(),
        stop: mirror.stop.clone(),
    };
    let client = registry.client().await;
    let summary = timeout(Duration::from_secs(60), mirror.run(&client, Arc::new(ends))).await;
    let summary = summary.expect("all of it waits for those who hardly send").unwrap();
    assert_eq!(summary.fetched, u64::from(HONEST));
    let mut stored = files(folder.path());
    stored.sort();
    let expected: Vec<(String, Vec<u8>)> = numbers
        .map(|number| (format!("rfc{number}.txt"), honest(number)))
        .collect();
    assert!(stored == expected);
}
