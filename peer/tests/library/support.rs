//! Folders to try things in, and what tests say about them.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant, SystemTime},
};

use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentKey, Format, RfcNumber},
};
use peer::library::{Library, LibraryError, ScanReport};
use tempfile::TempDir;

/// The promise: what happens in a folder is seen within this time.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(2);

/// How long a test waits for what has no promise, before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Is set for a test that runs itself again within a namespace or as another user.
const INSIDE: &str = "P2PCI_TEST_INSIDE";

/// A folder with RFCs, and one for state beside it.
pub(crate) struct Folder {
    temp: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("rfc")).unwrap();
        Self { temp }
    }

    /// The same for very many files, on a file system in memory where there is one.
    pub(crate) fn in_memory() -> Self {
        let Ok(temp) = tempfile::tempdir_in("/dev/shm") else {
            return Self::new();
        };
        fs::create_dir(temp.path().join("rfc")).unwrap();
        Self { temp }
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().join("rfc")
    }

    /// Where state goes.
    pub(crate) fn state(&self) -> PathBuf {
        self.temp.path().join("state")
    }

    /// A path in neither of them.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Puts a file that was written long ago, with its folders.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        put(&self.path(name), bytes)
    }

    #[track_caller]
    pub(crate) fn open(&self) -> (Library, ScanReport) {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<(Library, ScanReport), LibraryError> {
        Library::open(&self.root(), &self.state(), &|_| {})
    }
}

/// Writes a file and dates it back, so that nobody waits for it to settle.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_modified(long_ago()).unwrap();
    path.to_owned()
}

pub(crate) fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(3600)
}

pub(crate) fn key(number: u32, format: Format) -> DocumentKey {
    DocumentKey {
        number: RfcNumber::new(number).unwrap(),
        format,
    }
}

pub(crate) fn txt(number: u32) -> DocumentKey {
    key(number, Format::Txt)
}

/// The keys of a library's documents as short text: `791.txt`.
pub(crate) fn held(library: &Library) -> Vec<String> {
    let name = |document: &Document| document.id.key.file_name().trim_start_matches("rfc").to_owned();
    library.snapshot().iter().map(name).collect()
}

/// Bytes without a pattern, always the same ones: what a linear congruential generator gives (Numerical Recipes).
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Packs with gzip.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads a document from `offset` on.
pub(crate) fn read(library: &Library, key: DocumentKey, offset: u64) -> Result<Vec<u8>, LibraryError> {
    let mut reader = library.read(key, offset)?;
    let mut all = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        assert!(!chunk.is_empty(), "a chunk is never empty");
        all.extend_from_slice(&chunk);
    }
    assert!(reader.next_chunk().unwrap().is_none(), "the end stays the end");
    Ok(all)
}

#[track_caller]
pub(crate) fn assert_holds(library: &Library, key: DocumentKey, bytes: &[u8]) {
    let document = library.get(key).unwrap_or_else(|| panic!("{key} is not held"));
    assert_eq!(document.size_bytes, u64::try_from(bytes.len()).unwrap());
    assert_eq!(document.id.sha256, Sha256::of(bytes));
    assert_eq!(read(library, key, 0).unwrap(), bytes);
}

#[expect(
    clippy::disallowed_methods,
    reason = "these tests are about files, and files know no paused clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until something is so, and returns how long that took.
#[track_caller]
pub(crate) fn until(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = now();
    while !is_so() {
        let waited = start.elapsed();
        assert!(waited < limit, "not so after {waited:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// Fails if something becomes so within a time.
#[track_caller]
pub(crate) fn never_within(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = now();
    while start.elapsed() < time {
        assert!(!is_so(), "so after {:?}: {what}", start.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Says on the terminal, past the capturing of output, that a test did not run.
pub(crate) fn skip(test: &str, reason: &str) {
    let mut stderr = io::stderr();
    writeln!(stderr, "SKIP {test}: {reason}").unwrap();
}

/// Whether this process is the inner one of [`again`].
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// One inner run at a time: several at once would fight for the two processors that tests often have.
static INNER: Mutex<()> = Mutex::new(());

/// Runs one test of this binary again, by `wrapper` (a command that runs the command that follows it), with a folder
/// of its own. Returns its output, or `None`, having said so, if the wrapper does not work here.
#[track_caller]
pub(crate) fn again(test: &str, wrapper: &[&str], folder: &Path) -> Option<String> {
    let _one = INNER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let command = |program: &[&str]| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).args(program).stdin(Stdio::null());
        command
    };
    let works = command(&["true"]).output();
    if !works.as_ref().is_ok_and(|output| output.status.success()) {
        skip(test, &format!("{} does not work here", wrapper.join(" ")));
        return None;
    }
    let binary = std::env::current_exe().unwrap();
    let output = command(&[
        binary.to_str().unwrap(),
        "--exact",
        test,
        "--nocapture",
        "--test-threads=1",
    ])
    .env(INSIDE, folder)
    .output()
    .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() || text.contains("EXPECTED ABORT"), "{text}");
    assert!(text.contains("running 1 test"), "no test of the name {test}: {text}");
    Some(text)
}

/// The folder that [`again`] was given.
pub(crate) fn inside_folder() -> PathBuf {
    PathBuf::from(std::env::var_os(INSIDE).unwrap())
}
