//! `peer get` while the registry is gone: the peers that are known from before are asked.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::support::{Cluster, Joined, Ran, TEXT, peer, run, within};

/// Two peers that share an RFC, and what is left of their registry.
struct Orphans {
    dir: TempDir,
    url: String,
    _peers: Vec<Joined>,
}

impl Orphans {
    /// Has the registry go away once `learnt` has had the time that it takes.
    async fn after(learnt: impl AsyncFnOnce(&Cluster)) -> Self {
        let cluster = Cluster::start().await;
        let mut peers = Vec::new();
        for name in ["alice", "bob"] {
            let folder = cluster.folder(name, &[("rfc7.txt", TEXT)]);
            peers.push(cluster.join(name, &folder).await);
        }
        learnt(&cluster).await;
        let url = format!("http://{}", cluster.registry.local_addr());
        let Cluster { registry, dir } = cluster;
        registry.shutdown().await;
        Self {
            dir,
            url,
            _peers: peers,
        }
    }

    async fn run(&self, args: &str) -> Ran {
        let mut command = peer();
        command.env("P2PCI_REGISTRY", &self.url);
        command.env("P2PCI_STATE_DIR", self.dir.path().join("state"));
        run(command.args(args.split_whitespace())).await
    }

    fn to(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[tokio::test]
async fn whoever_was_named_before_is_asked_and_that_is_said() {
    let orphans = Orphans::after(async |cluster: &Cluster| {
        let to = cluster.dir.path().join("before");
        let ran = cluster.run(&format!("get 7 --to {}", to.display())).await.exits(0);
        assert!(ran.stdout.contains("SHA-256 verified "), "{ran:#?}");
    })
    .await;
    let to = orphans.to("after");
    let ran = orphans.run(&format!("get 7 9 --to {}", to.display())).await.exits(6);
    assert_eq!(fs::read_to_string(to.join("rfc7.txt")).unwrap(), TEXT);
    assert!(
        ran.stdout
            .contains(", as 2 known peers had it; no registry confirms it\n"),
        "{ran:#?}"
    );
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let [lost, missing] = lines.as_slice() else {
        panic!("{ran:#?}")
    };
    assert!(lost.starts_with("cannot reach the registry at "), "{lost}");
    assert!(lost.ends_with("; asking the peers known from before instead"), "{lost}");
    assert!(missing.starts_with("RFC 9: cannot reach the registry at "), "{missing}");
    assert!(
        missing.ends_with("; none of the 2 peers known from before has it"),
        "{missing}"
    );

    let there = orphans
        .run(&format!("get 7 --json --to {}", to.display()))
        .await
        .exits(0)
        .objects();
    assert_eq!(
        (&there[0]["outcome"], &there[0]["by_registry"]),
        (&"present".into(), &false.into())
    );
    let nobody = orphans
        .run(&format!("get 9 --json --to {}", to.display()))
        .await
        .exits(4)
        .objects();
    assert_eq!(nobody[0]["error"]["reason"], "REGISTRY_UNREACHABLE");

    let other = orphans
        .run(&format!("get 7 --sha256 ff --to {}", orphans.to("other").display()))
        .await
        .exits(4);
    assert!(
        other.stderr.contains("starts with ff among those known from before"),
        "{other:#?}"
    );

    let to = orphans.to("from");
    orphans
        .run(&format!("get 7 --from bob --to {}", to.display()))
        .await
        .exits(0);
    let ran = orphans
        .run(&format!("get 7 --from carol --to {}", to.display()))
        .await
        .exits(4);
    assert!(
        ran.stderr.contains("no peer known from before is called carol"),
        "{ran:#?}"
    );
    let to = orphans.to("refused");
    let ran = orphans
        .run(&format!("get 7 --offline-ok=false --to {}", to.display()))
        .await
        .exits(4);
    assert!(
        ran.stderr.starts_with("peer: cannot reach the registry at ") && !to.exists(),
        "{ran:#?}"
    );
}

#[tokio::test]
async fn a_mirror_remembers_who_was_named_to_it() {
    let orphans = Orphans::after(async |cluster: &Cluster| {
        let to = cluster.dir.path().join("before");
        let mirror = format!("mirror --no-share --to {}", to.display());
        cluster.run(&mirror).await.exits(0);
        // Nothing was missing now, and nobody was asked for anything.
        fs::remove_dir_all(cluster.state_dir().join("known")).unwrap();
        cluster.run(&mirror).await.exits(0);
    })
    .await;
    let to = orphans.to("after");
    let ran = orphans.run(&format!("get 7 --to {}", to.display())).await.exits(0);
    assert_eq!(fs::read_to_string(to.join("rfc7.txt")).unwrap(), TEXT, "{ran:#?}");
}

#[tokio::test]
async fn a_peer_that_shares_learns_for_the_commands_of_its_machine() {
    let orphans = Orphans::after(async |cluster: &Cluster| {
        let known = cluster.state_dir().join("known");
        // Bob was told of alice when he had registered.
        within("what bob learnt", async {
            loop {
                let files = fs::read_dir(&known).map(|files| files.flatten().map(|file| file.path()).collect());
                let files: Vec<PathBuf> = files.unwrap_or_default();
                if files
                    .iter()
                    .any(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("alice")))
                {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    })
    .await;
    let to = orphans.to("to");
    let ran = orphans.run(&format!("get 7 --to {}", to.display())).await.exits(0);
    assert_eq!(fs::read_to_string(to.join("rfc7.txt")).unwrap(), TEXT);
    assert!(ran.stderr.starts_with("cannot reach the registry at "), "{ran:#?}");
}

#[tokio::test]
async fn a_registry_that_was_started_again_and_knows_nobody_yet_is_no_reason_to_fail() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let alice = cluster.join("alice", &folder).await;
    let before = cluster.dir.path().join("before");
    cluster.run(&format!("get 7 --to {}", before.display())).await.exits(0);
    // The next registry is at the same address, and alice may not come back to it.
    let listen = cluster.registry.local_addr();
    let Cluster { registry, dir } = cluster;
    registry.shutdown().await;
    alice.signal(rustix::process::Signal::STOP);
    let config = registry::Config::at(listen);
    let cluster = Cluster {
        registry: registry::Server::bind(config).await.unwrap(),
        dir,
    };
    let to = cluster.dir.path().join("to");
    let ran = cluster.run(&format!("get 7 --to {}", to.display())).await.exits(3);
    assert!(ran.stderr.contains("the registry has just started"), "{ran:#?}");
    alice.signal(rustix::process::Signal::CONT);
    let ran = cluster.run(&format!("get 7 --to {}", to.display())).await.exits(0);
    assert_eq!(fs::read_to_string(to.join("rfc7.txt")).unwrap(), TEXT, "{ran:#?}");
}
