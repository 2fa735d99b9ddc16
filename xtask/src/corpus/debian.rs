//! The series from Debian's packages, as of the release of Debian that this machine uses.
//!
//! The packages are downloaded and unpacked, never installed, with a list of sources of their own: they are in the
//! component non-free, which most machines have not enabled. apt checks Debian's signatures.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use super::{WORK_FOLDER, is_rfc, say};
use crate::{process, wait};

/// The packages that together hold the series.
const PACKAGES: [&str; 8] = [
    "doc-rfc-std",
    "doc-rfc-std-proposed",
    "doc-rfc-old-std",
    "doc-rfc-fyi-bcp",
    "doc-rfc-informational",
    "doc-rfc-experimental",
    "doc-rfc-misc",
    "doc-rfc-others",
];

/// Where the packages put every RFC under its own name.
const LINKS: &str = "usr/share/doc/RFC/links";

/// The keys that Debian signs its releases with, on a Debian system.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// For one package over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Where Debian's packages come from, when apt's own configuration does not say.
const DEFAULT_ARCHIVE: &str = "http://deb.debian.org/debian";

/// Fetches the packages and puts their RFCs into the folder.
pub fn fetch(folder: &Path) -> Result<String> {
    for tool in ["apt-get", "dpkg", "gzip"] {
        let mut command = Command::new(tool);
        command.arg("--version");
        process::run(tool, command, Duration::from_secs(30)).context("this needs a Debian system")?;
    }
    let work = folder.join(WORK_FOLDER);
    for inside in ["lists/partial", "cache/archives/partial", "debs", "root", "flat"] {
        fs::create_dir_all(work.join(inside))?;
    }
    let (options, archive) = source()?;
    let source = format!("deb {options}{archive} non-free");
    fs::write(work.join("corpus.list"), format!("{source}\n"))?;
    say(&format!("Asking apt for Debian's doc-rfc packages: {source}"));
    process::run_visibly("apt-get update", apt(&work, &["update"]), DOWNLOAD_LIMIT)?;
    for (index, package) in PACKAGES.iter().enumerate() {
        say(&format!("Package {} of {}: {package}", index + 1, PACKAGES.len()));
        unpack(package, &work)?;
    }
    say("Putting the RFCs into place.");
    gather(&work)?;
    place(&work.join("flat"), folder)?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    Ok(format!("Debian's doc-rfc packages ({archive})"))
}

/// Downloads and unpacks one package, unless that was done by an earlier run.
fn unpack(package: &str, work: &Path) -> Result<()> {
    let done = work.join(format!("{package}.done"));
    if done.exists() {
        return Ok(());
    }
    let debs = work.join("debs");
    let mut download = apt(work, &["download", package]);
    download.current_dir(&debs);
    process::run_visibly(&format!("apt-get download {package}"), download, DOWNLOAD_LIMIT)?;
    let prefix = format!("{package}_");
    let archive = fs::read_dir(&debs)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .with_context(|| format!("apt-get download left no file of {package}"))?;
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--extract").arg(&archive).arg(work.join("root"));
    process::run_visibly("dpkg --extract", dpkg, DOWNLOAD_LIMIT)?;
    fs::remove_file(archive)?;
    File::create(done)?;
    Ok(())
}

/// An apt command that knows no source but ours, and writes nowhere but into the work folder.
fn apt(work: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").args(arguments);
    for (option, path) in [
        ("Dir::Etc::SourceList", "corpus.list"),
        ("Dir::State::Lists", "lists"),
        ("Dir::Cache", "cache"),
    ] {
        command.arg("-o").arg(format!("{option}={}", work.join(path).display()));
    }
    command.args(["-o", "Dir::Etc::SourceParts=/dev/null"]);
    if geteuid().is_root() {
        // Otherwise apt downloads as a user of its own, who may not write here.
        command.args(["-o", "APT::Sandbox::User=root"]);
    }
    command
}

/// The archive and release that this machine uses, and the options with which apt should trust it.
fn source() -> Result<(String, String)> {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(COMPONENT) $(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
    ]);
    let configured = process::run("apt-get indextargets", command, Duration::from_secs(60))?.stdout;
    // Without it, apt trusts the keys that it is configured to trust for every source.
    let options = if Path::new(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    if let Some(archive) = configured.lines().find_map(archive_of) {
        return Ok((options, archive));
    }
    let release = fs::read_to_string("/etc/os-release").context("cannot tell which release of Debian this is")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.context("/etc/os-release names no release of Debian")?;
    Ok((options, format!("{DEFAULT_ARCHIVE} {codename}")))
}

/// The archive and release of a configured source, if it is that of a release's main component.
fn archive_of(target: &str) -> Option<String> {
    let mut fields = target.split_whitespace();
    let (component, archive, release) = (fields.next()?, fields.next()?, fields.next()?);
    let supplement = release.contains("-security") || release.contains("-updates") || archive.contains("security");
    (component == "main" && !supplement).then(|| format!("{archive} {release}"))
}

/// Copies the texts and records out of the unpacked packages into one folder, uncompressed.
fn gather(work: &Path) -> Result<()> {
    let (links, flat) = (work.join("root").join(LINKS), work.join("flat"));
    for entry in fs::read_dir(&links).with_context(|| format!("cannot read {}", links.display()))? {
        wait::check_interrupt()?;
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_rfc(&name, ".txt") && !is_rfc(&name, ".txt.gz") && !is_rfc(&name, ".json") {
            continue;
        }
        // Most of them are symbolic links; a few lead nowhere.
        let Ok(mut from) = File::open(entry.path()) else {
            continue;
        };
        let mut to = File::create(flat.join(&name))?;
        std::io::copy(&mut from, &mut to)?;
        to.set_modified(from.metadata()?.modified()?)?;
    }
    let mut gzip = Command::new("gzip");
    gzip.args(["--decompress", "--force", "--recursive"]).arg(&flat);
    process::run_visibly("gzip --decompress", gzip, DOWNLOAD_LIMIT)
}

/// Moves finished files to where they belong.
fn place(flat: &Path, folder: &Path) -> Result<()> {
    let files: Vec<PathBuf> = fs::read_dir(flat)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    if files.is_empty() {
        bail!("the packages hold no RFC under {LINKS}");
    }
    for file in files {
        let name = file.file_name().unwrap_or_default();
        fs::rename(&file, folder.join(name)).with_context(|| format!("cannot move {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_the_one_that_main_comes_from() {
        let found = archive_of("main http://mirror.example/debian/ bookworm");
        assert_eq!(found.as_deref(), Some("http://mirror.example/debian/ bookworm"));
        for passed_over in [
            "contrib http://mirror.example/debian/ bookworm",
            "main http://mirror.example/debian/ bookworm-updates",
            "main http://mirror.example/debian-security/ bookworm-security",
            "",
        ] {
            assert_eq!(archive_of(passed_over), None, "{passed_over}");
        }
    }
}
