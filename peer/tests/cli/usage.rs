//! Command lines that make no sense: exit code 2, and a line that says why.

use crate::support::{assert_harmless, peer, run};

#[track_caller]
fn told(ran: &crate::support::Ran, what: &str) {
    assert!(ran.stderr.contains(what), "{ran:#?}");
    assert!(ran.stdout.is_empty(), "{ran:#?}");
    assert_harmless(&ran.stderr);
}

#[tokio::test]
async fn mistakes_are_told_with_exit_code_2() {
    let table: [(&[&str], &str); 14] = [
        (&[], "Usage: peer"),
        (&["--nonsense"], "--nonsense"),
        (&["lokup", "5"], "'lookup'"),
        (&["lookup"], "<N>"),
        (&["lookup", "rfc-2616x"], "\"rfc-2616x\" is no RFC number"),
        (&["lookup", "0"], "start at 1"),
        (&["lookup", "4294967296"], "larger than any RFC number"),
        (&["lookup", "5", "--format", "ps"], "no format"),
        (&["list", "9-1"], "ends before it starts"),
        (&["list", "1-99999999999"], "larger than any RFC number"),
        (
            &["list", "--peer", "no such\u{1b}[2J"],
            "--peer takes the name or the id",
        ),
        (&["--registry", "https://registry", "peers"], "https is not supported"),
        (&["--registry", "ftp://registry", "peers"], "no registry address"),
        (
            &["join", ".", "--advertise", "1.2.3.4:5", "--advertise-port", "2000"],
            "cannot be used with",
        ),
    ];
    for (args, what) in table {
        let ran = run(peer().args(args)).await.exits(2);
        told(&ran, what);
    }
}

#[tokio::test]
async fn help_tells_everything_with_exit_code_0() {
    let ran = run(peer().arg("--help")).await.exits(0);
    for command in [
        "join",
        "get",
        "mirror",
        "lookup",
        "list",
        "peers",
        "watch",
        "shell",
        "healthcheck",
    ] {
        assert!(
            ran.stdout.contains(&format!("\n  {command} ")),
            "{command} is not in\n{}",
            ran.stdout
        );
        let ran = run(peer().args([command, "--help"])).await.exits(0);
        assert!(ran.stdout.contains("Usage: peer"), "{ran:#?}");
    }
    assert!(ran.stdout.contains("3 not found"));
    run(peer().arg("--version")).await.exits(0);
}

#[tokio::test]
async fn no_folder_for_state_is_told() {
    let ran = run(peer()
        .arg("healthcheck")
        .env_remove("HOME")
        .env_remove("XDG_STATE_HOME"))
    .await
    .exits(2);
    told(&ran, "--state-dir");
}
