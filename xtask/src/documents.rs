//! RFC files on disk: finding them, hashing them, and dealing them out to peers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The names of the sample folders, which are also the names of the peers that share them.
pub const SAMPLE_FOLDERS: [&str; 3] = ["alice", "bob", "carol"];

/// One RFC: its text, and its metadata record where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rfc {
    /// The RFC's number.
    pub number: u32,
    /// The files, the text among them.
    pub files: Vec<PathBuf>,
    /// The text: `rfcN.txt`, or `rfcN.txt.gz` where only that is there, as in Debian's packages.
    pub text: PathBuf,
    /// Length of the text's file in bytes.
    pub bytes: u64,
}

impl Rfc {
    /// In how many formats the RFC is there. Compressed or not makes no difference.
    pub fn formats(&self) -> usize {
        let stem = |path: &PathBuf| match path.extension() {
            Some(extension) if extension == "gz" => path.with_extension(""),
            Some(_) | None => path.clone(),
        };
        self.files.iter().map(stem).collect::<BTreeSet<PathBuf>>().len()
    }

    /// Whether the text is compressed. A peer serves it uncompressed.
    pub fn is_packed(&self) -> bool {
        self.text.extension().is_some_and(|extension| extension == "gz")
    }
}

/// Finds the RFCs of which a folder holds at least the text, in order of number. Other files are passed over.
pub fn scan(folder: &Path) -> Result<Vec<Rfc>> {
    let mut found: BTreeMap<u32, Vec<(String, PathBuf, u64)>> = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let path = entry?.path();
        let Some((number, suffix)) = path.file_name().and_then(|name| name.to_str()).and_then(parse_name) else {
            continue;
        };
        // Follows symbolic links, which Debian's packages use.
        if let Some(metadata) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) {
            let suffix = suffix.to_owned();
            found.entry(number).or_default().push((suffix, path, metadata.len()));
        }
    }
    let rfc = |(number, mut files): (u32, Vec<(String, PathBuf, u64)>)| {
        files.sort();
        let of = |wanted: &str| files.iter().find(|(suffix, ..)| suffix == wanted);
        let (_, text, bytes) = of("txt").or_else(|| of("txt.gz"))?.clone();
        Some(Rfc {
            number,
            files: files.into_iter().map(|(_, path, _)| path).collect(),
            text,
            bytes,
        })
    };
    Ok(found.into_iter().filter_map(rfc).collect())
}

/// Splits `rfc9110.txt` into the number and what follows the first dot, if it is the name of a text or its metadata
/// record.
fn parse_name(name: &str) -> Option<(u32, &str)> {
    let (stem, suffix) = name.split_once('.')?;
    let number = stem.strip_prefix("rfc")?;
    let format = suffix.strip_suffix(".gz").unwrap_or(suffix);
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || !["txt", "json"].contains(&format) {
        return None;
    }
    Some((number.parse().ok()?, suffix))
}

/// Deals RFCs out to `hands`, one by one and in turn.
pub fn deal(rfcs: Vec<Rfc>, hands: usize) -> Result<Vec<Vec<Rfc>>> {
    if rfcs.len() < hands {
        bail!(
            "{} RFCs (rfcNNNN.txt or rfcNNNN.txt.gz) are too few for {hands} peers",
            rfcs.len()
        );
    }
    let mut dealt = vec![Vec::new(); hands];
    for (index, rfc) in rfcs.into_iter().enumerate() {
        if let Some(hand) = dealt.get_mut(index % hands.max(1)) {
            hand.push(rfc);
        }
    }
    Ok(dealt)
}

/// Copies a file into a folder under the same name.
pub fn copy_into(file: &Path, folder: &Path) -> Result<PathBuf> {
    let name = file
        .file_name()
        .with_context(|| format!("{} has no file name", file.display()))?;
    let target = folder.join(name);
    fs::copy(file, &target).with_context(|| format!("cannot copy {} to {}", file.display(), target.display()))?;
    Ok(target)
}

/// The SHA-256 digest of a file as `sha256sum` prints it.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// The digests that come with the samples, by path below the folder of samples.
pub fn sample_digests(samples: &Path) -> Result<BTreeMap<String, String>> {
    let path = samples.join("SHA256SUMS");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let pairs = text.lines().filter_map(|line| line.split_once("  "));
    Ok(pairs
        .map(|(digest, file)| (file.to_owned(), digest.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rfcs_are_told_from_others() {
        assert_eq!(parse_name("rfc9110.txt"), Some((9110, "txt")));
        assert_eq!(parse_name("rfc0001.json"), Some((1, "json")));
        assert_eq!(parse_name("rfc5.txt.gz"), Some((5, "txt.gz")));
        for name in [
            "rfc17a.txt",
            "rfc5.pdf",
            "rfc-index.txt",
            "rfc.txt",
            "rfc1.ps",
            "9110.txt",
            "rfc99999999999.txt",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_samples_are_found_and_are_what_their_list_says() {
        let samples = crate::workspace::root().join("xtask/samples");
        let digests = sample_digests(&samples).unwrap();
        let mut texts = 0;
        for folder in SAMPLE_FOLDERS {
            for rfc in scan(&samples.join(folder)).unwrap() {
                assert_eq!(
                    digests[&format!("{folder}/rfc{}.txt", rfc.number)],
                    sha256(&rfc.text).unwrap()
                );
                assert_eq!(rfc.files.len(), 2, "text and metadata record");
                texts += 1;
            }
        }
        assert_eq!(texts, 20);
    }

    #[test]
    fn compressed_texts_count_where_there_is_no_plain_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "rfc1.txt",
            "rfc1.txt.gz",
            "rfc2.txt.gz",
            "rfc2.json",
            "rfc3.pdf",
            "notes.txt",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let found: Vec<(u32, bool, usize)> = scan(folder.path())
            .unwrap()
            .iter()
            .map(|rfc| (rfc.number, rfc.is_packed(), rfc.formats()))
            .collect();
        assert_eq!(found, [(1, false, 1), (2, true, 2)]);
    }

    #[test]
    fn dealing_is_fair_and_complete() {
        let rfc = |number| Rfc {
            number,
            files: vec![],
            text: PathBuf::new(),
            bytes: 0,
        };
        let hands = deal((1..=7).map(rfc).collect(), 3).unwrap();
        assert_eq!(hands.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 2]);
        assert_eq!(hands[1].iter().map(|rfc| rfc.number).collect::<Vec<_>>(), [2, 5]);
        assert!(deal(vec![rfc(1)], 2).is_err());
    }
}
