//! What a peer leaves in the state folder about itself, so that `peer healthcheck` finds it.
//!
//! The first peer of a state folder writes `peer.json`, a second one that runs beside it `peer-2.json`, and so on. Each
//! holds a lock (`peer.json.lock`) for as long as it lives, which ends with the process however it ends: a file without
//! a locked lock is a leftover, is passed over, and is replaced by the next peer. Lock files stay; they are empty.

#[cfg(test)]
mod tests;

use std::{
    fmt, fs,
    fs::{File, TryLockError},
    io::{ErrorKind, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use p2p_ci::{identity::PeerName, text::escaped};
use serde::{Deserialize, Serialize};

use crate::{config::StateArgs, error::PeerError};

/// Peers of one user on one machine that a health check can tell apart: more than any demonstration starts.
const MAX_PEERS: usize = 256;

/// The largest state file that is read: an address, a name and a path take less.
const MAX_STATE_BYTES: u64 = 16 * 1024;

/// The folder where a peer keeps what it may forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The folder that the user named, else `p2pci` in the user's state folder (XDG Base Directory Specification). It
    /// need not exist.
    ///
    /// # Errors
    ///
    /// [`PeerError::Usage`] when no folder is named and there is no home folder either.
    pub fn resolve(args: &StateArgs) -> Result<Self, PeerError> {
        // The specification has relative paths ignored.
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let named = args.state_dir.clone().filter(|path| !path.as_os_str().is_empty());
        named
            .or_else(|| absolute("XDG_STATE_HOME").map(|base| base.join("p2pci")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state/p2pci")))
            .map(Self)
            .ok_or_else(|| {
                PeerError::Usage("there is no state folder: name one with --state-dir, or set HOME".to_owned())
            })
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder's path for people.
    #[must_use]
    pub fn shown(&self) -> impl fmt::Display {
        escaped(&self.0.to_string_lossy()).to_string()
    }

    /// Creates the folder, for its user alone, unless it exists.
    ///
    /// # Errors
    ///
    /// [`PeerError::System`] when it cannot be created.
    pub fn create(&self) -> Result<(), PeerError> {
        create_private(&self.0).map_err(PeerError::system(format!(
            "cannot create the state folder {}",
            self.shown()
        )))
    }

    /// What the peers that run now with this folder tell about themselves.
    ///
    /// # Errors
    ///
    /// [`PeerError::System`] when a file is there but cannot be read, or makes no sense.
    pub fn live_peers(&self) -> Result<Vec<PeerState>, PeerError> {
        let states = (1..=MAX_PEERS).map(|slot| self.live_peer(slot));
        states.filter_map(Result::transpose).collect()
    }

    fn live_peer(&self, slot: usize) -> Result<Option<PeerState>, PeerError> {
        let path = self.slot(slot);
        let reading = || PeerError::system(format!("cannot read {}", escaped(&path.to_string_lossy())));
        match File::open(with_suffix(&path, ".lock")).and_then(|lock| is_free(&lock)) {
            Ok(true) => return Ok(None),
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading()(error)),
        }
        match read_bounded(&path, MAX_STATE_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| reading()(error.into())),
            // The peer is about to write it, or has just removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(reading()(error)),
        }
    }

    fn slot(&self, slot: usize) -> PathBuf {
        match slot {
            1 => self.0.join("peer.json"),
            _ => self.0.join(format!("peer-{slot}.json")),
        }
    }
}

/// Creates a folder for its user alone, unless it exists.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether nobody holds `lock`.
fn is_free(lock: &File) -> std::io::Result<bool> {
    match lock.try_lock_shared() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What a file holds, up to so many bytes.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// What a peer tells about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerState {
    /// Its process.
    pub pid: u32,
    /// The name that it goes by.
    #[serde(with = "name")]
    pub name: PeerName,
    /// Where it serves FileTransfer, as it is bound.
    pub address: SocketAddr,
    /// The folder that it shares, for people.
    pub root: String,
}

impl PeerState {
    /// Where a process of this machine reaches the peer: a peer that listens on every address is asked on loopback.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        let loopback: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let ip = if self.address.ip().is_unspecified() {
            loopback
        } else {
            self.address.ip()
        };
        SocketAddr::new(ip, self.address.port())
    }
}

/// Peer names as JSON strings, checked when they are read.
mod name {
    use p2p_ci::identity::PeerName;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(name: &PeerName, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PeerName, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A peer's own file in the state folder. Dropping it removes the file.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Held for as long as this value lives.
    _lock: File,
}

impl StateFile {
    /// Takes the first place in `dir` that no other peer has, and writes `state` there.
    ///
    /// # Errors
    ///
    /// [`PeerError::System`] when the folder cannot be written to, or when [`MAX_PEERS`] peers run there already.
    pub fn create(dir: &StateDir, state: &PeerState) -> Result<Self, PeerError> {
        dir.create()?;
        for slot in 1..=MAX_PEERS {
            let path = dir.slot(slot);
            let locking = || PeerError::system(format!("cannot lock {}", escaped(&path.to_string_lossy())));
            let lock = File::options()
                .create(true)
                .append(true)
                .open(with_suffix(&path, ".lock"))
                .map_err(locking())?;
            match lock.try_lock() {
                Ok(()) => {
                    let file = Self { path, _lock: lock };
                    file.update(state)?;
                    return Ok(file);
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(locking()(error)),
            }
        }
        let full = std::io::Error::other(format!(
            "{MAX_PEERS} peers run with it already; name another with --state-dir"
        ));
        Err(PeerError::system(format!(
            "cannot use the state folder {}",
            dir.shown()
        ))(full))
    }

    /// Writes `state` in place of what was written before; readers see the one or the other.
    ///
    /// # Errors
    ///
    /// [`PeerError::System`] when the folder cannot be written to.
    pub fn update(&self, state: &PeerState) -> Result<(), PeerError> {
        let writing = || PeerError::system(format!("cannot write {}", escaped(&self.path.to_string_lossy())));
        let mut json = serde_json::to_vec(state).map_err(|error| writing()(error.into()))?;
        json.push(b'\n');
        // Nobody else writes under this name: it belongs to whoever holds the lock.
        let temporary = with_suffix(&self.path, ".new");
        fs::write(&temporary, json)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .map_err(writing())
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %escaped(&self.path.to_string_lossy()), %error, "the state file stays behind");
        }
    }
}
