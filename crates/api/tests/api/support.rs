//! A router over an engine with in-memory ports, and requests to it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_api::ApiConfig;
use amends_core::saga::{Answer as CallAnswer, AttemptFailure, OutcomeKind, Problem};
use amends_engine::{Engine, EngineConfig, NoTracing, Ports};
use amends_ports::Locks;
use amends_ports::testing::{MemoryStore, ScriptedParticipants, TestClock, TestIds};
use axum::Router;
use axum::body::{Body, Bytes};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::contract::Contract;

pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) participants: Arc<ScriptedParticipants>,
    pub(crate) contract: Contract,
    pub(crate) seen: Mutex<BTreeSet<String>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Api {
    pub(crate) async fn new() -> Self {
        Self::with(ScriptedParticipants::new(), EngineConfig::default(), ApiConfig::default()).await
    }

    pub(crate) async fn with(
        participants: ScriptedParticipants,
        engine: EngineConfig,
        config: ApiConfig,
    ) -> Self {
        Self::guarded(participants, engine, config, None).await
    }

    /// An API whose lock keys are guarded by a service.
    pub(crate) async fn guarded(
        participants: ScriptedParticipants,
        engine: EngineConfig,
        config: ApiConfig,
        locks: Option<Arc<dyn Locks>>,
    ) -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(8, clock.clone()));
        let participants = Arc::new(participants);
        let ports = Ports {
            store: store.clone(),
            locks,
            participants: participants.clone(),
            clock,
            ids: Arc::new(TestIds::default()),
            tracing: Arc::new(NoTracing),
        };
        let engine = Engine::start(ports, engine).await.unwrap();
        assert!(engine.wait_ready(Duration::from_secs(30)).await);
        let router = amends_api::router(engine.clone(), config);
        let (contract, seen) = (Contract::new(), Mutex::default());
        Self { router, engine, store, participants, contract, seen }
    }

    /// An API where the participants `inventory` and `payment` and the definition `order` are
    /// registered.
    pub(crate) async fn ready_with(participants: ScriptedParticipants) -> Self {
        let api = Self::with(participants, EngineConfig::default(), ApiConfig::default()).await;
        api.prepare().await;
        api
    }

    pub(crate) async fn prepare(&self) {
        for name in ["inventory", "payment"] {
            let spec = json!({ "endpoints": [format!("http://{name}.test")] });
            let answer = self.put(&format!("/v1/participants/{name}"), &spec).await;
            assert_eq!(answer.status, StatusCode::CREATED);
        }
        let answer = self.post("/v1/definitions", &order()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    }

    /// Sends a request, and checks the answer against the OpenAPI document.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        self.seen.lock().unwrap().extend(self.contract.operation(&method, &path));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let media = parts.headers.get("content-type").map_or("", |own| own.to_str().unwrap());
        if !path.starts_with("/docs") && !path.starts_with("/openapi") && method != "HEAD" {
            self.contract.check(&method, &path, parts.status.as_u16(), media, &body);
        }
        if media == "application/problem+json" {
            let problem: Value = serde_json::from_slice(&body).unwrap();
            let code = problem["code"].as_str().unwrap();
            assert!(
                amends_api::ErrorCode::ALL
                    .iter()
                    .any(|own| own.as_str() == code && own.status() == parts.status),
                "{code}"
            );
        } else {
            assert!(!parts.status.is_client_error(), "{method} {path}: {}", parts.status);
        }
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        let request = headers.iter().fold(request, |own, (name, value)| own.header(*name, *value));
        self.send_json(request, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send_json(Request::put(path).header("content-type", "application/json"), body).await
    }

    /// What is carried out fits the OpenAPI document; what doesn't may be refused.
    async fn send_json(&self, request: Builder, body: &Value) -> Answer {
        let request = request.body(Body::from(body.to_string())).unwrap();
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let answer = self.send(request).await;
        if answer.status.is_success() && !path.starts_with("/v1/callbacks") {
            self.contract.check_request(&method, &path, body);
        }
        answer
    }

    /// A POST without a body.
    pub(crate) async fn command(&self, path: &str) -> Answer {
        self.send(Request::post(path).body(Body::empty()).unwrap()).await
    }

    /// Starts a saga of `order` and waits until it is settled.
    pub(crate) async fn settle(&self, id: &str, body: Value) -> Answer {
        let mut request = json!({ "definition": "order", "id": id, "input": { "qty": 1 } });
        request.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.post_with("/v1/sagas", &[("prefer", "wait=50")], &request).await
    }
}

/// Two steps; the second one is TCC.
pub(crate) fn order() -> Value {
    json!({
        "name": "order",
        "input_schema": {
            "type": "object", "required": ["qty"], "properties": { "qty": { "type": "integer", "minimum": 1 } }
        },
        "defaults": {
            "timeout": "1s",
            "retry": { "max_attempts": 2, "initial": "100ms", "factor": 1, "jitter": "none" }
        },
        "steps": [
            { "id": "reserve", "participant": "inventory",
              "action": { "path": "/reservations", "body": { "qty": "${input.qty}" } },
              "compensation": { "path": "/reservations/${saga.id}/release" } },
            { "id": "charge", "participant": "payment",
              "try": { "path": "/holds" },
              "confirm": { "path": "/holds/${saga.id}/capture" },
              "cancel": { "path": "/holds/${saga.id}/void" } },
        ],
        "output": { "order": "${saga.id}" },
    })
}

pub(crate) fn refused(detail: &str) -> CallAnswer {
    let problem = Problem {
        kind: AttemptFailure::Status,
        status: Some(409),
        detail: detail.to_owned(),
        body: None,
    };
    CallAnswer::failed(OutcomeKind::Refused, true, problem)
}

/// Several exchanges as one text, for a snapshot.
#[derive(Default)]
pub(crate) struct Transcript(String);

const HEADERS: [&str; 8] = [
    "content-type",
    "location",
    "etag",
    "allow",
    "retry-after",
    "idempotent-replayed",
    "preference-applied",
    "cache-control",
];

impl Transcript {
    pub(crate) fn add(&mut self, what: &str, answer: &Answer) {
        let _ = writeln!(self.0, "=== {what}\n{}", answer.status);
        for name in HEADERS {
            if let Some(value) = answer.header(name).filter(|value| *value != "no-store") {
                let _ = writeln!(self.0, "{name}: {value}");
            }
        }
        let text = match serde_json::from_slice::<Value>(&answer.body) {
            Ok(value) => format!("{:#}", mask(value)),
            Err(_) => String::from_utf8_lossy(&answer.body).into_owned(),
        };
        let _ = writeln!(self.0, "\n{text}\n");
    }

    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// Takes out what differs from run to run: times.
fn mask(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_times(&text)),
        Value::Array(list) => list.into_iter().map(mask).collect(),
        Value::Object(map) => map.into_iter().map(|(name, own)| (name, mask(own))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn mask_times(text: &str) -> String {
    let mut parts = text.split("2026-01-");
    let mut masked = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find('Z').unwrap();
        masked.push_str("[time]");
        masked.push_str(&part[end + 1..]);
    }
    masked
}
