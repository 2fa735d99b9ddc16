//! `get` and `lookup` of subseries: BCP 14 and the like are the RFCs that somebody says they are.

use serde_json::json;

use crate::{
    prompt::typed,
    records::{names, record, told},
    support::{Cluster, Joined, Ran, TEXT},
};

/// BCP 14, of which RFC 8174 is an RFC that nobody holds, and STD 97.
async fn sharing(cluster: &Cluster) -> Joined {
    let files = [
        ("rfc2119.json", record(2119, "Words", &[], &[], &["BCP0014"])),
        ("rfc2119.txt", TEXT.to_owned()),
        ("rfc8174.json", record(8174, "Capitals", &[], &[], &["BCP0014"])),
        ("rfc9110.json", record(9110, "Hypertext", &[], &[], &["STD0097"])),
        ("rfc9110.txt", TEXT.to_owned()),
        ("rfc7.txt", TEXT.to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = cluster.folder("alice", &files);
    let alice = cluster.join("alice", &folder).await;
    let is_known = |ran: &Ran| ran.stdout.contains("BCP 14 is RFC 2119, RFC 8174\n") && ran.code == Some(0);
    told(cluster, "info bcp14 std97", is_known).await;
    alice
}

#[tokio::test]
async fn all_rfcs_of_a_subseries_are_got() {
    let cluster = Cluster::start().await;
    let _alice = sharing(&cluster).await;
    let to = cluster.dir.path().join("to");
    let to_it = format!("--to {}", to.display());

    // The records of both are held, the text of one of them is not.
    let ran = cluster.run(&format!("get bcp14 --format json {to_it}")).await.exits(0);
    assert_eq!(names(&to), ["rfc2119.json", "rfc8174.json"]);
    assert_eq!(ran.stderr, "BCP 14 is RFC 2119, RFC 8174\n");
    let ran = cluster.run(&format!("get bcp14 {to_it}")).await.exits(6);
    let [series, missing] = ran.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{ran:#?}")
    };
    assert_eq!(series, "BCP 14 is RFC 2119, RFC 8174");
    assert!(missing.starts_with("no active peer has RFC 8174"), "{missing}");

    let ran = cluster
        .run(&format!("get 7 STD-97 bcp14 9110 7 std97 --json {to_it}"))
        .await
        .exits(6);
    let got: Vec<_> = ran
        .objects()
        .iter()
        .map(|object| (object["number"].as_u64().unwrap(), object["outcome"].clone()))
        .collect();
    let (saved, present, failed) = (json!("saved"), json!("present"), json!("failed"));
    assert_eq!(
        got,
        [(7, saved.clone()), (9110, saved), (2119, present), (8174, failed)]
    );
    assert!(!ran.stderr.contains(" is RFC "), "{ran:#?}");

    let mut command = cluster.peer();
    let quoted = command.args(["get", "BCP 14", "--format", "json", "--to"]).arg(&to);
    let ran = crate::support::run(quoted).await.exits(0);
    assert_eq!(ran.stdout.matches("already there").count(), 2, "{ran:#?}");
    let ran = cluster.run(&format!("get std97 --from alice {to_it}")).await.exits(0);
    assert_eq!(ran.stderr, "STD 97 is RFC 9110\n");
}

#[tokio::test]
async fn a_subseries_that_nobody_knows_is_not_found() {
    let cluster = Cluster::start().await;
    let _alice = sharing(&cluster).await;
    let to = cluster.dir.path().join("to");
    let to_it = format!("--to {}", to.display());
    let unknown = "no active peer knows which RFCs FYI 36 is";

    let ran = cluster.run(&format!("get fyi36 {to_it}")).await.exits(3);
    assert_eq!(ran.stderr, format!("{unknown}\n"));
    assert!(ran.stdout.is_empty() && !to.exists(), "{ran:#?}");
    let ran = cluster.run(&format!("get fyi36 bcp99 --json {to_it}")).await.exits(3);
    let expected = json!({"subseries": "FYI36", "number": null, "outcome": "failed",
        "error": {"reason": "RFC_NOT_FOUND", "message": unknown}});
    assert_eq!((ran.objects().len(), &ran.objects()[0]), (2, &expected));
    // Whatever else was asked for is got all the same.
    let ran = cluster.run(&format!("get fyi36 7 {to_it}")).await.exits(6);
    assert_eq!(ran.stderr, format!("{unknown}\n"));
    assert_eq!(names(&to), ["rfc7.txt"]);
    let ran = cluster.run(&format!("get fyi36 8 {to_it}")).await.exits(3);
    assert_eq!(ran.stderr.lines().count(), 2, "{ran:#?}");

    let ran = cluster.run("lookup fyi36 --json").await.exits(3);
    let expected = json!({"subseries": "FYI36", "number": null,
        "error": {"reason": "RFC_NOT_FOUND", "message": unknown}});
    assert_eq!(ran.objects(), [expected]);
    cluster.run("lookup fyi36 7").await.exits(6);
}

#[tokio::test]
async fn holders_of_a_subseries_are_shown() {
    let cluster = Cluster::start().await;
    let _alice = sharing(&cluster).await;
    let ran = cluster.run("lookup bcp14 7 2119").await.exits(0);
    assert_eq!(ran.stderr, "BCP 14 is RFC 2119, RFC 8174\n");
    let shown: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("RFC ")).collect();
    assert_eq!(
        shown,
        [
            "RFC 2119: Words",
            "RFC 2119: Words",
            "RFC 8174: Capitals",
            "RFC 7: A Title"
        ]
    );
    let ran = cluster.run("lookup bcp14 --format txt --json").await.exits(6);
    let numbers: Vec<_> = ran.objects().iter().map(|object| object["number"].clone()).collect();
    assert_eq!(numbers, [2119, 8174]);
}

#[tokio::test]
async fn the_shell_takes_subseries() {
    let cluster = Cluster::start().await;
    let _alice = sharing(&cluster).await;
    let dora = cluster.folder("dora", &[]);
    let ran = typed(&cluster, &dora, "get std 97\nlookup BCP 14\nget fyi36\nget bcpx\n")
        .await
        .exits(0);
    assert_eq!(names(&dora), ["rfc9110.txt"]);
    assert!(ran.stdout.contains("RFC 8174: Capitals\n"), "{ran:#?}");
    for part in [
        "STD 97 is RFC 9110\n",
        "BCP 14 is RFC 2119, RFC 8174\n",
        "no active peer knows which RFCs FYI 36 is\n",
        "\"bcpx\" names no subseries; write bcp14, std97 or fyi36",
    ] {
        assert!(ran.stderr.contains(part), "no \"{part}\" in {ran:#?}");
    }
}

#[tokio::test]
async fn a_claim_that_would_fetch_half_of_all_rfcs_is_not_believed() {
    let cluster = Cluster::start().await;
    let files: Vec<(String, String)> = (1..=65)
        .map(|number| {
            let name = format!("rfc{number}.json");
            (name, record(number, "Words", &[], &[], &["BCP0014"]))
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let mallory = cluster.folder("mallory", &files);
    let _mallory = cluster.join("mallory", &mallory).await;
    let told_many = |ran: &Ran| ran.stderr == "BCP 14 is said to be 65 RFCs; somebody is wrong\n";
    let to = cluster.dir.path().join("to");
    let ran = told(
        &cluster,
        &format!("get bcp14 --format json --to {}", to.display()),
        told_many,
    )
    .await;
    ran.exits(3);
}
