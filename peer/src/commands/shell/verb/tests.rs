//! Tests of how lines are understood.

use p2p_ci::text::escaped;
use proptest::{collection::vec, prelude::*};

use super::*;

#[track_caller]
fn verb(line: &str) -> Verb {
    match parse(line) {
        Parsed::Verb(verb) => *verb,
        other @ (Parsed::Nothing | Parsed::Usage(_) | Parsed::Mistake(_)) => panic!("{line}: {other:?}"),
    }
}

#[track_caller]
fn mistaken(line: &str) -> String {
    match parse(line) {
        Parsed::Mistake(told) => told,
        other @ (Parsed::Nothing | Parsed::Verb(_) | Parsed::Usage(_)) => panic!("{line}: {other:?}"),
    }
}

fn number(value: u32) -> RfcNumber {
    RfcNumber::new(value).unwrap()
}

#[test]
fn lines_are_verbs_with_arguments() {
    assert_eq!(verb("state"), Verb::State);
    assert_eq!(verb("  EXIT  "), Verb::Quit);
    assert_eq!(verb("help"), Verb::Help { verb: None });
    assert_eq!(
        verb("connect 10.0.0.1"),
        Verb::Connect {
            registry: Some("10.0.0.1".parse().unwrap())
        }
    );
    assert_eq!(
        verb("query RFC 791 rfc2616"),
        Verb::Query {
            numbers: [791, 2616]
                .map(|value| WantedNumber {
                    number: number(value),
                    format: None
                })
                .into()
        }
    );
    let Verb::Download(download) = verb("get 1-3 RFC 9110 BCP 14 std97 --from alice --force") else {
        panic!()
    };
    let words = ["1-3", "9110", "bcp14", "std97"].map(|word| word.parse().unwrap());
    assert_eq!(download.words, words);
    assert_eq!(
        (download.from.as_deref(), download.force, download.format),
        (Some("alice"), true, None)
    );
}

#[test]
fn paths_may_hold_spaces() {
    for line in [
        r#"add "my file.txt" 5"#,
        "add 'my file.txt' 5",
        r"add my\ file.txt RFC 5",
    ] {
        assert_eq!(
            verb(line),
            Verb::Add {
                path: "my file.txt".into(),
                number: Some(number(5))
            },
            "{line}"
        );
    }
}

#[test]
fn subseries_are_joined_where_they_can_be_asked_for() {
    let Verb::Lookup(lookup) = verb("lookup BCP 14 7") else {
        panic!()
    };
    assert_eq!(lookup.words, ["bcp14", "7"].map(|word| word.parse().unwrap()));
    assert_eq!(
        verb("add std 97"),
        Verb::Add {
            path: "std".into(),
            number: Some(number(97))
        }
    );
    assert!(mistaken("query BCP 14").contains("is no RFC number"));
    assert!(mistaken("get BCP").contains("names no subseries"));
}

#[test]
fn empty_lines_are_nothing() {
    assert_eq!(parse(""), Parsed::Nothing);
    assert_eq!(parse(" \t "), Parsed::Nothing);
}

#[test]
fn typos_are_told_with_what_was_meant() {
    assert_eq!(
        mistaken("lokup 5"),
        "unknown command \"lokup\"; did you mean \"lookup\"? (help lists them)"
    );
    assert_eq!(
        mistaken("donwload 5"),
        "unknown command \"donwload\"; did you mean \"download\"? (help lists them)"
    );
    assert_eq!(mistaken("xyzzy"), "unknown command \"xyzzy\" (help lists them)");
}

#[test]
fn other_mistakes_are_one_short_line() {
    let told = mistaken("lookup rfc-2616x");
    assert!(
        told.contains("rfc-2616x") && told.ends_with("(help lookup tells more)"),
        "{told}"
    );
    assert!(mistaken("lookup").contains("<N>"));
    assert!(mistaken("download 9-1").contains("ends before it starts"));
    assert!(mistaken("lookup 1-10").contains("1-10 is a range; list 1-10 shows ranges"));
    assert!(mistaken("download -5").contains("RFC numbers start at 1"));
    assert!(mistaken("download 1,2").contains("separate with spaces: 1 2"));
    assert!(mistaken("connect https://x").contains("https is not supported"));
    assert_eq!(mistaken("add \"x"), "a quote is not closed");
    assert!(mistaken("add x\\").contains("backslash"));
    for line in ["state now", "list --frmat txt", "lookup \u{1b}[2J", "\u{1b}[2J"] {
        let told = mistaken(line);
        assert!(!told.contains(['\u{1b}', '\n']), "{told}");
    }
    assert!(mistaken("add ''").starts_with("a value is required"));
    assert!(mistaken(&"x".repeat(100_000)).len() < 300);
    assert!(mistaken(&format!("lookup {}", "x".repeat(100_000))).len() < 300);
}

#[test]
fn help_knows_every_verb() {
    let Parsed::Usage(all) = help(None) else { panic!() };
    for name in names() {
        assert!(all.contains(&name), "{name} is not in\n{all}");
        let Parsed::Usage(one) = help(Some(&name)) else {
            panic!("{name}")
        };
        assert!(one.contains("Usage: "), "{one}");
    }
    assert!(all.lines().all(|line| line.len() <= 80), "{all}");
    assert!(matches!(help(Some("lokup")), Parsed::Mistake(told) if told.contains("\"lookup\"")));
}

/// Any characters. What proptest draws as a `String` holds none of those that act.
fn any_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..64).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn no_line_makes_it_fail_or_act(line in any_text()) {
        if let Parsed::Mistake(told) = parse(&line) {
            prop_assert_eq!(escaped(&told).to_string(), told);
        }
    }
}
