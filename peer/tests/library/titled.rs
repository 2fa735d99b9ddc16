//! Titles.

use std::{fs, path::PathBuf};

use p2p_ci::document::Format;

use crate::support::{Folder, key, txt};

fn sample(name: &str) -> Vec<u8> {
    let samples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../xtask/samples");
    let folders = ["alice", "bob", "carol"].map(|peer| samples.join(peer).join(name));
    let path = folders
        .iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("no sample {name}"));
    fs::read(path).unwrap()
}

#[test]
fn texts_of_five_decades_tell_their_titles() {
    let titles = [
        (1, "Host Software"),
        (101, "NOTES ON THE NETWORK WORKING GROUP MEETING"),
        (734, "SUPDUP Protocol"),
        (768, "User Datagram Protocol"),
        (791, "INTERNET PROTOCOL"),
        (
            1149,
            "A Standard for the Transmission of IP Datagrams on Avian Carriers",
        ),
        (
            1917,
            "An Appeal to the Internet Community to Return Unused IP Networks (Prefixes) to the IANA",
        ),
        (1918, "Address Allocation for Private Internets"),
        (2119, "Key words for use in RFCs to Indicate Requirement Levels"),
        (2324, "Hyper Text Coffee Pot Control Protocol (HTCPCP/1.0)"),
        (2616, "Hypertext Transfer Protocol -- HTTP/1.1"),
        (8174, "Ambiguity of Uppercase vs Lowercase in RFC 2119 Key Words"),
        (9000, "QUIC: A UDP-Based Multiplexed and Secure Transport"),
        (9110, "HTTP Semantics"),
    ];
    let folder = Folder::new();
    for (number, _) in titles {
        folder.put(&format!("rfc{number}.txt"), &sample(&format!("rfc{number}.txt")));
    }
    let (library, _) = folder.open();
    for (number, title) in titles {
        assert_eq!(library.get(txt(number)).unwrap().title.as_str(), title, "RFC {number}");
    }
}

#[test]
fn the_metadata_record_beats_the_text_and_names_all_formats() {
    let folder = Folder::new();
    folder.put("rfc1149.txt", &sample("rfc1149.txt"));
    folder.put("rfc1149.json", &sample("rfc1149.json"));
    folder.put("rfc1149.html", b"<html>");
    let (library, _) = folder.open();
    for format in [Format::Txt, Format::Json, Format::Html] {
        assert_eq!(
            library.get(key(1149, format)).unwrap().title.as_str(),
            "Standard for the transmission of IP datagrams on avian carriers"
        );
    }
    fs::remove_file(folder.path("rfc1149.json")).unwrap();
    let report = library.rescan().unwrap();
    assert_eq!(report.changed, [txt(1149), key(1149, Format::Html)]);
    assert!(
        library
            .get(txt(1149))
            .unwrap()
            .title
            .as_str()
            .starts_with("A Standard for")
    );
}

#[test]
fn odd_records_fall_through_to_the_text() {
    let large = format!("{{\"title\":\"large\",\"abstract\":\"{}\"}}", "a".repeat(1024 * 1024));
    let records: [&[u8]; 13] = [
        b"",
        b"null",
        b"[]",
        b" [\"one\"]",
        b"{}",
        b"{\"title\":",
        b"{\"title\":null}",
        b"{\"title\":7}",
        b"{\"title\":NaN}",
        b"{\"title\":\"one\",\"title\":\"two\"}",
        b"{\"title\":\"\\ud800\"}",
        b"{\"title\":\"\xff\"}",
        large.as_bytes(),
    ];
    let folder = Folder::new();
    for (number, record) in (1_u32..).zip(records) {
        folder.put(&format!("rfc{number}.json"), record);
        folder.put(&format!("rfc{number}.txt"), &sample("rfc768.txt"));
    }
    let (library, _) = folder.open();
    for (number, record) in (1_u32..).zip(records) {
        let title = library.get(txt(number)).unwrap().title;
        assert_eq!(
            title.as_str(),
            "User Datagram Protocol",
            "{}",
            String::from_utf8_lossy(&record[..record.len().min(60)])
        );
        assert!(
            library.get(key(number, Format::Json)).is_some(),
            "the record is a document all the same"
        );
    }
}

