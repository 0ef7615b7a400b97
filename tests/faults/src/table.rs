//! The table of all kinds, for `docs/reliability.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::Outcome;
use crate::run::Row;

/// What stands before the table in a document.
const BEGIN: &str = "<!-- faults: begin -->";
/// What stands behind it.
const END: &str = "<!-- faults: end -->";

/// Puts the table of `rows` between the marks of a document.
///
/// # Errors
///
/// It has no marks, or can't be written.
pub fn write(path: &Path, rows: &[Row], seed: u64, took: Duration) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    fs::write(path, with_table(&text, &table(rows, seed, took))?)?;
    Ok(())
}

fn with_table(text: &str, table: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("no mark where the table begins")?;
    let (_, after) = rest.split_once(END).context("no mark where the table ends")?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

fn table(rows: &[Row], seed: u64, took: Duration) -> String {
    let runs: usize = rows.iter().map(|row| made(row).count()).sum();
    let sagas: usize = rows.iter().flat_map(made).map(|outcome| outcome.sagas).sum();
    let mut text = format!(
        "{} kinds, {runs} runs, {sagas} sagas, in {} minutes, from seed {seed}. The last three \
         columns: how often it was made, how many sagas were under way in all, and the longest \
         time from the end of the fault to the end of the last saga that had been accepted by \
         then.\n\n\
         | kind | what is done | what must hold, besides | runs | sagas | recovered within |\n\
         |---|---|---|---|---|---|\n",
        rows.iter().filter(|row| row.is_done()).count(),
        took.as_secs().div_ceil(60),
    );
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

fn line(row: &Row) -> String {
    let kind = row.entry.kind;
    let mut line = format!("| {} | {} | {} | ", kind.name, kind.done, kind.holds);
    let runs = made(row).count();
    let sagas: usize = made(row).map(|outcome| outcome.sagas).sum();
    let worst = made(row).map(|outcome| outcome.recovered_in).max().unwrap_or_default();
    let short = row.outcomes.iter().filter(|outcome| !outcome.is_good()).count();
    let told = match (runs, short) {
        (0, _) => {
            let why = row.outcomes.iter().find_map(|outcome| outcome.not_done.as_deref());
            write!(line, "not done: {} | | |", why.unwrap_or("no time"))
        }
        (_, 0) => write!(line, "{runs} | {sagas} | {:.1} s |", worst.as_secs_f64()),
        _ => write!(
            line,
            "{runs}, **{short} fell short** | {sagas} | {:.1} s |",
            worst.as_secs_f64()
        ),
    };
    // Writing to a string does not fail.
    let _ = told;
    line.push('\n');
    line
}

/// The runs in which it was made.
fn made(row: &Row) -> impl Iterator<Item = &Outcome> {
    row.outcomes.iter().filter(|outcome| outcome.not_done.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CATALOG;

    #[test]
    fn the_table_takes_the_place_of_the_one_before() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = with_table(&text, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert!(with_table("nothing", "new").is_err());
    }

    #[test]
    fn a_row_says_how_often_how_many_and_how_long() {
        let entry = CATALOG[0][0];
        let outcome = |sagas, recovered_in| Outcome { sagas, recovered_in, ..Outcome::default() };
        let outcomes =
            vec![outcome(3, Duration::from_millis(1_240)), outcome(4, Duration::from_secs(1))];
        let row = Row { entry, outcomes };
        assert!(line(&row).ends_with("| 2 | 7 | 1.2 s |\n"), "{}", line(&row));
        let row = Row { entry, outcomes: vec![Outcome::not_done("no root")] };
        assert!(line(&row).ends_with("| not done: no root | | |\n"), "{}", line(&row));
        let row = Row { entry, outcomes: vec![Outcome::broken("no")] };
        assert!(line(&row).contains("1 fell short"), "{}", line(&row));
    }
}
