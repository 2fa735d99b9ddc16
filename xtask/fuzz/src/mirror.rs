//! Many documents on one stream from holders that do whatever they like, compressed and not.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use p2p_ci::{
    client::registry::RegistryClient,
    document::{Document, Format},
    message::{DocumentEntry, Holder},
    pb,
    pb::download_many_response::Body,
    registry_url::RegistryUrl,
};
use peer::{
    library::{Durability, Library, Target},
    mirror::{Compress, Mirror, Observer, Selection},
    packing::Packers,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation as _, OutBuffer};

use crate::{
    download::{assert_nothing_unfinished, take, wrong},
    holder::{Call, Continue, Gone, Script, Step, announced, framed, holder, made_up, serve},
    network,
    plain::assert_inert,
};

const MOST_DOCUMENTS: u32 = 6;
const MOST_HOLDERS: u8 = 3;

/// Longer than all patience together; the clock does not wait for it.
const FOR_EVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// The logarithm of how far back a small packer refers: further than the start of all documents together.
const SMALL_WINDOW_LOG: u32 = 15;

/// The logarithms of its tables: as small as zstd has them, or nearly.
const SMALL_HASH_LOG: u32 = 10;
const SMALL_CHAIN_LOG: u32 = 6;

/// One in so many inputs has holders pack as ours do.
const OURS: u8 = 16;

/// Where the registry is, beside the holders.
const REGISTRY: &str = "http://192.0.2.1:4000";

/// How holders pack what they are to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// As ours do, which takes megabytes for each stream, most of them cleared before the first byte.
    Ours,
    /// As anybody may, which takes a few kilobytes.
    Small,
}

/// The packing end of a stream.
enum Packer {
    Ours(peer::packing::Packer),
    Small(Encoder<'static>),
}

/// A network with a registry and holders.
struct World {
    documents: BTreeMap<u32, Vec<u8>>,
    holders: Vec<Holder>,
    scripts: BTreeMap<SocketAddr, Script>,
    times: Mutex<BTreeMap<SocketAddr, usize>>,
    packing: Packing,
}

/// Shows nobody anything, but looks at what would be shown.
struct Reader;

impl Observer for Reader {
    fn planned(&self, _: u64, _: u64) {}
    fn received(&self, _: u64) {}
    fn stored(&self, _: &Document, _: &Holder) {}
    fn note(&self, line: &str) {
        assert_inert(line, false);
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let (count, compression) = <(u8, u8)>::arbitrary(&mut input).unwrap_or_default();
    let documents: BTreeMap<u32, Vec<u8>> = (1..=u32::from(count) % MOST_DOCUMENTS + 1)
        .map(|number| (number, made_up(&mut input)))
        .collect();
    let mut scripts = BTreeMap::new();
    for place in 2..2 + MOST_HOLDERS {
        if input.is_empty() {
            break;
        }
        let Ok(script) = Script::arbitrary(&mut input) else {
            break;
        };
        scripts.insert(holder(place).address, script);
    }
    let world = Arc::new(World {
        documents,
        holders: (2..).zip(&scripts).map(|(place, _)| holder(place)).collect(),
        scripts,
        times: Mutex::default(),
        packing: if compression % OURS == OURS - 1 {
            Packing::Ours
        } else {
            Packing::Small
        },
    });
    let folder = TempDir::new().expect("a folder");
    let state = TempDir::new().expect("a folder");
    let compress = if compression % 2 == 1 {
        Compress::Always
    } else {
        Compress::Never
    };
    let fetched = network::run(mirror(folder.path(), state.path(), Arc::clone(&world), compress));
    let stored = world.assert_right(folder.path());
    assert_eq!(fetched, stored, "what is told is what is there");
    if !world.scripts.is_empty() && world.scripts.values().all(Script::is_honest) {
        assert_eq!(
            stored,
            world.documents.len() as u64,
            "from honest holders, everything comes"
        );
    }
    assert_nothing_unfinished(folder.path());
}

/// How many documents the mirror says to have fetched.
async fn mirror(folder: &Path, state: &Path, world: Arc<World>, compress: Compress) -> u64 {
    let dialer = network::dialer_of(move |address, io| {
        let world = Arc::clone(&world);
        async move { serve(io, |call| Arc::clone(&world).answer(address, call)).await }
    });
    let registry: RegistryUrl = REGISTRY.parse().expect("an address");
    let client = RegistryClient::connect(&dialer, &registry)
        .await
        .expect("the registry is there");
    let (library, _) = Library::open(folder, state, &|_| {}).expect("the folder is there");
    let mirror = Mirror {
        dialer,
        library,
        target: Target::open(folder, Durability::None).expect("a folder can be written to"),
        selection: Selection::default(),
        replace: false,
        compress,
        known: peer::known::Memory::default(),
        stop: CancellationToken::new(),
    };
    let done = tokio::time::timeout(FOR_EVER, mirror.run(&client, Arc::new(Reader))).await;
    let summary = done.expect("a mirror ends").expect("the registry is honest");
    assert!(summary.failed.is_none(), "{:?}", summary.failed);
    summary.fetched
}

impl World {
    async fn answer(self: Arc<Self>, address: SocketAddr, mut call: Call) -> Result<Continue, Gone> {
        if call.path.ends_with("/DownloadMany") {
            return self.documents(address, call).await;
        }
        if call.path.ends_with("/ListDocuments") {
            for (number, bytes) in &self.documents {
                let entry = DocumentEntry {
                    document: announced(*number, bytes),
                    holder_count: u32::try_from(self.holders.len()).expect("few"),
                    holders: self.holders.clone(),
                };
                let entry = Some(pb::DocumentEntry::from(&entry));
                call.send(framed(&pb::ListDocumentsResponse {
                    entry,
                    converging: false,
                }))?;
            }
            call.end(0)?;
            return Ok(Continue::Yes);
        }
        // Nothing else happens in the index, for ever.
        std::future::pending().await
    }

