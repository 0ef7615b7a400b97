//! Two coordinators over one PostgreSQL: they share the work, one goes on when the other is killed,
//! and at once when the other is asked to leave.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::collections::BTreeMap;
use std::time::Duration;

use amends_core::Timestamp;
use amends_ports::{Clock as _, SystemClock};
use amends_testbed::{Postgres, PostgresOptions};
use amends_tests::{Client, Participant, Server, ServerOptions, until};
use serde_json::{Value, json};

/// Sagas that are under way when something happens to a coordinator.
const SAGAS: usize = 60;

/// Longest wait for all of them to end, when nothing hinders them.
const END_MAX: Duration = Duration::from_mins(1);

/// What a takeover may take beyond the lease.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn two_coordinators_share_the_work() {
    let mut pair = Pair::start("2s", Duration::ZERO).await;
    let partitions = pair.partitions().await;
    let total = partitions[0] + partitions[1];
    assert!(partitions.iter().all(|own| *own * 10 > total * 3), "{partitions:?}");

    pair.submit(200).await;
    pair.until_all_ended(&pair.clients[0], END_MAX).await;
    let mut ended = Vec::new();
    for client in &pair.clients {
        ended.push(client.metric("amends_saga_finished_total").await.unwrap());
    }
    eprintln!("partitions {partitions:?}, sagas {ended:?}");
    assert_eq!(ended.iter().sum::<u64>(), 200, "{ended:?}");
    assert!(ended.iter().all(|own| *own > 60), "one did nearly all: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_coordinator_is_replaced_within_its_lease_and_two_seconds() {
    let lease = Duration::from_secs(2);
    let mut pair = Pair::start("2s", Duration::from_millis(300)).await;
    pair.submit(SAGAS).await;
    pair.until_busy().await;

    let killed_at = now();
    pair.servers[0].kill().unwrap();
    pair.until_all_ended(&pair.clients[1], END_MAX).await;

    let mut slowest = 0;
    let mut taken_over = 0;
    for saga in &pair.sagas {
        let records = pair.clients[1].journal(saga).await.unwrap();
        let recovered = records.iter().find(|record| record["event"] == "recovered");
        taken_over += usize::from(recovered.is_some());
        // The first sign of life after the kill, of every saga that had not ended by then.
        if let Some(at) = times(&records).into_iter().find(|at| *at > killed_at) {
            slowest = slowest.max(at - killed_at);
        }
    }
    eprintln!("{taken_over} of {SAGAS} sagas were taken over, the last after {slowest} us");
    assert!(taken_over >= 10, "the killed one had next to nothing to do: {taken_over}");
    let most = i64::try_from((lease + GRACE).as_micros()).unwrap();
    assert!(slowest <= most, "a saga stood still for {slowest} us");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_is_asked_to_leave_cuts_no_call_and_the_other_goes_on_at_once() {
    // A lease so long that nobody could go on by waiting for its end.
    let mut pair = Pair::start("60s", Duration::from_millis(300)).await;
    pair.submit(SAGAS).await;
    pair.until_busy().await;

    pair.servers[0].signal("TERM").unwrap();
    let status = pair.servers[0].wait(Duration::from_secs(20)).await.unwrap();
    assert!(status.success(), "{status}: {}", pair.servers[0].log());
    let left_at = now();
    pair.until_all_ended(&pair.clients[1], Duration::from_secs(30)).await;

    let mut slowest = 0;
    for saga in &pair.sagas {
        let records = pair.clients[1].journal(saga).await.unwrap();
        if let Some(at) = times(&records).into_iter().find(|at| *at > left_at) {
            slowest = slowest.max(at - left_at);
        }
    }
    let finished = pair.clients[1].metric("amends_saga_finished_total").await.unwrap();
    eprintln!("the other ended {finished} of {SAGAS} sagas, the last went on after {slowest} us");
    assert!(finished >= 40, "the leaving one had next to nothing to do: {finished}");
    assert!(slowest < 5_000_000, "a saga stood still for {slowest} us");

    let mut calls: BTreeMap<(String, String), Vec<bool>> = BTreeMap::new();
    for attempt in pair.participant.attempts() {
        calls.entry((attempt.saga, attempt.step)).or_default().push(attempt.answered);
    }
    assert_eq!(calls.len(), SAGAS * STEPS, "not every step was called");
    for (call, attempts) in calls {
        assert_eq!(attempts, [true], "{call:?} was cut and made again");
    }
}

/// Steps of the sagas here, one after another.
const STEPS: usize = 5;

/// Two coordinators, a participant, and sagas.
struct Pair {
    servers: Vec<Server>,
    clients: Vec<Client>,
    participant: Participant,
    sagas: Vec<String>,
    _postgres: Postgres,
}

impl Pair {
    /// Starts them; each call takes `delay`.
    async fn start(lease_ttl: &'static str, delay: Duration) -> Self {
        let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
        let postgres = Postgres::start_with(options).await.unwrap();
        let settings = vec![("engine.lease-ttl", lease_ttl)];
        let options = ServerOptions { database: Some(postgres.url()), settings, redis: Vec::new() };
        let servers = vec![
            Server::start(options.clone()).await.unwrap(),
            Server::start(options).await.unwrap(),
        ];
        let clients: Vec<Client> = servers.iter().map(|own| own.client().unwrap()).collect();
        let participant = Participant::start(delay).await.unwrap();
        clients[0].register("worker", &participant.spec()).await.unwrap();
        clients[0].define(&chain()).await.unwrap();
        let sagas = Vec::new();
        let pair = Self { servers, clients, participant, sagas, _postgres: postgres };
        pair.until_shared().await;
        pair
    }

    /// Waits until neither has much more than half of the partitions.
    async fn until_shared(&self) {
        let shared = until("the partitions to be shared", Duration::from_secs(30), async || {
            let owned = self.partitions().await;
            (owned[0] == owned[1] && owned[0] > 0).then_some(())
        });
        shared.await.unwrap();
    }

    async fn partitions(&self) -> [u64; 2] {
        let mut owned = [0; 2];
        for (client, own) in self.clients.iter().zip(&mut owned) {
            *own = client.metric("amends_partitions_owned").await.unwrap();
        }
        owned
    }

    /// Starts sagas, half of them at each.
    async fn submit(&mut self, count: usize) {
        for index in 0..count {
            let id = format!("saga-{index:03}");
            let body = json!({ "definition": "chain", "id": id });
            let answer = self.clients[index % 2].post("/v1/sagas", &body).await.unwrap();
            assert_eq!(answer.status, 201, "{}", answer.text);
            self.sagas.push(id);
        }
    }

    /// Waits until every saga has been somewhere, and some are half-way.
    async fn until_busy(&self) {
        let busy = until("the sagas to be half-way", END_MAX, async || {
            (self.participant.count() > SAGAS + SAGAS / 2).then_some(())
        });
        busy.await.unwrap();
    }

    async fn until_all_ended(&self, client: &Client, limit: Duration) {
        let all = self.sagas.len();
        let ended = until("all sagas to end", limit, async || {
            let counts = client.get("/v1/sagas/counts").await.ok()?.body;
            (counts["counts"]["completed"] == all).then_some(())
        });
        ended.await.unwrap();
    }
}

/// Five steps in a row.
fn chain() -> Value {
    let step = |index: usize| {
        json!({
            "id": format!("step-{index}"), "participant": "worker",
            "action": { "path": "/do" }, "compensation": { "path": "/undo" },
        })
    };
    json!({ "name": "chain", "steps": (0..STEPS).map(step).collect::<Vec<_>>() })
}

/// Wall time in microseconds, by the clock that all processes here share.
fn now() -> i64 {
    SystemClock::new().now().0
}

/// When each record was written down, in microseconds.
fn times(records: &[Value]) -> Vec<i64> {
    let time = |record: &Value| Timestamp::parse(record["at"].as_str().unwrap()).unwrap().0;
    records.iter().map(time).collect()
}
