//! What a scenario found: tables, and lines with the figures that count and their targets.

use std::fmt::Write as _;

use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::super::StoreKind;
use super::super::table::{table, whole};

/// What a scenario found on one store.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Which scenario.
    pub scenario: &'static str,
    /// On which store.
    pub store: StoreKind,
    /// Its figures.
    pub tables: Vec<Sheet>,
    /// What counts of them, and the targets.
    pub lines: Vec<String>,
}

/// A table of figures; a name begins each row. In JSON each row is an object.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Its columns, the names' first; a unit stands last, as `p50_ms`.
    pub columns: Vec<&'static str>,
    /// Its rows; what isn't known is none.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Findings {
    pub(super) fn new(scenario: &'static str, store: StoreKind) -> Self {
        Self { scenario, store, tables: Vec::new(), lines: Vec::new() }
    }

    /// Adds a line, which is `bench: NAME STORE: ` and this.
    pub(super) fn conclude(&mut self, name: &str, text: &str) {
        self.lines.push(format!("bench: {name} {}: {text}", self.store.name()));
    }

    /// One line for each thing that was measured.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// All tables, with an empty line after each.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        for sheet in &self.tables {
            // Text has room.
            let _ = writeln!(text, "{}\n", sheet.table());
        }
        text
    }
}

impl Sheet {
    /// An empty one. The first column is that of the names.
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn add(&mut self, name: impl Into<String>, values: &[Option<f64>]) {
        self.rows.push((name.into(), values.to_vec()));
    }

    fn table(&self) -> comfy_table::Table {
        let header: Vec<String> = self.columns.iter().map(|name| name.replace('_', " ")).collect();
        let cells = |(name, values): &(String, Vec<Option<f64>>)| {
            let values = values.iter().map(|value| value.map(number).unwrap_or_default());
            std::iter::once(name.clone()).chain(values).collect::<Vec<_>>()
        };
        table(&header, self.rows.iter().map(cells))
    }
}

impl Serialize for Sheet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.rows.len()))?;
        for (name, values) in &self.rows {
            let values = values.iter().map(|value| json!(value));
            let cells = self.columns.iter().zip(std::iter::once(json!(name)).chain(values));
            let cells = cells.filter(|(_, value)| !value.is_null());
            let row: Map<String, Value> =
                cells.map(|(column, value)| ((*column).to_owned(), value)).collect();
            rows.serialize_element(&row)?;
        }
        rows.end()
    }
}

/// As many digits as are looked at.
fn number(value: f64) -> String {
    if value >= 100.0 || value.fract().abs() < f64::EPSILON {
        whole(value)
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_in_text_and_json() {
        let mut findings = Findings::new("hanging", StoreKind::Sqlite);
        let mut sheet = Sheet::new(&["side", "sagas_per_second", "p99_ms"]);
        sheet.add("with", &[Some(12_345.6), Some(0.129)]);
        sheet.add("ratio", &[Some(1.0), None]);
        findings.tables.push(sheet);
        findings.conclude("hanging", "ratio 0.50 (target at least 0.95)");
        let text = findings.tables();
        for part in ["sagas per second", "12,346", "0.13"] {
            assert!(text.contains(part), "{text}");
        }
        let json = serde_json::to_value(&findings).unwrap();
        assert_eq!(json["tables"][0][0]["p99_ms"], 0.129);
        assert_eq!(json["tables"][0][1], json!({ "side": "ratio", "sagas_per_second": 1.0 }));
        assert_eq!(json["lines"][0], "bench: hanging sqlite: ratio 0.50 (target at least 0.95)");
    }
}
