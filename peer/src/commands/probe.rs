//! What listens where the registry should be, if it is none: a command that lost its registry finds out.

#[cfg(test)]
mod tests;

use p2p_ci::client::{CallError, stranger::told_by};

use super::Context;
use crate::error::PeerError;

/// The same error, or the one that fits better when something else than a registry listens there.
pub async fn explained(context: &Context, error: PeerError) -> PeerError {
    let PeerError::Registry { source, .. } = &error else {
        return error;
    };
    if matches!(source, CallError::Refused(_)) {
        return error;
    }
    stranger(context).await.unwrap_or(error)
}

/// The error to tell when something else than a registry listens where the registry should be; `None` where nothing does,
/// or where it may be one.
pub async fn stranger(context: &Context) -> Option<PeerError> {
    let registry = &context.registry;
    let addresses = context
        .dialer
        .resolve(registry.host.clone(), registry.port)
        .await
        .ok()?;
    let said = told_by(&context.dialer, *addresses.first()?).await?;
    Some(context.registry_error(CallError::Violation(said)))
}
