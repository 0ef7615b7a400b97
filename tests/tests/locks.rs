//! Lock keys over three coordinators, PostgreSQL and three Redis masters: nobody overlaps, nobody
//! is overtaken, whatever happens to the masters.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amends_testbed::{Postgres, PostgresOptions, Redis};
use amends_tests::{Client, Server, ServerOptions, Serving, until};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::join_all;
use parking_lot::Mutex;
use rand::RngExt as _;
use serde_json::{Value, json};

/// Life of a guard: masters that come back have no vote for so long.
const TTL: &str = "2s";

/// Longest wait for all sagas of the large run.
const END_MAX: Duration = Duration::from_mins(10);

/// Pairs of keys; a saga names one key of its pair, or both.
const PAIRS: usize = 100;

/// What changes under a key, and writes down who was let in.
#[derive(Debug, Default)]
struct Resource {
    keys: Mutex<HashMap<String, KeyState>>,
    faults: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
struct KeyState {
    token: u64,
    /// Who is at work, from its first call to its last.
    at_work: Option<String>,
    /// Who was let in, in order.
    entered: Vec<String>,
    answered: HashMap<String, StatusCode>,
}

impl Resource {
    /// Takes a call: `enter` begins a saga's work, `leave` or the undo ends it.
    fn call(&self, path: &str, headers: &HeaderMap) -> Option<StatusCode> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let (saga, call) = (text("saga-id")?, text("idempotency-key")?);
        let names = text("saga-lock-keys")?.split(", ").map(|name| name.trim_matches('"'));
        let tokens = text("saga-fencing-token")?.split(", ").map(str::parse::<u64>);
        let mut keys = self.keys.lock();
        let mut status = StatusCode::OK;
        for (name, token) in names.zip(tokens) {
            let (key, token) = (keys.entry(name.to_owned()).or_default(), token.ok()?);
            if let Some(before) = key.answered.get(call) {
                status = *before;
                continue;
            }
            if token < key.token {
                status = StatusCode::CONFLICT;
                continue;
            }
            key.token = token;
            match path {
                "/enter" => {
                    if let Some(other) = key.at_work.replace(saga.to_owned()) {
                        let fault = format!("{saga} entered {name} while {other} was at work");
                        self.faults.lock().push(fault);
                    }
                    key.entered.push(saga.to_owned());
                }
                "/leave" if saga.ends_with('7') => status = StatusCode::UNPROCESSABLE_ENTITY,
                _ => {
                    if key.at_work.as_deref() != Some(saga) {
                        let fault = format!("{saga} left {name}, where {:?} is", key.at_work);
                        self.faults.lock().push(fault);
                    }
                    key.at_work = None;
                }
            }
            key.answered.insert(call.to_owned(), status);
        }
        Some(status)
    }

    async fn serve(self: Arc<Self>) -> Serving {
        let service = Router::new()
            .fallback(async |State(resource): State<Arc<Self>>, request: Request| {
                resource
                    .call(request.uri().path(), request.headers())
                    .unwrap_or(StatusCode::BAD_REQUEST)
            })
            .with_state(self);
        Serving::start(service).await.unwrap()
    }
}

/// Coordinators, their database, their masters and the resource.
struct World {
    postgres: Postgres,
    servers: Vec<Server>,
    clients: Vec<Client>,
    resource: Arc<Resource>,
    serving: Serving,
}

impl World {
    async fn start(coordinators: usize, masters: &[Redis]) -> Self {
        let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
        let postgres = Postgres::start_with(options).await.unwrap();
        let resource = Arc::new(Resource::default());
        let serving = Arc::clone(&resource).serve().await;
        let mut world =
            Self { postgres, servers: Vec::new(), clients: Vec::new(), resource, serving };
        for _ in 0..coordinators {
            world.add(masters).await;
        }
        let spec = json!({ "endpoints": [world.serving.url()], "timeout": "20s" });
        world.clients[0].register("resource", &spec).await.unwrap();
        world.clients[0].define(&definition("work", &json!({}))).await.unwrap();
        world
    }

    async fn add(&mut self, masters: &[Redis]) {
        let options = ServerOptions {
            database: Some(self.postgres.url()),
            redis: masters.iter().map(Redis::url).collect(),
            settings: vec![("locks.ttl", TTL), ("engine.lease-ttl", "5s")],
        };
        let server = Server::start(options).await.unwrap();
        self.clients.push(server.client().unwrap());
        self.servers.push(server);
    }

