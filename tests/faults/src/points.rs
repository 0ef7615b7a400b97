//! A coordinator that is killed at every point at which it writes or sends.
//!
//! A build with failpoints (`crates/ports/src/failpoint.rs`) notes in a first run which points a
//! mix of sagas comes to, and how often. Then, for each point, it dies there at the first time, the
//! second and the last, and at others as long as there is time; is started again; and everything
//! must be well. A point that stands in the source and that nobody came to is a failure.

mod book;
mod client;
mod database;
mod desk;
mod mix;
mod process;
mod source;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use rand::seq::SliceRandom as _;
use tokio::time::Instant;

use self::database::Kind;
use self::process::Plan;
use self::world::{Ground, Report, World};
use crate::Outcome;

/// Runs at one time: most of each is waiting for leases and timers.
const LANES: usize = 6;
/// Points that only an empty database has something for.
const OF_OPENING: [&str; 3] = [".migrate.", ".initialise.", ".server."];

/// One run in which the coordinator dies.
#[derive(Clone, Debug)]
struct Death {
    /// Which world.
    kind: Kind,
    ground: Ground,
    name: String,
    hit: u32,
    /// Whether it is made however little time there is.
    is_due: bool,
    tries: u32,
}

/// Kills it at the first, second and last hit of each point, and at others until `budget` is used
/// up, on PostgreSQL and on SQLite.
///
/// # Errors
///
/// A server can't be started, or a run without any fault fails.
pub async fn kill_at_every_point(budget: Duration) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let binary = match process::binary() {
        Ok(binary) => binary,
        Err(error) => return Ok(Outcome::not_done(format!("{error:#}"))),
    };
    let mut outcome = Outcome::default();
    let (mut worlds, mut noted) = (BTreeMap::new(), BTreeMap::new());
    for kind in [Kind::Postgres, Kind::Sqlite] {
        let world = World::prepare(kind, &binary).await.context("the prelude")?;
        noted.insert(kind, (world.note(Ground::Empty).await?, world.note(Ground::Prepared).await?));
        worlds.insert(kind, world);
    }
    outcome.broken = never_hit(&noted)?;
    let agenda = Agenda {
        worlds,
        deaths: Mutex::new(deaths(&noted)),
        until: began + budget,
        made: Mutex::default(),
    };
    try_join_all((0..LANES).map(|_| agenda.work())).await?;
    agenda.conclude(&mut outcome);
    Ok(outcome)
}

type Counts = BTreeMap<String, u32>;

/// What is wrong with the points that were come to: those that nobody came to, and those that were
/// said to be out of reach.
fn never_hit(noted: &BTreeMap<Kind, (Counts, Counts)>) -> anyhow::Result<Vec<String>> {
    let hit: BTreeSet<&str> = noted
        .values()
        .flat_map(|(empty, prepared)| empty.keys().chain(prepared.keys()))
        .map(String::as_str)
        .collect();
    let points = source::points()?;
    let unreachable: BTreeMap<&str, &str> = source::UNREACHABLE.iter().copied().collect();
    let mut faults = Vec::new();
    for name in points.keys() {
        match (hit.contains(name.as_str()), unreachable.get(name.as_str())) {
            (false, None) => faults.push(format!("never hit: {name}")),
            (true, Some(reason)) => faults.push(format!("hit, and yet: {name} {reason}")),
            (true, None) | (false, Some(_)) => {}
        }
    }
    let other_build = hit.iter().filter(|name| !points.contains_key(**name));
    faults.extend(other_build.map(|name| format!("not in the source, so an old build: {name}")));
    Ok(faults)
}

