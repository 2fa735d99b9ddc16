//! The real program against a real registry: exit codes, what it prints and where, and what it makes of bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that fails should say where; clippy.toml allows this only inside of test functions"
)]

mod answers;
mod desk;
mod exporting;
mod folders;
mod following;
mod full;
mod getting;
mod hashing;
mod health;
mod informing;
mod mirroring;
mod offline;
mod prompt;
mod records;
mod registries;
mod searching;
mod sharing;
mod site;
mod subseries;
mod support;
mod terminal;
mod usage;
mod watching;
