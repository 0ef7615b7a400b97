//! Runs kinds of faults, one after another, and says what came of each.

#![expect(clippy::print_stdout, reason = "a command line")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use amends_faults::{Agenda, CATALOG, Entry, Row, run, write};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

/// Faults of real processes.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long; each kind is made once even if that takes longer.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Makes kinds again, in random order, until the time is used up.
    #[arg(long)]
    again: bool,
    /// Where chance comes from; a fresh one without it.
    #[arg(long)]
    seed: Option<u64>,
    /// Only kinds whose names contain one of these.
    #[arg(long)]
    only: Vec<String>,
    /// Puts the table of all kinds into this document.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Shows the kinds.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let is_wanted = |entry: &&Entry| {
        let name = entry.kind.name;
        arguments.only.is_empty() || arguments.only.iter().any(|part| name.contains(part))
    };
    let entries: Vec<Entry> =
        CATALOG.iter().copied().flatten().filter(is_wanted).copied().collect();
    anyhow::ensure!(!entries.is_empty(), "no kind has such a name");
    if arguments.list {
        for entry in entries {
            println!("{:34} {}", entry.kind.name, entry.kind.done);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let seed = arguments.seed.unwrap_or_else(|| rand::random_range(1..1_000_000));
    println!("faults: {} kinds, seed {seed}", entries.len());
    let budget = Duration::from_secs(arguments.seconds);
    let agenda = Agenda { entries, seed, budget, again: arguments.again };
    let began = Instant::now();
    let rows = tokio::select! {
        rows = timeout(budget * 2, run(&agenda)) => rows,
        // What runs and what is mounted goes with the future that is dropped here.
        () = interrupted() => anyhow::bail!("interrupted"),
    };
    let Ok(rows) = rows else {
        println!("faults: not over after twice its time");
        return Ok(ExitCode::FAILURE);
    };
    if let Some(path) = &arguments.write {
        write(path, &rows, seed, began.elapsed())?;
    }
    Ok(conclude(&rows))
}

/// Resolves when somebody wants this to end.
async fn interrupted() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

/// Says what came of all of them.
fn conclude(rows: &[Row]) -> ExitCode {
    let outcomes = || rows.iter().flat_map(|row| &row.outcomes);
    let lost: usize = outcomes().map(|outcome| outcome.lost.len()).sum();
    let unbalanced: usize = outcomes().map(|outcome| outcome.unbalanced.len()).sum();
    let done = rows.iter().filter(|row| row.is_done()).count();
    for row in rows.iter().filter(|row| !row.is_done()) {
        let why = row.outcomes.iter().find_map(|outcome| outcome.not_done.as_deref());
        println!("faults: NOT DONE: {}: {}", row.entry.kind.name, why.unwrap_or("no time"));
    }
    let short: Vec<&str> = rows
        .iter()
        .filter(|row| !row.outcomes.iter().all(amends_faults::Outcome::is_good))
        .map(|row| row.entry.kind.name)
        .collect();
    if short.is_empty() {
        println!("faults: {done} kinds, {lost} lost, {unbalanced} unbalanced");
        return ExitCode::SUCCESS;
    }
    println!(
        "faults: {done} kinds, {lost} lost, {unbalanced} unbalanced; fell short: {}",
        short.join(", ")
    );
    ExitCode::FAILURE
}
