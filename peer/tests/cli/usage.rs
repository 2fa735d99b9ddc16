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
    let table: [(&[&str], &str); 42] = [
        (&[], "Usage: peer"),
        (&["--nonsense"], "--nonsense"),
        (&["lokup", "5"], "'lookup'"),
        (&["lookup"], "<N>"),
        (&["lookup", "rfc-2616x"], "\"rfc-2616x\" is no RFC number"),
        (&["lookup", "0"], "start at 1"),
        (&["lookup", "4294967296"], "larger than any RFC number"),
        (&["lookup", "5", "--format", "ps"], "no format"),
        (&["lookup", "1-10"], "1-10 is a range; `peer list 1-10` shows ranges"),
        (&["lookup", "-5"], "RFC numbers start at 1"),
        (&["get", "-5"], "RFC numbers start at 1; write 5, or 1-5"),
        (&["get", "9110,9111"], "separate with spaces: 9110 9111"),
        (&["get", "1..10"], "for a range, write 1-10"),
        (
            &["get", "rfc5.txt", "--format", "html"],
            "a file name says txt, but --format says html",
        ),
        (&["get", "1-1001"], "more than 1000 RFCs; `peer mirror`"),
        (&["mirror", "rfcs"], "did you mean --to rfcs?"),
        (&["mirror", "/tmp/1"], "did you mean --to /tmp/1?"),
        (&["mirror", "rfc-2616x"], "is no RFC number"),
        (
            &["join", ".", "--listen", "5000"],
            "use IP:PORT, for example 127.0.0.1:5000",
        ),
        (
            &["join", ".", "--max-upload", "fast"],
            "write bytes per second as 500k, 2M",
        ),
        (&["mirror", "--max-upload", "0"], "leave the option out for no cap"),
        (&["shell", "--max-upload", "8"], "less than 32k a second"),
        (
            &["join", ".", "--max-upload", "9999999T"],
            "more than any network carries",
        ),
        (&["join", ".", "--max-upload", "1\u{1b}[2J"], "no rate"),
        (&["join", ".", "--max-uploads", "0"], "0"),
        (&["join", ".", "--listen", "127.0.0.1:80"], "--listen names port 80"),
        (&["mirror", "--listen", "[::1]:1023"], "name that with --advertise-port"),
        (&["join", ".", "--name", ""], "name"),
        (&["join", ".", "--name", "a\u{1b}[2J"], "name"),
        (&["join", ".", "--advertise", "192.0.2.7:22"], "port from 1024 on"),
        (&["join", ".", "--advertise", "0.0.0.0:5000"], "nobody can be told that"),
        (
            &["join", ".", "--advertise", "[ff02::1]:5000"],
            "nobody can be told that",
        ),
        (&["join", ".", "--allow-from", "10.0.0.0/99"], "--allow-from"),
        (&["get", "1", "--from", ""], "no peer's name, id or address"),
        (&["get", "1", "--from", "a b\u{1b}[2J"], "no peer's name, id or address"),
        (&["get", "1", "--sha256", "xyz"], "--sha256"),
        (&["list", "9-1"], "ends before it starts"),
        (&["list", "1-99999999999"], "larger than any RFC number"),
        (
            &["list", "--peer", "no such\u{1b}[2J"],
            "--peer takes the name or the id",
        ),
        (&["--registry", "https://registry", "peers"], "https is not supported"),
        (&["--registry", "ftp://registry", "peers"], "no registry address"),
        (
            &["join", ".", "--advertise", "1.2.3.4:5000", "--advertise-port", "2000"],
            "cannot be used with",
        ),
    ];
    for (args, what) in table {
        let ran = run(peer().args(args)).await.exits(2);
        told(&ran, what);
    }
}

#[tokio::test]
async fn mistakes_about_subseries_and_what_is_followed_are_told() {
    let table: [(&[&str], &str); 9] = [
        (
            &["get", "1", "--follow", "--sha256", "ab"],
            "'--follow' cannot be used with '--sha256 <PREFIX>'",
        ),
        (&["get", "1-1001", "--follow"], "more than 1000 RFCs; `peer mirror`"),
        (
            &["get", "bcpx"],
            "\"bcpx\" names no subseries; write bcp14, std97 or fyi36",
        ),
        (&["get", "bcp"], "\"bcp\" names no subseries"),
        (&["get", "bcp0"], "\"bcp0\" names no subseries"),
        (&["get", "BCP", "14"], "\"BCP\" names no subseries"),
        (&["get", "bcp14,std97"], "separate with spaces: bcp14 std97"),
        (&["get", "ien1"], "\"ien1\" is no RFC number"),
        (&["lookup", "std\u{1b}[2J"], "names no subseries"),
    ];
    for (args, what) in table {
        told(&run(peer().args(args)).await.exits(2), what);
    }
}

#[tokio::test]
async fn help_tells_everything_with_exit_code_0() {
    let ran = run(peer().arg("--help")).await.exits(0);
    for command in [
        "join",
        "get",
        "mirror",
        "export",
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

#[tokio::test]
async fn an_empty_registry_in_the_environment_counts_as_none() {
    let ran = run(peer().arg("peers").env("P2PCI_REGISTRY", "")).await;
    // A registry may well run at the usual address.
    assert!(matches!(ran.code, Some(0 | 4)), "{ran:#?}");
    let ran = run(peer().args(["peers", "--registry", ""])).await.exits(2);
    told(&ran, "no registry address");
}

#[tokio::test]
async fn an_empty_state_folder_in_the_environment_counts_as_none() {
    let home = tempfile::tempdir().unwrap();
    let ran = run(peer()
        .arg("healthcheck")
        .env("P2PCI_STATE_DIR", "")
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME"))
    .await
    .exits(1);
    assert!(!ran.stderr.contains("state-dir"), "{ran:#?}");
}

#[tokio::test]
async fn a_cap_in_the_environment_counts_for_those_who_share_and_an_empty_one_for_nobody() {
    for command in ["join", "mirror", "shell"] {
        let help = run(peer().args([command, "--help"])).await.exits(0);
        assert!(help.stdout.contains("[env: P2PCI_MAX_UPLOAD=]"), "{help:#?}");
    }
    let join = ["join", "/nowhere/at/all"];
    let ran = run(peer().args(join).env("P2PCI_MAX_UPLOAD", "0")).await.exits(2);
    told(&ran, "leave the option out for no cap");
    let ran = run(peer().args(join).env("P2PCI_MAX_UPLOAD", "")).await.exits(1);
    assert!(ran.stderr.contains("/nowhere/at/all"), "{ran:#?}");
}

#[tokio::test]
async fn help_tells_of_options_what_they_do_for_that_command() {
    let help = run(peer().args(["healthcheck", "--help"])).await.exits(0);
    assert!(!help.stdout.contains("--registry"), "{help:#?}");
    let help = run(peer().args(["mirror", "--help"])).await.exits(0);
    assert!(help.stdout.contains("one object that sums up"), "{help:#?}");
}
