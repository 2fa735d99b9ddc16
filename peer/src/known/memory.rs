//! A handle on what is remembered, and the file that keeps it.

use std::{
    fs::{File, TryLockError},
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use p2p_ci::{digest::Sha256, document::UnixSeconds, message::Holder, registry_url::RegistryUrl, text::escaped};
use serde::{Deserialize, Serialize};

use super::{KnownPeer, KnownPeers};
use crate::state::{StateDir, read_bounded};

/// The folder within the state folder; a file there for each registry.
const FOLDER: &str = "known";

/// Digits of a registry's digest that name its file: enough that two never share one.
const NAME_DIGITS: usize = 16;

/// The largest file that is read: a remembered peer takes 200 bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// What is remembered of the peers of one registry; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    known: Arc<Mutex<KnownPeers>>,
    /// Whether there is something to write.
    is_news: Arc<AtomicBool>,
    /// `None` where it is forgotten with the process.
    file: Option<Arc<PathBuf>>,
}

/// The file, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// For people.
    registry: String,
    address: Option<IpAddr>,
    peers: Vec<KeptPeer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptPeer {
    peer_id: String,
    name: String,
    address: SocketAddr,
    seen: i64,
    #[serde(default)]
    lies: Vec<i64>,
}

impl Memory {
    /// What an earlier command has left in the state folder about peers of this registry. A file that cannot be read, or
    /// makes no sense, counts as none: nothing depends on it but convenience.
    #[must_use]
    pub fn of(dir: &StateDir, registry: &RegistryUrl) -> Self {
        let mut name = Sha256::of(registry.to_string().as_bytes()).to_string();
        name.truncate(NAME_DIGITS);
        let path = dir.path().join(FOLDER).join(format!("{name}.json"));
        let known = match read(&path) {
            Ok(known) => known,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(path = %escaped(&path.to_string_lossy()), %error, "nothing is known of peers");
                }
                KnownPeers::default()
            }
        };
        Self {
            known: Arc::new(Mutex::new(known)),
            is_news: Arc::default(),
            file: Some(Arc::new(path)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, KnownPeers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry at this address has named these peers.
    pub fn learn<'a>(&self, registry: IpAddr, holders: impl IntoIterator<Item = &'a Holder>) {
        let now = UnixSeconds::now();
        let mut known = self.lock();
        for holder in holders {
            known.registry = Some(registry);
            known.learn(holder, now);
            self.is_news.store(true, Ordering::Relaxed);
        }
    }

    /// A peer sent what no honest one sends. Returns whether it is left alone from now on.
    pub fn strike(&self, holder: &Holder) -> bool {
        let mut known = self.lock();
        let is_banned = known.strike(holder, UnixSeconds::now());
        // Before it is unlocked: whoever writes sees the news, or the strike is in what is written.
        self.is_news.store(true, Ordering::Relaxed);
        drop(known);
        if is_banned {
            tracing::warn!(holder = %holder.name, address = %holder.address, "too many lies; left alone for a while");
        }
        is_banned
    }

    /// Whether a peer lied so often of late that it is not asked.
    #[must_use]
    pub fn is_banned(&self, holder: &Holder) -> bool {
        self.lock().is_banned(holder, UnixSeconds::now())
    }

    /// Those to ask without the registry's help, the latest first.
    #[must_use]
    pub fn to_ask(&self) -> Vec<Holder> {
        self.lock().to_ask(UnixSeconds::now())
    }

    /// Where the registry was reached last.
    #[must_use]
    pub fn registry(&self) -> Option<IpAddr> {
        self.lock().registry
    }

    /// Writes the file, if there is one and something to write. A failure is logged: what was asked for is done without it. Blocks.
    pub fn save(&self, registry: &RegistryUrl) {
        let Some(path) = &self.file else { return };
        if !self.is_news.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.write(path, registry) {
            self.is_news.store(true, Ordering::Relaxed);
            tracing::debug!(path = %escaped(&path.to_string_lossy()), %error, "what is known of peers is not kept");
        }
    }

    /// Adds what is known here to what other commands have written meanwhile.
    fn write(&self, path: &Path, registry: &RegistryUrl) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        crate::state::create_private(folder)?;
        let _lock = lock_file(&path.with_extension("lock"))?;
        let theirs = read(path).unwrap_or_default();
        let kept = {
            let mut known = self.lock();
            known.merge(theirs, UnixSeconds::now());
            kept(&known, registry)
        };
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, &kept)?;
        file.persist(path)?;
        Ok(())
    }
}

