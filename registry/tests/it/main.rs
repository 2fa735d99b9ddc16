//! Tests of the registry from outside: its index against a model, and real servers on loopback.

// Helpers of tests fail the way tests do; the lints know them only inside `#[test]` functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

mod bad_input;
mod documents;
mod fingerprints;
mod index_model;
mod presence;
mod process;
mod reflection;
mod registration;
mod shutdown;
mod support;
mod watching;
