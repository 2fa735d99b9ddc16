//! A patch that breaks one guard, with what its header says of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Where the patches are, from the root of the workspace.
const FOLDER: &str = "xtask/mutants";

/// What the file of a patch ends with.
const ENDING: &str = "patch";

/// What a header's line that names tests begins with, after its label.
const COMMAND: [&str; 3] = ["cargo", "test", "-p"];

/// A patch that breaks one guard of the product.
#[derive(Debug)]
pub struct Patch {
    /// The name of its file, without the ending.
    pub name: String,
    /// What must turn red.
    pub red: Vec<Suite>,
}

/// Tests of one test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    pub program: Program,
    /// Full names, as the test program prints them.
    pub tests: Vec<String>,
}

/// A test program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    pub package: String,
    /// The name of a file or folder in `tests`; without one, the tests of the library.
    pub test: Option<String>,
}

impl Program {
    /// The arguments by which cargo finds it.
    pub fn arguments(&self) -> Vec<&str> {
        match &self.test {
            Some(test) => vec!["-p", &self.package, "--test", test],
            None => vec!["-p", &self.package, "--lib"],
        }
    }

    /// A short name for people.
    pub fn label(&self) -> String {
        format!("{} {}", self.package, self.test.as_deref().unwrap_or("lib"))
    }
}

/// Where the patch of this name is in a tree.
pub fn path(tree: &Path, name: &str) -> PathBuf {
    tree.join(FOLDER).join(name).with_added_extension(ENDING)
}

/// Every patch, in order of name.
pub fn read_all(root: &Path) -> Result<Vec<Patch>> {
    let folder = root.join(FOLDER);
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            patches.push(read(&path).with_context(|| path.display().to_string())?);
        }
    }
    patches.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(patches)
}

fn read(path: &Path) -> Result<Patch> {
    let name = path.file_stem().context("it has no name")?.to_string_lossy();
    parse(&name, &fs::read_to_string(path)?)
}

/// Reads the header: `Broken:` (which guard), `Harm:` (what it would do to users), and one or several `Red:` (the
/// command that must fail, with the names of its tests). A line that begins with a space goes on with the one before.
fn parse(name: &str, text: &str) -> Result<Patch> {
    let header = text.lines().take_while(|line| !line.starts_with("diff --git "));
    let mut said: Vec<(String, String)> = Vec::new();
    for line in header.filter(|line| !line.is_empty()) {
        if let (true, Some((_, value))) = (line.starts_with(' '), said.last_mut()) {
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let (label, value) = line.split_once(": ").context("a line of the header has no label")?;
        said.push((label.to_owned(), value.trim().to_owned()));
    }
    let mut values = |label: &str| -> Vec<String> {
        let of_label = said.extract_if(.., |(found, _)| found == label);
        of_label.map(|(_, value)| value).collect()
    };
    for label in ["Broken", "Harm"] {
        if values(label).len() != 1 {
            bail!("the header needs one line `{label}:`");
        }
    }
    let red: Vec<Suite> = values("Red").iter().map(|line| suite(line)).collect::<Result<_>>()?;
    if red.is_empty() {
        bail!("the header names no test that must turn red");
    }
    if let Some((label, _)) = said.first() {
        bail!("the header has a label `{label}:`, which means nothing");
    }
    if !text.lines().any(|line| line.starts_with("@@ ")) {
        bail!("it changes nothing");
    }
    Ok(Patch {
        name: name.to_owned(),
        red,
    })
}

/// Reads `cargo test -p PACKAGE (--lib | --test NAME) -- --exact TEST…`.
fn suite(command: &str) -> Result<Suite> {
    let wanted = "it should read `cargo test -p PACKAGE --lib|--test NAME -- --exact TEST…`";
    let words: Vec<&str> = command.split_whitespace().collect();
    let words = words.strip_prefix(&COMMAND).context(wanted)?;
    let (package, test, tests) = match words {
        [package, "--lib", "--", "--exact", tests @ ..] => (package, None, tests),
        [package, "--test", test, "--", "--exact", tests @ ..] => (package, Some((*test).to_owned()), tests),
        _ => bail!("{wanted}, and reads `{command}`"),
    };
    if tests.is_empty() {
        bail!("`{command}` names no test");
    }
    Ok(Suite {
        program: Program {
            package: (*package).to_owned(),
            test,
        },
        tests: tests.iter().map(|test| (*test).to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Broken: nobody\n looks.\nHarm: all.\nRed: cargo test -p peer --test it -- --exact a::b\n c\n\
                        Red: cargo test -p p2p-ci --lib -- --exact d\n\ndiff --git a/x b/x\n@@ -1 +1 @@\n-a\n+b\n";

    fn error(text: &str) -> String {
        parse("x", text).unwrap_err().to_string()
    }

    #[test]
    fn a_header_tells_what_is_broken_and_what_must_turn_red() {
        let patch = parse("x", GOOD).unwrap();
        let [it, lib] = patch.red.as_slice() else {
            panic!("{patch:?}")
        };
        assert_eq!(it.program.arguments(), ["-p", "peer", "--test", "it"]);
        assert_eq!(it.tests, ["a::b", "c"]);
        assert_eq!(lib.program.arguments(), ["-p", "p2p-ci", "--lib"]);
        assert_eq!(lib.tests, ["d"]);
    }

    #[test]
    fn a_header_that_lacks_something_is_told_so() {
        assert!(error(&GOOD.replace("Harm: all.\n", "")).contains("`Harm:`"));
        assert!(error(&GOOD.replace("Red: ", "Rod: ")).contains("no test"));
        assert!(error(&GOOD.replace("Harm: all.", "Harm: all.\nWhy: so.")).contains("`Why:`"));
        assert!(error(&GOOD.replace("--exact d", "d")).contains("should read"));
        assert!(error(&GOOD.replace("--exact d", "--exact")).contains("no test"));
        assert!(error(&GOOD.replace("@@ -1 +1 @@", "")).contains("nothing"));
    }
}
