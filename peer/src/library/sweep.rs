//! Removing what killed processes left unfinished.

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use super::{
    identity::{FileIdentity, Kind},
    name::FileName,
};

/// What an unfinished download's name ends with. Only such files are swept.
pub(super) const PART_SUFFIX: &str = ".part";

/// What the name of an unfinished file that is no download begins with.
pub(super) const DRAFT_NAME: &str = "draft";

/// Removes unfinished downloads whose process is gone. What is locked, named differently or no regular file stays.
pub(super) fn sweep(part_dir: &Dir) {
    let Ok(entries) = part_dir.entries() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_part_name) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(part_dir, &name, flags, Mode::empty()) else {
            continue;
        };
        let regular = FileIdentity::of_file(&file).is_ok_and(|(kind, _)| kind == Kind::File);
        if regular && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Nothing is lost if it stays: the next start sweeps again.
            let _stays = rustix::fs::unlinkat(part_dir, &name, AtFlags::empty());
        }
    }
}

/// Whether a file in the folder for unfinished downloads is of this program's making: `rfc9110.txt.0123456789abcdef.part`,
/// or `draft.0123456789abcdef.part`.
fn is_part_name(name: &str) -> bool {
    let parts = name.strip_suffix(PART_SUFFIX).and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(document, token)| {
        let is_ours = document == DRAFT_NAME || FileName::parse(document).is_some();
        is_ours && token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
