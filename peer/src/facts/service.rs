//! The Facts service: gRPC in front of a [`SharedCatalogue`].

use std::{collections::VecDeque, num::NonZeroU16, pin::Pin};

use futures_core::Stream;
use p2p_ci::{
    document::RfcNumber,
    facts::Facts,
    limits,
    message::{DescribeQuery, Described},
    pb::{
        self,
        facts_server::{Facts as FactsService, FactsServer},
    },
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::SharedCatalogue;
use crate::{
    serve::source_of,
    uploads::{Ended, Sender, Uploads, answer, report},
};

/// What others are told of the site of a peer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SiteNotice {
    /// Where it serves RFCs over HTTP, if those who ask can reach it there.
    pub http_port: Option<NonZeroU16>,
    /// Whether it asks another site for what nobody around has.
    pub asks_upstream: bool,
}

/// The gRPC service for this catalogue, of a peer with such a `site`. Long answers take slots of `uploads`.
#[must_use]
pub fn service(
    catalogue: &SharedCatalogue,
    site: SiteNotice,
    uploads: &Uploads,
) -> FactsServer<impl FactsService + use<>> {
    let service = Service {
        catalogue: catalogue.clone(),
        site,
        uploads: uploads.clone(),
    };
    FactsServer::new(service)
        .max_decoding_message_size(limits::MAX_TRANSFER_REQUEST_BYTES)
        .max_encoding_message_size(limits::MAX_TRANSFER_MESSAGE_BYTES)
}

struct Service {
    catalogue: SharedCatalogue,
    site: SiteNotice,
    uploads: Uploads,
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::DescribeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl FactsService for Service {
    type DescribeStream = Answers;

    async fn describe(&self, request: Request<pb::DescribeRequest>) -> Result<Response<Answers>, Status> {
        let source = source_of(&request)?;
        let query = DescribeQuery::try_from(request.into_inner())?;
        let version = self.catalogue.version();
        let numbers = match &query.unless_version {
            Some(known) if *known == version => Vec::new(),
            Some(_) | None => self.catalogue.select(&query),
        };
        let mut pages = Pages {
            catalogue: self.catalogue.clone(),
            left: numbers.into(),
            carried: None,
        };
        let first = pb::DescribeResponse::from(&Described::Opening {
            version,
            http_port: self.site.http_port,
            asks_upstream: self.site.asks_upstream,
        });
        if pages.left.len() <= limits::MAX_SMALL_ANSWER {
            let answer = std::iter::once(first).chain(std::iter::from_fn(move || pages.next()));
            return Ok(Response::new(Box::pin(tokio_stream::iter(answer.map(Ok)))));
        }
        let (sender, answer) = answer(self.uploads.take_slot(source.ip())?, self.uploads.ending.clone());
        self.uploads.tasks.spawn(async move {
            let ended = send(first, pages, &sender).await;
            sender.end(&ended);
            report(ended);
        });
        Ok(Response::new(Box::pin(answer)))
    }
}

/// Sends all pages as their reader takes them, in turn where uploads are capped. Returns how many bytes that were.
async fn send(
    first: pb::DescribeResponse,
    mut pages: Pages,
    sender: &Sender<pb::DescribeResponse>,
) -> Result<u64, Ended> {
    sender.send(Ok(first)).await?;
    let mut sent_bytes = 0;
    while let Some(page) = pages.next() {
        let bytes = u64::try_from(page.encoded_len()).unwrap_or(u64::MAX);
        sender.send_in_turn(bytes, VecDeque::from([Ok(page)])).await?;
        sent_bytes += bytes;
    }
    Ok(sent_bytes)
}

/// Facts about many RFCs, a message full at a time.
struct Pages {
    catalogue: SharedCatalogue,
    left: VecDeque<RfcNumber>,
    /// What did not fit into the last message.
    carried: Option<pb::RfcFacts>,
}

impl Pages {
    fn next(&mut self) -> Option<pb::DescribeResponse> {
        let mut page = Vec::new();
        let mut bytes = 0;
        while let Some(facts) = self.carried.take().or_else(|| self.take()) {
            let length = facts.encoded_len();
            if !page.is_empty() && (bytes + length > limits::MAX_DESCRIBE_BYTES || page.len() >= limits::MAX_DESCRIBED)
            {
                self.carried = Some(facts);
                break;
            }
            bytes += length;
            page.push(facts);
        }
        (!page.is_empty()).then(|| pb::DescribeResponse {
            facts: page,
            ..pb::DescribeResponse::default()
        })
    }

    fn take(&mut self) -> Option<pb::RfcFacts> {
        let number = self.left.pop_front()?;
        let facts: Vec<Facts> = self.catalogue.get(&[number]);
        // What was known a moment ago still is: nothing is ever forgotten.
        facts.first().map(pb::RfcFacts::from)
    }
}
