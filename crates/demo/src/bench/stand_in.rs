//! The limit: a stand-in for the coordinator that does for a saga what must be done, and no more.
//!
//! A start comes in over HTTP as JSON and is one row; every round of calls begins when the row that
//! says so is durable, and so does the answer. One writer takes the rows of all sagas in batches.
//! There are no definitions, retries, leases, snapshots, indexes or look-ups: what the real
//! coordinator takes longer is the price of those. It is driven by the same load generator, calls
//! the same participant and writes to the same database server, so that nothing else differs.
//! Sagas with a hot key have their calls and what comes after them one saga after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::case::{CALLS_MAX, Case, Keys};
use super::journal::{Journal, Row, Writer};
use super::wire::{self, Body, Connections, json_answer};
use crate::participants::{announce, end_of_input, listen};

/// Longest life of a saga.
const SAGA_MAX: Duration = Duration::from_secs(30);

/// Arguments of `amends bench-stand-in`.
#[derive(Clone, Debug, clap::Args)]
pub struct StandInOptions {
    /// Where the participant listens, as `host:port`.
    #[arg(long)]
    pub participant: String,
    /// Database of the journal; without one, nothing is stored.
    #[arg(long)]
    pub database: Option<String>,
}

/// Stands in for a coordinator until standard input ends.
///
/// The first line on standard output is its base URL.
///
/// # Errors
///
/// The database can't be opened.
pub async fn bench_stand_in(options: StandInOptions) -> anyhow::Result<()> {
    let journal = match &options.database {
        Some(url) => Some(Journal::over(Writer::open(url).await?)),
        None => None,
    };
    let stand_in = Arc::new(StandIn {
        journal,
        participant: Connections::to(options.participant, CALLS_MAX),
        sagas: AtomicI64::new(0),
        hot_key: Mutex::default(),
    });
    let listener = listen(0).await?;
    announce(listener.local_addr()?)?;
    let answer = move |request| Arc::clone(&stand_in).answer(request);
    tokio::select! {
        served = wire::serve(listener, answer) => served,
        () = end_of_input() => Ok(()),
    }
}

struct StandIn {
    journal: Option<Journal>,
    participant: Connections,
    /// Sagas so far; each takes the next number.
    sagas: AtomicI64,
    hot_key: Mutex<()>,
}

#[derive(Deserialize)]
struct Start<'a> {
    definition: &'a str,
    #[serde(borrow)]
    input: &'a RawValue,
}

impl StandIn {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let saga = timeout(SAGA_MAX, self.run(request)).await;
        match saga.context("the saga takes too long").flatten() {
            Ok(view) => json_answer(StatusCode::CREATED, view),
            Err(error) => json_answer(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
        }
    }

    async fn run(&self, request: Request<Incoming>) -> anyhow::Result<String> {
        let body = request.into_body().collect().await?.to_bytes();
        let start: Start<'_> = serde_json::from_slice(&body)?;
        let case = Case::of_definition(start.definition).context("a definition of the bench")?;
        let input = Bytes::copy_from_slice(start.input.get().as_bytes());
        let saga = self.sagas.fetch_add(1, Ordering::Relaxed);
        let mut seq = 0;
        let mut facts = start.input.get().to_owned();
        let mut turn = None;
        for paths in case.rounds() {
            self.write(saga, seq, facts).await?;
            if case.keys == Keys::Hot && turn.is_none() {
                turn = Some(self.hot_key.lock().await);
            }
            let calls = paths.iter().map(|path| self.call(path, input.clone()));
            facts = try_join_all(calls).await?.concat();
            seq += 1;
        }
        self.write(saga, seq, facts).await?;
        Ok(json!({ "id": saga.to_string(), "status": case.end() }).to_string())
    }

    async fn write(&self, saga: i64, seq: i32, facts: String) -> anyhow::Result<()> {
        match &self.journal {
            Some(journal) => journal.write(Row { saga, seq, facts }).await,
            None => Ok(()),
        }
    }

    /// Calls the participant; what it answered.
    async fn call(&self, path: &str, input: Bytes) -> anyhow::Result<String> {
        let request = wire::post(&self.participant.address, path, input)?;
        let (status, body) = self.participant.send(request).await?;
        let is_refused = status == StatusCode::CONFLICT;
        anyhow::ensure!(status.is_success() || is_refused, "{path} was answered {status}");
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
