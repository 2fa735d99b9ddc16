//! aria2 mirrors a series from two sites at once, one of which is killed on the way.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{SERIES, Swarm, until};
use crate::{process::Process, wait};

/// How long the mirror may take; it has to find out that a site is gone.
const MIRROR_LIMIT: Duration = Duration::from_secs(180);

/// Files after which one of the sites is killed.
const KILLED_AFTER: usize = 300;

/// Mirrors, kills, and compares.
pub(super) fn run(swarm: &mut Swarm) -> Result<()> {
    let folder = swarm.cluster.make_folder("aria2")?;
    let list = folder.join("series.meta4");
    until("both sites to be named", || {
        let (url, file) = (
            format!("{}/rfcs.meta4?numbers=1-{SERIES}", swarm.one),
            list.display().to_string(),
        );
        swarm
            .tool(
                "aria2c",
                &folder,
                &[
                    "-q",
                    "--allow-overwrite=true",
                    "--follow-metalink=false",
                    "-d",
                    "/",
                    "-o",
                    &file,
                    &url,
                ],
            )?
            .expect_code("aria2c", 0)?;
        let text = fs::read_to_string(&list)?;
        Ok((text.contains(&swarm.two) && text.matches("<file ").count() == SERIES as usize).then_some(()))
    })?;
    let into = folder.join("series");
    fs::create_dir(&into)?;
    let mut command = Command::new("aria2c");
    command.current_dir(&into).arg("--metalink-file").arg(&list);
    // Slowly enough that the site is killed while there is something left to do.
    command.args([
        "-j8",
        "--check-integrity=true",
        "--max-overall-download-limit=4M",
        "--max-tries=3",
        "--connect-timeout=5",
    ]);
    let mut aria2 = Process::spawn("aria2", command, &swarm.cluster.logs())?;
    let got = |folder: &Path| -> Result<usize> { Ok(complete(folder)?.len()) };
    wait::until_dear("a part of the mirror", MIRROR_LIMIT, || {
        aria2.check_runs()?;
        Ok(match got(&into)? {
            files if files >= KILLED_AFTER => wait::Look::Done(()),
            files => wait::Look::NotYet(format!("{files} files")),
        })
    })?;
    swarm.cluster.peer("two")?.kill()?;
    let left = SERIES as usize - got(&into)?.min(SERIES as usize);
    aria2.ends_well(MIRROR_LIMIT).context("aria2 gave up")?;
    let files = complete(&into)?;
    ensure!(
        files.len() == SERIES as usize,
        "{} files instead of {SERIES}",
        files.len()
    );
    for name in files {
        swarm.check_same(&into.join(&name), &name)?;
    }
    ensure!(
        left > 0,
        "the site was killed after everything was done, which shows nothing"
    );
    println!("ok  aria2: {SERIES} RFCs from two sites, {left} of them after one was killed; all as shared");
    Ok(())
}

/// The files that aria2 has finished.
fn complete(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let is_begun = |name: &String| names.contains(&format!("{name}.aria2")) || name.ends_with(".aria2");
    Ok(names.iter().filter(|name| !is_begun(name)).cloned().collect())
}
