//! Putting one file into a target.

use std::{
    io::{self, BufReader, Read as _, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use flate2::{Compression, GzBuilder};
use p2p_ci::{digest::Sha256, document::Document, facts::Facts};
use rustix::io::Errno;

use super::{
    layout::Index,
    plan::{Content, Item},
    record::Record,
    summary::Outcome,
};
use crate::{
    facts::{
        SharedCatalogue,
        listing::{Style, write_lines, write_txt, write_xml},
        record,
    },
    library::{Draft, Found, FoundFile, Library, LibraryError, Original, Placed, StoreError, Target},
    output::human,
};

/// The longest file beside the documents that is exported: the real list of errors has 12 MB.
const MAX_BESIDE_BYTES: u64 = 128 * 1024 * 1024;

/// How hard what is packed is packed: as Debian does.
const PACKING: Compression = Compression::best();

/// What becomes of files that have other bytes than they should, and how documents get into a target.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Replaces them, whoever made them.
    pub force: bool,
    /// Makes no hard links: no file of the target changes with the one that it was made of.
    pub copy: bool,
}

/// Why a file was not put there.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another one is there, and stays.
    Kept(StoreError),
    /// The document's file is another one by now.
    Moved(LibraryError),
    /// Something else.
    Failed(String),
    /// Nor can any other be: the target is full, or not to be written to.
    Stopped(StoreError),
}

/// A file that is in its place.
#[derive(Debug)]
pub(super) struct Done {
    /// How it came there.
    pub outcome: Outcome,
    /// Its bytes; for a file that was there, none.
    pub bytes: u64,
    /// The digest of its bytes, unless it was there, packed by whoever.
    pub sha256: Option<Sha256>,
    /// The file.
    pub placed: Placed,
}

/// What has the name of a file that is to be put there.
enum Standing {
    /// Nothing.
    Free,
    /// The file itself.
    Present(Placed),
    /// What may be replaced.
    Old,
}

/// Everything that it takes.
#[derive(Debug)]
pub(super) struct Job<'a> {
    library: &'a Library,
    target: &'a Target,
    catalogue: &'a SharedCatalogue,
    record: &'a Record,
    options: Options,
    /// Whether the file system may know how to share blocks.
    may_clone: AtomicBool,
}

impl<'a> Job<'a> {
    /// A job in a target of which `record` tells what was put there before.
    #[must_use]
    pub(super) fn new(
        library: &'a Library,
        target: &'a Target,
        catalogue: &'a SharedCatalogue,
        record: &'a Record,
        options: Options,
    ) -> Self {
        Self {
            library,
            target,
            catalogue,
            record,
            options,
            may_clone: AtomicBool::new(true),
        }
    }

    /// Puts one file into its place, unless it is there. Blocks.
    ///
    /// # Errors
    ///
    /// Each [`Trouble`].
    pub(super) fn place(&self, item: &Item) -> Result<Done, Trouble> {
        match &item.content {
            Content::Document(document) => self.document(item, document),
            Content::Packed(document) => self.packed(item, document),
            Content::Together(documents) => self.made(item, |draft| self.together(item, documents, draft)),
            Content::Index(index) => self.made(item, |draft| self.index(item, *index, draft)),
            Content::Record(number) => self.made(item, |draft| {
                let facts = self.catalogue.look(|catalogue| catalogue.get(*number));
                let record = facts.as_ref().and_then(|facts: &Facts| record::write(facts));
                let written = draft.write_all(&record.unwrap_or_default());
                self.written(item, written)
            }),
            Content::Beside(name) => self.made(item, |draft| self.beside(item, name, draft)),
        }
    }

    /// What has a file's name, where `is_it` tells whether that is the file itself.
    fn standing(&self, item: &Item, is_it: impl FnOnce(&FoundFile) -> io::Result<bool>) -> Result<Standing, Trouble> {
        let path = self.target.path().join(&item.path);
        match self.target.find(Path::new(&item.path)).map_err(troubled)? {
            Found::Nothing => Ok(Standing::Free),
            // What cannot be read is not the file.
            Found::File(found) if is_it(&found).unwrap_or(false) => Ok(Standing::Present(found.placed())),
            Found::File(_)
            | Found::Other {
                is_replaceable: true, ..
            } if self.options.force => Ok(Standing::Old),
            Found::File(found) => {
                let is_ours = found
                    .digest(false)
                    .is_ok_and(|sha256| self.record.is_ours(&item.path, sha256));
                if is_ours {
                    Ok(Standing::Old)
                } else {
                    Err(Trouble::Kept(StoreError::Exists(path)))
                }
            }
            Found::Other { what, .. } => Err(Trouble::Kept(StoreError::InTheWay { path, what })),
        }
    }