    /// Answers a stream of downloads, each request by what is next in the script.
    async fn documents(&self, address: SocketAddr, mut call: Call) -> Result<Continue, Gone> {
        let script = self.scripts.get(&address).expect("only holders are asked");
        // Most streams need none.
        let mut packer = None;
        while let Some(request) = call.request::<pb::DownloadManyRequest>().await? {
            let Some(document) = self.documents.get(&request.number) else {
                return Ok(Continue::No);
            };
            let time = {
                let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                let time = times.entry(address).or_default();
                *time += 1;
                *time - 1
            };
            let mut rest = document.as_slice();
            for step in script.answer(time) {
                let is_packed = request.compression != 0;
                let Some(body) = self.body(
                    *step,
                    &request,
                    &mut rest,
                    is_packed.then(|| packer.get_or_insert_with(|| self.packing.begin())),
                ) else {
                    match step {
                        Step::Status(status @ 1..) => {
                            call.end(status % 17)?;
                            return Ok(Continue::Yes);
                        }
                        Step::Garbage(byte) => call.send(vec![*byte; 9].into())?,
                        Step::Silence => std::future::pending().await,
                        Step::Cut => return Ok(Continue::No),
                        _ => {}
                    }
                    continue;
                };
                call.send(framed(&pb::DownloadManyResponse {
                    request_id: request.request_id,
                    body: Some(body),
                }))?;
            }
        }
        call.end(0)?;
        Ok(Continue::Yes)
    }

