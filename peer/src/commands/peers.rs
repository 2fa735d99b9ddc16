//! `peer peers`: the active peers.

use p2p_ci::message::PeerInfo;

use super::Context;
use crate::{
    config::JsonArgs,
    error::{Exit, PeerError},
    output::{
        Output, human,
        json::PeerObject,
        table::{Column, Fit, Table},
    },
};

const COLUMNS: [Column; 6] = [
    Column::text(
        "NAME",
        Fit::Cut {
            comfortable: 16,
            least: 6,
        },
    ),
    Column::text("ADDRESS", Fit::Whole),
    Column::text("STATE", Fit::Rank(1)),
    Column::number("AGE", Fit::Rank(2)),
    Column::number("UPLOADS", Fit::Rank(3)),
    Column::text(
        "DOCUMENTS",
        Fit::Cut {
            comfortable: 12,
            least: 4,
        },
    ),
];

/// Runs the command.
///
/// # Errors
///
/// When the registry cannot be asked, or stdout cannot be written to.
pub async fn run(context: &Context, args: &JsonArgs) -> Result<Exit, PeerError> {
    let mut output = Output::standard(args.json);
    show(context, &mut output).await
}

/// Shows the active peers, in order of registration.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, output: &mut Output) -> Result<Exit, PeerError> {
    let client = context.connect().await?;
    let mut peers = client
        .list_peers()
        .await
        .map_err(|error| context.registry_error(error))?;
    let mut table = Table::new(COLUMNS, output.screen());
    let mut any = false;
    while let Some(peer) = peers.next().await.map_err(|error| context.registry_error(error))? {
        any = true;
        if output.is_json() {
            output.object(&PeerObject::from(&peer))?;
        } else if let Some(block) = table.push(cells(&peer)) {
            output.lines(block)?;
        }
    }
    if let Some(block) = table.block() {
        output.lines(block)?;
    }
    if !any && !output.is_json() {
        output.message(format_args!("no peer is registered at {}", context.registry));
    }
    Ok(Exit::Done)
}

fn cells(peer: &PeerInfo) -> [String; 6] {
    let nothing = || "-".to_owned();
    [
        peer.name.to_string(),
        peer.address.map_or_else(nothing, |address| address.to_string()),
        peer.reachability.as_str().to_owned(),
        human::ago(peer.registered).replace(' ', ""),
        peer.upload_count.to_string(),
        documents(peer).unwrap_or_else(nothing),
    ]
}

/// How many documents a peer holds by format: `9148 txt, 20 json`. `None` when it holds none.
pub(super) fn documents(peer: &PeerInfo) -> Option<String> {
    let counts: Vec<String> = peer
        .document_counts
        .iter()
        .map(|(format, count)| format!("{count} {format}"))
        .collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}
