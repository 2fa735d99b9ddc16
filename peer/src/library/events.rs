//! What the operating system tells about files, as far as it matters here.

use std::{
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode},
};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A file of this name is new. Its writer has only begun, unless it is a link.
    Created,
    /// The file's bytes changed: somebody is writing.
    Written,
    /// Somebody who could have written has closed the file.
    Closed,
    /// A file was renamed to this name.
    Renamed,
    /// Permissions or times changed.
    Touched,
    /// There is no file of this name any more.
    Gone,
    /// A folder came or went.
    Folder,
}

/// What the watching thread is told.
#[derive(Debug)]
pub(super) enum Signal {
    /// Something happened to a path.
    Event(Sign, PathBuf),
    /// The watcher is being dropped.
    Stop,
}

/// Reads one event of the `notify` crate. Reading files is an event, too; it and whatever else cannot change a
/// document is `None`.
pub(super) fn sign_of(kind: EventKind) -> Option<Sign> {
    if let EventKind::Create(created) = kind {
        let folder = created == CreateKind::Folder;
        return Some(if folder { Sign::Folder } else { Sign::Created });
    }
    if let EventKind::Remove(removed) = kind {
        let folder = removed == RemoveKind::Folder;
        return Some(if folder { Sign::Folder } else { Sign::Gone });
    }
    if let EventKind::Modify(modified) = kind {
        return match modified {
            ModifyKind::Data(_) => Some(Sign::Written),
            ModifyKind::Name(RenameMode::To) => Some(Sign::Renamed),
            ModifyKind::Name(RenameMode::From) => Some(Sign::Gone),
            // Each half of a rename has been told by itself.
            ModifyKind::Name(RenameMode::Both) => None,
            ModifyKind::Name(RenameMode::Any | RenameMode::Other)
            | ModifyKind::Metadata(_)
            | ModifyKind::Any
            | ModifyKind::Other => Some(Sign::Touched),
        };
    }
    let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
    (kind == closed).then_some(Sign::Closed)
}

/// Passes events on to the watching thread. Never waits: what does not fit into the queue is told by `lost`, and the
/// thread then looks at everything.
pub(super) fn pass_on(event: notify::Result<Event>, root: &Path, queue: &SyncSender<Signal>, lost: &AtomicBool) {
    let event = match event {
        Ok(event) if event.need_rescan() => return lost.store(true, Ordering::Relaxed),
        Ok(event) => event,
        Err(_) => return lost.store(true, Ordering::Relaxed),
    };
    let Some(sign) = sign_of(event.kind) else { return };
    for path in event.paths {
        let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
        if queue.try_send(Signal::Event(sign, below)).is_err() {
            lost.store(true, Ordering::Relaxed);
        }
    }
}
