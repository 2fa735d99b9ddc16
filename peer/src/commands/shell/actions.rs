//! What each verb does.

use std::path::PathBuf;

use p2p_ci::{
    client::CallError,
    document::{DocumentKey, Format, RfcNumber, RfcRange},
    failure::Reason,
    limits::{MAX_BATCH_DOCUMENTS, MAX_HOLDERS},
    message::{IndexFilter, ListPage, ListPageQuery, LookupQuery, PeerRequest, RegistryReply},
    text::escaped,
};

use super::{
    Shell,
    add::{Added, add},
    shown,
    verb::{DownloadVerb, ListVerb, LookupVerb, Verb},
};
use crate::{
    commands::{
        JUST_STARTED, blocking, get,
        hints::{Hints, info_tells},
        join::sentence,
        list::Listing,
        lookup::{named, nobody_has, show_documents},
        peers,
    },
    config::{GetArgs, StateArgs, TargetArgs},
    error::PeerError,
    limits,
    output::Output,
    uplink::{LinkState, NodeEvent},
    wanted::{WantedNumber, WantedWord, format_of},
};

impl Shell {
    /// Carries out a verb that neither ends nor changes the shell.
    pub(super) async fn carry_out(&self, verb: Verb, output: &mut Output) -> Result<(), PeerError> {
        let asks_in_session = matches!(verb, Verb::Lookup(_) | Verb::List(_));
        if asks_in_session && !matches!(*self.node.link().borrow(), LinkState::Registered { .. }) {
            let url = &self.context.registry;
            output.message(format_args!(
                "not registered at {url} now; connect tries it at once, state tells more"
            ));
            return Ok(());
        }
        match verb {
            Verb::State => self.state(output),
            Verb::Add { path, number } => self.add(path, number, output).await,
            Verb::Query { numbers } => self.query(&numbers, output),
            Verb::Lookup(lookup) => self.lookup(&lookup, output).await,
            Verb::List(list) => self.list(&list, output).await,
            Verb::Peers => peers::show(&self.context, output).await.map(drop),
            Verb::Download(download) => self.download(download).await,
            Verb::Connect { .. } | Verb::Quit | Verb::Help { .. } => Ok(()),
        }
    }

    /// `state`: where the peer stands.
    fn state(&self, output: &mut Output) -> Result<(), PeerError> {
        let (connection, reachable) = match &*self.node.link().borrow() {
            LinkState::Connecting => ("connecting".to_owned(), None),
            LinkState::Registered {
                name,
                welcome,
                reachability,
            } => {
                let told = reachability
                    .clone()
                    .map(|notice| sentence(&NodeEvent::Reachability(notice)));
                (format!("registered as {name}, id {}", welcome.session_id), told)
            }
            LinkState::Waiting { reason, .. } => (format!("none, trying again by itself: {reason}"), None),
            LinkState::Ended => ("ended".to_owned(), None),
        };
        let address = *self.node.address().borrow();
        let rows = [
            ("registry", self.context.registry.to_string()),
            ("connection", connection),
            ("reachable", reachable.unwrap_or_else(|| "not known".to_owned())),
            (
                "address",
                address.map_or_else(|| "none yet".to_owned(), |address| address.to_string()),
            ),
            ("folder", shown(self.library.root())),
            ("sharing", self.counts()),
        ];
        output.lines(
            rows.map(|(label, value)| format!("{label:11} {}", escaped(&value)))
                .join("\n"),
        )
    }

