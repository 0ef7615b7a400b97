//! The tables of a report: speed, cost, memory, and what the parts of a saga can do by themselves.

use comfy_table::{CellAlignment, Row, Table, presets};

use super::limits::Parts;
use super::report::{BenchRow, Cost};

const MIB: u64 = 1 << 20;

/// How fast each run was.
pub(super) fn speed(rows: &[BenchRow]) -> Table {
    let header = [
        "store",
        "case",
        "in flight",
        "sagas/s",
        "limit",
        "of limit",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
    ];
    let cells = |row: &BenchRow| {
        let load = &row.load;
        let [p50, p90, p99, p999] =
            [load.p50_ms, load.p90_ms, load.p99_ms, load.p999_ms].map(|ms| format!("{ms:.1}"));
        let ratio = format!("{:.2}", row.of_limit);
        let (speed, limit) = (whole(row.sagas_per_second), whole(row.limit.sagas_per_second));
        let name = row.store.name().to_owned();
        [
            name,
            row.case.to_string(),
            row.in_flight.to_string(),
            speed,
            limit,
            ratio,
            p50,
            p90,
            p99,
            p999,
        ]
    };
    table(&header, rows.iter().map(cells))
}

/// What each run cost in CPU time and written data.
pub(super) fn costs(rows: &[BenchRow]) -> Table {
    let header = [
        "store",
        "case",
        "in flight",
        "coordinator",
        "database",
        "participant",
        "load",
        "commits/saga",
        "rows/saga",
        "KiB/saga",
    ];
    let cells = |row: &BenchRow| {
        let [coordinator, database, participant, load] = by_process(row, cpu);
        let written = row.written_per_saga;
        let bytes = written.and_then(|written| written.bytes);
        [
            row.store.name().to_owned(),
            row.case.to_string(),
            row.in_flight.to_string(),
            coordinator,
            database,
            participant,
            load,
            known(written.map(|written| format!("{:.3}", written.commits))),
            known(written.map(|written| format!("{:.2}", written.rows))),
            known(bytes.map(|bytes| format!("{:.1}", bytes / 1_024.0))),
        ]
    };
    table(&header, rows.iter().map(cells))
}

/// How much memory each run took.
pub(super) fn memory(rows: &[BenchRow]) -> Table {
    let header = ["store", "case", "in flight", "coordinator", "database", "participant", "load"];
    let cells = |row: &BenchRow| {
        let [coordinator, database, participant, load] = by_process(row, mebibytes);
        let name = row.store.name().to_owned();
        let in_flight = row.in_flight.to_string();
        [name, row.case.to_string(), in_flight, coordinator, database, participant, load]
    };
    table(&header, rows.iter().map(cells))
}

/// A cell for each process; empty for what was not started.
fn by_process(row: &BenchRow, cell: fn(Cost) -> String) -> [String; 4] {
    let costs = &row.costs;
    let all = [costs.coordinator, costs.database, Some(costs.participant), Some(costs.load)];
    all.map(|cost| known(cost.map(cell)))
}

/// What the parts of a saga can do by themselves.
pub(super) fn parts(parts: &[Parts]) -> Table {
    let header = [
        "store",
        "in flight",
        "calls/s",
        "3 calls, unstored: sagas/s",
        "commits/s",
        "rows/s by 100",
        "rows/s by 1,000",
    ];
    let cells = |own: &Parts| {
        [
            own.store.name().to_owned(),
            own.in_flight.to_string(),
            whole(own.calls_per_second),
            whole(own.unstored_sagas_per_second),
            known(own.commits_per_second.map(whole)),
            known(own.rows_by_100_per_second.map(whole)),
            known(own.rows_by_1000_per_second.map(whole)),
        ]
    };
    table(&header, parts.iter().map(cells))
}

/// A table whose first column is words and whose others are figures.
pub(super) fn table<R: Into<Row>>(
    header: &[impl ToString],
    rows: impl Iterator<Item = R>,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(header.iter().map(ToString::to_string));
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn known(text: Option<String>) -> String {
    text.unwrap_or_default()
}

fn cpu(cost: Cost) -> String {
    format!("{:.1} s, {:.0} µs", cost.cpu_seconds, cost.cpu_us_per_saga)
}

fn mebibytes(cost: Cost) -> String {
    let now = cost.memory_bytes / MIB;
    cost.memory_peak_bytes.map_or(now.to_string(), |peak| format!("{now} ({})", peak / MIB))
}

/// A whole number with commas between thousands.
pub(super) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0.0, 999.4, 1_000.0, 12_345.6, 1_234_567.0].map(whole);
        assert_eq!(numbers, ["0", "999", "1,000", "12,346", "1,234,567"]);
    }

    #[test]
    fn what_was_not_started_has_no_figure() {
        let report = super::super::report::tests::report();
        let text = costs(&report.rows).to_string();
        let server = text.lines().find(|line| line.contains("server")).unwrap();
        assert_eq!(server.matches("µs").count(), 2, "{text}");
        assert!(text.contains("0.8 s, 8000 µs"), "{text}");
        let text = memory(&report.rows).to_string();
        assert_eq!(text.matches("2 (3)").count(), 4 + 3 + 2, "{text}");
    }
}
