//! What disks do, and what becomes of files while they are written or shared.

mod commit;
mod midway;
mod swapped;

use super::{Check, check};

pub(super) const CHECKS: [Check; 3] = [
    check("killed writing", 3, commit::run),
    check("killed midway", 3, midway::run),
    check("swapped", 0, swapped::run),
];