    /// Submits until it is answered.
    async fn submit(&self, client: usize, id: &str, input: &Value) {
        let body = json!({ "definition": "work", "id": id, "input": input });
        let ask = async || {
            let answer = self.clients[client].post("/v1/sagas", &body).await.ok()?;
            matches!(answer.status, 200 | 201).then_some(())
        };
        until("a submission to be taken", END_MAX, ask).await.unwrap();
    }

    async fn until_none_is_live(&self) {
        let look = async || {
            let counts = self.clients[0].get("/v1/sagas/counts").await.ok()?.body;
            let live = ["queued", "running", "confirming", "compensating", "suspended"];
            let open: u64 =
                live.iter().map(|status| counts["counts"][status].as_u64().unwrap_or(1)).sum();
            (open == 0).then_some(())
        };
        until("all sagas to end", END_MAX, look).await.unwrap();
    }
}

fn definition(name: &str, lock: &Value) -> Value {
    let mut document = json!({
        "name": name,
        "lock": { "keys": ["${input.first}", "${input.second}"] },
        "steps": [
            { "id": "enter", "participant": "resource",
              "action": { "path": "/enter" }, "compensation": { "path": "/undo" } },
            { "id": "leave", "participant": "resource", "action": { "path": "/leave" } },
        ],
    });
    for (field, value) in lock.as_object().into_iter().flatten() {
        document["lock"][field] = value.clone();
    }
    document
}

async fn masters(count: usize) -> Vec<Redis> {
    join_all((0..count).map(|_| Redis::start_on_own_clock()))
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_overlaps_and_nobody_is_overtaken_whatever_happens_to_the_masters() {
    let total =
        std::env::var("AMENDS_LOCK_SAGAS").map_or(20_000, |text| text.parse::<usize>().unwrap());
    let mut redis = masters(3).await;
    let world = World::start(3, &redis).await;
    let is_over = AtomicBool::new(false);
    let submitting = async {
        let groups = (0..PAIRS).map(|pair| submit_pair(&world, pair, total / PAIRS));
        let expected: BTreeMap<String, Vec<String>> =
            join_all(groups).await.into_iter().flatten().collect();
        world.until_none_is_live().await;
        is_over.store(true, Ordering::Relaxed);
        expected
    };
    let began = tokio::time::Instant::now();
    let (expected, done) = tokio::join!(submitting, trouble(&mut redis, &is_over));
    eprintln!("{total} sagas in {:?} beside {done:?}", began.elapsed());

    assert!(world.resource.faults.lock().is_empty(), "{:?}", world.resource.faults.lock());
    let keys = world.resource.keys.lock();
    assert_eq!(expected.len(), PAIRS * 2);
    for (key, submitted) in expected {
        assert_eq!(keys[&key].entered, submitted, "{key} was not first come, first served");
        assert_eq!(keys[&key].at_work, None);
    }
    assert!(done.values().all(|times| *times > 0), "not every fault was seen: {done:?}");
}

/// One submission after the other, so that the order of tickets is known; returns it by key.
async fn submit_pair(world: &World, pair: usize, sagas: usize) -> BTreeMap<String, Vec<String>> {
    let keys = [format!("key-{pair}-a"), format!("key-{pair}-b")];
    let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in 0..sagas {
        let (first, second) = match rand::rng().random_range(0..3) {
            0 => (&keys[0], &keys[0]),
            1 => (&keys[1], &keys[1]),
            _ => (&keys[0], &keys[1]),
        };
        let id = format!("saga-{pair}-{number}");
        let client = rand::rng().random_range(0..world.clients.len());
        world.submit(client, &id, &json!({ "first": first, "second": second })).await;
        for key in [first, second] {
            let sagas = order.entry(key.clone()).or_default();
            if sagas.last() != Some(&id) {
                sagas.push(id.clone());
            }
        }
    }
    order
}

/// Kills, pauses and misleads masters, one after another and now and then two at once, until it is
/// over; how often each was done.
async fn trouble(redis: &mut [Redis], is_over: &AtomicBool) -> BTreeMap<&'static str, u32> {
    let mut done = BTreeMap::from([("restarted", 0), ("paused", 0), ("clock", 0), ("two", 0)]);
    for kind in (0..4).cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let master = rand::rng().random_range(0..redis.len());
        let other = (master + 1) % redis.len();
        let name = match kind {
            0 => {
                redis[master].stop().unwrap();
                redis[master].start_again().await.unwrap();
                "restarted"
            }
            1 => {
                redis[master].pause().unwrap();
                pause(1_000).await;
                redis[master].resume().unwrap();
                "paused"
            }
            2 => {
                let seconds = rand::rng().random_range(-30..30);
                redis[master].move_clock(seconds).unwrap();
                pause(500).await;
                "clock"
            }
            _ => {
                redis[master].pause().unwrap();
                redis[other].stop().unwrap();
                pause(1_500).await;
                redis[other].start_again().await.unwrap();
                redis[master].resume().unwrap();
                "two"
            }
        };
        *done.entry(name).or_default() += 1;
        pause(1_500).await;
    }
    done
}

