//! The layout of Debian's `doc-rfc` packages, read as it is.

use std::{fs, os::unix::fs::symlink};

use p2p_ci::document::Format;
use peer::library::SkipReason;

use crate::support::{Folder, assert_holds, bytes, held, key, packed, txt};

fn install(folder: &Folder) {
    fs::create_dir(folder.path("links")).unwrap();
    let files: [(&str, &[u8]); 7] = [
        ("unclassified/rfc1.txt.gz", &packed(&bytes(21_088))),
        ("unclassified/rfc1.html.gz", &packed(b"<html>one</html>")),
        ("unclassified/rfc1.json", br#"{"title":"Host Software "}"#),
        ("unclassified/rfc3.txt", b"short ones are not packed"),
        ("old/historic/rfc15.txt.gz", &packed(b"old ones lie deeper")),
        ("old/historic/rfc1305.tar.gz", b"of another kind"),
        ("old/historic/rfc1131-original.pdf.gz", b"of another name"),
    ];
    for (name, content) in files {
        folder.put(name, content);
        let link = folder.path("links").join(name.rsplit('/').next().unwrap());
        symlink(format!("../{name}"), link).unwrap();
    }
    folder.put("rfc-index.txt.gz", &packed(b"index"));
    folder.put("queue/draft-ietf-quic-v2-09.txt.gz", &packed(b"draft"));
}

#[test]
fn documents_are_read_from_all_folders_and_unpacked() {
    let folder = Folder::new();
    install(&folder);
    let (library, report) = folder.open();
    assert_eq!(held(&library), ["1.txt", "1.html", "1.json", "3.txt", "15.txt"]);
    assert_holds(&library, txt(1), &bytes(21_088));
    assert_holds(&library, txt(3), b"short ones are not packed");
    assert_holds(&library, txt(15), b"old ones lie deeper");
    assert_holds(&library, key(1, Format::Html), b"<html>one</html>");
    assert_eq!(report.hashed, 5, "a file and its link are read once");
    assert_eq!((report.shadowed, report.warnings.len()), (0, 0));
    assert_eq!(report.skipped.count(SkipReason::OtherName), 6);
    for format in [Format::Txt, Format::Html, Format::Json] {
        assert_eq!(library.get(key(1, format)).unwrap().title.as_str(), "Host Software");
    }
    let (_, report) = folder.open();
    assert_eq!((report.hashed, report.cached), (0, 5));
}

#[test]
fn a_packed_document_can_be_read_from_any_offset() {
    let folder = Folder::new();
    install(&folder);
    let (library, _) = folder.open();
    for offset in [0, 1, 10_000, 21_087, 21_088] {
        let rest = crate::support::read(&library, txt(1), offset).unwrap();
        assert_eq!(rest, bytes(21_088)[usize::try_from(offset).unwrap()..], "{offset}");
    }
}
