//! `cargo xtask tidy`: the house rules that no compiler checks.
//!
//! Each rule is a function from the files of the workspace to complaints. The same check runs as a test.

mod links;
mod rules;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Folders that hold nothing written by hand, or, as the samples, nothing that may be changed.
const PASSED_OVER: [&str; 7] = [
    "target",
    ".git",
    "xtask/samples/alice",
    "xtask/samples/bob",
    "xtask/samples/carol",
    "xtask/fuzz/corpus",
    "xtask/fuzz/crashes",
];

/// Endings of text files that the rules about text look at. Files without an ending are looked at too.
const TEXT_ENDINGS: [&str; 8] = ["rs", "toml", "md", "proto", "sh", "yaml", "yml", "txt"];

/// A file of the workspace.
#[derive(Debug)]
struct Source {
    /// Its path from the root of the workspace, with `/` between the parts.
    path: String,
    text: String,
}

impl Source {
    fn has_ending(&self, ending: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == ending)
    }
}

/// Checks every rule on the workspace and returns a one-line summary.
pub fn run(root: &Path) -> Result<String> {
    let sources = read_all(root)?;
    let complaints = complaints(root, &sources);
    if complaints.is_empty() {
        return Ok(format!("{} files keep the house rules", sources.len()));
    }
    bail!("{} complaints:\n  {}", complaints.len(), complaints.join("\n  "))
}

fn complaints(root: &Path, sources: &[Source]) -> Vec<String> {
    let mut all: Vec<String> = sources.iter().flat_map(rules::of_one_file).collect();
    all.extend(links::dangling(root, sources));
    all.extend(rules::of_the_whole(root));
    all
}

fn read_all(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
            let entry = entry?;
            let inside = folder.join(entry.file_name());
            let name = inside.to_string_lossy().replace('\\', "/");
            if PASSED_OVER.contains(&name.as_str()) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(inside);
            } else if kind.is_file() && is_text(&inside) {
                let text = fs::read_to_string(entry.path()).with_context(|| format!("{name} is no UTF-8 text"))?;
                sources.push(Source { path: name, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn is_text(path: &Path) -> bool {
    path.extension()
        .is_none_or(|ending| TEXT_ENDINGS.iter().any(|text| ending == *text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_the_house_rules() {
        if let Err(error) = run(&crate::workspace::root()) {
            panic!("{error:#}");
        }
    }
}
