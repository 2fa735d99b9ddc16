//! Files that change while they are served: nobody gets a whole document of wrong bytes, or a byte from elsewhere.

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use p2p_ci::{digest::Sha256, limits::CHUNK_BYTES};
use peer::library::{DocumentReader, Library, LibraryError};

use crate::support::{Folder, assert_holds, bytes, long_ago, put, txt};

/// Bytes of a document of several chunks.
const LONG: usize = 3 * CHUNK_BYTES + 100;

/// A library with one long document of which the first chunk has been read.
fn half_read(folder: &Folder) -> (Library, DocumentReader) {
    folder.put("rfc1.txt", &bytes(LONG));
    let (library, _) = folder.open();
    let mut reader = library.read(txt(1), 0).unwrap();
    assert_eq!(reader.next_chunk().unwrap().unwrap().len(), CHUNK_BYTES);
    (library, reader)
}

/// The same of a document whose file had been left alone for so long that its identity is proof enough.
fn half_read_by_identity(folder: &Folder) -> (Library, DocumentReader) {
    fs::write(folder.path("rfc1.txt"), bytes(LONG)).unwrap();
    let (library, _) = folder.open();
    let mut reader = library.read(txt(1), 0).unwrap();
    assert_eq!(reader.next_chunk().unwrap().unwrap().len(), CHUNK_BYTES);
    (library, reader)
}

/// What is read until the error.
fn rest(reader: &mut DocumentReader) -> (usize, LibraryError) {
    let mut count = 0;
    loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => count += chunk.len(),
            Ok(None) => panic!("read to a good end"),
            Err(error) => return (count, error),
        }
    }
}

#[track_caller]
fn assert_withdrawn(library: &Library, reader: &mut DocumentReader) {
    let version = library.version();
    let (count, error) = rest(reader);
    assert!(matches!(error, LibraryError::Changed(key) if key == txt(1)), "{error}");
    assert!(CHUNK_BYTES + count < LONG, "the last chunk must not be handed out");
    assert!(reader.next_chunk().unwrap().is_none(), "nothing follows");
    assert!(version.has_changed().unwrap(), "the change is told");
    assert_eq!(library.get(txt(1)), None, "and the document withdrawn");
}

#[test]
fn bytes_altered_in_place_are_not_served_to_the_end() {
    let folder = Folder::new();
    let (library, mut reader) = half_read(&folder);
    let file = File::options().write(true).open(folder.path("rfc1.txt")).unwrap();
    file.write_all_at(b"!", u64::try_from(LONG - 1).unwrap()).unwrap();
    assert_withdrawn(&library, &mut reader);
    let report = library.rescan().unwrap();
    assert_eq!((report.hashed, report.added), (1, vec![txt(1)]));
    let altered = fs::read(folder.path("rfc1.txt")).unwrap();
    assert_holds(&library, txt(1), &altered);
}

#[test]
fn a_file_cut_short_ends_the_reading() {
    let folder = Folder::new();
    let (library, mut reader) = half_read(&folder);
    let file = File::options().write(true).open(folder.path("rfc1.txt")).unwrap();
    file.set_len(u64::try_from(CHUNK_BYTES + 10).unwrap()).unwrap();
    assert_withdrawn(&library, &mut reader);
}

#[test]
fn a_file_that_grew_ends_the_reading() {
    let folder = Folder::new();
    let (library, mut reader) = half_read(&folder);
    let mut file = File::options().append(true).open(folder.path("rfc1.txt")).unwrap();
    file.write_all(b"more").unwrap();
    assert_withdrawn(&library, &mut reader);
}

#[test]
fn bytes_before_the_offset_count_too() {
    let folder = Folder::new();
    folder.put("rfc1.txt", &bytes(LONG));
    let (library, _) = folder.open();
    let mut reader = library.read(txt(1), u64::try_from(LONG - 1).unwrap()).unwrap();
    let file = File::options().write(true).open(folder.path("rfc1.txt")).unwrap();
    file.write_all_at(b"!", 7).unwrap();
    let (count, error) = rest(&mut reader);
    assert!(matches!(error, LibraryError::Changed(_)));
    assert_eq!(count, 0);
}

#[test]
fn a_file_changed_between_two_requests_is_not_opened() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"before");
    let (library, _) = folder.open();
    folder.put("rfc1.txt", b"after!");
    assert!(matches!(library.read(txt(1), 0), Err(LibraryError::Changed(_))));
    assert!(
        matches!(library.read(txt(1), 0), Err(LibraryError::NotFound(_))),
        "withdrawn by now"
    );
    library.rescan().unwrap();
    assert_holds(&library, txt(1), b"after!");
}

