//! The documents that are carried: a real series, the samples, or what this program makes up.
//!
//! They are copied into memory first, so that no disk is measured, every contestant carries the very same files, and
//! the user's folder is only read.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};

use super::synthetic;
use crate::{
    documents::{self, SAMPLE_FOLDERS},
    wait, workspace,
};

/// How old the files are: any time that is past for every clock.
const AGE: Duration = Duration::from_secs(60 * 60);

/// Documents in a folder of their own, and nothing else in it.
#[derive(Debug)]
pub struct Corpus {
    /// The folder.
    pub folder: PathBuf,
    /// The names of the files, in order of number.
    pub names: Vec<String>,
    /// Their length altogether.
    pub bytes: u64,
    /// Where they come from, for people.
    pub origin: String,
}

impl Corpus {
    /// Copies the texts of a series into a new folder: every `step`th one.
    pub fn of_series(series: &Path, step: usize, folder: &Path) -> Result<Self> {
        let texts = documents::scan(series)?.into_iter().filter(|rfc| !rfc.is_packed());
        let chosen: Vec<PathBuf> = texts.step_by(step.max(1)).map(|rfc| rfc.text).collect();
        if chosen.is_empty() {
            bail!(
                "{} holds no texts rfcN.txt; `cargo xtask corpus DIR` fetches the series",
                series.display()
            );
        }
        copy(&chosen, folder)?;
        Self::measure(folder, "real RFCs".to_owned())
    }

    /// Copies the texts of a series and their metadata records into a new folder.
    pub fn with_records(series: &Path, folder: &Path) -> Result<Self> {
        let is_read = |path: &PathBuf| {
            path.extension()
                .is_some_and(|ending| ending == "txt" || ending == "json")
        };
        let rfcs = documents::scan(series)?.into_iter().filter(|rfc| !rfc.is_packed());
        let files: Vec<PathBuf> = rfcs.flat_map(|rfc| rfc.files).filter(is_read).collect();
        copy(&files, folder)?;
        for file in fs::read_dir(folder)? {
            date_back(&file?.path())?;
        }
        Self::measure(folder, "real RFCs, with their records".to_owned())
    }

    /// Copies the samples of this repository into a new folder.
    pub fn of_samples(folder: &Path) -> Result<Self> {
        let samples = workspace::root().join("xtask/samples");
        let mut texts = Vec::new();
        for name in SAMPLE_FOLDERS {
            texts.extend(documents::scan(&samples.join(name))?.into_iter().map(|rfc| rfc.text));
        }
        copy(&texts, folder)?;
        Self::measure(folder, "the samples".to_owned())
    }

    /// Makes up a series of which the sizes are distributed as those of the real one: every `step`th document.
    pub fn made_up(step: usize, folder: &Path) -> Result<Self> {
        make(folder)?;
        synthetic::write_series(folder, step)?;
        Self::measure(
            folder,
            "made-up texts with the sizes of the real series (see --rfcs)".to_owned(),
        )
    }

    /// Makes up documents of equal length that cannot be compressed.
    pub fn of_noise(count: u32, length: usize, folder: &Path) -> Result<Self> {
        make(folder)?;
        synthetic::write_noise(folder, count, length)?;
        Self::measure(folder, "pseudo-random bytes".to_owned())
    }

    /// The number of documents.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    fn measure(folder: &Path, origin: String) -> Result<Self> {
        let rfcs = documents::scan(folder)?;
        for rfc in &rfcs {
            date_back(&rfc.text)?;
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            folder: folder.to_owned(),
            bytes: rfcs.iter().map(|rfc| rfc.bytes).sum(),
            names: rfcs.iter().filter_map(|rfc| name(&rfc.text)).collect(),
            origin,
        })
    }

    /// Fails unless a folder holds every document, byte for byte, and no other that is not hidden.
    pub fn check_copy(&self, copy: &Path) -> Result<()> {
        for name in &self.names {
            wait::check_interrupt()?;
            let read = |folder: &Path| {
                let path = folder.join(name);
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
            };
            ensure!(read(&self.folder)? == read(copy)?, "{name} arrived with other bytes");
        }
        let mut found = 0;
        for entry in fs::read_dir(copy)? {
            found += usize::from(!entry?.file_name().to_string_lossy().starts_with('.'));
        }
        ensure!(
            found == self.count(),
            "{found} files arrived, but {} were sent",
            self.count()
        );
        Ok(())
    }
}

/// Gives a file the time of one that has lain there for a while: a peer leaves new ones alone for a second, and that
/// second would be measured.
fn date_back(path: &Path) -> Result<()> {
    let file = fs::File::options().write(true).open(path);
    let dated = file.and_then(|file| file.set_modified(SystemTime::now() - AGE));
    dated.with_context(|| format!("cannot date {} back", path.display()))
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn copy(files: &[PathBuf], folder: &Path) -> Result<()> {
    make(folder)?;
    for file in files {
        wait::check_interrupt()?;
        documents::copy_into(file, folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_complete_and_equal_or_the_difference_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = Corpus::of_samples(&folder.path().join("samples")).unwrap();
        assert_eq!(corpus.count(), 20);
        let twin = Corpus::of_series(&corpus.folder, 1, &folder.path().join("twin")).unwrap();
        assert_eq!((twin.bytes, &twin.names), (corpus.bytes, &corpus.names));
        corpus.check_copy(&twin.folder).unwrap();
        fs::write(twin.folder.join("more.txt"), "x").unwrap();
        let message = |found: Result<()>| format!("{:#}", found.unwrap_err());
        assert!(message(corpus.check_copy(&twin.folder)).contains("21 files arrived"));
        fs::write(twin.folder.join("rfc1.txt"), "x").unwrap();
        assert!(message(corpus.check_copy(&twin.folder)).contains("rfc1.txt arrived with other bytes"));
        fs::remove_file(twin.folder.join("rfc1.txt")).unwrap();
        assert!(message(corpus.check_copy(&twin.folder)).contains("cannot read"));
    }

    #[test]
    fn every_nth_text_may_be_enough() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = Corpus::of_samples(&folder.path().join("samples")).unwrap();
        let tenth = Corpus::of_series(&corpus.folder, 10, &folder.path().join("tenth")).unwrap();
        assert_eq!(tenth.count(), 2);
    }
}
