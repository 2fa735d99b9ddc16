//! Lookups as fast as they are answered.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use p2p_ci::{
    document::RfcNumber,
    limits::DEFAULT_LOOKUP_HOLDERS,
    message::{DocumentEntry, LookupQuery},
    pb,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};
use tonic_prost::prost::Message as _;

use crate::{
    figures::{Times, rate},
    http2::{Client, Event, message},
    series::Series,
};

/// One answer in so many is decoded and looked at; all of them would cost more than asking.
const LOOK_AT_ONE_OF: usize = 64;

/// No answer takes this long, unless the registry hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that are read at once: what 32 answers with eight holders each have.
const BUFFER_BYTES: usize = 64 * 1024;

/// Keeps `outstanding` lookups unanswered on each of `connections` for `span`. Each asks for another RFC of the series,
/// with eight holders.
pub(crate) async fn run(
    registry: SocketAddr,
    series: &Series,
    connections: usize,
    outstanding: usize,
    span: Duration,
) -> Result<String> {
    let questions: Arc<Vec<Vec<u8>>> = Arc::new(series.numbers().map(question).collect::<Result<_>>()?);
    let mut running = JoinSet::new();
    let start = Instant::now();
    for seed in 0..connections {
        let asker = Asker {
            client: Client::new(&registry.to_string(), "/p2pci.v1.Registry/Lookup"),
            stream: TcpStream::connect(registry).await?,
            questions: Arc::clone(&questions),
            rng: StdRng::seed_from_u64(seed as u64),
            asked: HashMap::new(),
            times: Times::default(),
        };
        running.spawn(asker.run(outstanding, start + span));
    }
    let mut times = Times::default();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    let span = start.elapsed();
    Ok(format!(
        r#"{{"lookups": {}, "per_second": {:.1}, {}}}"#,
        times.len(),
        rate(times.len(), span),
        times.summed_up("answer")
    ))
}

fn question(number: u32) -> Result<Vec<u8>> {
    let query = LookupQuery {
        number: RfcNumber::new(number).context("an RFC has a number from 1 on")?,
        format: None,
        sha256_prefix: Default::default(),
        max_holders: DEFAULT_LOOKUP_HOLDERS,
    };
    Ok(pb::LookupRequest::from(&query).encode_to_vec())
}

/// One connection that asks.
struct Asker {
    client: Client,
    stream: TcpStream,
    questions: Arc<Vec<Vec<u8>>>,
    rng: StdRng,
    /// When the question of a stream was asked, and whether an answer has come.
    asked: HashMap<u32, (Instant, bool)>,
    times: Times,
}

impl Asker {
    async fn run(mut self, outstanding: usize, end: Instant) -> Result<Times> {
        self.stream.set_nodelay(true)?;
        (0..outstanding).try_for_each(|_| self.ask())?;
        let (mut buffer, mut filled) = (vec![0; BUFFER_BYTES], 0);
        while !self.asked.is_empty() {
            self.stream.write_all(&self.client.outgoing).await?;
            self.client.outgoing.clear();
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let count = timeout(PATIENCE, self.stream.read(room)).await??;
            ensure!(count > 0, "the registry closed a connection");
            filled += count;
            let taken = self.take(buffer.get(..filled).unwrap_or_default(), end)?;
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
        }
        Ok(self.times)
    }

    fn ask(&mut self) -> Result<()> {
        let place = self.rng.random_range(0..self.questions.len());
        let question = self.questions.get(place).context("a series without documents")?;
        let stream = self.client.ask(question);
        self.asked.insert(stream, (Instant::now(), false));
        Ok(())
    }

    /// Takes answers, and asks anew for each of them until the end. Returns how many bytes they had.
    fn take(&mut self, received: &[u8], end: Instant) -> Result<usize> {
        let (mut done, now) = (0, Instant::now());
        let (asked, times) = (&mut self.asked, &mut self.times);
        let taken = self.client.receive(received, |event| {
            match event {
                Event::Data(stream, data) => {
                    if times.len().is_multiple_of(LOOK_AT_ONE_OF) {
                        check(message(data)?)?;
                    }
                    let (_, answered) = asked.get_mut(&stream).context("an answer to no question")?;
                    *answered = true;
                }
                Event::End(stream) => {
                    let (since, answered) = asked.remove(&stream).context("an end of no answer")?;
                    ensure!(answered, "a lookup failed");
                    times.push(now.saturating_duration_since(since));
                    done += 1;
                }
            }
            Ok(())
        })?;
        if now < end {
            (0..done).try_for_each(|_| self.ask())?;
        }
        Ok(taken)
    }
}

/// Fails unless the answer is one document with as many holders as were asked for.
fn check(answer: &[u8]) -> Result<()> {
    let response = pb::LookupResponse::decode(answer)?;
    let entries: Vec<DocumentEntry> = response
        .documents
        .into_iter()
        .map(DocumentEntry::try_from)
        .collect::<Result<_, _>>()?;
    let [entry] = entries.as_slice() else {
        anyhow::bail!("{} documents of one number", entries.len());
    };
    let wanted = usize::try_from(entry.holder_count)?.min(DEFAULT_LOOKUP_HOLDERS);
    ensure!(
        entry.holders.len() == wanted,
        "{} holders, not {wanted}",
        entry.holders.len()
    );
    Ok(())
}
