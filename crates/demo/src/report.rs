//! What a demo says at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};

use crate::audit::End;
use crate::plan::{Fate, Outage, Plan};

/// Most disagreements that are written out.
const FAULTS_SHOWN_MAX: usize = 10;

/// The ends of all sagas, and what the audit found.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Sagas planned.
    pub sagas: u32,
    /// Sagas that completed.
    pub completed: u32,
    /// Sagas that were undone.
    pub undone: u32,
    /// Sagas without an end: id and what is known of why.
    pub open: Vec<(String, String)>,
    /// Where books and ends disagree, one sentence each.
    pub faults: Vec<String>,
    /// By what the sagas met: how many completed, were undone, are open, and one of them.
    pub by_fate: BTreeMap<Fate, Row>,
    /// The participant that was killed and started again, and when.
    pub outage: Outage,
    /// Where the sagas can be looked at.
    pub page_url: Option<String>,
    /// The folder with the participants' databases.
    pub books: PathBuf,
    /// Of how many lock keys each participant has seen fencing tokens; empty if nobody asked.
    pub fenced_keys: BTreeMap<String, i64>,
}

/// One row of the table of ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// How many completed.
    pub completed: u32,
    /// How many were undone.
    pub undone: u32,
    /// How many are open.
    pub open: u32,
    /// The id of one of them.
    pub example: String,
}

impl Summary {
    /// Counts `ends`; a planned saga without one is open.
    pub fn new(plan: &Plan, ends: &BTreeMap<String, End>, faults: Vec<String>) -> Self {
        let mut summary = Self {
            sagas: u32::try_from(plan.sagas.len()).unwrap_or(u32::MAX),
            completed: 0,
            undone: 0,
            open: Vec::new(),
            faults,
            by_fate: BTreeMap::new(),
            outage: plan.outage,
            page_url: None,
            books: PathBuf::new(),
            fenced_keys: BTreeMap::new(),
        };
        for saga in &plan.sagas {
            let row = summary.by_fate.entry(saga.fate).or_default();
            row.example.clone_from(&saga.id);
            let why = match ends.get(&saga.id) {
                Some(End::Completed) => {
                    summary.completed += 1;
                    row.completed += 1;
                    continue;
                }
                Some(End::Undone) => {
                    summary.undone += 1;
                    row.undone += 1;
                    continue;
                }
                Some(End::Open(why)) => why.as_str(),
                None => "never followed",
            };
            row.open += 1;
            summary.open.push((saga.id.clone(), why.to_owned()));
        }
        summary
    }

    /// Whether every saga has ended and all books agree: exit status 0.
    pub fn is_balanced(&self) -> bool {
        self.open.is_empty() && self.faults.is_empty()
    }

    /// The demo's last line.
    pub fn last_line(&self) -> String {
        let Self { sagas, completed, undone, open, faults, .. } = self;
        let head = format!(
            "demo: {sagas} sagas, {completed} completed, {undone} undone, {} open, books",
            open.len()
        );
        match (faults.first(), open.first()) {
            (None, None) => format!("{head} balance"),
            (Some(first), _) if faults.len() == 1 => format!("{head} DO NOT balance: {first}"),
            (Some(first), _) => {
                format!("{head} DO NOT balance: {first} (and {} more)", faults.len() - 1)
            }
            (None, Some((saga, why))) => format!("{head} DO NOT balance: {saga} is open ({why})"),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["what they met", "completed", "undone", "open", "for example"]);
        for (fate, row) in &self.by_fate {
            table.add_row([
                fate.describe().to_owned(),
                row.completed.to_string(),
                row.undone.to_string(),
                row.open.to_string(),
                row.example.clone(),
            ]);
        }
        for index in 1..=3 {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

/// The table, whatever is wrong, where to look, and the last line; without a line break at the end.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table())?;
        let Outage { kind, after_ends } = self.outage;
        let name = kind.name();
        writeln!(f, "When {after_ends} had ended, {name} was killed and started again.")?;
        let seen = self.fenced_keys.iter().map(|(name, keys)| format!("{name} of {keys} keys"));
        let seen = seen.collect::<Vec<_>>().join(", ");
        if !seen.is_empty() {
            writeln!(f, "Redis guarded the lock keys. Fencing tokens were seen by {seen}.")?;
        }
        let open = self.open.iter().map(|(saga, why)| format!("open: {saga}: {why}"));
        for line in self.faults.iter().cloned().chain(open).take(FAULTS_SHOWN_MAX) {
            writeln!(f, "  {line}")?;
        }
        if !self.is_balanced() {
            writeln!(f, "The participants' databases are in {}", self.books.display())?;
        }
        if let Some(page) = &self.page_url {
            writeln!(f, "Look at every saga on {page}")?;
        }
        f.write_str(&self.last_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Workload;

    fn summary(end_of: impl Fn(usize) -> Option<End>, faults: &[&str]) -> Summary {
        let plan = Plan::new(&Workload { sagas: 4, seed: 1, concurrency: 1 }, "run");
        let mut ends = BTreeMap::new();
        for (index, saga) in plan.sagas.iter().enumerate() {
            ends.extend(end_of(index).map(|end| (saga.id.clone(), end)));
        }
        Summary::new(&plan, &ends, faults.iter().map(ToString::to_string).collect())
    }

    fn two_of_four(index: usize) -> End {
        if index < 2 { End::Undone } else { End::Completed }
    }

    #[test]
    fn balanced_books_end_with_the_promised_line() {
        let summary = summary(|index| Some(two_of_four(index)), &[]);
        assert!(summary.is_balanced());
        let line = "demo: 4 sagas, 2 completed, 2 undone, 0 open, books balance";
        assert_eq!(summary.to_string().lines().last(), Some(line));
    }

    #[test]
    fn a_fault_is_named_on_the_last_line() {
        let summary = summary(|index| Some(two_of_four(index)), &["one cent is gone", "another"]);
        assert!(!summary.is_balanced());
        assert_eq!(
            summary.last_line(),
            "demo: 4 sagas, 2 completed, 2 undone, 0 open, books DO NOT balance: \
             one cent is gone (and 1 more)"
        );
    }

    #[test]
    fn a_saga_without_an_end_does_not_balance() {
        let summary = summary(|index| (index > 0).then(|| two_of_four(index)), &[]);
        assert!(!summary.is_balanced());
        assert!(summary.last_line().contains("1 open, books DO NOT balance: run-00000 is open"));
    }

    #[test]
    fn the_table_has_a_row_for_each_fate() {
        let text = summary(|index| Some(two_of_four(index)), &[]).to_string();
        for words in ["nothing in the way", "the shelf is empty", "the card is declined"] {
            assert!(text.contains(words), "{text}");
        }
    }
}