#[test]
fn a_record_nested_ten_thousand_deep_does_no_harm() {
    let folder = Folder::new();
    let deep = format!(
        "{{\"x\":{}1{},\"title\":\"deep\"}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    folder.put("rfc1.json", deep.as_bytes());
    folder.put("rfc2.json", &deep.as_bytes()[..5_000]);
    let (library, _) = folder.open();
    assert_eq!(library.get(key(1, Format::Json)).unwrap().title.as_str(), "deep");
    assert_eq!(library.get(key(2, Format::Json)).unwrap().title.as_str(), "");
}

#[test]
fn titles_of_records_are_folded_bounded_and_clean() {
    let folder = Folder::new();
    let long = "é".repeat(1_000);
    let records = [
        (
            "\u{feff}{\"title\":\"  AT&T/Neda's  \\n Protocol \"}".to_owned(),
            "AT&T/Neda's Protocol".to_owned(),
        ),
        (
            "{\"title\":\"\\u001b]0;x\\u0007 <script>\"}".to_owned(),
            "]0;x <script>".to_owned(),
        ),
        (format!("{{\"title\":\"{long}\"}}"), "é".repeat(256)),
    ];
    for (number, (record, _)) in (1_u32..).zip(&records) {
        folder.put(&format!("rfc{number}.json"), record.as_bytes());
    }
    let (library, _) = folder.open();
    for (number, (_, title)) in (1_u32..).zip(&records) {
        assert_eq!(library.get(key(number, Format::Json)).unwrap().title.as_str(), title);
    }
}

#[test]
fn texts_without_a_title_have_none() {
    let folder = Folder::new();
    let long = "word ".repeat(2_000);
    let texts: [&[u8]; 8] = [
        b"",
        b"\n\n\n",
        b"just some text\n\nand more\n",
        b"Request for Comments: 1\n\n\nAbstract\n\n   This is about something.\n",
        b"Request for Comments: 1\n\n\nthis text starts with a sentence, as some do.\n",
        b"\xff\xfe\x00\x00\x1b[31m",
        long.as_bytes(),
        b"RFC 1\x0c\x0c\r\r\n   \t  \n",
    ];
    for (number, text) in (1_u32..).zip(texts) {
        folder.put(&format!("rfc{number}.txt"), text);
    }
    let (library, _) = folder.open();
    for (number, text) in (1_u32..).zip(texts) {
        let title = library.get(txt(number)).unwrap().title;
        assert_eq!(
            title.as_str(),
            "",
            "{}",
            String::from_utf8_lossy(&text[..text.len().min(40)])
        );
    }
}

#[test]
fn a_title_may_take_several_lines_and_blocks() {
    let folder = Folder::new();
    let head = "Network Working Group                    A. Author\nRequest for Comments: 1        Institute\n\n";
    let texts = [
        (
            "          A Very Long Title That\n               Takes Two Lines\n\nAbstract\n",
            "A Very Long Title That Takes Two Lines",
        ),
        (
            "          A Protocol (ABC) --\n\n        Version 1\n\nAbstract\n",
            "A Protocol (ABC) -- Version 1",
        ),
        (
            "          Multi-\n          Line\n          ----\n\nStatus\n",
            "Multi-Line",
        ),
        (
            "                                          May 1999\n\n     Title: Labelled\n\n",
            "Labelled",
        ),
        ("\u{c}\r\n\r\n\tTabbed Title\r\n\r\n1. Introduction\r\n", "Tabbed Title"),
    ];
    for (number, (text, _)) in (1_u32..).zip(texts) {
        folder.put(&format!("rfc{number}.txt"), format!("{head}{text}").as_bytes());
    }
    let (library, _) = folder.open();
    for (number, (text, title)) in (1_u32..).zip(texts) {
        assert_eq!(library.get(txt(number)).unwrap().title.as_str(), title, "{text}");
    }
}
