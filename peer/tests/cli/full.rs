//! A target that fills up while everything is mirrored into it.

use std::{collections::BTreeMap, fs, path::Path};

use tokio::process::Command;

use crate::support::{Cluster, run};

/// Mounts a small file system, mirrors into it, makes it larger, and mirrors again; what came of it goes to `$2`.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=1m tmpfs "$1" || exit 90
for run in first second; do
    "$0" mirror --no-share --to "$1" >"$2/$run.stdout" 2>"$2/$run.stderr"
    echo $? >"$2/$run.code"
    cp -r "$1/." "$2/$run"
    mount -o remount,size=16m "$1" || exit 91
done
"#;

/// Documents, of 32 KiB each: twice what fits.
const DOCUMENTS: usize = 64;

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

/// Runs a script that mounts file systems which nobody else sees, with the program as `$0`; says whether that works here.
pub(crate) async fn mounts(cluster: &Cluster, script: &str, folders: &[&Path]) -> bool {
    let namespace = ["unshare", "-rm"];
    let works = Command::new(namespace[0]).args([namespace[1], "true"]).status().await;
    if !works.is_ok_and(|status| status.success()) {
        let mut stderr = std::io::stderr();
        std::io::Write::write_all(&mut stderr, b"SKIP full: unshare -rm does not work here\n").unwrap();
        return false;
    }
    let peer = cluster.peer();
    let mut command = Command::new(namespace[0]);
    command.args([namespace[1], "sh", "-c", script]);
    command.arg(peer.as_std().get_program()).args(folders);
    for (name, value) in peer.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    run(command.kill_on_drop(true)).await.exits(0);
    true
}

#[tokio::test]
async fn what_is_smaller_is_got_and_each_of_the_others_is_told() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=2m tmpfs "$1" || exit 90
        "$0" get 2 1 4 3 --to "$1" >"$2/text.stdout" 2>"$2/text.stderr"
        echo $? >"$2/text.code"
        "$0" get 2 4 3 --json --to "$1" >"$2/json.stdout" 2>"$2/json.stderr"
        echo $? >"$2/json.code"
        ls "$1" >"$2/files"
    "#;
    let cluster = Cluster::start().await;
    let (small, large) = ("small\n".repeat(1000), "large\n".repeat(1_000_000));
    let documents = [
        ("rfc1.txt", &*small),
        ("rfc2.txt", &*large),
        ("rfc3.txt", &*small),
        ("rfc4.txt", &*large),
    ];
    let alice = cluster.folder("alice", &documents);
    let _alice = cluster.join("alice", &alice).await;
    let (target, report) = (cluster.folder("target", &[]), cluster.folder("report", &[]));
    if !mounts(&cluster, SCRIPT, &[&target, &report]).await {
        return;
    }
    let told = |name: &str| fs::read_to_string(report.join(name)).unwrap();
    assert_eq!(
        (told("text.code"), told("files")),
        ("6\n".into(), "rfc1.txt\nrfc3.txt\n".into())
    );
    let stderr = told("text.stderr");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("RFC 2: no space left in "),
        "{stderr}"
    );
    assert_eq!(lines[1], "nor is there space for 4");
    assert_eq!(told("json.code"), "6\n");
    let objects: Vec<serde_json::Value> = told("json.stdout")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<_> = objects
        .iter()
        .map(|object| (object["number"].as_u64().unwrap(), object["error"]["reason"].as_str()))
        .collect();
    assert_eq!(outcomes, [(2, Some("TARGET")), (4, Some("TARGET")), (3, None)]);
}

#[tokio::test]
async fn a_target_that_fills_up_keeps_what_is_whole_and_the_next_run_completes_it() {
    let cluster = Cluster::start().await;
    let documents: Vec<(String, String)> = (1..=DOCUMENTS)
        .map(|number| (format!("rfc{number}.txt"), format!("{number:015}\n").repeat(2048)))
        .collect();
    let borrowed: Vec<(&str, &str)> = documents.iter().map(|(name, text)| (&**name, &**text)).collect();
    let folder = cluster.folder("alice", &borrowed);
    let _alice = cluster.join("alice", &folder).await;
    let (target, report) = (cluster.folder("target", &[]), cluster.folder("report", &[]));
    if !mounts(&cluster, SCRIPT, &[&target, &report]).await {
        return;
    }
    let told = |name: &str| fs::read_to_string(report.join(name)).unwrap();

    assert_eq!(told("first.code"), "6\n", "{}", told("first.stderr"));
    let stderr = told("first.stderr");
    assert!(stderr.contains("\nno space left in "), "{stderr}");
    assert!(stderr.contains("free some space or choose another folder"), "{stderr}");
    assert!(stderr.contains("the registry has just started, and peers may be coming back; run it again"));
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    assert!(stderr.contains(" are still to come, and "), "{stderr}");
    let first = files(&report.join("first"));
    assert!(!first.is_empty() && first.len() < DOCUMENTS, "{} files", first.len());
    let counted = [
        format!("mirrored {} documents", first.len()),
        format!("{} still to come", DOCUMENTS - first.len()),
    ];
    let stdout = told("first.stdout");
    assert!(counted.iter().all(|count| stdout.contains(count)), "{stdout}");
    for (name, text) in &first {
        assert!(borrowed.contains(&(name, text)), "{name} is none of them, or not whole");
    }

    assert_eq!(told("second.code"), "0\n", "{}", told("second.stderr"));
    let already = format!("({} already there, 0 failed)", first.len());
    assert!(told("second.stdout").contains(&already), "{}", told("second.stdout"));
    assert_eq!(files(&report.join("second")), documents.into_iter().collect());
}
