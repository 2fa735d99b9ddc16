//! One project of Compose, taken down on every way out.

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Result, anyhow, ensure};

use super::engine::Engine;
use crate::{
    cluster::PeerRow,
    json, process,
    wait::{self, Look},
    workspace::{self, Programs},
};

/// A release build of everything in a container, on a slow machine with a cold cache.
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);

/// For one command of Compose. The longest one is `down`, which waits for a peer's drain (35 s).
const COMPOSE_LIMIT: Duration = Duration::from_secs(180);

/// How long all containers may take until their health checks succeed.
const HEALTHY_LIMIT: Duration = Duration::from_secs(120);

/// How long a peer command on this machine may take.
const PEER_LIMIT: Duration = Duration::from_secs(30);

/// A project with a name, an image and a port of its own.
#[derive(Debug)]
pub struct Project {
    engine: Engine,
    programs: Programs,
    name: String,
    image: String,
    stages_before: BTreeSet<String>,
    /// Whether there is anything to take down.
    is_up: bool,
    /// The id of the registry's container.
    registry: String,
}

impl Project {
    /// Names a project; nothing is built or running yet.
    pub fn new(engine: Engine, programs: Programs) -> Result<Self> {
        let name = format!("p2pci-test-{}", std::process::id());
        let stages_before = engine.stage_images()?;
        Ok(Self {
            engine,
            programs,
            image: format!("{name}:local"),
            name,
            stages_before,
            is_up: false,
            registry: String::new(),
        })
    }

    /// Builds the image; the user sees the builder at work.
    pub fn build(&self) -> Result<()> {
        // All services use one image; building it for one of them is enough.
        process::run_visibly("compose build", self.command(&["build", "registry"])?, BUILD_LIMIT)
    }

    /// Starts every container, waits until all of them are healthy, and tells how long that took.
    pub fn up(&mut self) -> Result<Duration> {
        self.is_up = true;
        let start = wait::now();
        self.compose(&["up", "-d", "--no-build"])?;
        self.registry = self.compose(&["ps", "-q", "registry"])?.trim().to_owned();
        let listed = self.compose(&["ps", "-q"])?;
        let containers: Vec<&str> = listed.lines().collect();
        ensure!(
            containers.len() == 5,
            "{} containers instead of 5 are there",
            containers.len()
        );
        wait::until_dear("every container to be healthy", HEALTHY_LIMIT, || {
            let format = "{{.Name}} {{.State.Status}} {{.State.Health.Status}}";
            let states = self
                .engine
                .docker(&[&["inspect", "--format", format], containers.as_slice()].concat())?;
            let well = states.lines().all(|line| line.ends_with(" running healthy"));
            Ok(if well { Look::Done(()) } else { Look::NotYet(states) })
        })
        .map_err(|error| self.with_logs(&error))?;
        Ok(start.elapsed())
    }

    /// Takes everything down, and checks that nothing is left.
    pub fn down(mut self) -> Result<Duration> {
        let start = wait::now();
        self.compose(&["down", "--volumes", "--remove-orphans"])?;
        self.is_up = false;
        let took = start.elapsed();
        let filter = format!("label=com.docker.compose.project={}", self.name);
        for list in [["ps", "--all"], ["network", "ls"], ["volume", "ls"]] {
            let left = self
                .engine
                .docker(&[&list[..], &["--quiet", "--filter", &filter]].concat())?;
            ensure!(
                left.is_empty(),
                "after `down`, `docker {}` still lists {left}",
                list.join(" ")
            );
        }
        Ok(took)
    }

    /// Runs a command of Compose that must succeed, and returns what it printed.
    pub fn compose(&self, arguments: &[&str]) -> Result<String> {
        let what = format!("compose {}", arguments.join(" "));
        let done = process::run(&what, self.command(arguments)?, COMPOSE_LIMIT)?;
        Ok(done
            .expect_code(&what, 0)
            .map_err(|error| self.with_logs(&error))?
            .stdout)
    }

