//! The driver: each store, each case, each number in flight, one after the other.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;
use tokio::time::Instant;

use super::stage::Stage;
use super::{BenchReport, BenchRow, Case, CpuShares, LoadResult, StoreKind};

/// In flight for cases other than chain3.
const IN_FLIGHT_USUAL: u32 = 64;
/// How long a load generator may take on top of the time it was given.
const LOAD_GRACE: Duration = Duration::from_mins(1);

/// Arguments of `amends bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchOptions {
    /// Stores to run on, each with a database of its own that is thrown away.
    #[arg(long = "store", value_enum, value_delimiter = ',', default_values = ["postgres", "sqlite"])]
    pub stores: Vec<StoreKind>,
    /// Definitions to run: three or one steps in a row, three TCC steps, three steps undone.
    #[arg(long = "case", value_enum, value_delimiter = ',', default_values = ["chain3", "chain1", "tcc3", "undo3"])]
    pub cases: Vec<Case>,
    /// Sagas under way at once, for chain3; the other cases run at 64, or at the last given.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256], value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub in_flight: Vec<u32>,
    /// Seconds that each run is measured, after two seconds of warm-up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// The program that is measured; the running one where none is given.
    #[arg(skip)]
    pub exe: Option<PathBuf>,
}

impl BenchOptions {
    /// How often `case` is run, by sagas in flight.
    fn levels(&self, case: Case) -> Vec<u32> {
        match case {
            Case::Chain3 => self.in_flight.clone(),
            Case::Chain1 | Case::Tcc3 | Case::Undo3 => {
                let usual = self.in_flight.iter().find(|level| **level == IN_FLIGHT_USUAL);
                usual.or(self.in_flight.last()).copied().into_iter().collect()
            }
        }
    }
}

/// Runs the bench. What is under way is said on standard error.
///
/// # Errors
///
/// Something can't be started, a run ends no saga, or Ctrl-C was pressed. Nothing is left behind.
pub async fn bench(options: BenchOptions) -> anyhow::Result<BenchReport> {
    tokio::select! {
        report = run_all(&options) => report,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}

async fn run_all(options: &BenchOptions) -> anyhow::Result<BenchReport> {
    let exe = match &options.exe {
        Some(exe) => exe.clone(),
        None => std::env::current_exe().context("finding the running program")?,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = BenchReport { cores, rows: Vec::new(), json: options.json };
    for store in options.stores.iter().copied() {
        say(&format!("{}: starting a database, a coordinator and a participant", store.name()));
        let stage = Stage::set(&exe, store, &options.cases).await?;
        for case in options.cases.iter().copied() {
            for in_flight in options.levels(case) {
                let row = run_one(&exe, &stage, options.seconds, (store, case, in_flight)).await?;
                say(&format!(
                    "{} {} {in_flight} in flight: {:.0} sagas/s",
                    store.name(),
                    case.name(),
                    row.sagas_per_second
                ));
                report.rows.push(row);
            }
        }
    }
    Ok(report)
}

async fn run_one(
    exe: &Path,
    stage: &Stage,
    seconds: u32,
    (store, case, in_flight): (StoreKind, Case, u32),
) -> anyhow::Result<BenchRow> {
    // CPU is read next to the run, before and after it; statistics may take their time.
    let written_before = stage.written().await?;
    let cpu_before = stage.cpu_seconds()?;
    let start = Instant::now();
    let load = generate_load(exe, stage, seconds, case, in_flight).await?;
    let wall = start.elapsed().as_secs_f64();
    let cpu_after = stage.cpu_seconds()?;
    let written_after = stage.written().await?;

    let cpu = CpuShares {
        coordinator: (cpu_after.coordinator - cpu_before.coordinator) / wall,
        database: (cpu_after.database - cpu_before.database) / wall,
        participant: (cpu_after.participant - cpu_before.participant) / wall,
        load: load.cpu_seconds / wall,
    };
    Ok(BenchRow {
        store,
        case,
        in_flight,
        sagas_per_second: float(load.measured) / load.seconds,
        cpu,
        commits_per_saga: (written_after.commits - written_before.commits) / float(load.total),
        rows_per_saga: (written_after.rows - written_before.rows) / float(load.total),
        load,
    })
}

/// Runs the load generator in a process of its own.
async fn generate_load(
    exe: &Path,
    stage: &Stage,
    seconds: u32,
    case: Case,
    in_flight: u32,
) -> anyhow::Result<LoadResult> {
    let mut command = Command::new(exe);
    command
        .args(["bench-load", "--address", &stage.address, "--definition", case.name()])
        .args(["--expect", case.end(), "--in-flight", &in_flight.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let limit = Duration::from_secs(seconds.into()) + LOAD_GRACE;
    let output = tokio::time::timeout(limit, command.output())
        .await
        .with_context(|| format!("the load generator still runs after {limit:?}"))??;
    let text = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(
        output.status.success(),
        "the load generator failed ({}): {text}",
        output.status
    );
    serde_json::from_str(&text).with_context(|| format!("the load generator said {text:?}"))
}

#[expect(clippy::cast_precision_loss, reason = "no bench runs 2^52 sagas")]
fn float(count: u64) -> f64 {
    count as f64
}

fn say(line: &str) {
    // Progress that can't be written is not worth failing for.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchOptions,
    }

    #[test]
    fn chain3_runs_at_every_level_and_the_others_at_64() {
        let options = Cli::parse_from(["bench"]).bench;
        assert_eq!(options.levels(Case::Chain3), [1, 16, 64, 256]);
        assert_eq!(options.levels(Case::Tcc3), [64]);
        let options = Cli::parse_from(["bench", "--in-flight", "2,8", "--store", "sqlite"]).bench;
        assert_eq!(options.levels(Case::Undo3), [8]);
        assert_eq!(options.stores, [StoreKind::Sqlite]);
    }
}