    /// How many documents of each format are shared.
    fn counts(&self) -> String {
        let documents = self.library.snapshot();
        let of = |format: Format| {
            documents
                .iter()
                .filter(|document| document.id.key.format == format)
                .count()
        };
        let counts = Format::ALL.into_iter().map(|format| (format, of(format)));
        let counts: Vec<String> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(format, count)| format!("{count} {format}"))
            .collect();
        if counts.is_empty() {
            "nothing".to_owned()
        } else {
            counts.join(", ")
        }
    }

    /// `add`: copies a file into the shared folder.
    async fn add(&self, path: PathBuf, number: Option<RfcNumber>, output: &mut Output) -> Result<(), PeerError> {
        let (target, library) = (self.target.clone(), self.library.clone());
        let added = blocking("adding a file", move || {
            let added = add(&target, &path, number)?;
            if !added.was_there {
                target.finish()?;
                // Whoever watches the folder would find it too, but not before the next command.
                library.adopt(added.document.clone())?;
            }
            Ok::<Added, PeerError>(added)
        });
        let Added {
            document,
            path,
            was_there,
        } = added.await??;
        let (key, sha256) = (document.id.key, document.id.sha256);
        let (path, size) = (shown(&path), document.size_bytes);
        if was_there {
            output.lines(format_args!(
                "{key}: {path} is already there with the same bytes, SHA-256 {sha256}"
            ))
        } else {
            output.lines(format_args!("{key}: added as {path}, {size} bytes, SHA-256 {sha256}"))
        }
    }

    /// `query`: what the shared folder has.
    fn query(&self, numbers: &[WantedNumber], output: &mut Output) -> Result<(), PeerError> {
        for &WantedNumber { number, format } in numbers {
            let wanted = |candidate: &Format| format.is_none_or(|format| format == *candidate);
            let formats = Format::ALL.into_iter().filter(wanted);
            let documents: Vec<_> = formats
                .filter_map(|format| self.library.get(DocumentKey { number, format }))
                .collect();
            if documents.is_empty() {
                output.message(format_args!("RFC {number} is not in {}", shown(self.library.root())));
            }
            for document in documents {
                let title = match document.title.as_str() {
                    "" => String::new(),
                    title => format!(": {}", escaped(title)),
                };
                let heading = output.screen().fit(&format!("RFC {number}{title}"));
                let (format, size, sha256) = (document.id.key.format, document.size_bytes, document.id.sha256);
                output.lines(format_args!(
                    "{heading}\n  format   {format}, {size} bytes\n  SHA-256  {sha256}"
                ))?;
            }
        }
        Ok(())
    }

    /// `lookup`: which other peers have an RFC.
    async fn lookup(&self, lookup: &LookupVerb, output: &mut Output) -> Result<(), PeerError> {
        let format = format_of(lookup.words.iter().map(WantedWord::format), lookup.format)?;
        let mut hints = Hints::about(&self.context, &lookup.words, false, true).await?;
        let mut found = Vec::new();
        let mut converging = false;
        for number in named(&lookup.words, &hints, output)?.numbers {
            let query = LookupQuery {
                number,
                format,
                sha256_prefix: Default::default(),
                max_holders: MAX_HOLDERS,
            };
            match self.node.request(PeerRequest::Lookup(query)).await {
                Ok(RegistryReply::Found(answer)) => {
                    let apart = !found.is_empty();
                    show_documents(&answer.documents, answer.converging, apart, &mut hints, output).await?;
                    found.push(number);
                }
                Ok(_) => return Err(self.unexpected()),
                Err(CallError::Refused(failure)) if failure.reason == Reason::RfcNotFound => {
                    let told = nobody_has(number, format);
                    output.message(told.replace("no active peer", "no other active peer"));
                    converging |= failure.retry_after.is_some();
                }
                Err(error) => return Err(self.context.registry_error(error)),
            }
        }
        hints.tell(&found, info_tells, output).await;
        if converging {
            output.message(JUST_STARTED);
        }
        Ok(())
    }

    /// `list`: what the other peers share, page by page.
    async fn list(&self, list: &ListVerb, output: &mut Output) -> Result<(), PeerError> {
        let format = format_of(list.ranges.iter().map(|wanted| wanted.format), list.format)?;
        let ranges: Vec<RfcRange> = list.ranges.iter().map(|wanted| wanted.range).collect();
        let mut listing = Listing::new(output);
        for range in RfcRange::merged(&ranges) {
            let mut query = ListPageQuery {
                filter: IndexFilter { range, format },
                page_size: MAX_BATCH_DOCUMENTS,
                after: None,
            };
            loop {
                let ListPage {
                    entries,
                    next,
                    converging,
                } = self.page(&query).await?;
                for entry in &entries {
                    listing.add(entry, converging, output)?;
                }
                // A page that does not lead on would be asked for for ever.
                if next.is_none() || next <= query.after {
                    break;
                }
                query.after = next;
            }
        }
        listing.end(output)
    }

    async fn page(&self, query: &ListPageQuery) -> Result<ListPage, PeerError> {
        let reply = self.node.request(PeerRequest::List(query.clone())).await;
        let RegistryReply::Page(page) = reply.map_err(|error| self.context.registry_error(error))? else {
            return Err(self.unexpected());
        };
        Ok(page)
    }

    fn unexpected(&self) -> PeerError {
        let what = "it answered something else than it was asked".to_owned();
        self.context.registry_error(CallError::Violation(what))
    }

    /// `download`: gets RFCs into the shared folder.
    async fn download(&self, download: DownloadVerb) -> Result<(), PeerError> {
        let args = GetArgs {
            words: download.words,
            format: download.format,
            from: download.from,
            sha256: download.sha256,
            follow: download.follow,
            no_hints: false,
            offline_ok: true,
            target: TargetArgs {
                to: self.library.root().to_owned(),
                force: download.force,
                durability: None,
                json: false,
            },
            state: StateArgs { state_dir: None },
        };
        if get::is_too_much(&args) {
            return Err(PeerError::Usage(format!(
                "more than {} RFCs; run `peer mirror` in another terminal to fetch that many",
                limits::MAX_GET_NUMBERS
            )));
        }
        // It has told what failed by itself; its exit code is of no use here.
        get::get_all(&self.context, &args, std::future::pending())
            .await
            .map(drop)
    }
}
