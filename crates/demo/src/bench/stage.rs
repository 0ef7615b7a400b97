//! What a bench runs on: an idle participant, and a coordinator with a database of its own, or a
//! server that is there.

use std::path::Path;
use std::time::Duration;

use amends_testbed::{Child, Postgres, PostgresOptions};
use anyhow::Context as _;
use hyper::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::case::{CALLS_MAX, PARTICIPANT};
use super::crew::Crew;
use super::load::float;
use super::metric::metric;
use super::process::{self, Usage};
use super::server::ServerOptions;
use super::stand_ins::StandIns;
use super::written::Counter;
use super::{start, wire};

/// Longest wait for an answer to what prepares a run.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Characters of an answer that is an error, as far as they are shown.
const SAID_MAX: usize = 500;
/// Name of the database for the limits.
const LIMIT_DATABASE: &str = "bench_limit";

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A PostgreSQL server of its own, with `fsync` on.
    Postgres,
    /// The embedded store, as `serve` has it without `--database`.
    Sqlite,
    /// That of a server that is there, whichever it is.
    #[value(skip)]
    Server,
}

impl StoreKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
            Self::Server => "server",
        }
    }
}

/// What is started for a bench.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) exe: &'a Path,
    pub(super) store: StoreKind,
    pub(super) server: &'a ServerOptions,
    /// Posted before anything runs.
    pub(super) definitions: Vec<Value>,
    /// Configuration of the coordinators, as `engine.lease-ttl=5s`.
    pub(super) settings: Vec<String>,
    /// How many coordinators, where they are not somebody else's.
    pub(super) coordinators: usize,
    /// Whether the limits are measured, too.
    pub(super) has_limits: bool,
}

/// Everything that runs, but the load. Dropping it ends all that was started and deletes the data.
#[derive(Debug)]
pub(super) struct Stage {
    // In this order: clients go before servers, servers before files.
    stand_ins: Option<StandIns>,
    participant: Child,
    /// None where the server is somebody else's.
    crew: Option<Crew>,
    database: Option<Postgres>,
    dir: TempDir,
    /// `host:port` of a server that is somebody else's.
    server_address: Option<String>,
    pub(super) store: StoreKind,
    /// `host:port`.
    pub(super) participant_address: String,
    http: reqwest::Client,
}

/// What each process uses; of what was not started here, nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usages {
    pub(super) coordinator: Option<Usage>,
    /// None where the store is part of the coordinator.
    pub(super) database: Option<Usage>,
    pub(super) participant: Usage,
}

impl Stage {
    /// Starts everything and posts the definitions.
    pub(super) async fn set(plan: Plan<'_>) -> anyhow::Result<Self> {
        let Plan { exe, store, server, .. } = plan;
        let dir = tempfile::Builder::new().prefix("amends-bench-").tempdir()?;
        let database = match store {
            StoreKind::Postgres => {
                let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
                let started = Postgres::start_with(options).await;
                Some(started.context("PostgreSQL does not start; --store sqlite needs no server")?)
            }
            StoreKind::Sqlite | StoreKind::Server => None,
        };
        let file = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
        let own_url = match (&database, store) {
            (Some(postgres), _) => Some(postgres.url()),
            (None, StoreKind::Server) => None,
            (None, _) => Some(file("amends.db")),
        };
        let mut crew = own_url.map(|url| Crew::over(exe, dir.path(), url, plan.settings));
        if let Some(crew) = &mut crew {
            for _ in 0..plan.coordinators {
                crew.join().await?;
            }
        }
        let (participant, participant_address) = start::participant(exe, server).await?;
        let stand_ins = if plan.has_limits {
            let limit_database = match (&database, store) {
                (Some(postgres), _) => Some(postgres.create_database(LIMIT_DATABASE).await?),
                (None, StoreKind::Server) => None,
                (None, _) => Some(file("limit.db")),
            };
            Some(StandIns::start(exe, &participant_address, limit_database).await?)
        } else {
            None
        };
        let stage = Self {
            stand_ins,
            participant,
            crew,
            database,
            dir,
            server_address: server.address.clone(),
            store,
            participant_address,
            http: http_client(server)?,
        };
        let own = format!("http://{}", stage.participant_address);
        let url = server.participant_url.as_ref().unwrap_or(&own);
        let registered = stage.register(PARTICIPANT, &json!({ "endpoints": [url] })).await;
        registered.with_context(|| match &stage.server_address {
            Some(address) => format!("{address} does not answer as amends does"),
            None => "the coordinator does not take the participant".to_owned(),
        })?;
        for definition in &plan.definitions {
            stage.define(definition).await?;
        }
        Ok(stage)
    }

