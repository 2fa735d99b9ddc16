//! Tests of what comes out: nothing active, in every width, to readers that stay and readers that leave.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use p2p_ci::text::escaped;
use proptest::{collection::vec, prelude::*};
use unicode_width::UnicodeWidthStr as _;

use super::{
    screen::Screen,
    table::{Column, Fit, Table},
    *,
};

/// Collects what is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe whose reader has left.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const COLUMNS: [Column; 4] = [
    Column::number("RFC", Fit::Whole),
    Column::text("SHA-256", Fit::Rank(1)),
    Column::text(
        "HOLDERS",
        Fit::Cut {
            comfortable: 12,
            least: 4,
        },
    ),
    Column::text(
        "TITLE",
        Fit::Cut {
            comfortable: 20,
            least: 4,
        },
    ),
];

fn screen(columns: usize) -> Screen {
    Screen {
        columns: Some(columns),
        unicode: true,
    }
}

fn row(title: &str) -> [String; 4] {
    [
        "9110".to_owned(),
        "0123456789ab".to_owned(),
        "alice,bob,carol".to_owned(),
        title.to_owned(),
    ]
}

fn rendered(screen: Screen, titles: &[&str]) -> String {
    let mut table = Table::new(COLUMNS, screen);
    for title in titles {
        assert_eq!(table.push(row(title)), None);
    }
    table.block().unwrap()
}

/// Titles that want to do harm or to take room.
fn hostile() -> Vec<String> {
    vec![
        "\u{1b}]0;owned\u{7}\u{1b}[2J".to_owned(),
        "\u{202e}txet desrever\u{2066}".to_owned(),
        "a\nb\r\tc\u{85}d\u{2028}e".to_owned(),
        "x".repeat(512),
        "漢字の題名".repeat(34),
        "\u{301}".repeat(256),
        "👩‍👩‍👧‍👦".repeat(20),
        "#\u{fe0f}\u{20e3}".repeat(70),
        String::new(),
    ]
}

#[track_caller]
fn assert_harmless(text: &str) {
    for line in text.split('\n') {
        assert_eq!(escaped(line).to_string(), line);
    }
}

#[test]
fn tables_fit_every_screen_and_show_nothing_active() {
    let titles = hostile();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    for columns in [1, 2, 20, 40, 80, 200, 5000] {
        let text = rendered(screen(columns), &titles);
        assert_harmless(&text);
        assert_eq!(text.lines().count(), titles.len() + 1, "a row is a line");
        if columns >= 20 {
            assert!(text.lines().all(|line| line.width() <= columns), "{columns}:\n{text}");
        }
    }
    assert_harmless(&rendered(Screen::ENDLESS, &titles));
}

#[test]
fn narrow_screens_lose_the_least_important() {
    let titles = ["HTTP Semantics, and what else there is to say"];
    let wide = rendered(screen(200), &titles);
    assert_eq!(
        wide,
        " RFC  SHA-256       HOLDERS          TITLE\n\
         9110  0123456789ab  alice,bob,carol  HTTP Semantics, and what else there is to say"
    );
    let middle = rendered(screen(60), &titles);
    assert_eq!(
        middle,
        " RFC  SHA-256       HOLDERS          TITLE\n9110  0123456789ab  alice,bob,carol  HTTP Semantics, and wh…"
    );
    let narrow = rendered(screen(30), &titles);
    assert_eq!(narrow, " RFC  HOLDERS      TITLE\n9110  alice,bob,…  HTTP Seman…");
}

#[test]
fn pipes_get_everything_and_columns_stay() {
    let mut table = Table::new(COLUMNS, Screen::ENDLESS);
    let long = "x".repeat(512);
    let mut blocks = Vec::new();
    blocks.extend((0..100).filter_map(|_| table.push(row(&long))));
    table.push([
        "1".to_owned(),
        "b".to_owned(),
        "c".to_owned(),
        "second block".to_owned(),
    ]);
    blocks.extend(table.block());
    assert_eq!(blocks.len(), 2);
    assert_eq!(blocks[0].lines().count(), 101);
    assert!(blocks[0].ends_with(&long));
    assert_eq!(blocks[1], "   1  b             c                second block");
    assert_eq!(table.block(), None);
}

#[test]
fn ellipses_are_dots_where_only_ascii_can_be_shown() {
    let ascii = Screen {
        columns: Some(8),
        unicode: false,
    };
    assert_eq!(ascii.fit("HTTP Semantics"), "HTTP ...");
    assert_eq!(ascii.cut("HTTP", 2), "..");
    assert_eq!(ascii.cut("HTTP", 0), "");
    assert_eq!(screen(8).fit("漢字の題名"), "漢字の…");
    assert_eq!(screen(8).fit("HTTP"), "HTTP");
}

#[test]
fn json_escapes_what_acts_and_loses_nothing() {
    let text = "\u{1b}[31m\u{7f}\u{9b}\u{202e}\"\\é漢😀\n";
    let line = json::line(&text).unwrap();
    assert_harmless(&line);
    assert_eq!(line, r#""\u001b[31m\u007f\u009b\u202e\"\\é漢😀\n""#);
    assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut output = Output::new(Gone, io::sink(), false, Screen::ENDLESS);
    let error = output.lines("1").unwrap_err();
    assert_eq!(quietly(Err(error)).unwrap(), Exit::Done);
    let other = PeerError::System {
        what: "reading".to_owned(),
        source: ErrorKind::BrokenPipe.into(),
    };
    assert!(quietly(Err(other)).is_err());
    let mut nobody = Output::new(io::sink(), Gone, false, Screen::ENDLESS);
    nobody.message("told to nobody");
}

/// Any characters. What proptest draws as a `String` holds none of those that act.
fn any_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..64).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn nothing_active_comes_out_of_a_table(title in any_text(), columns in 1_usize..250, unicode in any::<bool>()) {
        let text = rendered(Screen { columns: Some(columns), unicode }, &[&title, "plain"]);
        for line in text.split('\n') {
            prop_assert_eq!(escaped(line).to_string(), line);
        }
        prop_assert_eq!(text.lines().count(), 3);
        if columns >= 20 {
            prop_assert!(text.lines().all(|line| line.width() <= columns), "{}", text);
        }
    }

    #[test]
    fn nothing_active_comes_out_of_json(text in any_text()) {
        let line = json::line(&text).unwrap();
        prop_assert_eq!(escaped(&line).to_string(), line.clone());
        prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn cut_texts_fit(text in any_text(), columns in 0_usize..100, unicode in any::<bool>()) {
        let shown = Screen { columns: None, unicode }.cut(&text, columns);
        prop_assert!(shown.width() <= columns);
    }
}
