//! What disks do, and what becomes of files while they are written or shared.

mod commit;
mod failing;
mod full;
mod midway;
mod moved;
mod refused;
mod swapped;

use super::{Check, by_hand, check};

pub(super) const CHECKS: [Check; 7] = [
    by_hand("killed writing", commit::run),
    by_hand("failing disk", failing::run),
    check("killed midway", 3, midway::run),
    check("swapped", 0, swapped::run),
    check("disk full", 1, full::run),
    check("moved away", 3, moved::run),
    check("refused", 1, refused::run),
];
