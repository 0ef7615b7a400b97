//! One kind after another, on stages that are used again while they are whole.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_testbed::NotPermitted;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, timeout};

use crate::Outcome;
use crate::catalog::{Act, Alone, Entry, Way};
use crate::scene::play;
use crate::stage::{Setup, Stage};

/// Longest time for one kind on a stage.
const SCENE_MAX: Duration = Duration::from_mins(4);
/// How often a kind is made that meets no saga.
const PLAYS_MAX: u64 = 4;
/// A kind that is made by itself gets one part in so many of the time.
const ALONE_SHARE: u32 = 5;
/// Lines of each log that a kind that fell short shows.
const TAIL_LINES: usize = 25;
/// Faults of one kind that are shown.
const SHOWN_MAX: usize = 12;

/// What is run.
#[derive(Clone, Debug)]
pub struct Agenda {
    /// Which kinds, in this order.
    pub entries: Vec<Entry>,
    /// Where chance comes from.
    pub seed: u64,
    /// How long; each kind is made once even if that takes longer.
    pub budget: Duration,
    /// Whether kinds are made again, in random order, until the time is used up.
    pub again: bool,
}

/// What came of one kind, over all its runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// The kind.
    pub entry: Entry,
    /// One for each run.
    pub outcomes: Vec<Outcome>,
}

/// Runs all of it; a row for each kind.
pub async fn run(agenda: &Agenda) -> Vec<Row> {
    let began = Instant::now();
    let mut chance = StdRng::seed_from_u64(agenda.seed);
    let mut runner = Runner {
        stages: BTreeMap::new(),
        chance: StdRng::seed_from_u64(agenda.seed),
        budget: agenda.budget,
    };
    let mut rows: Vec<Row> =
        agenda.entries.iter().map(|entry| Row { entry: *entry, outcomes: Vec::new() }).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    loop {
        for index in &order {
            let is_repeated = !rows[*index].outcomes.is_empty();
            if is_repeated && began.elapsed() > agenda.budget {
                return rows;
            }
            let outcome = runner.make(&rows[*index].entry).await;
            rows[*index].outcomes.push(outcome);
        }
        if !agenda.again {
            return rows;
        }
        order.shuffle(&mut chance);
    }
}

struct Runner {
    stages: BTreeMap<Setup, Stage>,
    chance: StdRng,
    budget: Duration,
}

impl Runner {
    async fn make(&mut self, entry: &Entry) -> Outcome {
        let began = Instant::now();
        let outcome = match entry.way {
            Way::Act(setup, act) => self.on_stage(entry.kind.name, setup, act).await,
            Way::Alone(act) => self.alone(act).await,
        };
        show(entry, &outcome, began.elapsed());
        outcome
    }

    async fn on_stage(&mut self, name: &str, setup: Setup, act: Act) -> Outcome {
        // One stage at a time: two cores are not enough for two.
        self.stages.retain(|other, _| *other == setup);
        let seed: u64 = self.chance.random();
        let started = match self.stages.remove(&setup) {
            Some(stage) => Ok(stage),
            None => Stage::start(setup).await,
        };
        let mut stage = match started {
            Ok(stage) => stage,
            Err(error) if error.is::<NotPermitted>() => {
                return Outcome::not_done(format!("{error:#}"));
            }
            Err(error) => return Outcome::broken(format!("not set up: {error:#}")),
        };
        let mut plays = 0;
        let outcome = loop {
            let seed = seed.wrapping_add(plays);
            plays += 1;
            let mut outcome = match timeout(SCENE_MAX, play(&mut stage, name, act, seed)).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => Outcome::broken(format!("{error:#}")),
                Err(_) => Outcome::broken(format!("not over after {SCENE_MAX:?}")),
            };
            let is_last = plays == PLAYS_MAX || stage.is_spent;
            if !outcome.has_shown_nothing() {
                break outcome;
            } else if is_last {
                outcome.broken.push(format!("nothing was taken over in {plays} runs"));
                break outcome;
            }
        };
        if !outcome.is_good() {
            show_logs(&mut stage);
        } else if !stage.is_spent {
            self.stages.insert(setup, stage);
        }
        outcome
    }

    async fn alone(&mut self, act: Alone) -> Outcome {
        // Nothing beside it.
        self.stages.clear();
        match act(self.budget / ALONE_SHARE).await {
            // It needs nothing that a system may forbid.
            Ok(Outcome { not_done: Some(why), .. }) => Outcome::broken(why),
            Ok(outcome) => outcome,
            Err(error) => Outcome::broken(format!("{error:#}")),
        }
    }
}

#[expect(clippy::print_stdout, reason = "what a command line shows")]
fn show(entry: &Entry, outcome: &Outcome, took: Duration) {
    let name = entry.kind.name;
    let seconds = took.as_secs_f64();
    if let Some(why) = &outcome.not_done {
        println!("faults: {name}: NOT DONE: {why}");
        return;
    }
    let verdict = if outcome.is_good() { "ok" } else { "FELL SHORT" };
    let recovered = outcome.recovered_in.as_secs_f64();
    println!(
        "faults: {name}: {verdict} in {seconds:.1} s; {} sagas, {} taken over, all ended {recovered:.1} s after the fault{}",
        outcome.sagas,
        outcome.takeovers,
        [String::new()].iter().chain(&outcome.remarks).cloned().collect::<Vec<_>>().join("; "),
    );
    for fault in outcome.faults().take(SHOWN_MAX) {
        println!("    {fault}");
    }
    let more = outcome.faults().count().saturating_sub(SHOWN_MAX);
    if more > 0 {
        println!("    and {more} more");
    }
}

#[expect(clippy::print_stdout, reason = "what a command line shows")]
fn show_logs(stage: &mut Stage) {
    for (index, log) in stage.logs().iter().enumerate() {
        let skipped = log.lines().count().saturating_sub(TAIL_LINES);
        println!("--- coordinator {index}, the end of its log:");
        for line in log.lines().skip(skipped) {
            println!("{line}");
        }
    }
    println!("--- books and logs are kept in {}", stage.keep().display());
}

impl Row {
    /// Whether it was made at all.
    pub fn is_done(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.not_done.is_none())
    }
}
