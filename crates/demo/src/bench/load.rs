//! The load generator: so many clients, each starting its next saga when its last has ended.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cpu;
use super::latency::Latencies;

/// How long an answer may take: longer than the time that it is asked to wait for the end.
const ANSWER_MAX: Duration = Duration::from_secs(35);
/// Errors of one client after which it gives up.
const ERRORS_MAX: u32 = 20;

/// Arguments of `amends bench-load`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadOptions {
    /// Address of the coordinator, such as `127.0.0.1:8650`.
    #[arg(long)]
    pub address: String,
    /// Definition whose sagas are started.
    #[arg(long)]
    pub definition: String,
    /// Status that they must end in.
    #[arg(long, default_value = "completed")]
    pub expect: String,
    /// How many are under way at once.
    #[arg(long, default_value_t = 64)]
    pub in_flight: u32,
    /// For how long it is measured, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// For how long before that it is not, in seconds.
    #[arg(long, default_value_t = 2)]
    pub warm_up_seconds: u32,
}

/// What a load generator found. Latencies are from a start's request to its answer, which comes
/// when the saga has ended.
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
}

/// One line of JSON: how the load generator hands its result to the driver.
impl fmt::Display for LoadResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Starts sagas for the given time.
///
/// # Errors
///
/// The coordinator can't be reached at all.
pub async fn bench_load(options: LoadOptions) -> anyhow::Result<LoadResult> {
    let window = Window::from_now(&options);
    let mut clients = JoinSet::new();
    for number in 0..options.in_flight {
        let client = Client::new(options.clone(), number, window);
        clients.spawn(client.run());
    }
    let mut sum = Tally::default();
    while let Some(tally) = clients.join_next().await {
        sum.add(tally?);
    }
    let first_error = sum.error.clone().unwrap_or_default();
    anyhow::ensure!(sum.total > 0, "not one saga ended as expected: {first_error}");
    sum.latencies.sort();
    let percentile = |per_mille| sum.latencies.percentile_ms(per_mille);
    Ok(LoadResult {
        total: sum.total,
        measured: sum.measured,
        seconds: f64::from(options.seconds),
        errors: sum.errors,
        p50_ms: percentile(500),
        p90_ms: percentile(900),
        p99_ms: percentile(990),
        p999_ms: percentile(999),
        cpu_seconds: cpu::of_self()?,
        error: sum.error,
    })
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
    number: u32,
    window: Window,
    connection: Option<Connection>,
}

/// A kept-alive connection; dropping it closes it.
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

#[derive(Deserialize)]
struct SagaView {
    status: String,
}

impl Client {
    fn new(options: LoadOptions, number: u32, window: Window) -> Self {
        Self { options, number, window, connection: None }
    }

    async fn run(mut self) -> Tally {
        let mut tally = Tally::default();
        let mut round = 0_u32;
        loop {
            let start = Instant::now();
            if start >= self.window.until || tally.errors >= u64::from(ERRORS_MAX) {
                return tally;
            }
            round += 1;
            let saga = tokio::time::timeout(ANSWER_MAX, self.run_one_saga(round)).await;
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
        let request = self.request(round)?;
        let connection = match self.connection.take() {
            Some(connection) if !connection.requests.is_closed() => connection,
            Some(_) | None => Connection::open(&self.options.address).await?,
        };
        let connection = self.connection.insert(connection);
        connection.requests.ready().await?;
        let response = connection.requests.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        let saga: SagaView = serde_json::from_slice(&body)?;
        if saga.status != self.options.expect {
            bail!("a saga is {} after 30 s: {}", saga.status, String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    fn request(&self, round: u32) -> anyhow::Result<Request<Full<Bytes>>> {
        let body = format!(
            r#"{{"definition":"{}","input":{{"order":"{}-{round}"}}}}"#,
            self.options.definition, self.number
        );
        Ok(Request::post("/v1/sagas")
            .header(header::HOST, &self.options.address)
            .header(header::CONTENT_TYPE, "application/json")
            .header("prefer", "wait=30")
            .body(Full::from(body))?)
    }
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("to {address}"))?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // Its error comes out of the request as well.
            let _ = connection.await;
        });
        Ok(Self { requests, _driver: driver })
    }
}
