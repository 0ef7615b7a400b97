//! What the machine can do at most in the very minute of a run: calls, commits and rows by
//! themselves, and the whole path of a saga through the coordinator's stand-in.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::StoreKind;
use super::case::Case;
use super::generator::Load;
use super::journal::{Row, Writer};
use super::load::float;
use super::stage::Stage;
use super::wire::{self, Connection};

/// How long each part is measured by itself.
const PART: Duration = Duration::from_secs(1);
/// Longest time for one part with all that prepares it.
const PART_MAX: Duration = Duration::from_secs(30);
/// How long the stand-in is measured, and warmed up before that, in seconds.
const STAND_IN_SECONDS: u32 = 2;
const STAND_IN_WARM_UP_SECONDS: u32 = 1;
/// Most connections that commit beside each other; more don't commit faster.
const COMMITTERS_MAX: u32 = 32;
/// Above all numbers that a stand-in gives to sagas.
const FIRST_SAGA: i64 = 1 << 40;
/// What a call carries and a row holds.
const BODY: &str = r#"{"order":"12-345"}"#;

/// The parts of a saga by themselves, each at so many a second. What the store can do is left out
/// where the store is somebody else's.
#[derive(Clone, Debug, Serialize)]
pub struct Parts {
    /// On which store.
    pub store: StoreKind,
    /// How many calls, sagas or commits were under way at once.
    pub in_flight: u32,
    /// Calls over kept-alive connections, straight to the participant.
    pub calls_per_second: f64,
    /// Sagas of three calls through the stand-in with nothing stored.
    pub unstored_sagas_per_second: f64,
    /// Commits of one row each; on SQLite one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits_per_second: Option<f64>,
    /// Rows that one connection writes in commits of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_by_100_per_second: Option<f64>,
    /// Rows that one connection writes in commits of 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_by_1000_per_second: Option<f64>,
}

/// What the stand-in did with the sagas of a case.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limit {
    /// Whether it kept its journal in a store like the coordinator's; otherwise it stored nothing.
    pub is_stored: bool,
    /// Sagas ended a second.
    pub sagas_per_second: f64,
    /// Half of them took at most so many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took at most so many milliseconds.
    pub p99_ms: f64,
}

/// What was measured so far, so that nothing is measured twice in a run.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) parts: Vec<Parts>,
    cases: Vec<(StoreKind, Case, u32, Limit)>,
    next_saga: i64,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self { parts: Vec::new(), cases: Vec::new(), next_saga: FIRST_SAGA }
    }

    /// The limit for a case, and with it, if they are not known yet, the parts' at this number in
    /// flight.
    pub(super) async fn of(
        &mut self,
        exe: &Path,
        stage: &Stage,
        case: Case,
        in_flight: u32,
    ) -> anyhow::Result<Limit> {
        let store = stage.store;
        if !self.parts.iter().any(|known| known.store == store && known.in_flight == in_flight) {
            let parts = self.measure_parts(exe, stage, in_flight).await?;
            self.parts.push(parts);
        }
        let case = case.waited();
        let known = self.cases.iter().find(|(own_store, own_case, own_in_flight, _)| {
            (*own_store, *own_case, *own_in_flight) == (store, case, in_flight)
        });
        if let Some((.., limit)) = known {
            return Ok(*limit);
        }
        let stand_ins = stage.stand_ins()?;
        let stand_in = stand_ins.stored();
        let limit = through(exe, stand_in.unwrap_or(&stand_ins.unstored), case, in_flight);
        let limit = Limit { is_stored: stand_in.is_some(), ..limit.await? };
        self.cases.push((store, case, in_flight, limit));
        Ok(limit)
    }

    async fn measure_parts(
        &mut self,
        exe: &Path,
        stage: &Stage,
        in_flight: u32,
    ) -> anyhow::Result<Parts> {
        let calls = timeout(PART_MAX, calls(&stage.participant_address, in_flight)).await??;
        let unstored = through(exe, &stage.stand_ins()?.unstored, Case::CHAIN3, in_flight).await?;
        let mut parts = Parts {
            store: stage.store,
            in_flight,
            calls_per_second: calls,
            unstored_sagas_per_second: unstored.sagas_per_second,
            commits_per_second: None,
            rows_by_100_per_second: None,
            rows_by_1000_per_second: None,
        };
        if let Some(url) = &stage.stand_ins()?.database {
            let committers = match stage.store {
                StoreKind::Postgres => in_flight.min(COMMITTERS_MAX),
                StoreKind::Sqlite | StoreKind::Server => 1,
            };
            parts.commits_per_second = Some(self.rows(url, committers, 1).await?);
            parts.rows_by_100_per_second = Some(self.rows(url, 1, 100).await?);
            parts.rows_by_1000_per_second = Some(self.rows(url, 1, 1_000).await?);
        }
        Ok(parts)
    }

    /// Rows that so many connections write a second, in commits of so many rows.
    async fn rows(&mut self, url: &str, writers: u32, batch: i64) -> anyhow::Result<f64> {
        // A range for each writer, far longer than what it can write in the time.
        const RANGE: i64 = 1 << 32;
        let all = async {
            let mut open = Vec::new();
            for _ in 0..writers {
                open.push((Writer::open(url).await?, self.next_saga));
                self.next_saga += RANGE;
            }
            let until = Instant::now() + PART;
            let mut writing = JoinSet::new();
            for (writer, first) in open {
                writing.spawn(write_until(until, writer, first, batch));
            }
            sum(writing).await
        };
        timeout(PART_MAX, all).await?
    }
}

