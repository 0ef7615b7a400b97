//! Coordinators that are killed with SIGKILL at random moments, again and again, while a demo runs
//! against them: every saga ends, and the participants' books agree with the ends.
//!
//! Moments are drawn from a seed that is printed. They follow the run, not the clock: a kill is due
//! when a random number of sagas have ended, so that all kills fall within it on any machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "test code")]

use std::time::Duration;

use amends_demo::{DemoOptions, Show, Summary, Workload};
use amends_testbed::{Postgres, PostgresOptions};
use amends_tests::{Server, ServerOptions, amends};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;

/// A coordinator is gone for as long as its leases live, so they live as briefly as they may.
const LEASE: (&str, &str) = ("engine.lease-ttl", "1s");

/// Longest run: what it takes on two busy cores is below a third of it.
const RUN_MAX: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn one_coordinator_on_postgres_is_killed_50_times() {
    let postgres = durable_postgres().await;
    let mut servers = start(1, Some(&postgres)).await;
    let run = Run { sagas: 2_000, kills: 50, seed: seed(11) };
    let summary = run.play(&mut servers).await;
    check(&run, &summary);
    check_store(&postgres, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_of_two_coordinators_on_postgres_is_killed_50_times() {
    let postgres = durable_postgres().await;
    let mut servers = start(2, Some(&postgres)).await;
    let run = Run { sagas: 2_000, kills: 50, seed: seed(12) };
    let summary = run.play(&mut servers).await;
    check(&run, &summary);
    check_store(&postgres, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_coordinator_is_killed_10_times() {
    let mut servers = start(1, None).await;
    let run = Run { sagas: 400, kills: 10, seed: seed(13) };
    let summary = run.play(&mut servers).await;
    check(&run, &summary);
}

struct Run {
    sagas: u32,
    kills: u32,
    seed: u64,
}

impl Run {
    /// Runs the demo and, meanwhile, kills.
    async fn play(&self, servers: &mut [Server]) -> Summary {
        let data = tempfile::tempdir().unwrap();
        let options = DemoOptions {
            workload: Workload { sagas: self.sagas, seed: self.seed, concurrency: 64 },
            coordinator_urls: servers.iter().map(Server::url).collect(),
            participant_exe: amends().unwrap(),
            data_dir: data.path().to_owned(),
            page_url: None,
            show: Show::Nothing,
            masters: None,
        };
        let ended = watch::Sender::new(0);
        let kills = self.kill(servers, ended.subscribe());
        let both = async { tokio::join!(amends_demo::run_watched(options, ended), kills) };
        let (report, ()) = tokio::time::timeout(RUN_MAX, both).await.unwrap();
        report.unwrap().summary.clone()
    }

    /// Kills a random one and starts it again, at each of the moments.
    async fn kill(&self, servers: &mut [Server], mut ended: watch::Receiver<u32>) {
        let mut chance = StdRng::seed_from_u64(self.seed);
        for (kill, due_at) in self.moments(&mut chance).into_iter().enumerate() {
            let seen = ended.wait_for(|ended| *ended >= due_at).await;
            let seen = *seen.expect("the run ended before the last kill");
            let pause = Duration::from_millis(chance.random_range(0..300));
            tokio::time::sleep(pause).await;
            let index = chance.random_range(0..servers.len());
            eprintln!(
                "kill {}: coordinator {index}, {seen} of {} sagas ended",
                kill + 1,
                self.sagas
            );
            servers[index].kill().unwrap();
            servers[index].launch().unwrap();
            // Every fifth is killed again before it is well up; the others shall do some work.
            if kill % 5 != 0 {
                servers[index].until_ready().await.unwrap();
            }
        }
        let seen = *ended.borrow();
        assert!(seen < self.sagas, "the last kill came when all sagas had ended");
    }

    /// After how many ends the kills are due, in order. One in five comes right after the one
    /// before it, while the coordinator starts.
    fn moments(&self, chance: &mut StdRng) -> Vec<u32> {
        let last = self.sagas * 9 / 10;
        let mut moments: Vec<u32> = (0..self.kills).map(|_| chance.random_range(0..last)).collect();
        moments.sort_unstable();
        for kill in (1..moments.len()).step_by(5) {
            moments[kill] = moments[kill - 1];
        }
        moments
    }
}

fn check(run: &Run, summary: &Summary) {
    eprintln!("{summary}");
    assert!(summary.is_balanced(), "seed {}: {summary}", run.seed);
    assert_eq!(summary.completed + summary.undone, run.sagas, "{summary}");
    assert!(summary.completed > run.sagas / 2 && summary.undone > 0, "{summary}");
}

/// What the store says: every saga is there once and has ended, and others have taken over.
async fn check_store(postgres: &Postgres, run: &Run) {
    let ask = async |sql: &str| -> u32 {
        postgres.psql("amends", sql).await.unwrap().trim().parse().unwrap()
    };
    assert_eq!(ask("SELECT count(*) FROM saga").await, run.sagas);
    assert_eq!(ask("SELECT count(*) FROM saga WHERE ended_at IS NULL").await, 0);
    let taken_over = "SELECT count(DISTINCT saga_id) FROM saga_journal \
                      WHERE records LIKE '%\"recovered\"%'";
    let taken_over = ask(taken_over).await;
    eprintln!("{taken_over} sagas were taken over");
    assert!(taken_over >= run.kills, "kills that nobody had to recover from: {taken_over}");
}

async fn start(count: usize, postgres: Option<&Postgres>) -> Vec<Server> {
    let options = ServerOptions {
        database: postgres.map(Postgres::url),
        settings: vec![LEASE],
        redis: Vec::new(),
    };
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Server::start(options.clone()).await.unwrap());
    }
    servers
}

async fn durable_postgres() -> Postgres {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    Postgres::start_with(options).await.unwrap()
}

/// The seed of this run: `AMENDS_TEST_SEED`, or the test's own.
fn seed(own: u64) -> u64 {
    let given = std::env::var("AMENDS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(own);
    eprintln!("seed {seed}; set AMENDS_TEST_SEED for another one");
    seed
}
