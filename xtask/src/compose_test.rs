//! `cargo xtask compose-test`: the containers of `compose.yaml`, brought up, disturbed and taken down.
//!
//! It works with Compose v2 and with docker-compose 1.29. The project, the port and the image have names of their own,
//! so that a cluster that the user runs is left alone, and the engine is left as it was found.

mod engine;
mod project;

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::geteuid;

use self::{engine::Engine, project::Project};
use crate::{ci::Outcome, console, documents, workspace};

/// How soon a killed peer must be gone. The registry sees its stream close at once; the rest is the engine's work.
const KILLED_LIMIT: Duration = Duration::from_secs(5);

/// How soon a peer must be gone that neither answers nor closes its stream: keepalive 10 s + 5 s, and some slack.
const SILENT_LIMIT: Duration = Duration::from_secs(20);

/// How soon all must be back after the registry has restarted, or after a pause.
const BACK_LIMIT: Duration = Duration::from_secs(60);

/// Whom to run a command in a container as, when this runs as root: to be root would prove nothing.
const SOMEBODY: u32 = 12_345;

/// Runs the whole test.
pub fn run() -> Result<Outcome> {
    let engine = match Engine::find()? {
        Ok(engine) => engine,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    println!("ok  {engine}");
    let programs = workspace::build()?;
    engine.make_base_images()?;
    let mut project = Project::new(engine, programs)?;
    project.build()?;
    println!("ok  the image is built");
    let took = project.up()?;
    println!(
        "ok  every container is up and healthy, {} after `up`",
        console::seconds(took)
    );
    let all = project
        .wait_for_names("every peer to be reachable", BACK_LIMIT, |names| names.len() == 4)?
        .0;
    println!("ok  registered and reachable: {}", all.join(", "));
    download_to_the_host(&project)?;
    download_between_containers(&project)?;
    kill_one(&project)?;
    pause_one(&project)?;
    restart_registry(&project, &all)?;
    let took = project.down()?;
    println!("ok  all down, nothing left, in {}", console::seconds(took));
    Ok(Outcome::Passed(String::new()))
}

/// What the documentation shows: a file in the caller's folder, which belongs to the caller.
fn download_to_the_host(project: &Project) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("p2pci-compose-").tempdir()?;
    let caller = if geteuid().is_root() {
        SOMEBODY
    } else {
        geteuid().as_raw()
    };
    if geteuid().is_root() {
        chown(folder.path(), Some(caller), None)?;
    }
    let (user, volume) = (caller.to_string(), format!("{}:/out", folder.path().display()));
    let said = project.compose(&[
        "run", "--rm", "-T", "--user", &user, "-v", &volume, "peer", "get", "9110", "--from", "alice", "--to", "/out",
    ])?;
    let file = folder.path().join("rfc9110.txt");
    let digest = documents::sha256(&file)?;
    ensure!(
        digest == sample("alice/rfc9110.txt")?,
        "the file has the digest {digest}"
    );
    let owner = fs::metadata(&file)?.uid();
    ensure!(owner == caller, "the file belongs to user {owner}, not to {caller}");
    ensure!(said.contains("alice"), "the command did not name its source: {said}");
    println!("ok  RFC 9110 came from alice to this machine, SHA-256 right, owned by the caller");
    Ok(())
}

/// A container fetches from another one by its name, and shares what it fetched.
fn download_between_containers(project: &Project) -> Result<()> {
    project.compose(&[
        "exec",
        "-T",
        "peer",
        "peer",
        "get",
        "2324",
        "--from",
        "carol",
        "--to",
        "/srv/rfcs",
    ])?;
    let ((), took) = project.wait_for_holders(2324, KILLED_LIMIT, |holders| holders.len() == 2)?;
    println!(
        "ok  RFC 2324 went from carol to the empty peer, which was a holder {} later",
        console::seconds(took)
    );
    Ok(())
}

fn kill_one(project: &Project) -> Result<()> {
    project.wait_for_holders(768, KILLED_LIMIT, |holders| holders == ["bob"])?;
    project.compose(&["kill", "bob"])?;
    let ((), took) = project.wait_for_holders(768, KILLED_LIMIT, <[String]>::is_empty)?;
    println!(
        "ok  bob's container was killed, and his RFCs were gone {} later",
        console::seconds(took)
    );
    project.compose(&["start", "bob"])?;
    let (_, took) = project.wait_for_names("bob to be back", BACK_LIMIT, |names| names.contains(&"bob".to_owned()))?;
    println!(
        "ok  bob's container was started again, and he was back {} later",
        console::seconds(took)
    );
    Ok(())
}

fn pause_one(project: &Project) -> Result<()> {
    project.compose(&["pause", "carol"])?;
    let carol = "carol".to_owned();
    let gone = project.wait_for_rows("carol to be gone", SILENT_LIMIT, |rows| {
        rows.iter().all(|row| row.name != carol)
    });
    // Also when she was not gone in time: a paused container cannot be stopped.
    project.compose(&["unpause", "carol"])?;
    println!(
        "ok  carol's container was paused, and she was gone {} later",
        console::seconds(gone?.1)
    );
    let (_, took) = project.wait_for_names("carol to be back", BACK_LIMIT, |names| names.contains(&carol))?;
    println!("ok  it goes on, and she was back {} later", console::seconds(took));
    Ok(())
}

fn restart_registry(project: &Project, all: &[String]) -> Result<()> {
    project.compose(&["restart", "registry"])?;
    let (_, took) = project.wait_for_names("everybody to be back", BACK_LIMIT, |names| names == all)?;
    for (number, name) in [(9110, "alice"), (768, "bob"), (9000, "carol")] {
        project.wait_for_holders(number, BACK_LIMIT, |holders| holders == [name])?;
    }
    println!(
        "ok  the registry was restarted, and everybody was back {} later",
        console::seconds(took)
    );
    Ok(())
}

fn sample(path: &str) -> Result<String> {
    let digests = documents::sample_digests(&workspace::root().join("xtask/samples"))?;
    digests
        .get(path)
        .cloned()
        .with_context(|| format!("SHA256SUMS lacks {path}"))
}