/// How long a fault lasts.
async fn pause(most: u64) {
    let time = rand::rng().random_range(100..most);
    tokio::time::sleep(Duration::from_millis(time)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_no_saga_is_waited_for() {
    let redis = masters(3).await;
    let world = World::start(1, &redis).await;
    for master in &redis {
        let set = ["SET", "amends:lock:stock", "a batch job", "NX", "PX", "60000"];
        assert!(master.command(&set).await.unwrap().starts_with("+OK"));
    }
    let input = json!({ "first": "stock", "second": "stock" });
    world.submit(0, "waits", &input).await;
    let look = async || {
        let text = world.clients[0].get("/metrics").await.ok()?.text;
        let busy = text.lines().find(|line| line.contains("outcome=\"busy\""))?;
        (!busy.ends_with(" 0")).then_some(())
    };
    until("the guard to be found busy", Duration::from_mins(1), look).await.unwrap();
    assert!(world.resource.keys.lock().is_empty());
    for master in &redis[..2] {
        master.command(&["DEL", "amends:lock:stock"]).await.unwrap();
    }
    let client = &world.clients[0];
    client.until_status("waits", "completed", Duration::from_mins(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_outlives_its_coordinator() {
    let redis = masters(3).await;
    let mut world = World::start(2, &redis).await;
    // It is accepted, waits for a callback, and keeps its key meanwhile.
    let mut document = definition("slow", &json!({}));
    document["steps"][0]["completion"] = json!("callback");
    document["steps"][0]["timeout"] = json!("10m");
    let later = amends_tests::Participant::start(Duration::ZERO).await.unwrap();
    world.clients[0].register("later", &later.spec()).await.unwrap();
    document["steps"][0]["participant"] = json!("later");
    document["steps"][0]["action"]["path"] = json!("/later");
    world.clients[0].define(&document).await.unwrap();
    let input = json!({ "first": "stock", "second": "stock" });
    let body = json!({ "definition": "slow", "id": "slow-1", "input": input });
    let answer = world.clients[0].post("/v1/sagas", &body).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text);
    let is_guarded = async || {
        let mut held = 0;
        for master in &redis {
            let value = master.command(&["GET", "amends:lock:stock"]).await.ok()?;
            held += usize::from(value.contains("/slow-1/"));
        }
        (held >= 2).then_some(())
    };
    until("the guard to be set", Duration::from_mins(1), is_guarded).await.unwrap();
    until("the call to come", Duration::from_mins(1), async || (later.count() > 0).then_some(()))
        .await
        .unwrap();
    for killed in 0..2 {
        world.servers[killed].kill().unwrap();
        // Far longer than the guard's own life, and than the lease of the dead one.
        if killed == 1 {
            world.servers[0].launch().unwrap();
            world.servers[0].until_ready().await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(8)).await;
        until("the guard to stand", Duration::from_secs(10), is_guarded).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_masters_only_sagas_with_lock_keys_wait() {
    let mut redis = masters(3).await;
    for master in &mut redis {
        master.stop().unwrap();
    }
    let world = World::start(1, &redis).await;
    let client = &world.clients[0];
    let ready = client.get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert_eq!(ready.body["locks"]["quorum"], json!(false), "{}", ready.text);
    world.submit(0, "locked", &json!({ "first": "stock", "second": "stock" })).await;
    let mut free = definition("free", &json!({}));
    free.as_object_mut().unwrap().remove("lock");
    free["steps"][0]["participant"] = json!("plain");
    free["steps"][1]["participant"] = json!("plain");
    let plain = amends_tests::Participant::start(Duration::ZERO).await.unwrap();
    client.register("plain", &plain.spec()).await.unwrap();
    client.define(&free).await.unwrap();
    let answer = client.post("/v1/sagas", &json!({ "definition": "free", "id": "free" })).await;
    assert_eq!(answer.unwrap().status, 201);
    client.until_status("free", "completed", Duration::from_mins(1)).await.unwrap();
    let locked = client.get("/v1/sagas/locked").await.unwrap();
    assert_eq!(locked.body["status"], json!("queued"), "{}", locked.text);
    for master in &mut redis {
        master.start_again().await.unwrap();
    }
    client.until_status("locked", "completed", Duration::from_mins(1)).await.unwrap();
}