/// Takes the turn of one who writes. Another command may have been stopped in the middle of its own.
fn lock_file(path: &Path) -> io::Result<File> {
    const PATIENCE: Duration = Duration::from_secs(1);
    const LOOK: Duration = Duration::from_millis(20);
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if waited < PATIENCE => {
                thread::sleep(LOOK);
                waited += LOOK;
            }
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn kept(known: &KnownPeers, registry: &RegistryUrl) -> Kept {
    let peer = |peer: &KnownPeer| KeptPeer {
        peer_id: peer.holder.id.to_string(),
        name: peer.holder.name.to_string(),
        address: peer.holder.address,
        seen: peer.seen.0,
        lies: peer.lies.iter().map(|lie| lie.0).collect(),
    };
    Kept {
        registry: registry.to_string(),
        address: known.registry,
        peers: known.peers().iter().map(peer).collect(),
    }
}

fn read(path: &Path) -> io::Result<KnownPeers> {
    let kept: Kept = serde_json::from_slice(&read_bounded(path, MAX_FILE_BYTES)?)?;
    let invalid = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let peer = |peer: KeptPeer| {
        Ok(KnownPeer {
            holder: Holder {
                id: peer.peer_id.parse().map_err(|error| invalid(&error))?,
                name: peer.name.parse().map_err(|error| invalid(&error))?,
                address: peer.address,
            },
            seen: UnixSeconds(peer.seen),
            lies: peer.lies.into_iter().map(UnixSeconds).collect(),
        })
    };
    let peers: io::Result<Vec<KnownPeer>> = kept.peers.into_iter().map(peer).collect();
    Ok(KnownPeers::new(kept.address, peers?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use p2p_ci::identity::SessionId;

    use super::*;

    #[test]
    fn what_one_command_learnt_the_next_one_knows_and_other_registries_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let args = crate::config::StateArgs {
            state_dir: Some(folder.path().join("state")),
        };
        let dir = StateDir::resolve(&args).unwrap();
        let registry: RegistryUrl = "http://127.0.0.1:7734".parse().unwrap();
        let alice = Holder {
            id: SessionId::from_bytes([7; 16]),
            name: "alice".parse().unwrap(),
            address: "127.0.0.1:4001".parse().unwrap(),
        };
        let memory = Memory::of(&dir, &registry);
        assert_eq!(memory.to_ask(), []);
        memory.learn(registry_ip(), [&alice]);
        for _ in 0..2 {
            assert!(!memory.strike(&alice));
        }
        memory.save(&registry);
        let memory = Memory::of(&dir, &registry);
        assert_eq!(
            (memory.to_ask(), memory.registry()),
            (vec![alice.clone()], Some(registry_ip()))
        );
        assert!(memory.strike(&alice), "lies are remembered too");
        let other: RegistryUrl = "http://127.0.0.1:7735".parse().unwrap();
        assert_eq!(Memory::of(&dir, &other).to_ask(), []);
    }

    #[test]
    fn what_one_command_remembers_another_one_that_runs_longer_does_not_undo() {
        let folder = tempfile::tempdir().unwrap();
        let args = crate::config::StateArgs {
            state_dir: Some(folder.path().to_owned()),
        };
        let dir = StateDir::resolve(&args).unwrap();
        let registry: RegistryUrl = "http://127.0.0.1:7734".parse().unwrap();
        let holder = |name: &str, port| Holder {
            id: SessionId::from_bytes([7; 16]),
            name: name.parse().unwrap(),
            address: ([127, 0, 0, 1], port).into(),
        };
        let (liar, other) = (holder("liar", 4001), holder("other", 4002));
        let long = Memory::of(&dir, &registry);
        let short = Memory::of(&dir, &registry);
        let _ = [(); 3].map(|()| short.strike(&liar));
        short.save(&registry);
        long.learn(registry_ip(), [&other]);
        long.save(&registry);
        assert!(long.is_banned(&liar), "it learns that from the file");
        let next = Memory::of(&dir, &registry);
        assert!(next.is_banned(&liar));
        assert_eq!(next.to_ask(), std::slice::from_ref(&other));

        let path = next.file.as_deref().unwrap();
        let lock = lock_file(&path.with_extension("lock")).unwrap();
        let _ = next.strike(&other);
        next.save(&registry);
        drop(lock);
        next.save(&registry);
        let kept = Memory::of(&dir, &registry).lock().peers().to_vec();
        let lies = |holder: &Holder| {
            kept.iter()
                .find(|peer| peer.holder == *holder)
                .map(|peer| peer.lies.len())
        };
        assert_eq!(lies(&other), Some(1), "what could not be written is the next time");
    }

    fn registry_ip() -> IpAddr {
        "127.0.0.1".parse().unwrap()
    }

    #[test]
    fn a_file_that_makes_no_sense_is_no_file_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let args = crate::config::StateArgs {
            state_dir: Some(folder.path().to_owned()),
        };
        let dir = StateDir::resolve(&args).unwrap();
        let registry: RegistryUrl = "http://127.0.0.1:7734".parse().unwrap();
        let memory = Memory::of(&dir, &registry);
        memory.save(&registry);
        let path = memory.file.as_deref().unwrap();
        assert!(!path.exists(), "nothing was learnt");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let peer = r#"{"peer_id":"07070707070707070707070707070707","name":"NAME","address":"127.0.0.1:1","seen":1}"#;
        let of_peer = |name: &str| {
            format!(
                r#"{{"registry":"","address":null,"peers":[{}]}}"#,
                peer.replace("NAME", name)
            )
        };
        let bad = [String::new(), "[".repeat(100_000), of_peer("\\u001b[2J"), of_peer("")];
        for bad in bad {
            fs::write(path, bad).unwrap();
            assert_eq!(Memory::of(&dir, &registry).lock().peers(), []);
        }
        fs::write(path, of_peer("alice")).unwrap();
        assert_eq!(Memory::of(&dir, &registry).lock().peers().len(), 1);
        for (seen, lie) in [(i64::MIN, i64::MIN), (i64::MAX, i64::MIN), (i64::MIN, i64::MAX)] {
            let times = format!(r#""seen":{seen},"lies":[{lie},{seen},{lie}]"#);
            fs::write(path, of_peer("alice").replace(r#""seen":1"#, &times)).unwrap();
            let memory = Memory::of(&dir, &registry);
            assert_eq!(memory.lock().peers().len(), 1, "{times}");
            let holder = memory.lock().peers()[0].holder.clone();
            assert!(memory.to_ask().is_empty() && !memory.is_banned(&holder), "{times}");
        }
        let liar = Holder {
            id: SessionId::from_bytes([7; 16]),
            name: "liar".parse().unwrap(),
            address: "127.0.0.1:4002".parse().unwrap(),
        };
        assert!(!memory.strike(&liar));
        memory.save(&registry);
        assert_eq!(Memory::of(&dir, &registry).to_ask(), [liar]);
    }
}
