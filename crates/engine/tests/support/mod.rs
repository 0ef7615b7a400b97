//! Coordinators over in-memory ports, for the tests of the engine.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "test code"
)]

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{Registry, parse};
use amends_core::saga::{Actor, Answer, AttemptFailure, OutcomeKind, Problem, Status};
use amends_core::{DefinitionName, Json, SagaId};
use amends_engine::{Chosen, Engine, EngineConfig, NoTracing, Ports, SagaDetail, Submission};
use amends_ports::Locks;
use amends_ports::testing::{MemoryLocks, MemoryStore, ScriptedParticipants, TestClock, TestIds};
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) locks: Option<Arc<MemoryLocks>>,
    pub(crate) participants: Arc<ScriptedParticipants>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ids: Arc<TestIds>,
    pub(crate) config: EngineConfig,
}

impl World {
    pub(crate) fn new(participants: ScriptedParticipants) -> Self {
        let clock = Arc::new(TestClock::new());
        Self {
            store: Arc::new(MemoryStore::new(8, clock.clone())),
            locks: None,
            participants: Arc::new(participants),
            clock,
            ids: Arc::new(TestIds::default()),
            config: EngineConfig::default(),
        }
    }

    pub(crate) async fn start(&self) -> Engine {
        let engine = self.start_unready().await;
        assert!(engine.wait_ready(Duration::from_secs(30)).await);
        engine
    }

    pub(crate) async fn start_unready(&self) -> Engine {
        let ports = Ports {
            store: self.store.clone(),
            locks: self.locks.clone().map(|locks| locks as Arc<dyn Locks>),
            participants: self.participants.clone(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            tracing: Arc::new(NoTracing),
        };
        Engine::start(ports, self.config.clone()).await.unwrap()
    }
}

/// `place-order` in small: reserve, charge (TCC), create.
pub(crate) fn order() -> Value {
    json!({
        "name": "order",
        "defaults": { "timeout": "1s", "retry": { "max_attempts": 3, "initial": "100ms", "factor": 2, "max": "1s", "jitter": "none" } },
        "steps": [
            { "id": "reserve", "participant": "inventory",
              "action": { "path": "/reservations", "body": { "sku": "${input.sku}" } },
              "compensation": { "path": "/reservations/${saga.id}/release" } },
            { "id": "charge", "participant": "payment",
              "try": { "path": "/holds", "body": { "amount": "${input.amount}" } },
              "confirm": { "path": "/holds/${saga.id}/capture" },
              "cancel": { "path": "/holds/${saga.id}/void" } },
            { "id": "create", "participant": "orders",
              "action": { "path": "/orders" },
              "compensation": { "method": "DELETE", "path": "/orders/${saga.id}" } },
        ],
        "output": { "order": "${saga.id}" },
    })
}

pub(crate) async fn register(engine: &Engine, document: &Value) -> DefinitionName {
    let parsed = parse(document, &Registry { participants: None });
    let errors: Vec<_> = parsed.faults.iter().filter(|fault| fault.is_error()).collect();
    let definition = parsed.definition.ok_or(errors).unwrap();
    engine.put_definition(&definition).await.unwrap();
    definition.name.clone()
}

pub(crate) fn submission(name: &DefinitionName, id: &str) -> Submission {
    let chosen = Chosen::Stored { name: name.clone(), version: None };
    Submission {
        saga_id: Some(SagaId::new(id).unwrap()),
        input: Json::from_value(&json!({ "sku": "book", "amount": 7, "key": "k" })),
        ..Submission::new(chosen, id.to_owned())
    }
}

pub(crate) async fn start_saga(engine: &Engine, name: &DefinitionName, id: &str) -> SagaId {
    engine.submit(submission(name, id)).await.unwrap();
    SagaId::new(id).unwrap()
}

/// Waits (in test time, at most an hour) until the saga is terminal or suspended.
pub(crate) async fn ended(engine: &Engine, id: &SagaId) -> SagaDetail {
    for _ in 0..3_600 {
        let detail = engine.wait(id, Duration::from_hours(1)).await.unwrap().unwrap();
        if !detail.saga.waits_for_client() {
            return detail;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the client of {id} never came back");
}

pub(crate) async fn assert_ends(engine: &Engine, id: &SagaId, status: Status) -> SagaDetail {
    let detail = ended(engine, id).await;
    assert_eq!(detail.saga.status(), status, "{:?}", detail.saga);
    detail
}

pub(crate) fn refused() -> Answer {
    failed(OutcomeKind::Refused, true)
}

pub(crate) fn failed(outcome: OutcomeKind, sent: bool) -> Answer {
    let detail = "the test says so".to_owned();
    Answer::failed(
        outcome,
        sent,
        Problem { kind: AttemptFailure::Status, status: None, detail, body: None },
    )
}

pub(crate) fn operator() -> Actor {
    Actor { name: "ann".to_owned(), reason: "test".to_owned() }
}
