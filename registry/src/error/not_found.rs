//! The sentence about an RFC that nobody has from whom the asker could get it.

use std::time::Duration;

use p2p_ci::{
    document::Format,
    failure::{Failure, Reason},
    message::LookupQuery,
};

use crate::index::answers::Unusable;

/// What was asked for, as a sentence names it: `RFC 9110`, `RFC 9110 as html`. Plain text is what "the RFC" means.
fn wanted(query: &LookupQuery) -> String {
    let format = match query.format {
        None | Some(Format::Txt) => String::new(),
        Some(format) => format!(" as {format}"),
    };
    let digest = match query.sha256_prefix.as_str() {
        "" => String::new(),
        prefix => format!(" with a digest that starts with {prefix}"),
    };
    format!("RFC {}{format}{digest}", query.number)
}

pub(super) fn rfc_not_found(query: &LookupQuery, unusable: Unusable, converging: Option<Duration>) -> Failure {
    let wanted = wanted(query);
    let peers = |count: u32| format!("{count} peer{}", if count == 1 { "" } else { "s" });
    let Unusable {
        pending,
        unreachable,
        elsewhere,
    } = unusable;
    let message = if pending > 0 {
        format!(
            "{wanted} is held by {} that just joined; try again in a few seconds",
            peers(pending)
        )
    } else if unreachable > 0 {
        format!(
            "{wanted} is only held by {} that others cannot reach",
            peers(unreachable + elsewhere)
        )
    } else if elsewhere > 0 {
        let whose = "of which the address is good on its own machine or link only";
        format!("{wanted} is only held by {} {whose}", peers(elsewhere))
    } else if converging.is_some() {
        format!("no active peer has {wanted}; the registry has just started, and peers may be coming back")
    } else {
        format!("no active peer has {wanted}")
    };
    let mut failure = Failure::new(Reason::RfcNotFound, message).with_metadata("number", query.number.to_string());
    if let Some(left) = converging {
        failure = failure.with_retry_after(left);
    }
    if let Some(format) = query.format {
        failure = failure.with_metadata("format", Format::extension(format));
    }
    failure
}
