//! An engine whose clock stands still, and sagas of the bench in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use amends_core::definition::{Registry, parse};
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind, Problem};
use amends_core::{DefinitionName, Json, ParticipantName, RetryPolicy, Timestamp};
use amends_demo::{Case, Keys};
use amends_engine::{Chosen, Engine, EngineConfig, NoTracing, Ports, Submission};
use amends_ports::testing::{TestClock, TestIds};
use amends_ports::{Clock, Health, OutgoingCall, Participants, Store};
use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// So many are enough for batches that need several leases, and few enough for the sagas of a
/// warm-up with lock keys to reach each one.
pub(crate) const PARTITIONS: u16 = 8;
/// Sagas that are in flight together, where there is more than one.
const GROUP: usize = 64;
/// Longer than any test.
const HOUR: Duration = Duration::from_hours(1);

/// An engine, and the definition of a case in it.
pub(crate) struct Sagas {
    engine: Engine,
    clock: Arc<Still>,
    definition: DefinitionName,
    keys: Keys,
    end: &'static str,
    started: usize,
}

impl Sagas {
    /// Starts an engine on this store, which is empty, and lets it run some.
    pub(crate) async fn warmed_up(store: Arc<dyn Store>, case: &str) -> Self {
        let mut sagas = Self::on(store, case).await;
        let clock = Arc::clone(&sagas.clock);
        let ticking = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                clock.tick();
            }
        };
        // A partition that is not ready yet leaves its sagas to who looks for what is due.
        tokio::select! {
            () = sagas.run(GROUP, GROUP) => {}
            () = ticking => {}
        }
        sagas.run(GROUP, GROUP).await;
        sagas
    }

    async fn on(store: Arc<dyn Store>, case: &str) -> Self {
        let case: Case = case.parse().unwrap();
        let clock = Arc::<Still>::default();
        let ports = Ports {
            store,
            locks: None,
            participants: Arc::new(Idle),
            clock: clock.clone(),
            ids: Arc::new(TestIds::default()),
            tracing: Arc::new(NoTracing),
        };
        let config = EngineConfig { lease_ttl: HOUR, ..EngineConfig::default() };
        let engine = Engine::start(ports, config).await.unwrap();
        while !engine.wait_ready(HOUR).await {}
        let parsed = parse(&case.definition(), &Registry { participants: None });
        let definition = parsed.definition.unwrap();
        engine.put_definition(&definition).await.unwrap();
        let end = if case.to_string().starts_with("undo") { "compensated" } else { "completed" };
        Self {
            engine,
            clock,
            definition: definition.name.clone(),
            keys: case.keys,
            end,
            started: 0,
        }
    }

    /// Runs so many sagas, so many of them in flight together, each group after the one before.
    pub(crate) async fn run(&mut self, count: usize, at_once: usize) {
        for _ in 0..count / at_once {
            let numbers = self.started..self.started + at_once;
            self.started += at_once;
            join_all(numbers.map(|number| self.one(number))).await;
        }
    }

    /// Gives the leases back and ends the engine.
    pub(crate) async fn end(self) {
        self.engine.drain().await;
    }

    /// As the API does it for a start that waits for the end.
    async fn one(&self, number: usize) {
        let mut input = json!({ "order": format!("0-{number:06}") });
        if self.keys == Keys::Spread {
            input["key"] = json!(format!("{number:06}"));
        }
        let chosen = Chosen::Stored { name: self.definition.clone(), version: None };
        let digest = format!("{number:064}");
        let submission =
            Submission { input: Json::from_value(&input), ..Submission::new(chosen, digest) };
        let submitted = self.engine.submit(submission).await.unwrap();
        let mut detail = submitted.detail;
        while !detail.saga.status().is_terminal() {
            detail = self.engine.wait(detail.saga.id(), HOUR).await.unwrap().unwrap();
        }
        assert_eq!(json!(detail.saga.status()), Value::from(self.end));
    }
}

/// A clock on which no time passes, and whoever sleeps does so until its next tick. What it shows
/// grows all the same, as far with every look, so that sagas have times of their own.
#[derive(Debug, Default)]
struct Still {
    looks: AtomicI64,
    ticked: Notify,
}

impl Still {
    fn tick(&self) {
        self.ticked.notify_waiters();
    }
}

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(TestClock::ORIGIN.0 + 100 * self.looks.fetch_add(1, Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        self.ticked.notified().await;
    }
}

/// Participants that answer `{}` at once, and refuse what is called so.
#[derive(Debug)]
struct Idle;

#[async_trait]
impl Participants for Idle {
    async fn call(&self, call: OutgoingCall) -> Answer {
        // As any real call does.
        tokio::task::yield_now().await;
        if call.request.path != "/refuse" {
            return Answer::succeeded(Some(Json::from_value(&json!({}))));
        }
        let (kind, detail) = (AttemptFailure::Status, "409 Conflict".to_owned());
        let problem = Problem { kind, status: Some(409), detail, body: None };
        Answer::failed(OutcomeKind::Refused, true, problem)
    }

    async fn poll(&self, call: OutgoingCall, _: &str) -> Answer {
        self.call(call).await
    }

    async fn check(&self, _: &ParticipantName) -> Option<Health> {
        None
    }

    fn replace(&self, _: Vec<ParticipantSpec>) {}

    fn defaults(&self, _: &ParticipantName) -> Option<(Option<Duration>, Option<RetryPolicy>)> {
        None
    }
}

/// The share of each of `sagas`.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn share(total: u64, sagas: usize) -> f64 {
    total as f64 / sagas as f64
}
