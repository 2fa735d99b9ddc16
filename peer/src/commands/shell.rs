//! `peer shell`: the same verbs at a prompt.

use super::Context;
use crate::{config::ShellArgs, error::{Exit, PeerError}};

/// Takes commands at a prompt until the user leaves.
///
/// # Errors
///
/// [`PeerError`] when the folder cannot be shared.
pub async fn run(context: &Context, args: &ShellArgs) -> Result<Exit, PeerError> {
    super::join::run(context, &crate::config::JoinArgs { dir: args.dir.clone(), sharing: args.sharing.clone(), mirror: false, json: false }).await
}
