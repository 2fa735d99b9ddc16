//! Docker's engine and Compose: finding them, and leaving no image behind.

use std::{collections::BTreeSet, fmt, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// For questions that an engine answers at once, if it answers.
const ASK_LIMIT: Duration = Duration::from_secs(60);

/// For making both base images from Debian's packages.
const BASE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The label of the stages of our Dockerfile.
const STAGE_LABEL: &str = "label=p2pci.stage";

/// An engine that answers, and the Compose that goes with it.
#[derive(Debug, Clone)]
pub struct Engine {
    version: String,
    /// `docker compose` or `docker-compose`.
    compose: Vec<&'static str>,
    compose_version: String,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Docker engine {}, {} {}",
            self.version,
            self.compose.join(" "),
            self.compose_version
        )
    }
}

impl Engine {
    /// Finds the engine and Compose, or tells in one sentence which of them is missing.
    pub fn find() -> Result<Result<Self, String>> {
        let version = match ask(&["docker", "version", "--format", "{{.Server.Version}}"])? {
            Ok(version) => version,
            Err(reason) => return Ok(Err(format!("no Docker engine answers ({reason})"))),
        };
        for compose in [&["docker", "compose"][..], &["docker-compose"]] {
            if let Ok(compose_version) = ask(&[compose, &["version", "--short"]].concat())? {
                return Ok(Ok(Self {
                    version,
                    compose: compose.to_vec(),
                    compose_version,
                }));
            }
        }
        Ok(Err("there is neither `docker compose` nor `docker-compose`".to_owned()))
    }

    /// A Compose command.
    pub fn compose(&self) -> Result<Command> {
        let (program, arguments) = self.compose.split_first().context("no Compose")?;
        let mut command = Command::new(program);
        command.args(arguments);
        Ok(command)
    }

    /// Runs a command of the engine's client that must succeed, and returns what it printed.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        match ask(&[&["docker"], arguments].concat())? {
            Ok(printed) => Ok(printed),
            Err(reason) => bail!("`docker {}` failed: {reason}", arguments.join(" ")),
        }
    }

    /// Makes sure that the images exist which the Dockerfile starts from.
    pub fn make_base_images(&self) -> Result<()> {
        let mut command = Command::new("sh");
        command.arg(workspace::root().join("xtask/docker/base-images.sh"));
        process::run_visibly("xtask/docker/base-images.sh", command, BASE_LIMIT)
    }

    /// The nameless images that builds of our Dockerfile have left.
    pub fn stage_images(&self) -> Result<BTreeSet<String>> {
        let listed = self.docker(&[
            "image",
            "ls",
            "--quiet",
            "--no-trunc",
            "--filter",
            "dangling=true",
            "--filter",
            STAGE_LABEL,
        ])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }
}

/// Runs a command; the inner error is the reason that it gave, in one line.
fn ask(words: &[&str]) -> Result<Result<String, String>> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    let done = match process::run(&words.join(" "), command, ASK_LIMIT) {
        Ok(done) => done,
        Err(error) => {
            crate::wait::check_interrupt()?;
            return Ok(Err(format!("{error:#}")));
        }
    };
    if done.code() == 0 {
        return Ok(Ok(done.stdout.trim().to_owned()));
    }
    let said = if done.stderr.trim().is_empty() {
        &done.stdout
    } else {
        &done.stderr
    };
    Ok(Err(said.trim().lines().next().unwrap_or("no reason given").to_owned()))
}
