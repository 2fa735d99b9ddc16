//! What mirroring takes whoever does it: reading, sending, receiving, hashing, writing and renaming, and nothing else.
//!
//! `cargo xtask bench mirror` starts this as `floor FROM TO`. For each processor there are two threads with a TCP
//! connection over loopback between them: one reads files of `FROM` and sends them, the other one receives them, makes
//! their SHA-256, and stores them in `TO` under another name and then under their own. Nobody asks for anything, nothing is
//! negotiated, known or shown. A mirror that is as fast as this has nothing left to save but in the kernel.

use std::{
    env,
    fs::{self, File},
    io::{self, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use p2p_ci::digest::Sha256;

/// Bytes that are received at once.
const RECEIVED_BYTES: usize = 256 * 1024;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = arguments.as_slice() else {
        bail!("usage: floor FROM TO");
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(from).context("FROM")? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let pairs = thread::available_parallelism()?.get();
    let stored = thread::scope(|scope| {
        let mut receivers = Vec::new();
        for first in 0..pairs {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let sending = TcpStream::connect(listener.local_addr()?)?;
            let (receiving, _) = listener.accept()?;
            let share = files.iter().skip(first).step_by(pairs);
            scope.spawn(move || send(share, sending));
            receivers.push(scope.spawn(move || receive(receiving, to)));
        }
        receivers
            .into_iter()
            .map(|receiver| receiver.join().map_err(std::panic::resume_unwind)?)
            .sum::<Result<usize>>()
    })?;
    ensure!(stored == files.len(), "{stored} of {} files arrived", files.len());
    Ok(())
}

/// Sends files, each behind the lengths of its name and of its bytes. What goes wrong is seen at the other end.
fn send<'a>(files: impl Iterator<Item = &'a PathBuf>, mut to: TcpStream) -> Result<()> {
    let mut message = Vec::new();
    for path in files {
        let name = path.file_name().context("a file without a name")?.as_encoded_bytes();
        let mut file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        message.clear();
        message.extend(u32::try_from(name.len())?.to_be_bytes());
        message.extend(size_bytes.to_be_bytes());
        message.extend(name);
        let sent = file.read_to_end(&mut message)?;
        ensure!(sent as u64 == size_bytes, "{} changes", path.display());
        to.write_all(&message)?;
    }
    Ok(())
}

/// Receives files and stores them; returns how many.
fn receive(from: TcpStream, folder: &Path) -> Result<usize> {
    let mut from = BufReader::with_capacity(RECEIVED_BYTES, from);
    let (mut name_len, mut size_bytes) = ([0; 4], [0; 8]);
    let mut body = Vec::new();
    let mut stored = 0;
    loop {
        match from.read_exact(&mut name_len) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(stored),
            Err(error) => return Err(error.into()),
        }
        from.read_exact(&mut size_bytes)?;
        let mut name = vec![0; u32::from_be_bytes(name_len) as usize];
        from.read_exact(&mut name)?;
        body.resize(usize::try_from(u64::from_be_bytes(size_bytes))?, 0);
        from.read_exact(&mut body)?;
        std::hint::black_box(Sha256::of(&body));
        let name = String::from_utf8(name)?;
        let part = folder.join(format!("{name}.part"));
        fs::write(&part, &body)?;
        fs::rename(part, folder.join(name))?;
        stored += 1;
    }
}
