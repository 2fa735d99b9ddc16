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
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    fake_holder::{Answers, Registered, claim},
    support::{TestRegistry, files},
    swarm::mirror_into,
};

/// Bytes that come at a time, and how often: more than silence, and far less than a document needs.
const DRIP_BYTES: usize = 2 * 1024;
const DRIP_INTERVAL: Duration = Duration::from_millis(500);

/// Documents of the honest holder, and the bytes of each.
const HONEST: u32 = 40;
const HONEST_BYTES: usize = 100_000;

/// A holder, which knows how many of those that drip were asked.
struct Service {
    asked: watch::Sender<usize>,
    /// Drips if none; else it waits until so many drip, and delivers.
    delivers_after: Option<usize>,
}

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

#[tonic::async_trait]
impl pb::file_transfer_server::FileTransfer for Service {
    type DownloadStream = Answers<pb::DownloadResponse>;
    type DownloadManyStream = Answers<pb::DownloadManyResponse>;

    async fn download(&self, _: Request<pb::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        Err(Status::unimplemented("only streams"))
    }

    async fn download_many(
        &self,
        request: Request<Streaming<pb::DownloadManyRequest>>,
    ) -> Result<Response<Self::DownloadManyStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let mut requests = request.into_inner();
        let (count, delivers_after) = (self.asked.clone(), self.delivers_after);
        tokio::spawn(async move {
            while let Ok(Some(asked)) = requests.message().await {
                let say = async |body| {
                    let response = pb::DownloadManyResponse {
                        request_id: asked.request_id,
                        body: Some(body),
                    };
                    sender.send(Ok(response)).await
                };
                if let Some(others) = delivers_after {
                    count.subscribe().wait_for(|count| *count >= others).await.unwrap();
                    let bytes = honest(asked.number);
                    let _ = say(header(&asked, bytes.len() as u64)).await;
                    let _ = say(Body::Chunk(bytes.into())).await;
                    continue;
                }
                let _ = say(header(&asked, MAX_DOCUMENT_BYTES)).await;
                let mut drips = 0;
                while say(Body::Chunk(vec![b'.'; DRIP_BYTES].into())).await.is_ok() {
                    drips += 1;
                    if drips == 2 {
                        // Its first bytes were taken, so that the memory for all of them was.
                        count.send_modify(|count| *count += 1);
                    }
                    tokio::time::sleep(DRIP_INTERVAL).await;
                }
                return;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
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
    let asked = watch::Sender::new(0);
    let count = WINDOW_BUDGET_BYTES / MAX_DOCUMENT_BYTES as usize;
    let mut holders = Vec::new();
    for at in 0..count {
        let service = Service {
            asked: asked.clone(),
            delivers_after: None,
        };
        let documents = (1..=3).map(|place| large(3 * at as u32 + place)).collect();
        holders.push(Registered::start(&registry, &format!("dripping-{at}"), documents, service).await);
    }
    let service = Service {
        asked,
        delivers_after: Some(count),
    };
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
