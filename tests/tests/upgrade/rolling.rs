//! A rolling upgrade and the way back, under load: two coordinators over one PostgreSQL, of which
//! one at a time is replaced by one of the other release.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use amends_tests::{Client, Participant, Server, ServerOptions, amends, until};
use serde_json::{Value, json};

use super::durable_postgres;

const LIMIT: Duration = Duration::from_mins(1);

/// Sagas that end between one replacement and the next.
const SAGAS_BETWEEN: usize = 40;

/// Clients that start sagas one after another.
const CLIENTS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_replaced_one_by_one_under_load_and_back_again() {
    let new = amends().unwrap();
    let old = std::env::var_os("AMENDS_FIRST_RELEASE").map_or_else(|| new.clone(), PathBuf::from);
    eprintln!("old release: {}", old.display());
    let postgres = durable_postgres().await;
    let settings = vec![("engine.lease-ttl", "60s"), ("server.drain-timeout", "20s")];
    let options = ServerOptions { database: Some(postgres.url()), settings, redis: Vec::new() };
    let mut servers = [
        Server::start_as(&old, options.clone()).await.unwrap(),
        Server::start_as(&old, options).await.unwrap(),
    ];
    let load = Load::start(&servers).await;
    let (old, new) = (old.as_path(), new.as_path());
    let replacing = async {
        load.until_shared_and_busy().await;
        for (index, release) in [(1, new), (0, new), (1, old), (0, old)] {
            load.in_rotation[index].store(false, Ordering::Relaxed);
            servers[index].signal("TERM").unwrap();
            let status = servers[index].wait(LIMIT).await.unwrap();
            assert!(status.success(), "{status}: {}", servers[index].log());
            servers[index].become_release(release);
            servers[index].launch().unwrap();
            servers[index].until_ready().await.unwrap();
            load.in_rotation[index].store(true, Ordering::Relaxed);
            load.until_shared_and_busy().await;
        }
        load.is_over.store(true, Ordering::Relaxed);
    };
    let clients = futures_util::future::join_all((0..CLIENTS).map(|_| load.submit()));
    tokio::join!(replacing, clients);
    load.check().await;
}

struct Load {
    clients: Vec<Client>,
    participant: Participant,
    /// Where a load balancer would send requests.
    in_rotation: [AtomicBool; 2],
    is_over: AtomicBool,
    submitted: AtomicUsize,
    retries: AtomicUsize,
}

impl Load {
    async fn start(servers: &[Server; 2]) -> Self {
        let clients: Vec<Client> = servers.iter().map(|own| own.client().unwrap()).collect();
        let participant = Participant::start(Duration::from_millis(40)).await.unwrap();
        clients[0].register("worker", &participant.spec()).await.unwrap();
        clients[0].define(&trip()).await.unwrap();
        Self {
            clients,
            participant,
            in_rotation: [AtomicBool::new(true), AtomicBool::new(true)],
            is_over: AtomicBool::new(false),
            submitted: AtomicUsize::new(0),
            retries: AtomicUsize::new(0),
        }
    }

