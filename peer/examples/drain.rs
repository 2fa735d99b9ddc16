//! Receives everything that a peer shares and keeps none of it: what the transport can do without any disk.
//!
//! `cargo xtask bench stream` starts this as `drain REGISTRY receive` or `drain REGISTRY verify`. It asks the registry
//! what there is, and the one peer that has it for all of it on one stream, with the client that the mirror has, too.
//! `receive` counts the bytes; `verify` also hashes them, on a thread beside the one that receives, and compares. What
//! arrived is told in one line of JSON.

use std::{
    env,
    io::{self, Write as _},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::Bytes;
use p2p_ci::{
    client::{
        file_transfer::{FileTransferClient, ManyAnswers},
        registry::RegistryClient,
    },
    digest::{Hasher, Sha256},
    document::Document,
    message::{Compression, DocumentEntry, DownloadQuery, IndexFilter, ListQuery, Listed, ManyBody, ManyQuery},
    transport::{Dialer, tcp_dialer},
};
use peer::limits;
use tokio::sync::mpsc;

/// Documents asked for ahead: what a mirror begins with.
const AHEAD: usize = 4;

/// Chunks that wait for the thread that hashes: two megabytes, which are still in the processor's cache when their turn
/// comes.
const QUEUED: usize = 8;

/// What is hashed.
enum Piece {
    /// The next bytes of a document.
    Chunk(Bytes),
    /// It ends here, and should have had this digest.
    End(Sha256),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [registry, mode] = arguments.as_slice() else {
        bail!("usage: drain REGISTRY receive|verify");
    };
    let verifies = match mode.as_str() {
        "receive" => false,
        "verify" => true,
        _ => bail!("neither receive nor verify: {mode}"),
    };
    let dialer = tcp_dialer();
    let entries = list(&dialer, registry).await?;
    let drained = drain(&dialer, &entries, verifies).await?;
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        r#"{{"documents": {}, "bytes": {drained}, "verified": {verifies}}}"#,
        entries.len()
    )?;
    Ok(())
}

/// What there is, and who has it.
async fn list(dialer: &Dialer, registry: &str) -> Result<Vec<DocumentEntry>> {
    let client = RegistryClient::connect(dialer, &registry.parse()?).await?;
    let query = ListQuery {
        filter: IndexFilter::ALL,
        peer: None,
        max_holders: 1,
    };
    let mut listed = client.list_documents(query).await?;
    let mut entries = Vec::new();
    while let Some(Listed { entry, .. }) = listed.next().await? {
        entries.push(entry);
    }
    Ok(entries)
}

/// Receives all documents from the holder of the first one; returns how many bytes that were.
async fn drain(dialer: &Dialer, entries: &[DocumentEntry], verifies: bool) -> Result<u64> {
    let mut documents = entries.iter().map(|entry| &entry.document);
    let holder = entries.first().and_then(|entry| entry.holders.first());
    let holder = holder.context("nobody shares anything")?;
    let client = FileTransferClient::connect(dialer, holder.address, limits::MAX_WINDOW_BYTES).await?;
    let first = documents.next().context("no documents")?;
    let (sender, mut answers) = client.download_many(0, &query(first)).await?;
    let mut ahead = documents.zip(1..);
    for (document, id) in ahead.by_ref().take(AHEAD - 1) {
        sender.ask(id, &query(document)).await?;
    }
    let mut verifier = verifies.then(Verifier::start).transpose()?;
    let mut bytes = 0;
    for (entry, id) in entries.iter().zip(0..) {
        let document = &entry.document;
        receive(&mut answers, id, document, verifier.as_mut()).await?;
        bytes += document.size_bytes;
        if let Some((document, id)) = ahead.next() {
            sender.ask(id, &query(document)).await?;
        }
    }
    verifier.map_or(Ok(()), Verifier::finish)?;
    Ok(bytes)
}

fn query(document: &Document) -> ManyQuery {
    ManyQuery {
        document: DownloadQuery {
            key: document.id.key,
            sha256: Some(document.id.sha256),
            offset: 0,
        },
        compression: Compression::None,
    }
}

/// Receives one document, and hands its bytes on if they are to be verified.
async fn receive(
    answers: &mut ManyAnswers,
    id: u64,
    document: &Document,
    mut verifier: Option<&mut Verifier>,
) -> Result<()> {
    let mut left = document.size_bytes;
    let mut has_header = false;
    while !has_header || left > 0 {
        let part = answers.next().await?.context("the stream ended early")?;
        ensure!(part.request_id == id, "an answer to something else");
        match part.part? {
            ManyBody::Header(header) => {
                ensure!(!has_header && header.size_bytes == left, "another document: {header:?}");
                has_header = true;
            }
            ManyBody::Chunk(chunk) => {
                left = left.checked_sub(chunk.len() as u64).context("too many bytes")?;
                if let Some(verifier) = &mut verifier {
                    verifier.take(Piece::Chunk(chunk)).await?;
                }
            }
            ManyBody::ZstdChunk(_) => bail!("compressed bytes that nobody asked for"),
        }
    }
    match verifier {
        Some(verifier) => verifier.take(Piece::End(document.id.sha256)).await,
        None => Ok(()),
    }
}

/// A thread that hashes what arrives.
struct Verifier {
    pieces: mpsc::Sender<Piece>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Verifier {
    fn start() -> Result<Self> {
        let (pieces, arrived) = mpsc::channel(QUEUED);
        let thread = thread::Builder::new().spawn(move || verify(arrived))?;
        Ok(Self { pieces, thread })
    }

    async fn take(&mut self, piece: Piece) -> Result<()> {
        let sent = self.pieces.send(piece).await;
        sent.map_err(|_| anyhow!("a document arrived with wrong bytes"))
    }

    fn finish(self) -> Result<()> {
        drop(self.pieces);
        let verified = self.thread.join();
        verified.map_err(|_| anyhow!("the thread that hashes has panicked"))?
    }
}

fn verify(mut pieces: mpsc::Receiver<Piece>) -> Result<()> {
    let mut hasher = Hasher::default();
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Chunk(chunk) => hasher.update(&chunk),
            Piece::End(sha256) => {
                let found = std::mem::take(&mut hasher).finish();
                ensure!(found == sha256, "{found} instead of {sha256}");
            }
        }
    }
    Ok(())
}
