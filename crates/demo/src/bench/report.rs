//! What a bench says at its end.

use std::fmt;

use serde::Serialize;

use super::limits::{Limit, Parts};
use super::load::float;
use super::process::Usage;
use super::scenario::Findings;
use super::stage::Usages;
use super::table;
use super::written::Written;
use super::{Case, LoadResult, StoreKind};

/// All runs of a bench.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// How many cores the machine has.
    pub cores: usize,
    /// One a run, in the order they were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<BenchRow>,
    /// The parts of a saga by themselves, for every store and number in flight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Parts>,
    /// What a scenario found, on every store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<Findings>,
}

/// One run. What was not started for it is left out.
#[derive(Clone, Debug, Serialize)]
pub struct BenchRow {
    /// On which store.
    pub store: StoreKind,
    /// What was run.
    pub case: Case,
    /// How many sagas were under way at once.
    pub in_flight: u32,
    /// Sagas ended a second.
    pub sagas_per_second: f64,
    /// What the stand-in did just before.
    pub limit: Limit,
    /// Sagas a second by those of the limit.
    pub of_limit: f64,
    /// What the load generator found.
    pub load: LoadResult,
    /// What each process cost.
    pub costs: Costs,
    /// What the store wrote, by saga.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_per_saga: Option<Written>,
}

/// What each process cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Costs {
    /// The coordinator; with the embedded store, that too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<Cost>,
    /// All processes of PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Cost>,
    /// The participant.
    pub participant: Cost,
    /// The load generator.
    pub load: Cost,
}

/// What one process cost, warm-up included.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// CPU microseconds for each saga.
    pub cpu_us_per_saga: f64,
    /// Memory at the end of the run, in bytes.
    pub memory_bytes: u64,
    /// The most memory during the run, in bytes; not known of a database with its many processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
}

impl Cost {
    fn new(before: Option<Usage>, after: Usage, sagas: f64) -> Self {
        let cpu_seconds = after.cpu_seconds - before.map_or(0.0, |before| before.cpu_seconds);
        Self {
            cpu_seconds,
            cpu_us_per_saga: cpu_seconds * 1e6 / sagas,
            memory_bytes: after.memory_bytes,
            memory_peak_bytes: after.memory_peak_bytes,
        }
    }
}

impl Costs {
    /// What the processes used between two looks, while `load` ran.
    pub(super) fn between(before: Usages, after: Usages, load: &LoadResult) -> Self {
        let sagas = float(load.total);
        let load_usage = Usage {
            cpu_seconds: load.cpu_seconds,
            memory_bytes: load.memory_bytes,
            memory_peak_bytes: load.memory_peak_bytes,
        };
        let cost =
            |before, after: Option<Usage>| after.map(|after| Cost::new(before, after, sagas));
        Self {
            coordinator: cost(before.coordinator, after.coordinator),
            database: cost(before.database, after.database),
            participant: Cost::new(Some(before.participant), after.participant, sagas),
            load: Cost::new(None, load_usage, sagas),
        }
    }
}

impl BenchReport {
    /// Everything as JSON.
    ///
    /// # Errors
    ///
    /// A number is none.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl BenchRow {
    /// The run in one line.
    pub fn line(&self) -> String {
        format!(
            "bench: {} {} {} in flight: {:.0} sagas/s, p50 {:.1} ms, p99 {:.1} ms, {:.2} of the limit",
            self.case,
            self.store.name(),
            self.in_flight,
            self.sagas_per_second,
            self.load.p50_ms,
            self.load.p99_ms,
            self.of_limit
        )
    }
}

