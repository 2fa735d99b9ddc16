//! `peer healthcheck`: whether the peers that run here serve documents.

use p2p_ci::client::{CallError, FILE_TRANSFER_SERVICE, check_health};

use super::Context;
use crate::{
    config::HealthcheckArgs,
    error::{Exit, PeerError},
    output::Output,
    state::{PeerState, StateDir},
};

/// Runs the command: asks every live peer of the state folder, which in a container is one.
///
/// # Errors
///
/// When the state folder cannot be read, or stdout cannot be written to. That a peer is not healthy is no error but an
/// [`Exit`].
pub async fn run(context: &Context, args: &HealthcheckArgs) -> Result<Exit, PeerError> {
    let mut output = Output::standard(false);
    show(context, args, &mut output).await
}

/// Shows how each peer is.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, args: &HealthcheckArgs, output: &mut Output) -> Result<Exit, PeerError> {
    let dir = StateDir::resolve(&args.state)?;
    let peers = dir.live_peers()?;
    if peers.is_empty() {
        output.message(format_args!("no peer runs with the state folder {}", dir.shown()));
        return Ok(Exit::Failed);
    }
    let mut exit = Exit::Done;
    for peer in peers {
        match check(context, &peer).await {
            Ok(()) => output.lines(format_args!("{} serves on {}", peer.name, peer.address))?,
            Err(error) => {
                output.message(format_args!("{} does not serve: {error}", peer.name));
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

async fn check(context: &Context, peer: &PeerState) -> Result<(), CallError> {
    check_health(&context.dialer, peer.local_address(), FILE_TRANSFER_SERVICE).await
}