    /// Starts sagas until it is over, and looks at each.
    async fn submit(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.submitted.fetch_add(1, Ordering::Relaxed);
            let id = id(number);
            let request = json!({ "definition": "trip", "id": id,
                "input": { "last": if number.is_multiple_of(3) { "refuse" } else { "do" } } });
            let started = self.ask(reqwest::Method::POST, "/v1/sagas", Some(&request)).await;
            assert_eq!(started["id"], id, "{started}");
            let seen = self.ask(reqwest::Method::GET, &format!("/v1/sagas/{id}"), None).await;
            assert_eq!(seen["id"], id, "{seen}");
        }
    }

    /// Asks whoever is in rotation. Only where nothing was accepted may it be asked again: no
    /// connection, or 503.
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Value {
        for turn in 0..2_000 {
            let index = (turn + self.submitted.load(Ordering::Relaxed)) % 2;
            if !self.in_rotation[index].load(Ordering::Relaxed) {
                continue;
            }
            let mut request = self.clients[index].request(method.clone(), path);
            if let Some(body) = body {
                request = request.json(body);
            }
            match self.clients[index].send(request).await {
                Ok(answer) if answer.status == 503 => {
                    assert!(answer.header("retry-after").is_some(), "{}", answer.text);
                }
                Ok(answer) => return answer.success().unwrap(),
                Err(error) => {
                    let cause = error.downcast_ref::<reqwest::Error>();
                    assert!(cause.is_some_and(reqwest::Error::is_connect), "{path}: {error:#}");
                }
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody answers {path}");
    }

    /// Both have their share of partitions, and sagas have ended since.
    async fn until_shared_and_busy(&self) {
        until("the partitions to be shared", LIMIT, async || {
            let mut owned = Vec::new();
            for client in &self.clients {
                owned.push(client.metric("amends_partitions_owned").await.ok()?);
            }
            (owned == [32, 32]).then_some(())
        })
        .await
        .unwrap();
        let before = self.ended().await.unwrap();
        until("sagas to end", LIMIT, async || {
            (self.ended().await? >= before + SAGAS_BETWEEN as u64).then_some(())
        })
        .await
        .unwrap();
    }

    async fn ended(&self) -> Option<u64> {
        let counts = self.clients[0].get("/v1/sagas/counts").await.ok()?.body;
        let count = |status: &str| counts["counts"][status].as_u64();
        Some(count("completed")? + count("compensated")?)
    }

    /// Every saga that was accepted has ended as it had to, and every call was made once.
    async fn check(&self) {
        let submitted = self.submitted.load(Ordering::Relaxed);
        let mut calls: BTreeMap<(String, String, String), Vec<bool>> = BTreeMap::new();
        for number in 0..submitted {
            let end = if number.is_multiple_of(3) { "compensated" } else { "completed" };
            self.clients[0].until_status(&id(number), end, LIMIT).await.unwrap();
            let journal = self.clients[1].journal(&id(number)).await.unwrap();
            let started = journal.iter().filter(|record| record["event"] == "started").count();
            assert_eq!(started, 1, "{} began anew", id(number));
        }
        for attempt in self.participant.attempts() {
            let call = (attempt.saga, attempt.step, attempt.op);
            calls.entry(call).or_default().push(attempt.answered);
        }
        for number in 0..submitted {
            let is_undone = number.is_multiple_of(3);
            let ops = |step: &str| {
                let mut ops: Vec<&str> = calls
                    .keys()
                    .filter(|(saga, own, _)| *saga == id(number) && own == step)
                    .map(|(_, _, op)| op.as_str())
                    .collect();
                ops.sort_unstable();
                ops
            };
            let (room, pay) = if is_undone {
                (vec!["action", "compensation"], vec!["cancel", "try"])
            } else {
                (vec!["action"], vec!["confirm", "try"])
            };
            assert_eq!((ops("room"), ops("pay"), ops("last")), (room, pay, vec!["action"]));
        }
        for (call, attempts) in &calls {
            assert_eq!(*attempts, [true], "{call:?} was cut, or made again");
        }
        eprintln!(
            "{submitted} sagas, {} requests asked again",
            self.retries.load(Ordering::Relaxed)
        );
    }
}

fn id(number: usize) -> String {
    format!("trip-{number:05}")
}

fn trip() -> Value {
    json!({ "name": "trip", "steps": [
        { "id": "room", "participant": "worker", "action": { "path": "/do" },
            "compensation": { "path": "/undo" } },
        { "id": "pay", "participant": "worker", "try": { "path": "/do" },
            "confirm": { "path": "/do" }, "cancel": { "path": "/undo" } },
        { "id": "last", "participant": "worker", "action": { "path": "/${input.last}" },
            "compensation": "none" },
    ] })
}
