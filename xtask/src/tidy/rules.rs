//! The rules about files.

use std::path::Path;

use super::Source;

/// The largest length of a Rust file, tests included: what is longer is two things.
const MAX_LINES: usize = 400;

/// Where generated types may be named: at the boundary, where they become domain values.
const MAY_NAME_GENERATED: [&str; 12] = [
    "src/pb.rs",
    "src/client.rs",
    "src/client/",
    "src/wire.rs",
    "src/wire/",
    "registry/src/service.rs",
    "peer/src/facts/service.rs",
    "peer/src/serve.rs",
    // Takes the descriptors, no message.
    "src/reflection.rs",
    // Sends what no service of ours would.
    "xtask/sim/src/liar.rs",
    // Receives what no service of ours would send.
    "xtask/fuzz/src/",
    // Not the boundary, but the list of what may cross it.
    "xtask/src/tidy/",
];

/// Marks of unfinished work. Written in two parts, so that this file does not hold them.
const UNFINISHED: [&str; 6] = [
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
];

/// The texts of the two licences, of which a user may choose either.
const LICENCES: [(&str, &str); 2] = [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")];

/// Complaints about one file.
pub fn of_one_file(source: &Source) -> Vec<String> {
    let mut complaints = text_rules(source);
    if source.has_ending("rs") {
        complaints.extend(rust_rules(source));
    }
    complaints
}

fn text_rules(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let mut complain = |what: &str| complaints.push(format!("{}:{}: {what}", source.path, index + 1));
        if line.ends_with([' ', '\t', '\r']) {
            complain("space at the end of the line");
        }
        if line.contains('\t') {
            complain("a tab");
        }
        for word in UNFINISHED.iter().filter(|word| holds_word(line, word)) {
            complain(&format!("\"{word}\" marks unfinished work"));
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        complaints.push(format!("{}: no newline at the end", source.path));
    }
    complaints
}

fn rust_rules(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!("{}: {lines} lines are more than {MAX_LINES}", source.path));
    }
    if !source.text.starts_with("//!") {
        complaints.push(format!(
            "{}: does not open with `//!`, one sentence on what it is for",
            source.path
        ));
    }
    // Tests send what no client of ours would, and load comes faster than from one: both need the generated types.
    let is_test = source
        .path
        .split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"));
    let allowed = is_test || MAY_NAME_GENERATED.iter().any(|prefix| source.path.starts_with(prefix));
    if !allowed {
        for (index, line) in source.text.lines().enumerate() {
            let code = line.split_once("//").map_or(line, |(code, _)| code);
            if holds_word(code, "pb::") {
                complaints.push(format!(
                    "{}:{}: names a generated type (`pb::`)",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    complaints
}

/// Whether a line holds a word that no letter, digit or underscore precedes.
fn holds_word(line: &str, word: &str) -> bool {
    let before = |at: usize| line.get(..at).and_then(|text| text.chars().next_back());
    let after = |at: usize| line.get(at + word.len()..).and_then(|text| text.chars().next());
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let ends_open = word.chars().next_back().is_some_and(|c| !c.is_alphanumeric());
    line.match_indices(word)
        .any(|(at, _)| !is_part(before(at)) && (ends_open || !is_part(after(at))))
}

/// Complaints about the workspace as a whole.
pub fn of_the_whole(root: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, holds) in LICENCES {
        match std::fs::read_to_string(root.join(name)) {
            Ok(text) if text.contains(holds) => {}
            Ok(_) => complaints.push(format!("{name}: is not the text of the licence")),
            Err(error) => complaints.push(format!("{name}: {error}")),
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        of_one_file(&Source {
            path: path.to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_clean_file_gives_no_complaint() {
        assert_eq!(check("src/a.rs", "//! A module.\n\nfn f() {}\n"), [""; 0]);
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        let finds = |path: &str, text: &str, wanted: &str| {
            let found = check(path, text);
            assert!(found.len() == 1 && found[0].contains(wanted), "{wanted:?} in {found:?}");
        };
        finds("src/a.rs", "fn f() {}\n", "does not open");
        finds("src/a.rs", "//! A.\nfn f() {} \n", ":2: space");
        finds("a.md", "a\tb\n", "a tab");
        finds("a.md", "a", "no newline");
        finds("src/a.rs", "//! A.\nuse p2p_ci::pb::Peer;\n", "`pb::`");
        finds(
            "src/a.rs",
            &format!("//! A.\n// {}: more\n", UNFINISHED[0]),
            "unfinished",
        );
        finds(
            "src/a.rs",
            &format!("//! A.\n{}", "\n".repeat(MAX_LINES)),
            "lines are more",
        );
    }

    #[test]
    fn generated_types_may_be_named_at_the_boundary_in_tests_and_in_comments() {
        for path in ["src/wire/watch.rs", "registry/src/service.rs", "peer/tests/it/raw.rs"] {
            assert_eq!(check(path, "//! A.\nuse pb::X;\n"), [""; 0], "{path}");
        }
        assert_eq!(
            check("src/a.rs", "//! A.\n// not pb::X\nfn f(a: mypb::X) {}\n"),
            [""; 0]
        );
    }

    #[test]
    fn words_are_found_as_words_only() {
        assert!(holds_word("a pb::X", "pb::") && !holds_word("a mypb::X", "pb::"));
        assert!(holds_word("MARK: x", "MARK") && !holds_word("MARKET", "MARK"));
    }
}
