//! `peer healthcheck`: in a container with one peer, on a host with several, and after a crash.

use rustix::process::Signal;

use crate::support::{Cluster, TEXT, within};

#[tokio::test]
async fn a_peer_is_healthy_for_as_long_as_it_runs() {
    let cluster = Cluster::start().await;
    let nobody = cluster.run("healthcheck").await.exits(1);
    assert!(
        nobody.stderr.starts_with("no peer runs with the state folder "),
        "{nobody:#?}"
    );

    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let mut alice = cluster.join("alice", &folder).await;
    let state = std::fs::read_to_string(cluster.state_dir().join("peer.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(
        (&state["name"], &state["pid"]),
        (&"alice".into(), &alice.child.id().unwrap().into())
    );
    let healthy = cluster.run("healthcheck").await.exits(0);
    assert_eq!(
        healthy.stdout,
        format!("alice serves on {}\n", state["address"].as_str().unwrap())
    );

    alice.signal(Signal::TERM);
    within("a peer's end", alice.child.wait()).await.unwrap();
    cluster.run("healthcheck").await.exits(1);
    assert!(!cluster.state_dir().join("peer.json").exists());
}

#[tokio::test]
async fn a_killed_peer_leaves_nothing_that_counts() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("alice", &[("rfc7.txt", TEXT)]);
    let mut alice = cluster.join("alice", &folder).await;
    alice.signal(Signal::KILL);
    within("a peer's end", alice.child.wait()).await.unwrap();
    assert!(cluster.state_dir().join("peer.json").exists());
    let nobody = cluster.run("healthcheck").await.exits(1);
    assert!(nobody.stderr.starts_with("no peer runs"), "{nobody:#?}");
}

#[tokio::test]
async fn several_peers_of_one_user_are_all_asked() {
    let cluster = Cluster::start().await;
    let folder = cluster.folder("shared", &[("rfc7.txt", TEXT)]);
    let alice = cluster.join("alice", &folder).await;
    let _bob = cluster.join("bob", &folder).await;
    let healthy = cluster.run("healthcheck").await.exits(0);
    let mut names: Vec<&str> = healthy
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob"]);

    alice.signal(Signal::STOP);
    let ill = cluster.run("healthcheck").await.exits(1);
    assert!(
        ill.stdout.starts_with("bob serves on ") && ill.stderr.starts_with("alice does not serve: "),
        "{ill:#?}"
    );
    alice.signal(Signal::CONT);
    cluster.run("healthcheck").await.exits(0);
}