    fn document(&self, item: &Item, document: &Document) -> Result<Done, Trouble> {
        let original = self.library.original(document.id.key);
        let standing = self.standing(item, |found| {
            match original.as_ref().is_some_and(|original| found.is(original)) {
                // A link that this program has made is to become a copy.
                true => Ok(!(self.options.copy && self.record.knows(&item.path))),
                false => has_bytes_of(found, document),
            }
        })?;
        let replace = match standing {
            Standing::Present(placed) => return Ok(present(placed, Some(document.id.sha256))),
            Standing::Old => true,
            Standing::Free => false,
        };
        let done = |outcome, placed| Done {
            outcome,
            bytes: document.size_bytes,
            sha256: Some(document.id.sha256),
            placed,
        };
        if let Some(original) = &original {
            if let Some(placed) = self.cloned(item, document, original, replace)? {
                return Ok(done(Outcome::Cloned, placed));
            }
            if let Some(placed) = self.linked(item, original, replace)? {
                return Ok(done(Outcome::Linked, placed));
            }
        }
        let mut draft = self.target.draft().map_err(troubled)?;
        self.read(item, document, &mut draft)?;
        let placed = draft.commit(Path::new(&item.path), document.modified, replace);
        Ok(done(Outcome::Copied, placed.map_err(troubled)?))
    }

    /// A file of its own that shares the blocks of the document's; `None` where that cannot be had.
    fn cloned(
        &self,
        item: &Item,
        document: &Document,
        original: &Original,
        replace: bool,
    ) -> Result<Option<Placed>, Trouble> {
        if !self.may_clone.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let draft = self.target.draft().map_err(troubled)?;
        match draft.clone_of(original) {
            Ok(()) => {}
            // Whoever reads the file finds out.
            Err(Errno::AGAIN) => return Ok(None),
            Err(_) => {
                // What one file cannot have, the next one hardly can.
                self.may_clone.store(false, Ordering::Relaxed);
                return Ok(None);
            }
        }
        let placed = draft.commit(Path::new(&item.path), document.modified, replace);
        placed.map(Some).map_err(troubled)
    }

    /// Another name for the document's file; `None` where that cannot be had, or is not wanted.
    fn linked(&self, item: &Item, original: &Original, replace: bool) -> Result<Option<Placed>, Trouble> {
        if self.options.copy {
            return Ok(None);
        }
        let linked = self.target.link(original, Path::new(&item.path), replace);
        linked.map_err(troubled)
    }

    fn packed(&self, item: &Item, document: &Document) -> Result<Done, Trouble> {
        // Whoever packed it: what it unpacks to counts.
        let standing = self.standing(item, |found| Ok(found.digest(true)? == document.id.sha256))?;
        let replace = match standing {
            Standing::Present(placed) => return Ok(present(placed, None)),
            Standing::Old => true,
            Standing::Free => false,
        };
        let mut draft = self.target.draft().map_err(troubled)?;
        let mut packer = GzBuilder::new().mtime(0).write(&mut draft, PACKING);
        self.read(item, document, &mut packer)?;
        let packed = packer.finish().map(|_| ());
        self.written(item, packed)?;
        let (bytes, sha256) = (draft.written(), Some(draft.digest()));
        let placed = draft.commit(Path::new(&item.path), document.modified, replace);
        Ok(Done {
            outcome: Outcome::Copied,
            bytes,
            sha256,
            placed: placed.map_err(troubled)?,
        })
    }

    /// A file of which it only shows once it is made whether it is there.
    fn made(&self, item: &Item, make: impl FnOnce(&mut Draft) -> Result<(), Trouble>) -> Result<Done, Trouble> {
        let mut draft = self.target.draft().map_err(troubled)?;
        make(&mut draft)?;
        let (bytes, sha256) = (draft.written(), draft.digest());
        let standing = self.standing(item, |found| {
            Ok(found.size_bytes() == bytes && found.digest(false)? == sha256)
        })?;
        let replace = match standing {
            Standing::Present(placed) => return Ok(present(placed, Some(sha256))),
            Standing::Old => true,
            Standing::Free => false,
        };
        let placed = draft.commit(Path::new(&item.path), None, replace);
        Ok(Done {
            outcome: Outcome::Made,
            bytes,
            sha256: Some(sha256),
            placed: placed.map_err(troubled)?,
        })
    }