/// All deaths, in order: the first hit of every point, the second, the last; then others by chance.
fn deaths(noted: &BTreeMap<Kind, (Counts, Counts)>) -> VecDeque<Death> {
    let mut rounds: [Vec<Death>; 4] = Default::default();
    for (kind, (empty, prepared)) in noted {
        let names: BTreeSet<&String> = empty.keys().chain(prepared.keys()).collect();
        for name in names {
            let is_of_opening = OF_OPENING.iter().any(|part| name.contains(part));
            let (ground, counts) = match prepared.get(name) {
                Some(count) if !is_of_opening => (Ground::Prepared, *count),
                _ => (Ground::Empty, empty.get(name).copied().unwrap_or(1)),
            };
            for hit in 1..=counts {
                let round = match hit {
                    1 => 0,
                    2 => 1,
                    hit if hit == counts => 2,
                    _ => 3,
                };
                let name = name.clone();
                let is_due = round < 3;
                rounds[round].push(Death { kind: *kind, ground, name, hit, is_due, tries: 0 });
            }
        }
    }
    rounds[3].shuffle(&mut rand::rng());
    rounds.into_iter().flatten().collect()
}

struct Agenda {
    worlds: BTreeMap<Kind, World>,
    deaths: Mutex<VecDeque<Death>>,
    until: Instant,
    made: Mutex<Vec<(Death, Report)>>,
}

impl Agenda {
    /// One lane: makes one after another.
    async fn work(&self) -> anyhow::Result<()> {
        while let Some(death) = self.next() {
            let world = self.worlds.get(&death.kind).context("no such world")?;
            let plan = Plan::Die(death.name.clone(), death.hit);
            let report = world.run(death.ground, &plan).await?;
            // When timers and heartbeats come differs from run to run.
            if !report.has_died && death.hit == 1 && death.tries < 2 {
                self.deaths.lock().push_front(Death { tries: death.tries + 1, ..death.clone() });
            }
            self.made.lock().push((death, report));
        }
        Ok(())
    }

    fn next(&self) -> Option<Death> {
        let mut deaths = self.deaths.lock();
        let is_late = Instant::now() >= self.until;
        if deaths.front().is_some_and(|death| is_late && !death.is_due) {
            return None;
        }
        deaths.pop_front()
    }

    fn conclude(self, outcome: &mut Outcome) {
        let (mut deaths, mut points) = (0_usize, BTreeSet::new());
        let mut wanted = BTreeSet::new();
        for (Death { kind, name, hit, .. }, report) in self.made.into_inner() {
            let place = |text: String| format!("killed at {name}, hit {hit}, on {kind:?}: {text}");
            outcome.sagas += report.sagas;
            outcome.takeovers += report.takeovers;
            outcome.recovered_in = outcome.recovered_in.max(report.recovered_in);
            outcome.lost.extend(report.lost.into_iter().map(place));
            outcome.unbalanced.extend(report.unbalanced.into_iter().map(place));
            outcome.broken.extend(report.broken.into_iter().map(place));
            wanted.insert((kind, name.clone()));
            if report.has_died {
                deaths += 1;
                points.insert((kind, name));
            }
        }
        let missed = wanted.difference(&points);
        outcome.broken.extend(missed.map(|(_, name)| format!("never died at {name}")));
        let left = self.deaths.into_inner().len();
        let count = points.iter().map(|(_, name)| name).collect::<BTreeSet<_>>().len();
        outcome.remarks.push(format!("{count} points, {deaths} kills, {left} other hits left"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_the_second_and_the_last_hit_come_before_all_others() {
        let counts: Counts = [("postgres.a.b".to_owned(), 5), ("call.c".to_owned(), 1)].into();
        let noted = [(Kind::Postgres, (Counts::new(), counts))].into();
        let deaths: Vec<Death> = deaths(&noted).into();
        let due: Vec<u32> =
            deaths.iter().filter(|death| death.is_due).map(|death| death.hit).collect();
        assert_eq!(due, [1, 1, 2, 5]);
        assert_eq!(deaths.len(), 6);
    }

    #[test]
    fn a_point_that_nobody_came_to_is_a_failure() {
        let faults = never_hit(&BTreeMap::new()).unwrap();
        let points = source::points().unwrap().len();
        assert_eq!(faults.len(), points - source::UNREACHABLE.len());
        let all = source::points().unwrap().into_keys().map(|name| (name, 1)).collect();
        let noted = [(Kind::Postgres, (Counts::new(), all))].into();
        assert_eq!(never_hit(&noted).unwrap().len(), source::UNREACHABLE.len());
    }
}
