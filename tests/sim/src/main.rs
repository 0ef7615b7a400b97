//! Runs seeds: `amends-sim --seeds 500 --seed 1`, or `--seconds 60` from a fresh seed.

#![expect(clippy::print_stdout, reason = "a command line")]

use std::collections::BTreeMap;
use std::time::Instant;

use amends_sim::{Report, run};
use clap::Parser;

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
}

#[expect(clippy::disallowed_methods, reason = "the real time, for a fresh seed and for the pace")]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    #[cfg(amends_mutants)]
    if let Some(seeds) = arguments.mutants {
        return mutants(arguments.seed.unwrap_or(1), seeds);
    }
    let first = arguments.seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |since| since.as_secs() * 1_000)
    });
    println!("sim: from seed {first}");
    let began = Instant::now();
    let (mut seeds, mut sagas, mut violations) = (0_u64, 0, 0);
    let mut counters: BTreeMap<&str, u64> = BTreeMap::new();
    let is_enough = |seeds: u64| match (arguments.seeds, arguments.seconds) {
        (_, Some(seconds)) => began.elapsed().as_secs() >= seconds,
        (wanted, None) => seeds >= wanted.unwrap_or(100),
    };
    while !is_enough(seeds) {
        let Report { seed, sagas: own, violations: broken, counters: seen, lines, .. } =
            run(first + seeds, arguments.show)?;
        for line in lines {
            println!("{line}");
        }
        for what in broken.iter().take(10) {
            println!("seed {seed}: {what}");
        }
        for (what, times) in seen {
            *counters.entry(what).or_default() += times;
        }
        seeds += 1;
        sagas += own;
        violations += broken.len();
    }
    for (what, times) in counters {
        println!("sim: seen {what}: {times}");
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let pace = f64::from(u32::try_from(sagas).unwrap_or(u32::MAX)) / minutes;
    println!(
        "sim: {seeds} seeds, {sagas} sagas, {violations} violations, {pace:.0} sagas per CPU-minute"
    );
    if violations > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// Plants each fault in turn; fails if one is not found within `seeds` seeds.
#[cfg(amends_mutants)]
fn mutants(first: u64, seeds: u64) -> anyhow::Result<()> {
    use amends_core::mutant::Mutant;
    let (mut caught, mut worst) = (0, 0);
    for mutant in Mutant::ALL {
        mutant.plant();
        let mut found = None;
        for seed in first..first + seeds {
            let report = run(seed, false)?;
            if let Some(what) = report.violations.into_iter().next() {
                found = Some((seed - first + 1, what));
                break;
            }
        }
        let name = mutant.as_str();
        match found {
            Some((after, what)) => {
                caught += 1;
                worst = worst.max(after);
                println!("mutants: {name} after {after} seeds: {what}");
            }
            None => println!("mutants: {name} was NOT caught in {seeds} seeds"),
        }
    }
    let planted = Mutant::ALL.len();
    println!("mutants: {planted} planted, {caught} caught, worst after {worst} seeds");
    anyhow::ensure!(caught == planted, "{} mutants were not caught", planted - caught);
    Ok(())
}
