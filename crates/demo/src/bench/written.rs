//! What a store has written, by its own account.

use std::time::Duration;

use amends_testbed::Postgres;
use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::load::float;
use super::metric::metric;
use super::process;
use super::stage::answer;

/// PostgreSQL's statistics may come so much late: an idle server process hands in its own after 10 s.
const SETTLE_MAX: Duration = Duration::from_secs(12);
/// They have settled when they have stood still for so long.
const SETTLED_AFTER: Duration = Duration::from_millis(1_500);

/// What was written, since the start or by saga.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Written {
    /// Transactions that wrote.
    pub commits: f64,
    /// Rows that were written.
    pub rows: f64,
    /// Bytes: of PostgreSQL's log of changes; of all that the coordinator with its embedded store
    /// sent to a disk, if its files lie on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
}

impl Written {
    /// What each of `sagas` has written since `before`.
    pub(super) fn per_saga(self, before: Self, sagas: f64) -> Self {
        let bytes = self.bytes.zip(before.bytes).map(|(after, before)| (after - before) / sagas);
        Self {
            commits: (self.commits - before.commits) / sagas,
            rows: (self.rows - before.rows) / sagas,
            bytes,
        }
    }
}

/// Who knows what was written.
pub(super) enum Counter<'a> {
    Postgres(&'a Postgres),
    Embedded {
        http: &'a reqwest::Client,
        /// URL of the coordinator's metrics.
        metrics: String,
        /// Process id of the coordinator.
        process: u32,
    },
}

impl Counter<'_> {
    /// What was written before a run; waits until what came before that is counted.
    pub(super) async fn before(&self) -> anyhow::Result<Written> {
        match self {
            Self::Postgres(postgres) => {
                let rows = settled(async || rows(postgres).await).await?;
                let (commits, bytes) = transactions(postgres).await?;
                Ok(Written { commits, rows, bytes: Some(bytes) })
            }
            Self::Embedded { .. } => self.as_counted().await,
        }
    }

    /// What was written when a run has just ended; waits until all of it is counted.
    pub(super) async fn after(&self) -> anyhow::Result<Written> {
        match self {
            Self::Postgres(postgres) => {
                let (commits, bytes) = transactions(postgres).await?;
                let rows = settled(async || rows(postgres).await).await?;
                Ok(Written { commits, rows, bytes: Some(bytes) })
            }
            Self::Embedded { .. } => self.as_counted().await,
        }
    }

    /// What the coordinator itself says of its embedded store.
    async fn as_counted(&self) -> anyhow::Result<Written> {
        let Self::Embedded { http, metrics, process } = self else {
            anyhow::bail!("only an embedded store is counted by its coordinator");
        };
        let text = answer(http.get(metrics)).await?;
        let metric = |name| metric(&text, name).with_context(|| format!("/metrics has no {name}"));
        Ok(Written {
            commits: metric("amends_store_commits_total")?,
            rows: metric("amends_store_rows_total")?,
            bytes: process::written_bytes(*process).map(float),
        })
    }
}

async fn transactions(postgres: &Postgres) -> anyhow::Result<(f64, f64)> {
    let commits = postgres.transactions_written().await?;
    Ok((float(commits), float(postgres.log_bytes_written().await?)))
}

async fn rows(postgres: &Postgres) -> anyhow::Result<f64> {
    Ok(float(postgres.rows_written("amends").await?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_nobody_knows_are_left_out() {
        let before = Written { commits: 1.0, rows: 10.0, bytes: None };
        let after = Written { commits: 2.0, rows: 30.0, bytes: Some(5.0) };
        let each = after.per_saga(before, 10.0);
        assert_eq!(each, Written { commits: 0.1, rows: 2.0, bytes: None });
        assert!(!serde_json::to_string(&each).unwrap().contains("bytes"));
    }
}
