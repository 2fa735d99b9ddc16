//! `peer list`: the documents that active peers share.

use p2p_ci::{
    client::CallError,
    document::RfcRange,
    failure::Reason,
    identity::{PeerName, SessionId},
    limits,
    message::{DocumentEntry, IndexFilter, ListQuery, PeerRef},
    text::escaped,
};

use super::Context;
use crate::{
    config::ListArgs,
    error::{Exit, PeerError, no_such_peer},
    output::{
        Output,
        json::DocumentObject,
        table::{Column, Fit, Table},
    },
    wanted::format_of,
};

const COLUMNS: [Column; 6] = [
    Column::number("RFC", Fit::Whole).usually(5),
    // Without it, the formats of an RFC look alike.
    Column::text("FORMAT", Fit::Whole),
    Column::number("BYTES", Fit::Rank(1)).usually(7),
    Column::text("SHA-256", Fit::Rank(2)),
    Column::text(
        "HOLDERS",
        Fit::Cut {
            comfortable: 12,
            least: 4,
        },
    ),
    Column::text(
        "TITLE",
        Fit::CutOrOut {
            comfortable: 20,
            least: 8,
        },
    ),
];

/// Runs the command.
///
/// # Errors
///
/// When the registry cannot be asked, when it knows no such peer, or when stdout cannot be written to.
pub async fn run(context: &Context, args: &ListArgs) -> Result<Exit, PeerError> {
    let mut output = Output::standard(args.json);
    show(context, args, &mut output).await
}

/// Shows the index, or a part of it, in order of number.
///
/// # Errors
///
/// As [`run`].
pub async fn show(context: &Context, args: &ListArgs, output: &mut Output) -> Result<Exit, PeerError> {
    let peer = args.peer.as_deref().map(peer_ref).transpose()?;
    let format = format_of(args.ranges.iter().map(|wanted| wanted.format), args.format)?;
    let ranges: Vec<RfcRange> = args.ranges.iter().map(|wanted| wanted.range).collect();
    let client = context.connect().await?;
    let mut listing = Listing::new(output);
    for range in RfcRange::merged(&ranges) {
        let filter = IndexFilter { range, format };
        let query = ListQuery {
            filter,
            peer: peer.clone(),
            max_holders: limits::DEFAULT_LIST_HOLDERS,
        };
        let answer = client.list_documents(query).await;
        let mut answers = answer.map_err(|error| located(context, args, error))?;
        while let Some(listed) = answers.next().await.map_err(|error| located(context, args, error))? {
            listing.add(&listed.entry, listed.converging, output)?;
        }
    }
    listing.end(output)?;
    Ok(Exit::Done)
}

/// An error of the registry, which knows no command that lists peers.
fn located(context: &Context, args: &ListArgs, error: CallError) -> PeerError {
    match (&args.peer, &error) {
        (Some(peer), CallError::Refused(failure)) if failure.reason == Reason::PeerNotFound => no_such_peer(peer),
        _ => context.registry_error(error),
    }
}

/// A list of documents in the making.
#[derive(Debug)]
pub(super) struct Listing {
    table: Table<6>,
    shown: u64,
}

impl Listing {
    /// An empty list, to be shown on `output`.
    pub(super) fn new(output: &Output) -> Self {
        Self {
            table: Table::new(COLUMNS, output.screen()),
            shown: 0,
        }
    }

    /// Shows a document, at the latest when the list ends.
    pub(super) fn add(
        &mut self,
        entry: &DocumentEntry,
        converging: bool,
        output: &mut Output,
    ) -> Result<(), PeerError> {
        self.shown += 1;
        if output.is_json() {
            return output.object(&DocumentObject::new(entry, converging));
        }
        self.table
            .push(cells(entry))
            .map_or(Ok(()), |block| output.lines(block))
    }

    /// Shows what was not shown yet.
    pub(super) fn end(mut self, output: &mut Output) -> Result<(), PeerError> {
        if let Some(block) = self.table.block() {
            output.lines(block)?;
        }
        if self.shown == 0 && !output.is_json() {
            output.message("no active peer shares such a document");
        }
        Ok(())
    }
}

/// A peer by its id or its name.
fn peer_ref(text: &str) -> Result<PeerRef, PeerError> {
    if let Ok(id) = text.parse::<SessionId>() {
        return Ok(PeerRef::Id(id));
    }
    text.parse::<PeerName>().map(PeerRef::Name).map_err(|error| {
        PeerError::Usage(format!(
            "--peer takes the name or the id of a peer: {}",
            escaped(&error.to_string())
        ))
    })
}

fn cells(entry: &DocumentEntry) -> [String; 6] {
    let document = &entry.document;
    [
        document.id.key.number.to_string(),
        document.id.key.format.to_string(),
        document.size_bytes.to_string(),
        document.id.sha256.fmt_short(),
        holders(entry),
        document.title.as_str().to_owned(),
    ]
}

/// The names of the holders, as far as the registry named them, and how many more there are: `alice,bob+7`.
fn holders(entry: &DocumentEntry) -> String {
    let names: Vec<&str> = entry.holders.iter().map(|holder| holder.name.as_str()).collect();
    let named = u32::try_from(names.len()).unwrap_or(u32::MAX);
    match entry.holder_count.saturating_sub(named) {
        0 => names.join(","),
        further => format!("{}+{further}", names.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_named_or_known_by_id() {
        assert!(matches!(peer_ref("alice"), Ok(PeerRef::Name(_))));
        assert!(matches!(peer_ref(&"0a".repeat(16)), Ok(PeerRef::Id(_))));
        assert_eq!(peer_ref("no such\u{1b}").unwrap_err().exit(), Exit::Usage);
    }
}
