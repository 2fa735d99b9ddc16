//! A holder that says whatever an input has it say, over sound HTTP/2.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use p2p_ci::{
    digest::Sha256,
    document::{Document, DocumentId, DocumentKey, Format, RfcNumber, Title},
    message::Holder,
};
use prost::Message;
use tokio::io::DuplexStream;

/// The longest document; what is longer only takes longer.
const LONGEST_BYTES: u16 = 3000;

/// What a holder does in one answer, step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(crate) enum Step {
    /// The right header.
    Header,
    /// A header with something else in it.
    OtherHeader(u8),
    /// So many of the right bytes that come next.
    Bytes(u16),
    /// All of them that are left.
    Rest,
    /// So many wrong bytes in the place of those that come next.
    Wrong(u8),
    /// So many of the right bytes that come next, compressed, or what looks like it.
    Packed(u8, bool),
    /// A chunk of nothing.
    Nothing,
    /// Bytes that are no message.
    Garbage(u8),
    /// An error within the stream.
    Error(u8),
    /// The end, with a status.
    Status(u8),
    /// Nothing more, and no end.
    Silence,
    /// The connection is cut.
    Cut,
}

/// What an honest holder does.
pub(crate) const HONEST: [Step; 3] = [Step::Header, Step::Rest, Step::Status(0)];

/// A holder's answers, one for each time that it is asked. Further ones are like the last.
#[derive(Debug, Clone, Arbitrary)]
pub(crate) struct Script(Vec<Vec<Step>>);

impl Script {
    /// Whether it answers each time as an honest holder does.
    pub(crate) fn is_honest(&self) -> bool {
        self.0.iter().all(|steps| steps.is_empty() || *steps == HONEST)
    }

    pub(crate) fn answer(&self, time: usize) -> &[Step] {
        match self.0.get(time).or(self.0.last()) {
            Some(steps) if !steps.is_empty() => steps,
            Some(_) | None => &HONEST,
        }
    }
}

/// Bytes out of a length and a seed.
pub(crate) fn made_up(input: &mut Unstructured<'_>) -> Vec<u8> {
    let (length, seed) = <(u16, u8)>::arbitrary(input).unwrap_or_default();
    // Half of it repeats, as texts do.
    let byte = |index: u16| {
        if index % 64 < 32 {
            seed
        } else {
            seed.wrapping_add(index.to_le_bytes()[0])
        }
    };
    (0..length % (LONGEST_BYTES + 1)).map(byte).collect()
}

/// What is announced of these bytes.
pub(crate) fn announced(number: u32, bytes: &[u8]) -> Document {
    let number = RfcNumber::new(number).expect("more than 0");
    let key = DocumentKey {
        number,
        format: Format::Txt,
    };
    Document {
        id: DocumentId {
            key,
            sha256: Sha256::of(bytes),
        },
        size_bytes: bytes.len() as u64,
        title: Title::default(),
        modified: None,
    }
}

/// The holder at this place among all.
pub(crate) fn holder(place: u8) -> Holder {
    Holder {
        id: p2p_ci::identity::SessionId::from_bytes([place; 16]),
        name: format!("peer{place}").parse().expect("a name"),
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, place)), 4000),
    }
}

/// A message behind its prefix (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("messages are short").to_be_bytes();
    [&[0], length.as_slice(), &message].concat().into()
}

/// A call that is being answered.
pub(crate) struct Call {
    pub(crate) path: String,
    body: RecvStream,
    arrived: BytesMut,
    sending: SendStream<Bytes>,
}

/// The other side is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl<E: std::error::Error> From<E> for Gone {
    fn from(_: E) -> Self {
        Self
    }
}

impl Call {
    fn new(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<Self, Gone> {
        let mut response = Response::new(());
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        let sending = respond.send_response(response, false)?;
        let (head, body) = request.into_parts();
        Ok(Self {
            path: head.uri.path().to_owned(),
            body,
            arrived: BytesMut::new(),
            sending,
        })
    }

    /// The next request; `None` when there are no more.
    pub(crate) async fn request<M: Message + Default>(&mut self) -> Result<Option<M>, Gone> {
        loop {
            if let Some(([_, a, b, c, d], rest)) = self.arrived.split_first_chunk() {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                if let Some(message) = rest.get(..length) {
                    let message = M::decode(message).expect("our clients send messages");
                    let _ = self.arrived.split_to(5 + length);
                    return Ok(Some(message));
                }
            }
            let Some(data) = self.body.data().await else {
                return Ok(None);
            };
            let data = data?;
            self.body.flow_control().release_capacity(data.len())?;
            self.arrived.extend_from_slice(&data);
        }
    }

    pub(crate) fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        Ok(self.sending.send_data(bytes, false)?)
    }

    pub(crate) fn end(&mut self, status: u8) -> Result<(), Gone> {
        let name = HeaderName::from_static("grpc-status");
        let trailers = HeaderMap::from_iter([(name, HeaderValue::from(u16::from(status)))]);
        Ok(self.sending.send_trailers(trailers)?)
    }
}

/// Serves a connection: answers all calls until one says that it is to be cut.
pub(crate) async fn serve<F: Future<Output = Result<Continue, Gone>>>(
    io: DuplexStream,
    mut answer: impl FnMut(Call) -> F,
) {
    let Ok(mut connection) = h2::server::handshake(io).await else {
        return;
    };
    let mut answering = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    if let Ok(call) = Call::new(request, respond) {
                        answering.push(answer(call));
                    }
                }
                Some(Err(_)) | None => return,
            },
            Some(answered) = answering.next() => match answered {
                Ok(Continue::Yes) | Err(Gone) => {}
                Ok(Continue::No) => return,
            },
        }
    }
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continue {
    Yes,
    No,
}
