//! Runs seeds: `amends-sim --seeds 500 --seed 1`, or `--seconds 60` from a fresh seed.

#![expect(clippy::print_stdout, reason = "a command line")]

mod pace;

use amends_sim::{Class, Coverage, Limits, Report, reproduction, run, shrink};
use clap::Parser;
use pace::Stopwatch;

/// A fifth of the time goes to memory with the system's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The simulator: the real engine over a simulated world.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed; a fresh one without it.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// How long, instead of how many.
    #[arg(long)]
    seconds: Option<u64>,
    /// Plants each fault in turn and wants it found within so many seeds.
    #[cfg(amends_mutants)]
    #[arg(long)]
    mutants: Option<u64>,
    /// Prints the log of each run.
    #[arg(long)]
    show: bool,
    /// Looks for the smallest run that still fails, of the first seed that does.
    #[arg(long)]
    shrink: bool,
    /// Only these clients come.
    #[arg(long, value_delimiter = ',')]
    clients: Option<Vec<usize>>,
    /// Most coordinators.
    #[arg(long)]
    coordinators: Option<usize>,
    /// Faults that do not happen.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Class>,
}

fn main() -> anyhow::Result<()> {
    let Arguments { clients, coordinators, without, .. } = Arguments::parse();
    let limits = Limits { clients, coordinators, without };
    let arguments = Arguments::parse();
    #[cfg(amends_mutants)]
    if let Some(seeds) = arguments.mutants {
        return mutants(arguments.seed.unwrap_or(1), seeds);
    }
    let first = arguments.seed.unwrap_or_else(fresh);
    println!("sim: from seed {first}");
    let watch = Stopwatch::start();
    let mut batch = Batch::default();
    let is_enough = |seeds: u64| match (arguments.seeds, arguments.seconds) {
        (_, Some(seconds)) => {
            watch.seconds() >= f64::from(u32::try_from(seconds).unwrap_or(u32::MAX))
        }
        (wanted, None) => seeds >= wanted.unwrap_or(100),
    };
    while !is_enough(batch.seeds) {
        let report = run(first + batch.seeds, &limits, arguments.show)?;
        let fails = !report.violations.is_empty();
        let seed = report.seed;
        batch.add(report, &limits);
        if fails && arguments.shrink {
            if let Some(least) = shrink(seed, &limits)? {
                println!("smallest: {}", reproduction(seed, &least));
            }
            break;
        }
    }
    batch.tell(watch.processor_seconds());
    Ok(())
}

/// A seed that nobody has run before, most likely.
#[expect(clippy::disallowed_methods, reason = "the real time, for a fresh seed")]
fn fresh() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.as_secs() * 1_000)
}

/// What came of some seeds.
#[derive(Debug, Default)]
struct Batch {
    seeds: u64,
    sagas: usize,
    violations: usize,
    coverage: Coverage,
}

impl Batch {
    fn add(&mut self, report: Report, limits: &Limits) {
        let Report { seed, sagas, violations, counters, lines, .. } = report;
        for line in lines {
            println!("{line}");
        }
        for what in violations.iter().take(10) {
            println!("seed {seed}: {what}");
        }
        if !violations.is_empty() {
            println!("again: {}", reproduction(seed, limits));
        }
        self.coverage.add(&counters);
        self.seeds += 1;
        self.sagas += sagas;
        self.violations += violations.len();
    }

    /// Ends the process with 1 if something was broken, or never seen.
    fn tell(&self, processor_seconds: f64) {
        for (what, times) in self.coverage.seen() {
            println!("sim: seen {what}: {times}");
        }
        let missing = self.coverage.missing();
        for what in &missing {
            println!("sim: NEVER seen {what}");
        }
        let pace = f64::from(u32::try_from(self.sagas).unwrap_or(u32::MAX)) * 60.0
            / processor_seconds.max(0.01);
        println!(
            "sim: {} seeds, {} sagas, {} violations, {pace:.0} sagas per CPU-minute",
            self.seeds, self.sagas, self.violations
        );
        if self.violations > 0 || !missing.is_empty() {
            std::process::exit(1);
        }
    }
}

/// Plants each fault in turn; fails if one is not found within `seeds` seeds.
#[cfg(amends_mutants)]
fn mutants(first: u64, seeds: u64) -> anyhow::Result<()> {
    use amends_core::mutant::Mutant;
    let watch = Stopwatch::start();
    let (mut caught, mut worst) = (0, 0);
    for mutant in Mutant::ALL {
        mutant.plant();
        let mut found = None;
        for seed in first..first + seeds {
            let report = run(seed, &Limits::default(), false)?;
            if let Some(what) = report.violations.into_iter().next() {
                found = Some((seed - first + 1, what));
                break;
            }
        }
        let (name, seconds) = (mutant.as_str(), watch.seconds());
        match found {
            Some((after, what)) => {
                caught += 1;
                worst = worst.max(after);
                println!("mutants: {seconds:.0}s {name} after {after} seeds: {what}");
            }
            None => println!("mutants: {seconds:.0}s {name} was NOT caught in {seeds} seeds"),
        }
    }
    let planted = Mutant::ALL.len();
    println!("mutants: {planted} planted, {caught} caught, worst after {worst} seeds");
    anyhow::ensure!(caught == planted, "{} mutants were not caught", planted - caught);
    Ok(())
}
