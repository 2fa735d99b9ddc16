//! One document from holders that do whatever they like.

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
use p2p_ci::{message::DocumentEntry, pb, pb::download_response::Body};
use peer::{
    fetch::{FetchJob, fetch},
    known::Memory,
    library::{Durability, Target},
};
use tempfile::TempDir;

use crate::{
    holder::{Call, Continue, Gone, Script, Step, announced, framed, holder, made_up, serve},
    network,
    plain::assert_inert,
};

/// Holders that are tried at most.
const MOST_HOLDERS: usize = 4;

/// Longer than all deadlines of all holders together; the clock does not wait for it.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// What is asked of each holder, and how often that was done.
struct Holders {
    document: Vec<u8>,
    scripts: BTreeMap<SocketAddr, Script>,
    times: Mutex<BTreeMap<SocketAddr, usize>>,
}

pub(crate) fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let document = made_up(&mut input);
    let mut scripts = Vec::new();
    while scripts.len() < MOST_HOLDERS && !input.is_empty() {
        match Script::arbitrary(&mut input) {
            Ok(script) => scripts.push(script),
            Err(_) => break,
        }
    }
    let holders = (1..).zip(&scripts).map(|(place, _)| holder(place)).collect::<Vec<_>>();
    let entry = DocumentEntry {
        document: announced(1, &document),
        holder_count: u32::try_from(holders.len()).expect("few"),
        holders,
    };
    let is_any_honest = scripts.iter().any(Script::is_honest);
    let folder = TempDir::new().expect("a folder");
    let result = network::run(download(folder.path(), &entry, document.clone(), scripts));
    let stored = folder.path().join("rfc1.txt");
    match result {
        Ok(path) => {
            assert_eq!(path, stored);
            assert!(
                fs::read(&path).expect("it is there") == document,
                "other bytes under the final name"
            );
        }
        Err(error) => {
            assert_inert(&error, false);
            assert!(!is_any_honest, "{error}");
            assert!(!stored.exists(), "a file, although: {error}");
        }
    }
    assert_nothing_unfinished(folder.path());
}

async fn download(
    folder: &Path,
    entry: &DocumentEntry,
    document: Vec<u8>,
    scripts: Vec<Script>,
) -> Result<std::path::PathBuf, String> {
    let addresses = entry.holders.iter().map(|holder| holder.address);
    let holders = Arc::new(Holders {
        document,
        scripts: addresses.zip(scripts).collect(),
        times: Mutex::default(),
    });
    let dialer = network::dialer_of(move |address, io| {
        let holders = Arc::clone(&holders);
        async move { serve(io, |call| Arc::clone(&holders).answer(address, call)).await }
    });
    let target = Target::open(folder, Durability::None).expect("a folder can be written to");
    let job = FetchJob {
        entry,
        target: &target,
        replace: false,
        registry: network::ADDRESS.ip(),
        memory: &Memory::default(),
        progress: &|_| {},
    };
    let fetched = tokio::time::timeout(FOR_EVER, fetch(&dialer, job)).await;
    let fetched = fetched.expect("a download ends");
    fetched.map(|fetched| fetched.path).map_err(|error| error.to_string())
}

/// Nothing but finished documents lies in the folder.
pub(crate) fn assert_nothing_unfinished(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let entry = entry.expect("the folder can be listed");
        let name = entry.file_name();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let left = fs::read_dir(entry.path()).expect("the folder is there").count();
            assert_eq!(left, 0, "left unfinished in {}", name.display());
        } else {
            let name = name.to_str().and_then(peer::library::FileName::parse);
            assert!(name.is_some(), "{} is no document", entry.path().display());
        }
    }
}

impl Holders {
    async fn answer(self: Arc<Self>, address: SocketAddr, mut call: Call) -> Result<Continue, Gone> {
        let Some(request) = call.request::<pb::DownloadRequest>().await? else {
            return Ok(Continue::Yes);
        };
        let time = {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            let time = times.entry(address).or_default();
            *time += 1;
            *time - 1
        };
        let script = self.scripts.get(&address).expect("only holders are dialled");
        let mut rest =
            &self.document[usize::try_from(request.offset).map_or(0, |offset| offset.min(self.document.len()))..];
        for step in script.answer(time) {
            let message = match *step {
                Step::Header => Body::Header(self.header(0)),
                Step::OtherHeader(how) => Body::Header(self.header(how)),
                Step::Bytes(count) => Body::Chunk(take(&mut rest, count.into())),
                Step::Rest if rest.is_empty() => continue,
                Step::Rest => Body::Chunk(take(&mut rest, usize::MAX)),
                Step::Wrong(count) | Step::Packed(count, _) => Body::Chunk(wrong(&mut rest, count)),
                Step::Nothing => Body::Chunk(Bytes::new()),
                Step::Garbage(byte) => {
                    call.send(vec![byte; 9].into())?;
                    continue;
                }
                Step::Error(status) | Step::Status(status) => {
                    call.end(status % 17)?;
                    return Ok(Continue::Yes);
                }
                Step::Silence => std::future::pending().await,
                Step::Cut => return Ok(Continue::No),
            };
            call.send(framed(&pb::DownloadResponse { body: Some(message) }))?;
        }
        call.end(0)?;
        Ok(Continue::Yes)
    }

    /// The right header, or one with something wrong in it.
    fn header(&self, wrong: u8) -> pb::DocumentHeader {
        let document = announced(1, &self.document);
        let mut header = pb::DocumentHeader {
            number: 1,
            format: 1,
            size_bytes: document.size_bytes,
            sha256: document.id.sha256.to_string(),
            modified_time: None,
        };
        match wrong {
            0 => {}
            1 => header.number = 2,
            2 => header.format = 2,
            3 => header.size_bytes = 16 << 20,
            4 => header.size_bytes = 0,
            5 => header.sha256 = "00".repeat(32),
            6 => header.sha256 = String::new(),
            _ => {
                header.modified_time = Some(prost_types::Timestamp {
                    seconds: i64::from(wrong) << 30,
                    nanos: 0,
                })
            }
        }
        header
    }
}

/// The next bytes of what is left.
pub(crate) fn take(rest: &mut &[u8], count: usize) -> Bytes {
    let (taken, left) = rest.split_at(count.min(rest.len()));
    *rest = left;
    Bytes::copy_from_slice(taken)
}

/// So many wrong bytes in the place of those that come next, so that what follows may make the length right.
pub(crate) fn wrong(rest: &mut &[u8], count: u8) -> Bytes {
    take(rest, count.into());
    vec![0xa5; count.into()].into()
}
