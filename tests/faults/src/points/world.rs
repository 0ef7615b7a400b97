//! One kind of store, with a database in which something was left behind, and the runs on copies
//! of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::book::{Book, facts, is_intent};
use super::client::{BOUND, Client, LOST};
use super::database::{Database, Databases, Kind};
use super::desk::{Desk, HANGING, PRELUDE};
use super::mix::{Ended, Mix, start, start_in, start_with_key};
use super::process::{Coordinator, Plan};

/// Longest run: each request and each saga in it has half of this.
const RUN_MAX: Duration = Duration::from_secs(2 * BOUND.as_secs());
/// How long the haunted partition has no coordinator, unless it is set free.
const HAUNTED: Duration = Duration::from_mins(5);

/// Where a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// With an empty database.
    Empty,
    /// After the prelude.
    Prepared,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) sagas: usize,
    /// How many of them were read back by a coordinator that took over.
    pub(super) takeovers: usize,
    /// Whether it came to the point at which it was to die.
    pub(super) has_died: bool,
    /// From then to the end of the last saga.
    pub(super) recovered_in: Duration,
    pub(super) lost: Vec<String>,
    pub(super) unbalanced: Vec<String>,
    pub(super) broken: Vec<String>,
}

/// One kind of store.
#[derive(Debug)]
pub(super) struct World {
    databases: Databases,
    desk: Desk,
    binary: PathBuf,
    prepared: Database,
    before: Arc<Book>,
    ghost: String,
    runs: AtomicU32,
}

impl World {
    /// Makes the database that runs begin with: some sagas have ended long ago, one sleeps, two are
    /// under way and their coordinator was killed.
    pub(super) async fn prepare(kind: Kind, binary: &Path) -> anyhow::Result<Self> {
        let databases = Databases::open(kind).await?;
        let prepared = databases.make(None).await?;
        let desk = Desk::open().await?;
        let before = Book::new(prepared.clone(), None);
        let participant = desk.lay_out(PRELUDE, &before);
        let mut coordinator = Coordinator::new(binary, prepared.url())?;
        coordinator.launch(&Plan::Live)?;
        let client = Client::new(coordinator.url())?;
        let mix = Mix {
            client: client.clone(),
            book: Arc::clone(&before),
            database: prepared.clone(),
            participant,
            ghost: None,
        };
        mix.register().await?;
        client.start(&start("order", "old-1")).await?;
        client.start(&start_with_key("locked", "old-2", "old")).await?;
        for saga in ["old-1", "old-2"] {
            client.until(saga, &["completed"]).await?;
        }
        prepared.age().await?;
        client.start(&start("callback", "left-1")).await?;
        client.start(&start("order", HANGING)).await?;
        for saga in ["left-1", HANGING] {
            let called = async || before.step(saga, "a0").map(drop);
            amends_tests::until("a call of the prelude", BOUND, called).await?;
        }
        let ghost = sleeping(&client, &prepared).await?;
        coordinator.kill()?;
        anyhow::ensure!(before.faults().is_empty(), "{:?}", before.faults());
        desk.put_away(PRELUDE);
        prepared.leave().await;
        Ok(Self {
            databases,
            desk,
            binary: binary.to_owned(),
            prepared,
            before,
            ghost,
            runs: AtomicU32::new(0),
        })
    }

    /// Runs the mix over a fresh database and checks everything after it.
    ///
    /// # Errors
    ///
    /// What has nothing to do with the coordinator: a database can't be made.
    pub(super) async fn run(&self, ground: Ground, plan: &Plan) -> anyhow::Result<Report> {
        let is_prepared = ground == Ground::Prepared;
        let database = self.databases.make(is_prepared.then_some(&self.prepared)).await?;
        if is_prepared {
            database.haunt(&self.ghost, HAUNTED).await?;
        }
        let run = format!("run-{}", self.runs.fetch_add(1, Ordering::Relaxed));
        let book = Book::new(database.clone(), is_prepared.then_some(&*self.before));
        let participant = self.desk.lay_out(&run, &book);
        let mut coordinator = Coordinator::new(&self.binary, database.url())?;
        let mix = Mix {
            client: Client::new(coordinator.url())?,
            book: Arc::clone(&book),
            database: database.clone(),
            participant,
            ghost: is_prepared.then(|| self.ghost.clone()),
        };
        let mut report = Report::default();
        let played = timeout(RUN_MAX, play(&mut coordinator, &mix, plan, &mut report)).await;
        match played.context("the run is not over").flatten() {
            Ok(ended) => {
                report.sagas = ended.len();
                check(&mut report, &book, &database, &ended).await;
            }
            Err(error) => {
                let text = format!("{error:#}\n{}", coordinator.log_tail());
                let is_lost = text.contains(LOST);
                if is_lost { &mut report.lost } else { &mut report.broken }.push(text);
            }
        }
        report.broken.extend(book.faults());
        drop(coordinator);
        self.desk.put_away(&run);
        self.databases.drop(database).await?;
        Ok(report)
    }

