//! What a bench runs on: a database of its own, a coordinator and an idle participant.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use amends_testbed::{Child, Postgres, PostgresOptions, free_port};
use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use super::cases::{Case, PARTICIPANT};
use super::cpu;
use crate::fleet::{start, wait_for};

/// PostgreSQL's statistics may come so much late: an idle server process hands in its own after 10 s.
const SETTLE_MAX: Duration = Duration::from_secs(12);
/// They have settled when they have stood still for so long.
const SETTLED_AFTER: Duration = Duration::from_millis(1_500);

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A PostgreSQL server of its own, with `fsync` on.
    Postgres,
    /// The embedded store, as `serve` has it without `--database`.
    Sqlite,
}

impl StoreKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// Everything that runs, but the load. Dropping it ends all and deletes the data.
#[derive(Debug)]
pub(super) struct Stage {
    // In this order: clients go before servers, servers before files.
    participant: Child,
    coordinator: Child,
    database: Option<Postgres>,
    _dir: TempDir,
    /// Where the coordinator listens, as `host:port`.
    pub(super) address: String,
    http: reqwest::Client,
}

/// CPU seconds of each process since its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuSeconds {
    pub(super) coordinator: f64,
    /// 0 where the store is part of the coordinator.
    pub(super) database: f64,
    pub(super) participant: f64,
}

/// What the store has written since its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) commits: f64,
    pub(super) rows: f64,
}

impl Stage {
    /// Starts everything and posts the definitions of `cases`.
    pub(super) async fn set(exe: &Path, store: StoreKind, cases: &[Case]) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("amends-bench-").tempdir()?;
        let (database, url) = match store {
            StoreKind::Sqlite => {
                (None, format!("sqlite://{}", dir.path().join("amends.db").display()))
            }
            StoreKind::Postgres => {
                let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
                let postgres = Postgres::start_with(options).await?;
                let url = postgres.url();
                (Some(postgres), url)
            }
        };
        let address = format!("127.0.0.1:{}", free_port()?);
        let log = dir.path().join("coordinator.log");
        let coordinator = coordinator(exe, &address, &url, &log)?;
        let ready = wait_for(&format!("http://{address}"), "/readyz").await;
        ready.with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        let (participant, participant_url) =
            start(Command::new(exe).args(["bench-participant", "--port", "0"])).await?;
        let http =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let stage = Self { participant, coordinator, database, _dir: dir, address, http };
        stage.register(&participant_url, cases).await?;
        Ok(stage)
    }

    async fn register(&self, participant_url: &str, cases: &[Case]) -> anyhow::Result<()> {
        let spec = json!({ "endpoints": [participant_url], "max_concurrency": 1_024 });
        let participant = self.url(&format!("/v1/participants/{PARTICIPANT}"));
        check(self.http.put(participant).json(&spec).send().await?).await?;
        for case in cases {
            let definitions = self.url("/v1/definitions");
            check(self.http.post(definitions).json(&case.definition()).send().await?).await?;
        }
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn cpu_seconds(&self) -> anyhow::Result<CpuSeconds> {
        let database = self.database.as_ref().and_then(Postgres::process_id);
        Ok(CpuSeconds {
            coordinator: cpu::of_process(self.coordinator.id())?,
            database: database.map(cpu::of_family).transpose()?.unwrap_or_default(),
            participant: cpu::of_process(self.participant.id())?,
        })
    }

    /// What has been written; waits for PostgreSQL's statistics to settle.
    pub(super) async fn written(&self) -> anyhow::Result<Written> {
        let Some(postgres) = &self.database else { return self.written_as_counted().await };
        let commits = number(postgres, COMMITS).await?;
        let rows = settled(async || number(postgres, ROWS).await).await?;
        Ok(Written { commits, rows })
    }

    /// What the coordinator itself says of its embedded store.
    async fn written_as_counted(&self) -> anyhow::Result<Written> {
        let text = check(self.http.get(self.url("/metrics")).send().await?).await?;
        let metric = |name| metric(&text, name).with_context(|| format!("/metrics has no {name}"));
        Ok(Written {
            commits: metric("amends_store_commits_total")?,
            rows: metric("amends_store_rows_total")?,
        })
    }
}

/// Transactions that wrote: each takes the next number. (`xact_commit` counts readers as well.)
const COMMITS: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
const ROWS: &str =
    "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables";

async fn number(postgres: &Postgres, sql: &str) -> anyhow::Result<f64> {
    let text = postgres.psql("amends", sql).await?;
    text.trim().parse().with_context(|| format!("{sql} gave {text:?}"))
}

/// What `read` gives when it has stood still for a while.
async fn settled(read: impl AsyncFn() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut last = read().await?;
    let mut since = Instant::now();
    while since.elapsed() < SETTLED_AFTER && start.elapsed() < SETTLE_MAX {
        sleep(Duration::from_millis(250)).await;
        let now = read().await?;
        // Renewed leases write a row now and then; a run writes thousands.
        if now - last > 20.0 {
            since = Instant::now();
        }
        last = now;
    }
    Ok(last)
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    let of_line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(of_line)
}

fn coordinator(exe: &Path, address: &str, database: &str, log: &PathBuf) -> anyhow::Result<Child> {
    let mut command = Command::new(exe);
    command.args(["serve", "--listen", address, "--database", database]);
    let log = std::fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Child::spawn(&mut command)
}

async fn check(response: reqwest::Response) -> anyhow::Result<String> {
    let (url, status) = (response.url().clone(), response.status());
    let text = response.text().await?;
    anyhow::ensure!(status.is_success(), "{url}: {status} {text}");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE amends_x counter\namends_x_total_more 1\namends_x_total 42\n";
        assert_eq!(metric(text, "amends_x_total"), Some(42.0));
        assert_eq!(metric(text, "amends_y_total"), None);
    }

    #[tokio::test]
    async fn postgres_says_how_many_transactions_and_rows_were_written() {
        let postgres = Postgres::start().await.unwrap();
        postgres.psql("amends", "CREATE TABLE t (n INT)").await.unwrap();
        let commits = number(&postgres, COMMITS).await.unwrap();
        let rows = number(&postgres, ROWS).await.unwrap();
        postgres.psql("amends", "INSERT INTO t SELECT generate_series(1, 7)").await.unwrap();
        postgres.psql("amends", "SELECT count(*) FROM t").await.unwrap();
        let more = number(&postgres, COMMITS).await.unwrap() - commits;
        assert!((1.0..3.0).contains(&more), "{more}, with the server's own at most");
        // The session hands in its statistics when it ends, which psql doesn't wait for.
        let written = tokio::time::timeout(SETTLE_MAX, async {
            while number(&postgres, ROWS).await.unwrap() < rows + 7.0 {}
        });
        written.await.unwrap();
    }
}
