//! A document on its way to the disk.

use p2p_ci::digest::Sha256;

use crate::library::{PartFile, StoreError, Stored};

/// A file being written, with its blocking work kept off the async threads.
pub struct Sink {
    /// Absent only while blocking work has it.
    part: Option<PartFile>,
    written: u64,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Sink {
    /// Writes into `part`.
    #[must_use]
    pub fn new(part: PartFile) -> Self {
        let written = part.written();
        Self {
            part: Some(part),
            written,
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut PartFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut part = self.part.take().ok_or_else(interrupted)?;
        let (part, result) = blocking(move || {
            let result = work(&mut part);
            Ok((part, result))
        })
        .await?;
        self.part = Some(part);
        result
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be written; the temporary file is of no more use then.
    pub async fn write(&mut self, chunk: bytes::Bytes) -> Result<(), StoreError> {
        self.written += chunk.len() as u64;
        self.with(move |part| part.write(&chunk)).await
    }

    /// Forgets everything written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the temporary file cannot be emptied.
    pub async fn restart(&mut self) -> Result<(), StoreError> {
        self.written = 0;
        self.with(PartFile::restart).await
    }

    /// The digest of everything written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the temporary file is of no more use.
    pub async fn digest(&mut self) -> Result<Sha256, StoreError> {
        self.with(|part| Ok(part.digest())).await
    }

    /// Gives the file its name, once its length and digest are those of the document.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is left behind then.
    pub async fn commit(
        mut self,
        modified: Option<p2p_ci::document::UnixSeconds>,
        replace: bool,
    ) -> Result<Stored, StoreError> {
        let part = self.part.take().ok_or_else(interrupted)?;
        blocking(move || part.commit(modified, replace)).await
    }
}

/// Runs blocking work of the target off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match crate::blocking::run(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(interrupted()),
    }
}

/// The process is ending: blocking work that had not begun yet is dropped.
fn interrupted() -> StoreError {
    StoreError::Io {
        action: "finish",
        path: std::path::PathBuf::from("the download"),
        source: std::io::Error::from(std::io::ErrorKind::Interrupted),
    }
}