    /// The message that a step is, if it is one.
    fn body(
        &self,
        step: Step,
        request: &pb::DownloadManyRequest,
        rest: &mut &[u8],
        packer: Option<&mut Packer>,
    ) -> Option<Body> {
        Some(match step {
            Step::Header => Body::Header(self.header(request.number, 0)),
            Step::OtherHeader(wrong) => Body::Header(self.header(request.number, wrong)),
            Step::Bytes(count) => chunk(take(rest, count.into()), packer),
            Step::Rest if rest.is_empty() => return None,
            Step::Rest => chunk(take(rest, usize::MAX), packer),
            Step::Wrong(count) => chunk(wrong(rest, count), packer),
            Step::Packed(count, true) => chunk(take(rest, count.into()), Some(&mut self.packing.begin())),
            Step::Packed(count, false) => Body::ZstdChunk(vec![count; 7].into()),
            Step::Nothing => Body::Chunk(Bytes::new()),
            Step::Error(code) => Body::Error(pb::RequestError {
                code: i32::from(code),
                message: "\u{1b}[31mno".to_owned(),
                reason: ["OVERLOADED", "DOCUMENT_NOT_FOUND", "DOCUMENT_CHANGED", "?"][usize::from(code % 4)].to_owned(),
                field: String::new(),
                retry_after: None,
            }),
            Step::Status(_) | Step::Garbage(_) | Step::Silence | Step::Cut => return None,
        })
    }

    fn header(&self, number: u32, wrong: u8) -> pb::DocumentHeader {
        let document = self
            .documents
            .get(&number)
            .map(|bytes| announced(number, bytes))
            .expect("it was asked for");
        pb::DocumentHeader {
            number: if wrong == 1 { number + 1 } else { number },
            format: if wrong == 2 { 2 } else { 1 },
            size_bytes: if wrong > 3 {
                u64::from(wrong)
            } else {
                document.size_bytes
            },
            sha256: if wrong == 3 {
                "00".repeat(32)
            } else {
                document.id.sha256.to_string()
            },
            modified_time: None,
        }
    }

    /// Every file has the bytes that its name and digest stand for; returns how many there are.
    fn assert_right(&self, folder: &Path) -> u64 {
        let mut stored = 0;
        for (number, bytes) in &self.documents {
            let path = folder.join(announced(*number, bytes).id.key.file_name());
            if let Ok(found) = fs::read(&path) {
                assert!(found == *bytes, "{} has other bytes", path.display());
                stored += 1;
            }
            assert_eq!(
                path.extension().and_then(|name| name.to_str()),
                Some(Format::Txt.extension())
            );
        }
        stored
    }
}

impl Packing {
    /// Begins a frame.
    fn begin(self) -> Packer {
        if self == Self::Ours {
            return Packer::Ours(Packers::default().begin().expect("there is memory"));
        }
        let mut encoder = Encoder::new(1).expect("there is memory");
        for parameter in [
            CParameter::WindowLog(SMALL_WINDOW_LOG),
            CParameter::HashLog(SMALL_HASH_LOG),
            CParameter::ChainLog(SMALL_CHAIN_LOG),
        ] {
            encoder.set_parameter(parameter).expect("zstd can do it");
        }
        Packer::Small(encoder)
    }
}

impl Packer {
    /// The next bytes as one piece of the frame.
    fn pack(&mut self, bytes: &[u8]) -> Bytes {
        let encoder = match self {
            Self::Ours(packer) => return packer.pack(bytes).expect("packing does not fail"),
            Self::Small(encoder) => encoder,
        };
        // There is room for all of it: zstd adds a few bytes to what it cannot pack.
        let mut piece = vec![0; bytes.len() + 128];
        let mut output = OutBuffer::around(piece.as_mut_slice());
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            encoder.run(&mut input, &mut output).expect("packing does not fail");
        }
        let left = encoder.flush(&mut output).expect("packing does not fail");
        assert_eq!(left, 0, "a piece is longer than what is in it");
        let length = output.pos();
        piece.truncate(length);
        piece.into()
    }
}

fn chunk(bytes: Bytes, packer: Option<&mut Packer>) -> Body {
    match packer {
        Some(packer) if !bytes.is_empty() => Body::ZstdChunk(packer.pack(&bytes)),
        Some(_) | None => Body::Chunk(bytes),
    }
}
