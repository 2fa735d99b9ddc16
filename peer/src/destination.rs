//! The folder that `get` writes to, which is made only once there is something to put into it.

use std::{io, path::PathBuf, sync::Arc};

use tokio::sync::OnceCell;

use crate::{
    blocking,
    error::PeerError,
    library::{Durability, Target},
};

/// A folder that downloads are written to. A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Destination {
    path: PathBuf,
    durability: Durability,
    target: Arc<OnceCell<Target>>,
}

impl Destination {
    /// The folder at `path`. If there is something at that path, it is opened at once.
    ///
    /// # Errors
    ///
    /// As [`Destination::open`].
    pub async fn new(path: PathBuf, durability: Durability) -> Result<Self, PeerError> {
        let destination = Self {
            path,
            durability,
            target: Arc::default(),
        };
        let path = destination.path.clone();
        let exists = blocking::run(move || path.try_exists()).await;
        if !matches!(exists, Ok(Ok(false))) {
            destination.open().await?;
        }
        Ok(destination)
    }

    /// A folder that is open already.
    #[must_use]
    pub fn of(target: Target) -> Self {
        Self {
            path: target.path().to_owned(),
            durability: Durability::None,
            target: Arc::new(OnceCell::new_with(Some(target))),
        }
    }

    /// The folder, open. It is made if only its parent exists.
    ///
    /// # Errors
    ///
    /// [`PeerError::Store`] when it cannot be made, or cannot be written to.
    pub async fn open(&self) -> Result<&Target, PeerError> {
        let opening = || async {
            let (path, durability) = (self.path.clone(), self.durability);
            let opened = blocking::run(move || Target::open(&path, durability)).await;
            let opened =
                opened.map_err(|error| PeerError::system("opening the target folder")(io::Error::other(error)));
            Ok::<Target, PeerError>(opened??)
        };
        self.target.get_or_try_init(opening).await
    }

    /// Forces to the disk what was written, if that was left to the end.
    ///
    /// # Errors
    ///
    /// [`PeerError::Store`] when the system fails to.
    pub async fn finish(&self) -> Result<(), PeerError> {
        let Some(target) = self.target.get().cloned() else {
            return Ok(());
        };
        let finished = blocking::run(move || target.finish()).await;
        finished.map_err(|error| PeerError::system("writing to the disk")(io::Error::other(error)))??;
        Ok(())
    }
}
