//! Standard output: JSON for programs, tables for people, colour only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::failure::Failure;

/// Where commands write what they found.
#[derive(Debug)]
pub(crate) struct Screen {
    json: bool,
    out: io::Stdout,
}

impl Screen {
    /// A screen that shows JSON, or text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, out: io::stdout() }
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows the API's answer: as it is for programs, by `people` otherwise.
    pub(crate) fn show(
        &mut self,
        answer: &Value,
        people: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.json { self.line(&format!("{answer:#}")) } else { people(self) }
    }

    /// One line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// One line for people that is no result: on standard error.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Failure> {
        if !self.json {
            writeln!(io::stderr(), "{text}")?;
        }
        Ok(())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = self.out.lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// A table, or `nothing` when it has no rows.
    pub(crate) fn table(
        &mut self,
        header: &[&str],
        rows: Vec<Vec<Cell>>,
        nothing: &str,
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            return self.line(nothing);
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(header.iter().map(|title| title.to_uppercase()).collect::<Vec<_>>());
        if !self.out.is_terminal() {
            // Programs that cut columns want one line a row.
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.line(&text.join("\n"))
    }
}

/// A plain cell.
pub(crate) fn cell(text: impl ToString) -> Cell {
    Cell::new(text)
}

/// A status, in the colour of what it means: green well, yellow undone, red wants somebody.
pub(crate) fn status_cell(status: &str) -> Cell {
    let cell = Cell::new(status);
    match status {
        "completed" | "succeeded" | "confirmed" | "healthy" => cell.fg(Color::Green),
        "compensated" | "compensating" | "undoing" | "undone" | "skipped" | "ignored" => {
            cell.fg(Color::Yellow)
        }
        "suspended" | "abandoned" | "stuck" | "failed" | "refused" | "unhealthy" => {
            cell.fg(Color::Red)
        }
        "running" | "confirming" | "in_flight" | "with_client" => cell.fg(Color::Cyan),
        _ => cell,
    }
}
