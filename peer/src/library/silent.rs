//! File systems that tell no events of what others do.

use std::path::Path;

/// File systems that other machines change without this one being told, by `statfs(2)`'s `f_type`: NFS, SMB and CIFS,
/// FUSE (virtiofs and sshfs too), 9p (WSL and virtual machines), Ceph, AFS.
const SILENT_FILE_SYSTEMS: [u64; 8] = [
    0x6969,
    0x517B,
    0xFE53_4D42,
    0xFF53_4D42,
    0x6573_5546,
    0x0102_1997,
    0x00C3_6400,
    0x5346_414F,
];

/// Whether the folder's file system is one that other machines change silently.
pub(super) fn is_silent(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| {
        // The field is signed on some platforms and 32 bits wide on others; these numbers have 32 bits.
        u64::try_from(found.f_type & 0xFFFF_FFFF).is_ok_and(|kind| SILENT_FILE_SYSTEMS.contains(&kind))
    })
}