/// The tables and a line for each run; without a line break at the end.
impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for findings in &self.scenarios {
            writeln!(f, "{}", findings.tables())?;
        }
        if self.rows.is_empty() {
            let lines: Vec<&str> = self.scenarios.iter().flat_map(Findings::lines).collect();
            return f.write_str(&lines.join("\n"));
        }
        writeln!(f, "{}\n", table::speed(&self.rows))?;
        writeln!(
            f,
            "Limit: what a stand-in does that only calls and stores, in the same minute.\n"
        )?;
        if self.rows.iter().any(|row| !row.limit.is_stored) {
            writeln!(
                f,
                "That of a server that is there stores nothing, so that it is too high.\n"
            )?;
        }
        writeln!(f, "{}\n", table::costs(&self.rows))?;
        writeln!(f, "CPU in seconds of {} cores, and in µs a saga.\n", self.cores)?;
        writeln!(f, "{}\n", table::memory(&self.rows))?;
        writeln!(f, "Memory in MiB at the end of a run, and its peak in brackets.\n")?;
        writeln!(f, "{}\n", table::parts(&self.parts))?;
        for row in self.rows.iter().filter(|row| row.load.errors > 0) {
            let error = row.load.error.as_deref().unwrap_or_default();
            let (store, case) = (row.store.name(), row.case);
            writeln!(f, "{} errors: {store} {case}: {error}", row.load.errors)?;
        }
        let lines: Vec<String> = self.rows.iter().map(BenchRow::line).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn cost(cpu_seconds: f64) -> Cost {
        let usage = |cpu_seconds| Usage {
            cpu_seconds,
            memory_bytes: 2 << 20,
            memory_peak_bytes: Some(3 << 20),
        };
        Cost::new(Some(usage(1.0)), usage(1.0 + cpu_seconds), 100.0)
    }

    fn row(store: StoreKind, in_flight: u32) -> BenchRow {
        let is_own = store != StoreKind::Server;
        BenchRow {
            store,
            case: Case::CHAIN3,
            in_flight,
            sagas_per_second: 4_321.4,
            limit: Limit { is_stored: is_own, sagas_per_second: 8_642.8, p50_ms: 6.0, p99_ms: 9.0 },
            of_limit: 0.5,
            load: LoadResult {
                total: 100,
                measured: 80,
                seconds: 1.0,
                errors: 0,
                error: None,
                p50_ms: 12.34,
                p90_ms: 20.0,
                p99_ms: 31.06,
                p999_ms: 40.0,
                cpu_seconds: 0.5,
                memory_bytes: 1 << 20,
                memory_peak_bytes: Some(1 << 20),
            },
            costs: Costs {
                coordinator: is_own.then(|| cost(0.8)),
                database: (store == StoreKind::Postgres).then(|| cost(0.5)),
                participant: cost(0.2),
                load: cost(0.2),
            },
            written_per_saga: is_own.then_some(Written {
                commits: 0.031,
                rows: 6.0,
                bytes: Some(2_048.0),
            }),
        }
    }

    pub(in super::super) fn report() -> BenchReport {
        let stores = [StoreKind::Postgres, StoreKind::Sqlite, StoreKind::Server];
        let parts = |store| Parts {
            store,
            in_flight: 64,
            calls_per_second: 100_000.0,
            unstored_sagas_per_second: 20_000.0,
            commits_per_second: (store != StoreKind::Server).then_some(9_000.0),
            rows_by_100_per_second: None,
            rows_by_1000_per_second: None,
        };
        let rows = stores.map(|store| row(store, 64)).into();
        BenchReport { cores: 2, rows, parts: stores.map(parts).into(), scenarios: Vec::new() }
    }

    #[test]
    fn the_last_lines_are_the_promised_ones() {
        let text = report().to_string();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        let line = |store| {
            format!(
                "bench: chain3 {store} 64 in flight: 4321 sagas/s, p50 12.3 ms, p99 31.1 ms, 0.50 of the limit"
            )
        };
        assert_eq!(lines, [line("server"), line("sqlite"), line("postgres")]);
    }

    #[test]
    fn json_holds_every_run_and_nothing_of_what_was_not_started() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
        assert_eq!(json["rows"][0]["case"], "chain3");
        assert_eq!(json["rows"][0]["load"]["total"], 100);
        assert_eq!(json["rows"][1]["store"], "sqlite");
        assert!(json["rows"][1]["costs"].get("database").is_none());
        assert!(json["rows"][2]["costs"].get("coordinator").is_none());
        assert!(json["rows"][2].get("written_per_saga").is_none());
        assert!(json["parts"][2].get("commits_per_second").is_none());
    }
}