    /// The points that a run comes to, and how often.
    pub(super) async fn note(&self, ground: Ground) -> anyhow::Result<BTreeMap<String, u32>> {
        let file = tempfile::NamedTempFile::new()?;
        let report = self.run(ground, &Plan::Note(file.path().to_owned())).await?;
        let faults: Vec<&String> =
            [&report.lost, &report.unbalanced, &report.broken].into_iter().flatten().collect();
        anyhow::ensure!(faults.is_empty(), "without any fault: {faults:?}");
        let mut counts = BTreeMap::new();
        for name in std::fs::read_to_string(file.path())?.lines() {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        Ok(counts)
    }
}

/// Starts a saga that sleeps in another partition than those that are under way; its id.
async fn sleeping(client: &Client, database: &Database) -> anyhow::Result<String> {
    let busy = database.partition("left-1").await?;
    for number in 0..20 {
        let (saga, hour) = (format!("ghost-{number}"), Duration::from_hours(1));
        let mut body = start_in("locked", &saga, hour);
        body["input"] = start_with_key("locked", &saga, &format!("g{number}"))["input"].take();
        client.start(&body).await?;
        if database.partition(&saga).await? != busy {
            return Ok(saga);
        }
    }
    anyhow::bail!("all sagas are in one partition")
}

async fn play(
    coordinator: &mut Coordinator,
    mix: &Mix,
    plan: &Plan,
    report: &mut Report,
) -> anyhow::Result<Vec<Ended>> {
    coordinator.launch(plan)?;
    let ended = tokio::select! {
        ended = mix.play() => ended?,
        error = coordinator.keep_running() => return Err(error),
    };
    let ended_at = Instant::now();
    coordinator.leave().await?;
    if let Some(died_at) = coordinator.died_at {
        report.has_died = true;
        report.recovered_in = ended_at.saturating_duration_since(died_at);
    }
    Ok(ended)
}

/// Checks the ends, the books and the journals.
async fn check(report: &mut Report, book: &Book, database: &Database, ended: &[Ended]) {
    for Ended { saga, status, expected, steps } in ended {
        if status != expected {
            report.broken.push(format!("{saga} is {status}, not {expected}"));
        }
        report.unbalanced.extend(book.balance(saga, status, steps));
        match database.journal(saga).await.and_then(|chunks| facts(&chunks)) {
            Ok(facts) if facts.is_empty() => report.lost.push(format!("{saga} has no journal")),
            Ok(facts) => {
                let is_recovered = facts.iter().any(|fact| !fact["recovered"].is_null());
                report.takeovers += usize::from(is_recovered);
                report.broken.extend(against_the_rules(saga, status, &facts));
            }
            Err(error) => report.broken.push(format!("{saga}: {error:#}")),
        }
    }
    for (saga, step, op) in book.called() {
        let facts = database.journal(&saga).await.and_then(|chunks| facts(&chunks));
        let is_meant =
            facts.is_ok_and(|facts| facts.iter().any(|fact| is_intent(fact, &step, &op)));
        if !is_meant {
            report.broken.push(format!("{saga}: {op} of {step} is not in the journal"));
        }
    }
}

/// What is wrong with the journal of a saga that has ended in this way.
fn against_the_rules(saga: &str, status: &str, facts: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    let count = |name: &str| facts.iter().filter(|fact| !fact[name].is_null()).count();
    if count("accepted") != 1 || facts.first().is_none_or(|fact| fact["accepted"].is_null()) {
        faults.push(format!("{saga} was accepted {} times", count("accepted")));
    }
    if count("decided") > 1 {
        faults.push(format!("{saga} was decided {} times", count("decided")));
    }
    let end = facts.last().map(|fact| &fact["ended"]["status"]);
    if count("ended") != 1 || end.is_none_or(|end| end != status) {
        faults.push(format!("{saga} is {status}; its journal has {} ends", count("ended")));
    }
    let decision = facts.iter().find_map(|fact| fact["decided"]["decision"].as_str());
    let is_right = match status {
        "compensated" => decision == Some("abort"),
        _ => decision != Some("abort"),
    };
    if !is_right {
        faults.push(format!("{saga} is {status}, decided {decision:?}"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn journals_against_the_rules_are_seen() {
        let whole = vec![
            json!({ "accepted": {} }),
            json!("started"),
            json!({ "decided": { "decision": "commit" } }),
            json!({ "ended": { "status": "completed" } }),
        ];
        let faults = |status: &str, facts: &[Value]| against_the_rules("s", status, facts).len();
        assert_eq!(faults("completed", &whole), 0);
        assert_eq!(faults("compensated", &whole), 2);
        let twice = [&whole[..3], &[whole[2].clone()], &whole[3..]].concat();
        assert_eq!(faults("completed", &twice), 1);
        assert_eq!(faults("completed", &whole[..3]), 1);
        assert_eq!(faults("completed", &whole[1..]), 1);
        assert_eq!(faults("completed", &[&whole[..], &whole[3..]].concat()), 1);
    }
}