    /// Waits until a condition on the active peers holds, asking the registry through the published port.
    pub fn wait_for_rows(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&[PeerRow]) -> bool,
    ) -> Result<(Vec<PeerRow>, Duration)> {
        wait::until_dear(what, limit, || {
            let Some(printed) = self.ask(&["peers", "--json"])? else {
                return Ok(Look::NotYet("the registry does not answer".to_owned()));
            };
            let rows: Vec<PeerRow> = json::lines(&printed)?
                .iter()
                .map(PeerRow::parse)
                .collect::<Result<_>>()?;
            Ok(if holds(&rows) {
                Look::Done(rows)
            } else {
                Look::NotYet(format!("{rows:?}"))
            })
        })
        .map_err(|error| self.with_logs(&error))
    }

    /// Waits until a condition on the names of the reachable peers, in alphabetical order, holds.
    pub fn wait_for_names(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&[String]) -> bool,
    ) -> Result<(Vec<String>, Duration)> {
        let names = |rows: &[PeerRow]| {
            let reachable = rows.iter().filter(|row| row.reachability == "reachable");
            let mut names: Vec<String> = reachable.map(|row| row.name.clone()).collect();
            names.sort();
            names
        };
        let (rows, took) = self.wait_for_rows(what, limit, |rows| holds(&names(rows)))?;
        Ok((names(&rows), took))
    }

    /// Waits until a condition on the names of the holders of an RFC's text holds.
    pub fn wait_for_holders(
        &self,
        number: u32,
        limit: Duration,
        holds: impl Fn(&[String]) -> bool,
    ) -> Result<((), Duration)> {
        let text = number.to_string();
        wait::until_dear(&format!("the holders of RFC {number} to be right"), limit, || {
            let printed = self.ask(&["lookup", &text, "--format", "txt", "--json"])?;
            let Some(printed) = printed else {
                return Ok(Look::NotYet("the registry does not answer".to_owned()));
            };
            let holders = json::holder_names(&json::lines(&printed)?)?;
            Ok(if holds(&holders) {
                Look::Done(())
            } else {
                Look::NotYet(format!("held by {holders:?}"))
            })
        })
        .map_err(|error| self.with_logs(&error))
    }

    /// Runs a peer command on this machine. Nothing when the registry does not answer, as while it restarts.
    fn ask(&self, arguments: &[&str]) -> Result<Option<String>> {
        // Asked each time, because the engine may choose another port when the registry restarts.
        let Ok(address) = self.compose(&["port", "registry", "7734"]) else {
            return Ok(None);
        };
        let mut command = Command::new(&self.programs.peer);
        command
            .args(arguments)
            .env("P2PCI_REGISTRY", format!("http://{}", address.trim()));
        let done = process::run(&format!("peer {}", arguments.join(" ")), command, PEER_LIMIT)?;
        match done.code() {
            0 => Ok(Some(done.stdout)),
            3 => Ok(Some(String::new())),
            4 => Ok(None),
            _ => Err(anyhow!("peer {}: {}{}", arguments.join(" "), done.status, done.stderr)),
        }
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.engine.compose()?;
        command.current_dir(workspace::root());
        command
            .args(["--project-name", &self.name, "--file", "compose.yaml"])
            .args(arguments);
        // The engine chooses the port on this machine.
        command.env("P2PCI_PORT", "0").env("P2PCI_IMAGE", &self.image);
        // The user's settings for other projects.
        for name in ["COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"] {
            command.env_remove(name);
        }
        Ok(command)
    }

    /// Adds the last words of every container to an error.
    fn with_logs(&self, error: &anyhow::Error) -> anyhow::Error {
        let logs = wait::although_interrupted(|| {
            process::run(
                "compose logs",
                self.command(&["logs", "--no-color", "--tail=8"])?,
                COMPOSE_LIMIT,
            )
        });
        anyhow!(
            "{error:#}{}",
            logs.map_or_else(|_| String::new(), |logs| process::tail("containers", &logs.stdout))
        )
    }

    fn clean_up(&mut self) -> Result<()> {
        if self.is_up {
            // A paused container cannot be stopped; that nothing is paused is no error here.
            let _ = process::run("compose unpause", self.command(&["unpause"])?, COMPOSE_LIMIT);
            self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "2"])?;
        }
        let image = self.engine.docker(&["image", "ls", "--quiet", &self.image])?;
        if !image.is_empty() {
            self.engine.docker(&["image", "rm", &self.image])?;
        }
        for stage in self.engine.stage_images()?.difference(&self.stages_before) {
            self.engine.docker(&["image", "rm", stage])?;
        }
        Ok(())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if let Err(error) = wait::although_interrupted(|| self.clean_up()) {
            eprintln!("cannot clean up after the project {}: {error:#}", self.name);
        }
    }
}