/// Another name, or other permissions: neither changes a byte.
fn touch(folder: &Folder, name: &str) {
    fs::hard_link(folder.path("rfc1.txt"), folder.outside(name)).unwrap();
    fs::set_permissions(folder.path("rfc1.txt"), Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_file_that_gets_another_name_is_served_on() {
    let folder = Folder::new();
    let (library, mut reader) = half_read_by_identity(&folder);
    let version = library.version();
    touch(&folder, "meanwhile");
    let mut count = CHUNK_BYTES;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        count += chunk.len();
    }
    assert_eq!(count, LONG);
    touch(&folder, "between");
    assert_holds(&library, txt(1), &bytes(LONG));
    fs::remove_file(folder.outside("between")).unwrap();
    assert_holds(&library, txt(1), &bytes(LONG));
    assert!(!version.has_changed().unwrap());
}

#[test]
fn bytes_altered_by_somebody_who_sets_the_time_back_are_not_served_to_the_end() {
    for is_open in [true, false] {
        let folder = Folder::new();
        let (library, reader) = half_read_by_identity(&folder);
        let path = folder.path("rfc1.txt");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        // What was handed out already, so that only a look at all of it tells.
        file.write_all_at(b"!", 7).unwrap();
        file.set_modified(modified).unwrap();
        let mut reader = if is_open {
            reader
        } else {
            library.read(txt(1), 0).unwrap()
        };
        let (count, error) = rest(&mut reader);
        assert!(
            matches!(error, LibraryError::Changed(_)) && count < LONG,
            "{count} {error}"
        );
        assert_eq!(library.get(txt(1)), None);
    }
}

#[test]
fn a_file_swapped_for_a_link_to_elsewhere_is_not_followed() {
    let folder = Folder::new();
    folder.put("rfc1.txt", b"mine");
    let (library, _) = folder.open();
    fs::remove_file(folder.path("rfc1.txt")).unwrap();
    symlink("/etc/passwd", folder.path("rfc1.txt")).unwrap();
    let error = library.read(txt(1), 0).unwrap_err();
    assert!(matches!(error, LibraryError::Read { .. }), "{error}");
    assert!(
        !error.to_string().contains(folder.root().to_str().unwrap()),
        "others need not know the path: {error}"
    );
    assert_eq!(library.get(txt(1)), None);
}

#[test]
fn a_file_replaced_while_it_is_read_is_served_as_it_was() {
    let folder = Folder::new();
    let (library, mut reader) = half_read(&folder);
    let new = put(&folder.outside("new"), b"new");
    fs::rename(new, folder.path("rfc1.txt")).unwrap();
    let mut count = CHUNK_BYTES;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        count += chunk.len();
    }
    assert_eq!(count, LONG, "one descriptor from the first byte to the last");
    assert!(matches!(library.read(txt(1), 0), Err(LibraryError::Changed(_))));
}

/// Does to the file, a hundred times a second, what breaks naive servers. Everything is dated back, so that a look at
/// the folder need not wait for it to settle.
fn mutate(path: &Path, elsewhere: &Path, good: &[u8], stop: &AtomicBool) {
    for round in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        match round % 5 {
            0 => {
                let file = File::options().write(true).open(path).unwrap();
                file.write_all_at(b"EVIL", round % 1_000).unwrap();
                file.set_modified(long_ago()).unwrap();
            }
            1 => {
                let file = File::options().write(true).open(path).unwrap();
                file.set_len(round % 3_000).unwrap();
                file.set_modified(long_ago()).unwrap();
            }
            2 => {
                fs::remove_file(path).unwrap();
                symlink(elsewhere, path).unwrap();
            }
            3 => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
                fs::remove_dir(path).unwrap();
            }
            _ => {
                put(path, good);
                // Long enough to be found whole, announced and served.
                thread::sleep(Duration::from_millis(100));
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// One get: the announced digest and the bytes, if it comes to a good end.
fn get(library: &Library) -> Result<(Sha256, Vec<u8>), LibraryError> {
    let mut reader = library.read(txt(1), 0)?;
    let announced = reader.header().id.sha256;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        assert_ne!(chunk[0], b's', "a byte from outside");
        bytes.extend_from_slice(&chunk);
    }
    Ok((announced, bytes))
}

#[test]
fn a_thousand_gets_of_a_file_under_attack_are_right_or_refused() {
    let folder = Folder::new();
    let good = vec![b'g'; 400_000];
    let secret = put(&folder.outside("secret"), &[b's'; 400_000]);
    let path = folder.put("rfc1.txt", &good);
    let (library, _) = folder.open();
    let stop = AtomicBool::new(false);
    let mut served = 0;
    thread::scope(|scope| {
        scope.spawn(|| mutate(&path, &secret, &good, &stop));
        for _ in 0..1_000 {
            match get(&library) {
                // What was announced may be any state of the file; what is served is that state.
                Ok((announced, bytes)) => {
                    assert_eq!(Sha256::of(&bytes), announced);
                    served += 1;
                }
                Err(LibraryError::NotFound(_)) => drop(library.rescan()),
                Err(LibraryError::Changed(_) | LibraryError::Read { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(served > 0, "none was served, so nothing was tried");
    // It may be a link by now, through which one would write elsewhere, or gone.
    drop(fs::remove_file(&path));
    put(&path, &good);
    library.rescan().unwrap();
    assert_holds(&library, txt(1), &good);
}
