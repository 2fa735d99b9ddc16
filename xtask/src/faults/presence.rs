//! Whoever is listed is there, and who is not there is not listed, however a peer ends.

mod disconnected;
mod ending;
mod filling;
mod firewalled;
mod folder;
mod half_written;
mod killed;
mod moving;
mod stopped;
mod strangers;

use super::{Check, check};

pub(super) const CHECKS: [Check; 12] = [
    check("killed", 0, killed::run),
    check("stopped", 1, stopped::run),
    check("disconnected", 0, disconnected::run),
    check("strangers", 1, strangers::run),
    check("registry ends", 2, ending::registry),
    check("peer ends", 2, ending::peer),
    check("folder", 0, folder::run),
    check("half-written", 0, half_written::run),
    check("firewalled", 3, firewalled::run),
    check("new address", 3, moving::new_address),
    check("across hosts", 2, filling::run),
    check("host vanishes", 3, moving::host_vanishes),
];