async fn write_until(
    until: Instant,
    mut writer: Writer,
    first: i64,
    batch: i64,
) -> anyhow::Result<u64> {
    let mut next = first;
    while Instant::now() < until {
        let row = |saga| Row { saga, seq: 0, facts: BODY.to_owned() };
        writer.write((next..next + batch).map(row).collect()).await?;
        next += batch;
    }
    Ok((next - first).unsigned_abs())
}

/// Calls a second to the participant.
async fn calls(participant: &str, in_flight: u32) -> anyhow::Result<f64> {
    let mut open = Vec::new();
    for _ in 0..in_flight {
        open.push(Connection::open(participant).await?);
    }
    let until = Instant::now() + PART;
    let mut calling = JoinSet::new();
    for connection in open {
        calling.spawn(call_until(until, connection, participant.to_owned()));
    }
    sum(calling).await
}

async fn call_until(
    until: Instant,
    mut connection: Connection,
    participant: String,
) -> anyhow::Result<u64> {
    let mut count = 0;
    while Instant::now() < until {
        connection.send(wire::post(&participant, "/do", BODY)?).await?;
        count += 1;
    }
    Ok(count)
}

async fn sum(mut tasks: JoinSet<anyhow::Result<u64>>) -> anyhow::Result<f64> {
    let mut count = 0;
    while let Some(own) = tasks.join_next().await {
        count += own??;
    }
    Ok(float(count) / PART.as_secs_f64())
}

/// What the stand-in at this address does with the sagas of a case.
async fn through(exe: &Path, address: &str, case: Case, in_flight: u32) -> anyhow::Result<Limit> {
    let load = Load {
        address,
        case,
        definition: None,
        in_flight,
        seconds: STAND_IN_SECONDS,
        warm_up_seconds: STAND_IN_WARM_UP_SECONDS,
        header: None,
    };
    let found = load.run(exe).await?;
    anyhow::ensure!(found.errors == 0, "the stand-in failed: {:?}", found.error);
    Ok(Limit {
        is_stored: false,
        sagas_per_second: found.sagas_per_second(),
        p50_ms: found.p50_ms,
        p99_ms: found.p99_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_counted_whatever_the_batch() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("limit.db").display());
        let mut limits = Limits::new();
        assert!(limits.rows(&url, 1, 1).await.unwrap() > 0.0);
        assert!(limits.rows(&url, 1, 100).await.unwrap() >= 100.0);
    }
}
