//! The driver: each store, each case, each number in flight, one after the other.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::generator::Load;
use super::limits::Limits;
use super::load::float;
use super::report::Costs;
use super::scenario::{self, ScenarioOptions};
use super::server::ServerOptions;
use super::stage::{Plan, Stage};
use super::{BenchReport, BenchRow, Case, StoreKind};

/// In flight for cases other than chain3, where nothing else is asked for.
const IN_FLIGHT_USUAL: [u32; 1] = [64];
/// In flight for chain3, where nothing else is asked for.
const IN_FLIGHT_CHAIN3: [u32; 5] = [1, 16, 64, 256, 1_024];
/// What is run where nothing else is asked for.
const CASES: [&str; 12] = [
    "chain3",
    "chain1",
    "chain10",
    "wide3",
    "wide10",
    "undo3",
    "tcc3",
    "chain3-spread",
    "chain3-hot",
    "chain3-1k",
    "chain3-64k",
    "chain3-follow",
];

/// Arguments of `amends bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchOptions {
    /// Stores to run on, each with a database of its own that is thrown away.
    /// [default: both, or what the scenario can do]
    #[arg(long = "store", value_enum, value_delimiter = ',')]
    pub stores: Vec<StoreKind>,
    /// What to run: chain1, chain3, chain10 (steps in a row), wide3, wide10 (side by side), undo3
    /// (the last of three is refused), tcc3; after it -spread or -hot (lock keys: many, one), -1k
    /// or -64k (payload), -follow (the end is asked for, not waited for) [default: twelve of them;
    /// in a scenario chain3].
    #[arg(long = "case", value_name = "CASE", value_delimiter = ',')]
    pub cases: Vec<Case>,
    /// Sagas under way at once [default: 64; for chain3 1, 16, 64, 256 and 1024].
    #[arg(long, value_name = "COUNT", value_delimiter = ',', allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub in_flight: Vec<u32>,
    /// Seconds that each run is measured.
    #[arg(long, default_value_t = 10, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Seconds that each run goes on before it is measured.
    #[arg(long, default_value_t = 2, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub warm_up_seconds: u32,
    /// Write a chart into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// What happens beside the load.
    #[command(flatten)]
    pub scenario: ScenarioOptions,
    /// A server that is there, and the participant.
    #[command(flatten)]
    pub server: ServerOptions,
    /// The program that is measured; the running one where none is given.
    #[arg(skip)]
    pub exe: Option<PathBuf>,
}

impl BenchOptions {
    /// At how many sagas in flight `case` is run.
    fn levels(&self, case: Case) -> &[u32] {
        match (self.in_flight.as_slice(), case) {
            ([], Case::CHAIN3) => &IN_FLIGHT_CHAIN3,
            ([], _) => &IN_FLIGHT_USUAL,
            (asked, _) => asked,
        }
    }

    /// On which stores it is run.
    pub(super) fn stores(&self) -> Vec<StoreKind> {
        match (&self.server.address, self.stores.as_slice()) {
            (Some(_), _) => vec![StoreKind::Server],
            (None, []) => vec![StoreKind::Postgres, StoreKind::Sqlite],
            (None, asked) => asked.to_vec(),
        }
    }

    /// What is run.
    fn cases(&self) -> Vec<Case> {
        match self.cases.as_slice() {
            [] => CASES.iter().filter_map(|name| name.parse().ok()).collect(),
            asked => asked.to_vec(),
        }
    }
}

