//! The load generator: so many clients, each starting its next saga when its last has ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::{Request, header};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::case::{Case, Ending};
use super::latency::Latencies;
use super::process;
use super::wire::{self, Body, Connection};

/// How long a saga may take: longer than the time that its start is asked to wait for the end.
const SAGA_MAX: Duration = Duration::from_secs(35);
/// How long the answer to a start is asked to wait for the end.
const WAIT: &str = "wait=30";
/// Errors of one client after which it gives up.
const ERRORS_MAX: u32 = 20;
/// Pauses between two looks at a saga that is followed begin with this, and grow by a half.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Arguments of `amends bench-load`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadOptions {
    /// Address of the coordinator, as `host:port`.
    #[arg(long)]
    pub address: String,
    /// What is run; its definition is there.
    #[arg(long)]
    pub case: Case,
    /// Definition of the sagas, where it is not the case's own: one that takes the same input.
    #[arg(long)]
    pub definition: Option<String>,
    /// How many are under way at once.
    #[arg(long, default_value_t = 64)]
    pub in_flight: u32,
    /// For how long it is measured, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// For how long before that it is not, in seconds.
    #[arg(long, default_value_t = 2)]
    pub warm_up_seconds: u32,
    /// Header of every request, as `Name: value`.
    #[arg(long, env = wire::HEADER_VARIABLE, hide_env_values = true)]
    pub header: Option<String>,
}

/// What a load generator found. Latencies are from the request that starts a saga to the answer
/// that says that it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadResult {
    /// Sagas that ended as expected, warm-up and last ones included.
    pub total: u64,
    /// Those of them that ended while it was measured.
    pub measured: u64,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Requests that failed, or whose saga ended otherwise or not in time.
    pub errors: u64,
    /// One of those errors.
    pub error: Option<String>,
    /// Half of the sagas took at most so many milliseconds.
    pub p50_ms: f64,
    /// Nine of ten took at most so many milliseconds.
    pub p90_ms: f64,
    /// 99 of 100 took at most so many milliseconds.
    pub p99_ms: f64,
    /// 999 of 1,000 took at most so many milliseconds.
    pub p999_ms: f64,
    /// CPU seconds that the load generator used.
    pub cpu_seconds: f64,
    /// Memory that it had at its end.
    pub memory_bytes: u64,
    /// The most memory that it had.
    pub memory_peak_bytes: Option<u64>,
}

/// One line of JSON: how the load generator hands its result to the driver.
impl fmt::Display for LoadResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl LoadResult {
    /// Sagas that ended in a second.
    pub fn sagas_per_second(&self) -> f64 {
        float(self.measured) / self.seconds
    }
}

/// Starts sagas for the given time.
///
/// # Errors
///
/// The coordinator can't be reached at all, or no saga ended as expected.
pub async fn bench_load(options: LoadOptions) -> anyhow::Result<LoadResult> {
    let window = Window::from_now(&options);
    let mut clients = JoinSet::new();
    let payload: Arc<str> = options.case.payload().into();
    let own = || options.case.definition_name();
    let definition: Arc<str> = options.definition.clone().unwrap_or_else(own).into();
    for number in 0..options.in_flight {
        let (options, payload) = (options.clone(), Arc::clone(&payload));
        let definition = Arc::clone(&definition);
        let client = Client { options, definition, number, payload, window, connection: None };
        clients.spawn(client.run());
    }
    let mut sum = Tally::default();
    while let Some(tally) = clients.join_next().await {
        sum.add(tally?);
    }
    let first_error = sum.error.clone().unwrap_or_default();
    anyhow::ensure!(sum.measured > 0, "not one saga ended as expected in time: {first_error}");
    sum.latencies.sort();
    let percentile = |per_mille| sum.latencies.percentile_ms(per_mille);
    let usage = process::of_self()?;
    Ok(LoadResult {
        total: sum.total,
        measured: sum.measured,
        seconds: f64::from(options.seconds),
        errors: sum.errors,
        p50_ms: percentile(500),
        p90_ms: percentile(900),
        p99_ms: percentile(990),
        p999_ms: percentile(999),
        cpu_seconds: usage.cpu_seconds,
        memory_bytes: usage.memory_bytes,
        memory_peak_bytes: usage.memory_peak_bytes,
        error: sum.error,
    })
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "no bench counts to 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// When it is measured.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

impl Window {
    fn from_now(options: &LoadOptions) -> Self {
        let from = Instant::now() + Duration::from_secs(options.warm_up_seconds.into());
        Self { from, until: from + Duration::from_secs(options.seconds.into()) }
    }

    fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }
}

#[derive(Default)]
struct Tally {
    total: u64,
    measured: u64,
    errors: u64,
    error: Option<String>,
    latencies: Latencies,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.measured += other.measured;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
        self.latencies.append(other.latencies);
    }
}

/// One client with a connection of its own.
struct Client {
    options: LoadOptions,
    definition: Arc<str>,
    number: u32,
    payload: Arc<str>,
    window: Window,
    connection: Option<Connection>,
}

/// As much of a saga's view as is looked at.
#[derive(Deserialize)]
struct SagaView {
    status: String,
    id: String,
}

impl SagaView {
    fn is_settled(&self) -> bool {
        ["completed", "compensated", "suspended", "abandoned"].contains(&self.status.as_str())
    }
}

impl Client {
    async fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        let mut round = 0_u32;
        loop {
            let start = Instant::now();
            if start >= self.window.until || tally.errors >= u64::from(ERRORS_MAX) {
                return tally;
            }
            round += 1;
            let saga = timeout(SAGA_MAX, self.run_one_saga(round)).await;
            match saga.context("no answer in time").flatten() {
                Ok(()) => {
                    tally.total += 1;
                    let end = Instant::now();
                    if self.window.holds(end) {
                        tally.measured += 1;
                        tally.latencies.record(end - start);
                    }
                }
                Err(error) => {
                    tally.errors += 1;
                    tally.error = Some(format!("{error:#}"));
                    self.connection = None;
                }
            }
        }
    }

    async fn run_one_saga(&mut self, round: u32) -> anyhow::Result<()> {
        let case = self.options.case;
        let body = case.start_body(&self.definition, self.number, round, &self.payload);
        let mut start = wire::post(&self.options.address, "/v1/sagas", body)?;
        if case.ending == Ending::Wait {
            let wait = header::HeaderValue::from_static(WAIT);
            start.headers_mut().insert(header::HeaderName::from_static("prefer"), wait);
        }
        let mut saga = self.ask(start).await?;
        let mut pause = PAUSE_FIRST;
        while case.ending == Ending::Follow && !saga.is_settled() {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(PAUSE_MAX);
            let look = Request::get(format!("/v1/sagas/{}", saga.id))
                .header(header::HOST, &self.options.address)
                .body(Body::new(Bytes::new()))?;
            saga = self.ask(look).await?;
        }
        anyhow::ensure!(saga.status == case.end(), "saga {} is {}", saga.id, saga.status);
        Ok(())
    }

    async fn ask(&mut self, mut request: Request<Body>) -> anyhow::Result<SagaView> {
        if let Some(header) = &self.options.header {
            let (name, value) = wire::header(header)?;
            request.headers_mut().insert(name, value);
        }
        let connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(&self.options.address).await?,
        };
        let (status, body) = self.connection.insert(connection).send(request).await?;
        let text = || String::from_utf8_lossy(&body);
        anyhow::ensure!(status.is_success(), "{status}: {}", text());
        serde_json::from_slice(&body).with_context(|| format!("{status}: {}", text()))
    }
}
