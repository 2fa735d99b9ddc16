//! Files that are not what RFCs usually are.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, net::UnixListener},
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};

use p2p_ci::limits::MAX_DOCUMENT_BYTES;
use peer::library::SkipReason;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Folder, PATIENCE, assert_holds, bytes, held, now, packed, txt};

#[test]
fn an_empty_file_is_a_document() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"");
    folder.put("rfc2.txt.gz", &packed(b""));
    let (library, _) = folder.open();
    assert_holds(&library, txt(1), b"");
    assert_holds(&library, txt(2), b"");
}

#[test]
fn bytes_are_kept_whatever_they_are() {
    let folder = Folder::new();
    let contents: [&[u8]; 7] = [
        b"\xef\xbb\xbfwith a byte order mark\r\n",
        b"with \x1b[31mescapes\x1b[0m and \x07",
        b"with \0 zeros \0\0",
        b"not UTF-8: \xe9\xff\xfe\x80",
        b"\x0c\x0c\n\r\r\n",
        b"no line end",
        b"\n",
    ];
    for (number, content) in (1_u32..).zip(contents) {
        folder.put(&format!("rfc{number}.txt"), content);
    }
    let (library, _) = folder.open();
    for (number, content) in (1_u32..).zip(contents) {
        assert_holds(&library, txt(number), content);
    }
}

#[test]
fn the_largest_document_is_shared_and_one_byte_more_is_not() {
    let folder = Folder::new();
    let length = usize::try_from(MAX_DOCUMENT_BYTES).unwrap();
    folder.put("rfc1.txt", &bytes(length));
    folder.put("rfc2.txt", &bytes(length + 1));
    File::create(folder.path("rfc3.txt")).unwrap().set_len(1 << 40).unwrap();
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["1.txt"]);
    assert_holds(&library, txt(1), &bytes(length));
    assert_eq!(report.skipped.count(SkipReason::TooLarge), 2);
}

#[test]
fn packed_files_are_bounded_and_must_be_sound() {
    let folder = Folder::new();
    let sound = packed(&bytes(50_000));
    folder.put("rfc1.txt.gz", &packed(&vec![b' '; 1_000_000]));
    folder.put("rfc2.txt.gz", &sound[..sound.len() - 9]);
    folder.put("rfc3.txt.gz", b"not packed at all");
    folder.put("rfc4.txt.gz", b"");
    let mut damaged = sound.clone();
    damaged[20] ^= 0xff;
    folder.put("rfc5.txt.gz", &damaged);
    folder.put("rfc6.txt.gz", &[sound.clone(), packed(b"and a second member")].concat());
    let mut trailed = sound.clone();
    trailed.extend_from_slice(b"something else");
    folder.put("rfc7.txt.gz", &trailed);
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["6.txt"]);
    assert_holds(
        &library,
        txt(6),
        &[bytes(50_000), b"and a second member".to_vec()].concat(),
    );
    assert_eq!(
        report.skipped.count(SkipReason::TooLarge),
        1,
        "unpacks to 1,000 times its size"
    );
    assert_eq!(report.skipped.count(SkipReason::BadGzip), 5);
    assert_eq!(library.rescan().unwrap().hashed, 0, "what is damaged is not read again");
}

#[test]
fn pipes_sockets_and_folders_of_that_name_do_not_stop_a_scan() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"x");
    mknodat(CWD, folder.path("rfc2.txt"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    mknodat(CWD, folder.path("rfc3.txt.gz"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    std::os::unix::fs::symlink("rfc2.txt", folder.path("rfc4.txt")).unwrap();
    let _socket = UnixListener::bind(folder.path("rfc5.txt")).unwrap();
    fs::create_dir(folder.path("rfc6.txt")).unwrap();
    let (done, is_done) = mpsc::channel();
    let root = folder.root();
    let state = folder.state();
    thread::spawn(move || done.send(peer::library::Library::open(&root, &state, &|_| {})));
    let (library, report) = is_done.recv_timeout(PATIENCE).expect("the scan hangs").unwrap();
    assert_eq!(held(&library), ["1.txt"]);
    assert_eq!(report.skipped.count(SkipReason::Special), 4);
}

#[test]
fn names_that_are_not_utf8_are_ignored() {
    let folder = Folder::new();
    File::create(folder.root().join(OsStr::from_bytes(b"rfc1\xff.txt"))).unwrap();
    File::create(folder.root().join(OsStr::from_bytes(b"\xe9"))).unwrap();
    let (library, report) = folder.open();
    assert!(library.snapshot().is_empty());
    assert_eq!(report.skipped.count(SkipReason::NotUtf8), 2);
}

#[test]
fn names_with_escapes_do_not_reach_a_terminal() {
    let folder = Folder::new();
    folder.put("a\u{1b}[2J\u{202e}/rfc1.txt", b"one");
    folder.put("b\u{1b}[2J\n/rfc1.txt", b"two");
    folder.put("b\u{1b}[2J\n/rfc2.txt.gz", b"damaged");
    let (_, report) = folder.open();
    let shown = format!("{} {}", report.warnings.join(" "), report.skipped);
    assert!(shown.contains("\\u{1b}") && shown.contains("\\u{202e}"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\n']), "{shown:?}");
}

#[test]
fn a_file_that_was_just_written_waits_until_it_has_settled() {
    let folder = Folder::new();
    fs::write(folder.path("rfc1.txt"), b"fresh").unwrap();
    folder.put("rfc2.txt", b"old");
    let start = now();
    let (library, report) = folder.open();
    assert!(
        start.elapsed() >= Duration::from_millis(500),
        "opened after {:?}",
        start.elapsed()
    );
    assert_eq!(held(&library), ["1.txt", "2.txt"]);
    assert_eq!((report.hashed, report.cached, report.added.len()), (2, 0, 2));
    assert_eq!(report.skipped.count(SkipReason::BeingWritten), 0);
}

#[test]
fn a_file_from_the_future_is_shared_once_it_was_left_alone() {
    let folder = Folder::new();
    let file = File::create(folder.path("rfc1.txt")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400))
        .unwrap();
    let (library, _) = folder.open();
    assert_holds(&library, txt(1), b"");
}

#[test]
fn a_file_that_grows_is_announced_when_it_has_stopped() {
    let folder = Folder::new();
    let path = folder.path("rfc1.txt");
    let mut file = File::create(&path).unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
            file.write_all(&[b'a'; 4_096]).unwrap();
        }
    });
    let (library, report) = folder.open();
    assert_eq!(report.skipped.count(SkipReason::BeingWritten), 1);
    for _ in 0..3 {
        assert!(!library.rescan().unwrap().is_changed());
    }
    stop.send(()).unwrap();
    writer.join().unwrap();
    library.rescan().unwrap();
    assert_holds(&library, txt(1), &fs::read(&path).unwrap());
}
