//! Whether the tests that patches name exist, by the look of the sources: no build is needed to learn that one was renamed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::patch::{Patch, Program};

/// The tests that a patch names and that no source has.
pub fn missing(root: &Path, patch: &Patch) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for suite in &patch.red {
        let sources = sources(root, &suite.program).with_context(|| suite.program.label())?;
        for test in &suite.tests {
            if !sources.iter().any(|(module, text)| holds(module, text, test)) {
                missing.push(format!("{}: {} has no test {test}", patch.name, suite.program.label()));
            }
        }
    }
    Ok(missing)
}

/// Whether a test is in the source of a module: its name begins with the module's, and a function is called like it.
fn holds(module: &str, text: &str, test: &str) -> bool {
    let function = test.rsplit("::").next().unwrap_or_default();
    let is_within = module.is_empty() || test.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"));
    is_within && text.contains(&format!("fn {function}("))
}

/// The sources of a test program, with the names of their modules.
fn sources(root: &Path, program: &Program) -> Result<Vec<(String, String)>> {
    let package = match program.package.as_str() {
        "p2p-ci" => root.to_owned(),
        "sim" | "fuzz" => root.join("xtask").join(&program.package),
        other => root.join(other),
    };
    let top = match &program.test {
        Some(test) => package.join("tests").join(test),
        None => package.join("src"),
    };
    let mut sources = Vec::new();
    if program.test.is_some() && top.with_extension("rs").is_file() {
        sources.push((String::new(), fs::read_to_string(top.with_extension("rs"))?));
        return Ok(sources);
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                sources.push((module_of(&path), fs::read_to_string(entry.path())?));
            }
        }
    }
    Ok(sources)
}

/// The module that a source is, from the root of its crate.
fn module_of(path: &Path) -> String {
    let path = path.with_extension("");
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    match parts.as_slice() {
        [only] if only == "lib" || only == "main" => String::new(),
        parts => parts.join("::"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_where_its_name_says_and_nowhere_else() {
        let text = "#[test]\nfn it_holds() {}\n";
        assert!(holds("line::tests", text, "line::tests::it_holds"));
        assert!(holds("line", text, "line::tests::it_holds"));
        assert!(holds("", text, "it_holds"));
        assert!(!holds("other", text, "line::tests::it_holds"));
        assert!(!holds("line", text, "line::tests::it_held"));
        assert!(!holds("line", text, "liner::it_holds"));
        assert_eq!(module_of(Path::new("line/tests.rs")), "line::tests");
        assert_eq!(module_of(Path::new("main.rs")), "");
    }
}
