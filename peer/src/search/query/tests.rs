//! Tests of what is made of queries.

use proptest::{collection::vec, prelude::*};

use super::*;

fn clause(scope: Scope, text: &str) -> Clause {
    let text = text.to_owned();
    Clause { scope, text }
}

fn number(value: u32) -> RfcNumber {
    RfcNumber::new(value).unwrap()
}

#[test]
fn everything_that_people_type_means_something() {
    let asked =
        Asked::read("tcp \"slow start\" -udp author:fielding title:\"key words\" -\"two words\" is:bcp year:1990-2000")
            .unwrap();
    assert_eq!(asked.words, ["tcp"]);
    assert_eq!(
        asked.required,
        [
            clause(Scope::All, "slow start"),
            clause(Scope::Author, "fielding"),
            clause(Scope::Title, "key words")
        ]
    );
    assert_eq!(
        asked.excluded,
        [clause(Scope::All, "udp"), clause(Scope::All, "two words")]
    );
    assert_eq!(asked.statuses, [Status::BestCurrentPractice]);
    assert_eq!(
        asked.years,
        Some(Years {
            first: 1990,
            last: 2000
        })
    );
    let open = Asked::read("http \"not closed").unwrap();
    assert_eq!(open.required, [clause(Scope::All, "not closed")]);
    let odd = Asked::read("a:b ~x^2 (c OR d) tcp/ip - -- : -: \"\" title: \u{1b}[31m").unwrap();
    assert_eq!(odd.words, ["a:b", "~x^2", "(c", "OR", "d)", "tcp/ip", "title:", "[31m"]);
    assert!(odd.excluded.is_empty() && odd.required.is_empty());
}

#[test]
fn an_rfc_is_named_by_its_number() {
    for text in [
        "9110",
        "rfc9110",
        "RFC 9110",
        "rfc-9110",
        "rfc9110.txt",
        "http rfc 9110 semantics",
    ] {
        assert_eq!(Asked::read(text).unwrap().named, Some(number(9110)), "{text}");
    }
    let asked = Asked::read("http status code 418 teapot").unwrap();
    assert_eq!((asked.named, asked.numbers), (None, vec![number(418)]));
    assert_eq!(Asked::read("rfc editor").unwrap().words, ["rfc", "editor"]);
    assert_eq!(Asked::read("rfc99999999999999").unwrap().named, None);
}

#[test]
fn what_finds_nothing_is_told() {
    for text in ["", "  ", "\"\"", "- ( )", "\u{0}\u{7}"] {
        assert_eq!(Asked::read(text), Err(QueryError::Empty), "{text:?}");
    }
    assert_eq!(Asked::read("-udp"), Err(QueryError::OnlyExcluded));
    assert_eq!(Asked::read(&"x".repeat(65_536)), Err(QueryError::TooLong));
    assert_eq!(Asked::read(&"x ".repeat(65)), Err(QueryError::TooLong));
    assert_eq!(
        Asked::read("status:nonsense"),
        Err(QueryError::NoStatus("nonsense".to_owned()))
    );
    for text in ["15", "2015-2010", "-", "x", "20155", "2010-2015-2020"] {
        assert!(text.parse::<Years>().is_err(), "{text}");
    }
    assert_eq!(
        "-1999".parse(),
        Ok(Years {
            first: 1969,
            last: 1999
        })
    );
    assert_eq!(
        "2010-".parse(),
        Ok(Years {
            first: 2010,
            last: 9999
        })
    );
}

#[test]
fn words_of_a_command_line_are_joined() {
    let words = |words: &[&str]| joined(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(words(&["dns over https"]), "dns over https");
    assert_eq!(words(&["tcp", "slow start"]), "tcp \"slow start\"");
    assert_eq!(words(&["tcp", "title:\"a b\""]), "tcp title:\"a b\"");
}

proptest! {
    #[test]
    fn whatever_is_typed_is_read_or_refused(text in vec(prop_oneof![any::<char>(), Just('"'), Just('-'), Just(':'), Just(' ')], 0..80)) {
        let text = String::from_iter(text);
        if let Ok(asked) = Asked::read(&text) {
            prop_assert!(!asked.is_empty() || asked.named.is_some());
        }
    }

    #[test]
    fn plain_words_stay(words in vec("[a-q]{1,8}", 1..20)) {
        prop_assert_eq!(Asked::read(&words.join(" ")).unwrap().words, words);
    }
}
