//! What peers ask and tell each other about RFCs beside their bytes.

use std::num::NonZeroU16;

use crate::{
    document::RfcRange,
    facts::{Facts, Reference},
};

/// Asks a peer what it knows about RFCs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeQuery {
    /// Of these numbers. Without any, and without references, of all RFCs.
    pub ranges: Vec<RfcRange>,
    /// Of the RFCs that these stand for.
    pub references: Vec<Reference>,
    /// And of what took their place, up to today.
    pub with_successors: bool,
    /// Only if it is another version than this.
    pub unless_version: Option<String>,
}

/// A part of what a peer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Described {
    /// Comes first.
    Opening {
        /// Names the state of what the peer knows.
        version: String,
        /// Where it serves RFCs over HTTP, at the address that was asked.
        http_port: Option<NonZeroU16>,
        /// Whether its site asks another one for what nobody around has.
        asks_upstream: bool,
    },
    /// Facts about some RFCs.
    Facts(Vec<Facts>),
}
