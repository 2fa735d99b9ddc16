//! The download that survives its source.
//!
//! RFCs are small: most of them arrive in one message, too fast to be caught in the middle. So this step makes a
//! document of 16 MB that is no RFC, and says so. It freezes the downloader (SIGSTOP) as soon as some of the bytes are
//! on disk, kills the one peer that it is connected to, and lets it go on (SIGCONT). What is in flight at that moment
//! is bounded by the flow-control windows, which are far smaller than the document.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;

use super::{Demo, cast};
use crate::{
    cluster::{SOON, STOP_LIMIT},
    console, documents, json,
    process::Process,
    procfs,
    wait::{self, Look},
};

/// Just below the largest document that peers serve (16 MiB).
const STAND_IN_BYTES: usize = 16_000_000;

/// How often the download is tried again when it was over before it could be frozen.
const ATTEMPTS: usize = 20;

/// The folder in which a download grows before it gets its name.
const PART_FOLDER: &str = ".p2pci-part";

/// A download that stands still in the middle.
struct Frozen {
    process: Process,
    bytes_on_disk: u64,
    source: String,
}

impl Demo {
    pub fn source_dies(&mut self) -> Result<String> {
        let number = self.cast.stand_in;
        let (first, third) = (self.cast.source().to_owned(), self.cast.third().to_owned());
        console::tell(&format!(
            "RFCs arrive too fast to be caught in the middle. A stand-in of 16 MB, number {number}, is put into the \
             folders of {first} and {third}. (It is no RFC.)"
        ));
        let expected = self.place_stand_in(&[&first, &third])?;
        self.cluster.wait_for_holders(number, &[&first, &third], SOON)?;
        console::command(&format!("peer get {number} --to downloads &"));
        let downloads = self.cluster.make_folder("downloads")?;
        let mut frozen = self.freeze_download(&downloads)?;
        let source = frozen.source.clone();
        let survivor = if source == first { &third } else { &first };
        console::tell(&format!(
            "Stopped (SIGSTOP) with {:.1} of 16.0 MB on disk; its one connection for bytes leads to {source}, which is \
             killed now. Then it goes on (SIGCONT).",
            mega(frozen.bytes_on_disk)
        ));
        console::command(&format!("kill -KILL {} # {source}", self.cluster.peer(&source)?.id()));
        self.cluster.peer(&source)?.kill()?;
        frozen.process.signal(Signal::CONT)?;
        frozen.process.ends_well(STOP_LIMIT)?;
        console::output(&frozen.process.stderr()?);
        let rows = json::lines(&frozen.process.stdout()?)?;
        let row = rows.first().ok_or_else(|| anyhow!("the download printed nothing"))?;
        ensure!(
            json::text(row, "/outcome")? == "saved",
            "the download did not save the document: {row}"
        );
        ensure!(
            json::text(row, "/holder/name")? == survivor,
            "it should have ended with {survivor}: {row}"
        );
        let digest = documents::sha256(&cast::text_file(&downloads, number))?;
        ensure!(
            digest == expected,
            "the file on disk has the digest {digest}, not {expected}"
        );
        let part = mega(frozen.bytes_on_disk);
        Ok(format!(
            "{source} died with {part:.1} of 16.0 MB on disk, {survivor} went on, SHA-256 verified"
        ))
    }

    /// Puts the stand-in into the folders of these peers, and returns its digest.
    fn place_stand_in(&self, names: &[&str]) -> Result<String> {
        let made = cast::text_file(self.cluster.folder(), self.cast.stand_in);
        let mut file = BufWriter::new(File::create(&made)?);
        let mut written = 0;
        for line in 0_u64.. {
            let text = format!("This is line {line} of a document that stands in for a very long RFC.\n");
            let rest = STAND_IN_BYTES - written;
            let text = text.as_bytes().get(..text.len().min(rest)).unwrap_or_default();
            if text.is_empty() {
                break;
            }
            file.write_all(text)?;
            written += text.len();
        }
        file.flush()?;
        drop(file);
        for name in names {
            documents::copy_into(&made, &self.cluster.folder().join(name))?;
        }
        documents::sha256(&made)
    }

    /// Starts the download and stops it with some of the bytes on disk and others still missing.
    fn freeze_download(&mut self, downloads: &Path) -> Result<Frozen> {
        let number = self.cast.stand_in.to_string();
        let rows = self.cluster.peer_rows()?;
        for _ in 0..ATTEMPTS {
            let mut command = self.cluster.peer_command()?;
            command.args(["get", &number, "--to", "downloads", "--json"]);
            command.env("P2PCI_STATE_DIR", self.cluster.folder().join("state/commands"));
            let mut process = Process::spawn("get", command, &self.cluster.logs())?;
            let caught = wait::until("the first bytes of the download", SOON, || {
                if !process.runs()? {
                    return Ok(Look::Done(false));
                }
                let begun = size_of_part(downloads) > 0;
                Ok(if begun {
                    Look::Done(true)
                } else {
                    Look::NotYet(format!("none yet{}", process.tail()))
                })
            })?;
            if caught.0 {
                process.signal(Signal::STOP)?;
                if let Some(bytes_on_disk) = stopped_midway(&mut process, downloads)? {
                    let ports = procfs::connected_ports(process.id())?;
                    let serves = |address: &str| ports.iter().any(|port| address.ends_with(&format!(":{port}")));
                    let mut connected = rows
                        .iter()
                        .filter(|row| serves(&row.address))
                        .map(|row| row.name.clone());
                    let source = connected.next().context("the download is connected to no peer")?;
                    ensure!(connected.next().is_none(), "the download is connected to several peers");
                    return Ok(Frozen {
                        process,
                        bytes_on_disk,
                        source,
                    });
                }
                process.signal(Signal::CONT)?;
            }
            process.ends_well(STOP_LIMIT)?;
            fs::remove_file(cast::text_file(downloads, self.cast.stand_in))?;
        }
        bail!("{ATTEMPTS} downloads were all over before they could be stopped in the middle")
    }
}

/// Waits until every thread of the process stands still, and returns how much of the document is on disk, unless that
/// is nothing or all of it.
fn stopped_midway(process: &mut Process, downloads: &Path) -> Result<Option<u64>> {
    let stopped = wait::until("the download to stand still", Duration::from_secs(5), || {
        if !process.runs()? {
            return Ok(Look::Done(false));
        }
        let still = procfs::is_stopped(process.id())?;
        Ok(if still {
            Look::Done(true)
        } else {
            Look::NotYet("it still runs".to_owned())
        })
    })?;
    let size = size_of_part(downloads);
    Ok((stopped.0 && (1..STAND_IN_BYTES as u64).contains(&size)).then_some(size))
}

/// How many bytes lie in the folder for unfinished downloads.
fn size_of_part(downloads: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(downloads.join(PART_FOLDER)) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
