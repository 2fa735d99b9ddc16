//! File names.

use p2p_ci::document::{Format, RfcNumber};
use peer::library::FileName;
use proptest::prelude::*;

fn parsed(name: &str) -> Option<(u32, Format, bool, bool)> {
    let name = FileName::parse(name)?;
    Some((name.key.number.get(), name.key.format, name.padded, name.compressed))
}

#[test]
fn documents_are_recognised_in_every_usual_spelling() {
    let cases = [
        ("rfc791.txt", (791, Format::Txt, false, false)),
        ("rfc0791.txt", (791, Format::Txt, true, false)),
        ("RFC791.TXT", (791, Format::Txt, false, false)),
        ("Rfc791.Txt", (791, Format::Txt, false, false)),
        ("rfc9999.html", (9999, Format::Html, false, false)),
        ("rfc10000.pdf", (10_000, Format::Pdf, false, false)),
        ("rfc10052.txt", (10_052, Format::Txt, false, false)),
        ("rfc100000.xml", (100_000, Format::Xml, false, false)),
        ("rfc4294967295.json", (u32::MAX, Format::Json, false, false)),
        ("rfc0000000791.txt", (791, Format::Txt, true, false)),
        ("rfc791.txt.gz", (791, Format::Txt, false, true)),
        ("rfc1.HTML.GZ", (1, Format::Html, false, true)),
    ];
    for (name, expected) in cases {
        assert_eq!(parsed(name), Some(expected), "{name}");
    }
    assert!(FileName::parse("rfc791.txt").unwrap().lower_case);
    assert!(!FileName::parse("RFC791.TXT").unwrap().lower_case);
}

#[test]
fn everything_else_is_no_document() {
    let names = [
        "",
        "rfc",
        "rfc.txt",
        "rfc1",
        "rfc1.",
        "rfc1.tx",
        "rfc1.txtx",
        "rfc1.txt.",
        "rfc1.gz",
        "rfc1.txt.gz.gz",
        "rfc1.tar.gz",
        "rfc791(1).txt",
        "rfc791.txt~",
        ".rfc1.txt.part",
        "rfc-index.txt",
        "rfc8650-8659-range.txt",
        "rfc17a.txt",
        "rfc1131-original.pdf.gz",
        "rfc-1.txt",
        "rfc 1.txt",
        " rfc1.txt",
        "rfc1 .txt",
        "rfc0.txt",
        "rfc0000.txt",
        "rfc4294967296.txt",
        "rfc00000000001.txt",
        "rfc+1.txt",
        "rfc1e3.txt",
        "rfc٣.txt",
        "ŕfc1.txt",
        "rf\u{e9}1.txt",
        "bcp14.txt",
        "std1.txt",
        "rfc1.txt/x",
        "rfc1.ps",
        "rfc1.md",
        "rfc1..txt",
        "rfc1.txt\0",
        "rfc1.txt\n",
    ];
    for name in names {
        assert_eq!(parsed(name), None, "{name:?}");
    }
}

/// The grammar once more, by other means.
fn model(name: &str) -> Option<(u32, Format, bool, bool)> {
    let name = name.to_ascii_lowercase();
    let (name, compressed) = name
        .strip_suffix(".gz")
        .map_or((name.as_str(), false), |name| (name, true));
    let (stem, extension) = name.rsplit_once('.')?;
    let digits = stem.strip_prefix("rfc")?;
    let is_number = (1..=10).contains(&digits.len()) && digits.chars().all(|digit| "0123456789".contains(digit));
    let number: u64 = is_number.then(|| digits.bytes().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))?;
    let number = u32::try_from(number).ok().filter(|number| *number > 0)?;
    let format = match extension {
        "txt" => Format::Txt,
        "html" => Format::Html,
        "pdf" => Format::Pdf,
        "xml" => Format::Xml,
        "json" => Format::Json,
        _ => return None,
    };
    Some((number, format, digits.starts_with('0'), compressed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_parser_agrees_with_its_grammar(name in "\\PC{0,24}|[rR][fF][cC][0-9]{0,12}(\\.(txt|html|pdf|xml|json|gz|TXT|Gz|tar)){0,3}") {
        prop_assert_eq!(parsed(&name), model(&name));
    }

    #[test]
    fn names_that_documents_are_stored_under_are_read_back(number in 1..=u32::MAX, format in 0..5_usize) {
        let key = p2p_ci::document::DocumentKey { number: RfcNumber::new(number).unwrap(), format: Format::ALL[format] };
        let name = FileName::parse(&key.file_name()).unwrap();
        prop_assert_eq!(name.key, key);
        prop_assert!(!name.padded && !name.compressed && name.lower_case);
    }
}
