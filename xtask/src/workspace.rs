//! Where things are: the root of the workspace, the target folder, and the two programs once they are built.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{json, process};

/// No build of the two programs takes this long, unless it hangs.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// The root of the workspace.
pub fn root() -> PathBuf {
    // At run time this is told by cargo; the constant serves when the program is started by hand.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_owned)
}

/// The folder that cargo builds in.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where `xtask/tools/install.sh` puts grpcurl and buf.
pub fn tools_dir() -> PathBuf {
    target_dir().join("tools/bin")
}

/// A cargo command in the root of the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    // They describe this program's own build and must not leak into another one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The two programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The registry.
    pub registry: PathBuf,
    /// The peer.
    pub peer: PathBuf,
}

impl Programs {
    /// Copies both into a folder, so that a build that runs meanwhile changes nothing.
    pub fn copy_to(&self, folder: &Path) -> Result<Self> {
        let copy = |program: &Path| -> Result<PathBuf> {
            let copied = folder.join(program.file_name().context("a program has no name")?);
            fs::copy(program, &copied)
                .with_context(|| format!("cannot copy {} to {}", program.display(), folder.display()))?;
            Ok(copied)
        };
        Ok(Self {
            registry: copy(&self.registry)?,
            peer: copy(&self.peer)?,
        })
    }
}

/// Builds both programs; cargo shows its progress.
pub fn build() -> Result<Programs> {
    build_as(&[])
}

/// Builds both programs as users install them.
pub fn build_release() -> Result<Programs> {
    build_as(&["--release"])
}

/// Builds an example of a package, optimised or not.
pub fn build_example(package: &str, name: &str, optimised: bool) -> Result<PathBuf> {
    let profile: &[&str] = if optimised { &["--release"] } else { &[] };
    let built = build_these(&[&["build", "-p", package, "--example", name], profile].concat())?;
    find(&built, name)
}

fn build_as(profile: &[&str]) -> Result<Programs> {
    let built = build_these(&[&["build", "-p", "registry", "-p", "peer"], profile].concat())?;
    Ok(Programs {
        registry: find(&built, "registry")?,
        peer: find(&built, "peer")?,
    })
}

/// Has cargo build, and returns what it says about it.
fn build_these(arguments: &[&str]) -> Result<Vec<Value>> {
    // Once for the user to see the progress, which cargo shows on standard error, and then, with nothing left to do,
    // once more to learn where the programs are.
    process::run_visibly("cargo build", cargo(arguments), BUILD_LIMIT)?;
    let what = "cargo build --message-format json";
    let command = cargo(&[arguments, &["-q", "--message-format", "json"]].concat());
    let built = process::run(what, command, BUILD_LIMIT)?.expect_code(what, 0)?;
    json::lines(&built.stdout)
}

/// A program that cargo says it has built.
fn find(built: &[Value], name: &str) -> Result<PathBuf> {
    let program = executable(built, name).with_context(|| format!("cargo built no program `{name}`"))?;
    if !program.is_file() {
        bail!(
            "cargo says that it built {}, but no such file is there",
            program.display()
        );
    }
    Ok(program)
}

fn executable(messages: &[Value], name: &str) -> Option<PathBuf> {
    let of_program = |message: &&Value| message.pointer("/target/name").and_then(Value::as_str) == Some(name);
    let path = |message: &Value| message.get("executable").and_then(Value::as_str).map(PathBuf::from);
    messages.iter().filter(of_program).find_map(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("proto").is_dir(), "{}", root().display());
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = json::lines(
            r#"{"reason":"compiler-artifact","target":{"name":"peer","kind":["lib"]},"executable":null}
               {"reason":"compiler-artifact","target":{"name":"peer","kind":["bin"]},"executable":"/t/peer"}
               {"reason":"build-finished","success":true}"#,
        )
        .unwrap();
        assert_eq!(executable(&messages, "peer"), Some(PathBuf::from("/t/peer")));
        assert_eq!(executable(&messages, "registry"), None);
    }
}