/// Runs the bench. What is under way is said on standard error.
///
/// # Errors
///
/// Something can't be started, a run ends no saga, or a signal says to stop. Nothing that was
/// started is left behind; definitions stay on a server that is there.
pub async fn bench(options: BenchOptions) -> anyhow::Result<BenchReport> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let folder = options.svg.as_ref().and_then(|file| file.parent());
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        anyhow::ensure!(folder.is_dir(), "--svg: {} is no folder", folder.display());
    }
    if let Some(folder) = options.svg.as_ref().filter(|file| file.is_dir()) {
        anyhow::bail!("--svg: {} is a folder; name a file in it", folder.display());
    }
    tokio::select! {
        report = run_all(&options) => report,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

async fn run_all(options: &BenchOptions) -> anyhow::Result<BenchReport> {
    allow_many_connections();
    let exe = match &options.exe {
        Some(exe) => exe.clone(),
        None => std::env::current_exe().context("finding the running program")?,
    };
    if let Some(scenario) = options.scenario.chosen() {
        return scenario::run(&exe, options, scenario).await;
    }
    let cores = cores();
    let cases = options.cases();
    let definitions: Vec<Value> = cases.iter().map(|case| case.definition()).collect();
    let mut rows = Vec::new();
    let mut limits = Limits::new();
    for store in options.stores() {
        say(&format!("{}: starting what is needed", store.name()));
        let stage = Stage::set(Plan {
            exe: &exe,
            store,
            server: &options.server,
            definitions: definitions.clone(),
            settings: Vec::new(),
            coordinators: 1,
            has_limits: true,
        });
        let stage = stage.await?;
        for case in cases.iter().copied() {
            for in_flight in options.levels(case).iter().copied() {
                let row = run_one(&exe, options, &stage, &mut limits, (case, in_flight)).await;
                let row = row.with_context(|| format!("{} {case} {in_flight}", store.name()))?;
                say(&row.line());
                rows.push(row);
            }
        }
    }
    Ok(BenchReport { cores, rows, parts: limits.parts, scenarios: Vec::new() })
}

async fn run_one(
    exe: &Path,
    options: &BenchOptions,
    stage: &Stage,
    limits: &mut Limits,
    (case, in_flight): (Case, u32),
) -> anyhow::Result<BenchRow> {
    let limit = limits.of(exe, stage, case, in_flight).await?;
    let counter = stage.counter()?;
    let written_before = match &counter {
        Some(counter) => Some(counter.before().await?),
        None => None,
    };
    stage.forget_peaks();
    // Next to the run, before and after it; statistics may take their time.
    let before = stage.usages()?;
    let load = Load {
        address: &stage.address()?,
        case,
        definition: None,
        in_flight,
        seconds: options.seconds,
        warm_up_seconds: options.warm_up_seconds,
        header: options.server.header.as_deref(),
    };
    let load = load.run(exe).await?;
    let after = stage.usages()?;
    let written_after = match &counter {
        Some(counter) => Some(counter.after().await?),
        None => None,
    };
    let written = written_after.zip(written_before);
    let sagas_per_second = load.sagas_per_second();
    Ok(BenchRow {
        store: stage.store,
        case,
        in_flight,
        sagas_per_second,
        limit,
        of_limit: sagas_per_second / limit.sagas_per_second,
        costs: Costs::between(before, after, &load),
        written_per_saga: written.map(|(after, before)| after.per_saga(before, float(load.total))),
        load,
    })
}

/// As many open files as we may have, for us and all that we start: a saga in flight is a
/// connection at the load generator, one at the participant and two at the coordinator.
fn allow_many_connections() {
    let own = getrlimit(Resource::Nofile);
    // With fewer, runs with few in flight still work, and others say what is short.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: own.maximum, ..own });
}

/// How many cores the machine has.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Says what is under way.
pub(super) fn say(line: &str) {
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

    fn read(line: &[&str]) -> Result<BenchOptions, String> {
        let line = std::iter::once("bench").chain(line.iter().copied());
        Cli::try_parse_from(line).map(|cli| cli.bench).map_err(|error| error.to_string())
    }

    #[test]
    fn chain3_runs_at_every_level_and_the_others_at_64_unless_told() {
        let tcc3: Case = "tcc3".parse().unwrap();
        let options = read(&[]).unwrap();
        assert_eq!(options.levels(Case::CHAIN3), [1, 16, 64, 256, 1_024]);
        assert_eq!(options.levels(tcc3), [64]);
        assert_eq!(options.cases().len(), CASES.len());
        let options = read(&["--in-flight", "2,8", "--store", "sqlite"]).unwrap();
        assert_eq!(options.levels(tcc3), [2, 8]);
        assert_eq!(options.stores(), [StoreKind::Sqlite]);
    }

    #[test]
    fn a_server_that_is_there_has_its_own_store() {
        let options = read(&["--address", "127.0.0.1:7411", "--header", "A: b"]).unwrap();
        assert_eq!(options.stores(), [StoreKind::Server]);
        for (line, why) in [
            (&["--address", "127.0.0.1:7411", "--store", "sqlite"][..], "cannot be used with"),
            (&["--header", "A: b"], "--address"),
            (&["--address", "127.0.0.1:7411", "--header", "Ab"], "Name: value"),
            (&["--case", "chain4"], "chain10"),
            (&["--seconds", "-1"], "1..=3600"),
            (&["--coordinators", "1"], "2..=16"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line:?}: {error}");
        }
    }
}