    /// Registers a participant, or changes it; calls to it at once are bounded as the stand-in's
    /// are where `spec` says nothing.
    pub(super) async fn register(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        let mut spec = spec.clone();
        if spec.get("max_concurrency").is_none() {
            spec["max_concurrency"] = json!(CALLS_MAX);
        }
        let url = self.url(&format!("/v1/participants/{name}"))?;
        answer(self.http.put(url).json(&spec)).await?;
        Ok(())
    }

    /// Posts a definition.
    pub(super) async fn define(&self, definition: &Value) -> anyhow::Result<()> {
        self.post("/v1/definitions", definition).await?;
        Ok(())
    }

    /// Posts JSON to the coordinator; the text of its answer.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        answer(self.http.post(self.url(path)?).json(body)).await
    }

    /// As [`Stage::post`], for what starts a saga: answered when that has settled.
    pub(super) async fn post_and_wait(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        let request = self.http.post(self.url(path)?).json(body).header("prefer", "wait=20");
        answer(request).await
    }

    /// Bytes that the store takes on disk.
    pub(super) async fn stored_bytes(&self) -> anyhow::Result<f64> {
        if let Some(postgres) = &self.database {
            let sql = "SELECT pg_database_size('amends')";
            return Ok(postgres.psql("amends", sql).await?.trim().parse()?);
        }
        let bytes = std::fs::metadata(self.dir.path().join("amends.db"))?.len();
        Ok(float(bytes))
    }

    /// Asks the coordinator; the text of its answer.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        answer(self.http.get(self.url(path)?)).await
    }

    /// Tells the participant something.
    pub(super) async fn tell_participant(&self, path: &str) -> anyhow::Result<()> {
        let url = format!("http://{}{path}", self.participant_address);
        answer(self.http.post(url)).await.map(drop)
    }

    /// A metric of the coordinator at this address, the sum over its labels; 0 while it has none.
    pub(super) async fn metric(&self, address: &str, name: &str) -> anyhow::Result<f64> {
        let text = answer(self.http.get(format!("http://{address}/metrics"))).await?;
        Ok(metric(&text, name).unwrap_or_default())
    }

    /// Where the first coordinator listens, as `host:port`.
    pub(super) fn address(&self) -> anyhow::Result<String> {
        let own = self.crew.iter().flat_map(Crew::addresses).next();
        own.or_else(|| self.server_address.clone()).context("no coordinator runs")
    }

    /// The coordinators that were started here.
    pub(super) fn crew(&mut self) -> anyhow::Result<&mut Crew> {
        self.crew.as_mut().context("the coordinator is somebody else's")
    }

    /// The database server that was started here.
    pub(super) fn postgres(&self) -> anyhow::Result<&Postgres> {
        self.database.as_ref().context("there is no PostgreSQL server")
    }

    /// The coordinator's stand-ins.
    pub(super) fn stand_ins(&self) -> anyhow::Result<&StandIns> {
        self.stand_ins.as_ref().context("nothing was started for the limits")
    }

    fn url(&self, path: &str) -> anyhow::Result<String> {
        Ok(format!("http://{}{path}", self.address()?))
    }

    /// What each process uses now.
    pub(super) fn usages(&self) -> anyhow::Result<Usages> {
        let database = self.database.as_ref().and_then(Postgres::process_id);
        Ok(Usages {
            coordinator: self.coordinator().map(process::of_process).transpose()?,
            database: database.map(process::of_family).transpose()?,
            participant: process::of_process(self.participant.id())?,
        })
    }

    /// Process id of the first coordinator.
    fn coordinator(&self) -> Option<u32> {
        self.crew.as_ref().and_then(Crew::process)
    }

    /// Lets the processes' peaks of memory begin anew.
    pub(super) fn forget_peaks(&self) {
        self.coordinator()
            .into_iter()
            .chain([self.participant.id()])
            .for_each(process::forget_peak);
    }

    /// Who knows what the store has written; nobody where it is somebody else's.
    pub(super) fn counter(&self) -> anyhow::Result<Option<Counter<'_>>> {
        Ok(match (&self.database, self.coordinator()) {
            (Some(postgres), _) => Some(Counter::Postgres(postgres)),
            (None, Some(process)) => {
                let metrics = self.url("/metrics")?;
                Some(Counter::Embedded { http: &self.http, metrics, process })
            }
            (None, None) => None,
        })
    }
}

fn http_client(server: &ServerOptions) -> anyhow::Result<reqwest::Client> {
    let header = server.header.as_deref().map(wire::header).transpose()?;
    let headers: HeaderMap = header.into_iter().collect();
    let client = reqwest::Client::builder().no_proxy().default_headers(headers);
    Ok(client.timeout(ANSWER_MAX).build()?)
}

/// The text of an answer that says success.
pub(super) async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<String> {
    let response = request.send().await?;
    let (url, status) = (response.url().clone(), response.status());
    let text = response.text().await?;
    let said: String = text.chars().take(SAID_MAX).collect();
    anyhow::ensure!(status.is_success(), "{url}: {status} {said}");
    Ok(text)
}