    /// Texts, one after the other, each from the start of a line on.
    fn together(&self, item: &Item, documents: &[Document], draft: &mut Draft) -> Result<(), Trouble> {
        for (at, document) in documents.iter().enumerate() {
            let mut lines = Lines {
                out: &mut *draft,
                ends_line: true,
            };
            self.read(item, document, &mut lines)?;
            let is_last = at + 1 == documents.len();
            let end = if lines.ends_line || is_last { "" } else { "\n" };
            let ended = draft.write_all(end.as_bytes());
            self.written(item, ended)?;
        }
        Ok(())
    }

    fn index(&self, item: &Item, index: Index, draft: &mut Draft) -> Result<(), Trouble> {
        let written = self.catalogue.look(|catalogue| match index {
            Index::Txt => write_txt(catalogue, Style::Legacy, &mut *draft),
            Index::PackedTxt => {
                let mut packer = GzBuilder::new().mtime(0).write(&mut *draft, PACKING);
                write_txt(catalogue, Style::Legacy, &mut packer)?;
                packer.finish().map(|_| ())
            }
            Index::Xml => write_xml(catalogue, &mut *draft),
            Index::Lines(lines) => write_lines(catalogue, lines, &mut *draft),
        });
        self.written(item, written)
    }

    fn beside(&self, item: &Item, name: &str, draft: &mut Draft) -> Result<(), Trouble> {
        let gone = || Trouble::Failed(format!("{name} is gone"));
        let file = self.library.beside(name).ok_or_else(gone)?;
        if file.size_bytes > MAX_BESIDE_BYTES {
            let most = human::bytes(MAX_BESIDE_BYTES);
            return Err(Trouble::Failed(format!(
                "{name} is left out, as it has more than {most}"
            )));
        }
        let mut bytes = BufReader::new(file.file.take(MAX_BESIDE_BYTES));
        let copied = io::copy(&mut bytes, draft).map(|_| ());
        self.written(item, copied)
    }

    /// Writes a document's bytes to `out`, the last ones only once it shows that all of them are right.
    fn read(&self, item: &Item, document: &Document, out: &mut impl Write) -> Result<(), Trouble> {
        let mut reader = self.library.read(document.id.key, 0).map_err(Trouble::Moved)?;
        if reader.header().id != document.id {
            return Err(Trouble::Moved(LibraryError::Changed(document.id.key)));
        }
        while let Some(bytes) = reader.next_chunk().map_err(Trouble::Moved)? {
            self.written(item, out.write_all(&bytes))?;
        }
        Ok(())
    }

    fn written(&self, item: &Item, written: io::Result<()>) -> Result<(), Trouble> {
        written.map_err(|error| troubled(self.target.failed(Path::new(&item.path), error)))
    }
}

fn present(placed: Placed, sha256: Option<Sha256>) -> Done {
    Done {
        outcome: Outcome::Present,
        bytes: 0,
        sha256,
        placed,
    }
}

fn has_bytes_of(found: &FoundFile, document: &Document) -> io::Result<bool> {
    Ok(found.size_bytes() == document.size_bytes && found.digest(false)? == document.id.sha256)
}

/// What an error of the target means for its other files.
fn troubled(error: StoreError) -> Trouble {
    match error {
        StoreError::Exists(_) | StoreError::InTheWay { .. } => Trouble::Kept(error),
        StoreError::NoSpace { .. }
        | StoreError::NoFiles(_)
        | StoreError::NotWritable { .. }
        | StoreError::PartFolder(_)
        | StoreError::NoParent(_)
        | StoreError::NotAFolder(_) => Trouble::Stopped(error),
        StoreError::Io { .. } | StoreError::TooLarge { .. } | StoreError::Integrity { .. } => {
            Trouble::Failed(error.to_string())
        }
    }
}

/// Remembers whether what was written ends a line.
struct Lines<W> {
    out: W,
    ends_line: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        if let Some(last) = bytes.get(..count).and_then(<[u8]>::last) {
            self.ends_line = *last == b'\n';
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
