//! What a bench runs on: an idle participant, and a coordinator with a database of its own, or a
//! server that is there.

use std::path::Path;
use std::time::Duration;

use amends_testbed::{Child, Postgres, PostgresOptions};
use anyhow::Context as _;
use hyper::HeaderMap;
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;

use super::case::{CALLS_MAX, Case, PARTICIPANT};
use super::process::{self, Usage};
use super::server::ServerOptions;
use super::written::Counter;
use super::{start, wire};

/// Longest wait for an answer to what prepares a run.
const ANSWER_MAX: Duration = Duration::from_secs(30);
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

/// Everything that runs, but the load. Dropping it ends all that was started and deletes the data.
#[derive(Debug)]
pub(super) struct Stage {
    // In this order: clients go before servers, servers before files.
    _stand_in: Option<Child>,
    _unstored: Child,
    participant: Child,
    coordinator: Option<Child>,
    database: Option<Postgres>,
    _dir: TempDir,
    pub(super) store: StoreKind,
    pub(super) addresses: Addresses,
    /// Database of the limits; none where the store is somebody else's.
    pub(super) limit_database: Option<String>,
    http: reqwest::Client,
}

/// Who listens where, as `host:port`.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) coordinator: String,
    pub(super) participant: String,
    /// The coordinator's stand-in, with a store like that of the coordinator.
    pub(super) stand_in: Option<String>,
    /// The same, with nothing stored.
    pub(super) unstored: String,
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
    /// Starts everything and posts the definitions of `cases`.
    pub(super) async fn set(
        exe: &Path,
        store: StoreKind,
        server: &ServerOptions,
        cases: &[Case],
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("amends-bench-").tempdir()?;
        let database = match store {
            StoreKind::Postgres => {
                let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
                Some(Postgres::start_with(options).await?)
            }
            StoreKind::Sqlite | StoreKind::Server => None,
        };
        let file = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
        let (own_url, limit_database) = match (&database, store) {
            (Some(postgres), _) => {
                let limit_url = postgres.create_database(LIMIT_DATABASE).await?;
                (Some(postgres.url()), Some(limit_url))
            }
            (None, StoreKind::Server) => (None, None),
            (None, _) => (Some(file("amends.db")), Some(file("limit.db"))),
        };
        let (coordinator, coordinator_address) = match (own_url, &server.address) {
            (Some(url), _) => {
                let (child, address) = start::coordinator(exe, &url, dir.path()).await?;
                (Some(child), address)
            }
            (None, address) => (None, address.clone().context("no server to drive was named")?),
        };
        let (participant, participant_address) = start::participant(exe, server).await?;
        let unstored = start::stand_in(exe, &participant_address, None).await?;
        let stand_in = match &limit_database {
            Some(url) => Some(start::stand_in(exe, &participant_address, Some(url)).await?),
            None => None,
        };
        let (stand_in, stand_in_address) = stand_in.unzip();
        let addresses = Addresses {
            coordinator: coordinator_address,
            participant: participant_address,
            stand_in: stand_in_address,
            unstored: unstored.1,
        };
        let stage = Self {
            _stand_in: stand_in,
            _unstored: unstored.0,
            participant,
            coordinator,
            database,
            _dir: dir,
            store,
            addresses,
            limit_database,
            http: http_client(server)?,
        };
        stage.register(server.participant_url.as_deref(), cases).await?;
        Ok(stage)
    }

    async fn register(&self, participant_url: Option<&str>, cases: &[Case]) -> anyhow::Result<()> {
        let own = format!("http://{}", self.addresses.participant);
        let spec =
            json!({ "endpoints": [participant_url.unwrap_or(&own)], "max_concurrency": CALLS_MAX });
        let participant = self.url(&format!("/v1/participants/{PARTICIPANT}"));
        answer(self.http.put(participant).json(&spec)).await?;
        for case in cases {
            let definitions = self.url("/v1/definitions");
            answer(self.http.post(definitions).json(&case.definition())).await?;
        }
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addresses.coordinator)
    }

    /// What each process uses now.
    pub(super) fn usages(&self) -> anyhow::Result<Usages> {
        let database = self.database.as_ref().and_then(Postgres::process_id);
        let coordinator = self.coordinator.as_ref().map(Child::id);
        Ok(Usages {
            coordinator: coordinator.map(process::of_process).transpose()?,
            database: database.map(process::of_family).transpose()?,
            participant: process::of_process(self.participant.id())?,
        })
    }

    /// Lets the processes' peaks of memory begin anew.
    pub(super) fn forget_peaks(&self) {
        let coordinator = self.coordinator.as_ref().map(Child::id);
        coordinator.into_iter().chain([self.participant.id()]).for_each(process::forget_peak);
    }

    /// Who knows what the store has written; nobody where it is somebody else's.
    pub(super) fn counter(&self) -> Option<Counter<'_>> {
        match (&self.database, &self.coordinator) {
            (Some(postgres), _) => Some(Counter::Postgres(postgres)),
            (None, Some(coordinator)) => Some(Counter::Embedded {
                http: &self.http,
                metrics: self.url("/metrics"),
                process: coordinator.id(),
            }),
            (None, None) => None,
        }
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
    anyhow::ensure!(status.is_success(), "{url}: {status} {text}");
    Ok(text)
}
