//! What a bench says at its end.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::{Case, LoadResult, StoreKind};

/// All runs of a bench.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// How many cores the machine has.
    pub cores: usize,
    /// One a run, in the order they were made.
    pub rows: Vec<BenchRow>,
    /// Whether it is displayed as JSON.
    #[serde(skip)]
    pub json: bool,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct BenchRow {
    /// On which store.
    pub store: StoreKind,
    /// Which definition.
    pub case: Case,
    /// How many sagas were under way at once.
    pub in_flight: u32,
    /// Sagas ended a second.
    pub sagas_per_second: f64,
    /// What the load generator found.
    pub load: LoadResult,
    /// Who used how much of the machine.
    pub cpu: CpuShares,
    /// Transactions that wrote, by saga.
    pub commits_per_saga: f64,
    /// Rows written, by saga.
    pub rows_per_saga: f64,
}

/// CPU time by wall time of each process: 1.0 is one core, all of the time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CpuShares {
    /// The coordinator; with the embedded store, that too.
    pub coordinator: f64,
    /// All processes of PostgreSQL.
    pub database: f64,
    /// The participant.
    pub participant: f64,
    /// The load generator.
    pub load: f64,
}

impl BenchReport {
    /// The bench's last line: of three steps on PostgreSQL at 64 in flight, if that was run.
    pub fn last_line(&self) -> String {
        let is_headline = |row: &&BenchRow| {
            row.case == Case::Chain3 && row.store == StoreKind::Postgres && row.in_flight == 64
        };
        let Some(row) = self.rows.iter().find(is_headline).or(self.rows.last()) else {
            return "bench: nothing was run".to_owned();
        };
        format!(
            "bench: {} {} {} in flight: {:.0} sagas/s, p50 {:.1} ms, p99 {:.1} ms",
            row.case.name(),
            row.store.name(),
            row.in_flight,
            row.sagas_per_second,
            row.load.p50_ms,
            row.load.p99_ms
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(HEADER);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

const HEADER: [&str; 14] = [
    "store",
    "case",
    "in flight",
    "sagas/s",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "p99.9 ms",
    "coordinator",
    "database",
    "participant",
    "load",
    "commits/saga",
    "rows/saga",
];

impl BenchRow {
    fn cells(&self) -> [String; 14] {
        let share = |cores: f64| format!("{:.0} %", cores * 100.0);
        [
            self.store.name().to_owned(),
            self.case.name().to_owned(),
            self.in_flight.to_string(),
            format!("{:.0}", self.sagas_per_second),
            format!("{:.1}", self.load.p50_ms),
            format!("{:.1}", self.load.p90_ms),
            format!("{:.1}", self.load.p99_ms),
            format!("{:.1}", self.load.p999_ms),
            share(self.cpu.coordinator),
            share(self.cpu.database),
            share(self.cpu.participant),
            share(self.cpu.load),
            format!("{:.3}", self.commits_per_saga),
            format!("{:.2}", self.rows_per_saga),
        ]
    }
}

/// The table and the last line, or JSON; without a line break at the end.
impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.json {
            let json = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
            return f.write_str(&json);
        }
        writeln!(f, "{}", self.table())?;
        writeln!(f, "CPU: 100 % is one of {} cores.", self.cores)?;
        for row in self.rows.iter().filter(|row| row.load.errors > 0) {
            let error = row.load.error.as_deref().unwrap_or_default();
            let (store, case) = (row.store.name(), row.case.name());
            writeln!(f, "{} errors: {store} {case}: {error}", row.load.errors)?;
        }
        f.write_str(&self.last_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(store: StoreKind, in_flight: u32) -> BenchRow {
        BenchRow {
            store,
            case: Case::Chain3,
            in_flight,
            sagas_per_second: 4_321.4,
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
            },
            cpu: CpuShares { coordinator: 0.8, database: 0.5, participant: 0.2, load: 0.2 },
            commits_per_saga: 0.031,
            rows_per_saga: 6.0,
        }
    }

    fn report(json: bool) -> BenchReport {
        let rows = vec![row(StoreKind::Postgres, 64), row(StoreKind::Sqlite, 256)];
        BenchReport { cores: 2, rows, json }
    }

    #[test]
    fn the_last_line_is_the_promised_one() {
        let line = "bench: chain3 postgres 64 in flight: 4321 sagas/s, p50 12.3 ms, p99 31.1 ms";
        assert_eq!(report(false).to_string().lines().last(), Some(line));
    }

    #[test]
    fn json_holds_every_run() {
        let json: serde_json::Value = serde_json::from_str(&report(true).to_string()).unwrap();
        assert_eq!(json["rows"][1]["store"], "sqlite");
        assert_eq!(json["rows"][0]["load"]["total"], 100);
    }
}
