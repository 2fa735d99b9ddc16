//! The rules about what documents point at: links in Markdown, and paths that ARCHITECTURE.md names.

use std::path::{Component, Path, PathBuf};

use super::Source;

/// The document whose every path must exist.
const MAP: &str = "ARCHITECTURE.md";

/// Endings by which a name without a slash is still recognised as that of a file.
const FILE_ENDINGS: [&str; 7] = [".rs", ".proto", ".toml", ".md", ".yaml", ".sh", ".lock"];

/// Complaints about links and paths that lead nowhere.
pub fn dangling(root: &Path, sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.has_ending("md")) {
        let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
        for target in link_targets(&source.text) {
            match inside(&folder.join(target)) {
                Some(path) if root.join(&path).exists() => {}
                _ => complaints.push(format!("{}: the link to {target} leads nowhere", source.path)),
            }
        }
    }
    match sources.iter().find(|source| source.path == MAP) {
        Some(map) => {
            // A bare name such as `main.rs` may stand for several files.
            let is_there = |path: &String| {
                let somewhere = |source: &Source| source.path.ends_with(&format!("/{path}"));
                root.join(path).exists() || (!path.contains('/') && sources.iter().any(somewhere))
            };
            let missing = named_paths(&map.text).into_iter().filter(|path| !is_there(path));
            let missing_in_tree = tree_paths(&map.text)
                .into_iter()
                .filter(|path| !root.join(path).exists());
            let all = missing.chain(missing_in_tree);
            complaints.extend(all.map(|path| format!("{MAP}: names {path}, which does not exist")));
        }
        None => complaints.push(format!("{MAP}: is missing")),
    }
    complaints
}

/// The files that a Markdown text links to, as written, without anchors.
fn link_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for line in without_fences(text) {
        for (at, _) in line.match_indices("](") {
            let Some((target, _)) = line.get(at + 2..).and_then(|rest| rest.split_once(')')) else {
                continue;
            };
            let file = target.split('#').next().unwrap_or_default();
            let elsewhere = file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !file.is_empty() {
                targets.push(file);
            }
        }
    }
    targets
}

/// The paths that a Markdown text names in backquotes. `a/{b,c}.rs` names two.
fn named_paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for line in without_fences(text) {
        for quoted in line.split('`').skip(1).step_by(2) {
            let word = quoted.trim();
            let is_name = |c: char| c.is_ascii_alphanumeric() || "._-/{},".contains(c);
            if word.is_empty() || !word.chars().all(is_name) || word.starts_with('/') {
                continue;
            }
            paths.extend(expand(word).into_iter().filter(|path| looks_like_path(path)));
        }
    }
    paths
}

/// The paths in a tree: a block without a language, in which a line names a folder, and indented lines below it what
/// is in that folder. What follows two spaces is description.
fn tree_paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut fence = None;
    let mut folder = String::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            folder.clear();
            continue;
        }
        if fence != Some("") {
            continue;
        }
        let inside = line.starts_with(' ');
        let names = line.trim_start().split("  ").next().unwrap_or_default();
        for name in names.split([' ', ',', ';']).filter(|name| looks_like_path(name)) {
            if inside {
                paths.push(format!("{folder}{name}"));
            } else {
                folder = if name.ends_with('/') {
                    name.to_owned()
                } else {
                    String::new()
                };
                paths.push(name.to_owned());
            }
        }
    }
    paths
}

fn looks_like_path(name: &str) -> bool {
    name.ends_with('/') || FILE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The lines outside fenced blocks.
fn without_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Expands the first pair of braces, and so on until there is none.
fn expand(word: &str) -> Vec<String> {
    let parts = word.split_once('{').and_then(|(before, rest)| {
        let (choices, after) = rest.split_once('}')?;
        Some((before, choices, after))
    });
    let Some((before, choices, after)) = parts else {
        return vec![word.to_owned()];
    };
    choices
        .split(',')
        .flat_map(|choice| expand(&format!("{before}{choice}{after}")))
        .collect()
}

/// Resolves `..`; nothing for a path that leaves the root.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => resolved.push(part),
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found_and_others_passed_over() {
        let text =
            "[a](docs/a.md#part) [b](https://example.org) [c](#here)\n```\n[d](no.md)\n```\n![e](e.png) [f](m.md)";
        assert_eq!(link_targets(text), ["docs/a.md", "e.png", "m.md"]);
    }

    #[test]
    fn paths_are_told_from_other_words_in_backquotes() {
        let text = "`src/{a,b/c}.rs` and `peer get`, `Lookup`, `docs/`, `build.rs`, `/etc/x.toml`, `a/b`";
        assert_eq!(named_paths(text), ["src/a.rs", "src/b/c.rs", "docs/", "build.rs"]);
    }

    #[test]
    fn the_tree_names_what_is_in_its_folders() {
        let text = "```sh\nx/\n```\n```\nsrc/   see other.rs\n  a.rs wire/ and b.rs  not c.rs\nbuild.rs, buf.yaml\n```\nd.rs\n";
        assert_eq!(
            tree_paths(text),
            ["src/", "src/a.rs", "src/wire/", "src/b.rs", "build.rs", "buf.yaml"]
        );
    }

    #[test]
    fn what_does_not_exist_is_complained_about() {
        let root = crate::workspace::root();
        let source = |path: &str, text: &str| Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let good = [
            source(MAP, "`xtask/src/tidy.rs` [x](Cargo.toml)"),
            source("docs/x.md", "[x](../Cargo.toml)"),
        ];
        assert_eq!(dangling(&root, &good), [""; 0]);
        let bad = [
            source(MAP, "`xtask/src/none.rs`"),
            source("docs/x.md", "[x](Cargo.toml) [y](../../etc)"),
        ];
        assert_eq!(dangling(&root, &bad).len(), 3);
        assert_eq!(dangling(&root, &[]), ["ARCHITECTURE.md: is missing"]);
    }
}
