//! The library of documents on disk: what is found, read, watched and stored. Everything runs on real folders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and its helpers do, too"
)]

mod cached;
mod debian;
mod laying_out;
mod linked;
mod messages;
mod named;
mod odd_files;
mod reading;
mod scanning;
mod serving_while_changing;
mod storing;
mod storing_badly;
mod storing_durably;
mod storing_elsewhere;
mod storing_whole;
mod support;
mod titled;
mod unprivileged;
mod watching;
mod watching_folders;
mod watching_writers;
