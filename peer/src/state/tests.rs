//! Tests of the state folder, with real files and real locks.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn dir() -> (tempfile::TempDir, StateDir) {
    let temporary = tempfile::tempdir().unwrap();
    let args = StateArgs {
        state_dir: Some(temporary.path().join("state")),
    };
    let dir = StateDir::resolve(&args).unwrap();
    (temporary, dir)
}

fn state(port: u16) -> PeerState {
    PeerState {
        pid: 7,
        name: "alice".parse().unwrap(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        root: "/srv/rfc".to_owned(),
    }
}

#[test]
fn the_first_peer_is_in_peer_json_for_as_long_as_it_lives() {
    let (_temporary, dir) = dir();
    assert_eq!(dir.live_peers().unwrap(), []);
    let file = StateFile::create(&dir, &state(40_123)).unwrap();
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        fs::read_to_string(dir.path().join("peer.json")).unwrap(),
        "{\"pid\":7,\"name\":\"alice\",\"address\":\"127.0.0.1:40123\",\"root\":\"/srv/rfc\"}\n"
    );
    assert_eq!(dir.live_peers().unwrap(), [state(40_123)]);
    file.update(&state(40_124)).unwrap();
    assert_eq!(dir.live_peers().unwrap(), [state(40_124)]);
    drop(file);
    assert!(!dir.path().join("peer.json").exists());
    assert_eq!(dir.live_peers().unwrap(), []);
}

#[test]
fn peers_of_one_folder_do_not_touch_each_other() {
    let (_temporary, dir) = dir();
    let first = StateFile::create(&dir, &state(1)).unwrap();
    let second = StateFile::create(&dir, &state(2)).unwrap();
    assert_eq!(dir.live_peers().unwrap(), [state(1), state(2)]);
    drop(first);
    assert_eq!(dir.live_peers().unwrap(), [state(2)]);
    let third = StateFile::create(&dir, &state(3)).unwrap();
    assert_eq!(dir.live_peers().unwrap(), [state(3), state(2)]);
    drop((second, third));
    assert_eq!(dir.live_peers().unwrap(), []);
}

#[test]
fn what_a_crash_left_is_passed_over_and_replaced() {
    let (_temporary, dir) = dir();
    let file = StateFile::create(&dir, &state(1)).unwrap();
    let left = fs::read(dir.path().join("peer.json")).unwrap();
    drop(file);
    // As after SIGKILL: the file is there, and nobody holds its lock.
    fs::write(dir.path().join("peer.json"), left).unwrap();
    assert_eq!(dir.live_peers().unwrap(), []);
    let _file = StateFile::create(&dir, &state(2)).unwrap();
    assert_eq!(dir.live_peers().unwrap(), [state(2)]);
}

#[test]
fn a_file_that_makes_no_sense_is_told() {
    let (_temporary, dir) = dir();
    let _file = StateFile::create(&dir, &state(1)).unwrap();
    for text in [
        "",
        "{}",
        "\u{1b}",
        "{\"pid\":1,\"name\":\"\\u001b\",\"address\":\"127.0.0.1:1\",\"root\":\"\"}",
    ] {
        fs::write(dir.path().join("peer.json"), text).unwrap();
        let error = dir.live_peers().unwrap_err();
        assert!(
            error.to_string().starts_with("cannot read ") && error.to_string().len() < 300,
            "{error}"
        );
    }
}

#[test]
fn a_folder_that_is_a_file_is_told() {
    let (temporary, _) = dir();
    let path = temporary.path().join("file");
    fs::write(&path, "").unwrap();
    let dir = StateDir::resolve(&StateArgs { state_dir: Some(path) }).unwrap();
    assert!(
        StateFile::create(&dir, &state(1))
            .unwrap_err()
            .to_string()
            .starts_with("cannot create the state folder ")
    );
    assert!(dir.live_peers().is_err());
}

#[test]
fn peers_on_every_address_are_asked_on_loopback() {
    let at = |address: &str| {
        PeerState {
            address: address.parse().unwrap(),
            ..state(0)
        }
        .local_address()
        .to_string()
    };
    assert_eq!(at("0.0.0.0:1"), "127.0.0.1:1");
    assert_eq!(at("[::]:1"), "[::1]:1");
    assert_eq!(at("192.0.2.1:1"), "192.0.2.1:1");
}
