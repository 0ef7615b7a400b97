//! A coordinator over in-memory ports, and a browser of few words in front of its console.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{Format, Registry, parse, parse_branch, parse_text};
use amends_core::saga::{Actor, Answer, AttemptFailure, OutcomeKind, Problem, Saga};
use amends_core::{DefinitionName, SagaId, StepId};
use amends_engine::{Chosen, Engine, EngineConfig, NoTracing, Ports, Submission};
use amends_ports::testing::{MemoryStore, ScriptedParticipants, TestClock, TestIds};
use axum::Router;
use axum::body::{Body, BodyDataStream};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

const ORDER: &str = r"
name: order
defaults: { timeout: 1s, retry: { max_attempts: 2, initial: 100ms, factor: 2, max: 1s, jitter: none } }
steps:
  - { id: reserve, participant: inventory, action: { path: /reservations }, compensation: { path: /release } }
  - { id: charge, participant: payment, try: { path: /holds }, confirm: { path: /capture }, cancel: { path: /void } }
";

const LOCKED: &str = r#"
name: locked
lock: { keys: ["sku:42", "user:<b>"] }
steps:
  - { id: reserve, participant: inventory, action: { path: /reservations }, compensation: { path: /release } }
"#;

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) engine: Engine,
    router: Router,
}

/// An answer of the console.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    headers: HeaderMap,
}

impl Reply {
    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// Where the link with these words leads.
    pub(crate) fn link(&self, words: &str) -> String {
        let end = self.body.find(&format!(">{words}</a>")).unwrap();
        let start = self.body[..end].rfind("href=\"").unwrap() + 6;
        unescaped(self.body[start..].split('"').next().unwrap())
    }

    /// The value of the first attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> String {
        let start = self.body.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        unescaped(self.body[start..].split('"').next().unwrap())
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&").replace("&amp;", "&")
}

impl World {
    pub(crate) async fn new(participants: ScriptedParticipants) -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(4, clock.clone()));
        let ports = Ports {
            store: store.clone(),
            locks: None,
            participants: Arc::new(participants),
            clock,
            ids: Arc::new(TestIds::default()),
            tracing: Arc::new(NoTracing),
        };
        let engine = Engine::start(ports, EngineConfig::default()).await.unwrap();
        assert!(engine.wait_ready(Duration::from_secs(30)).await);
        for text in [ORDER, LOCKED] {
            let parsed = parse_text(text, Format::Yaml, &Registry::default());
            engine.put_definition(&parsed.definition.unwrap()).await.unwrap();
        }
        Self { store, router: amends_console::router(engine.clone()), engine }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request =
            Request::builder().method(method).uri(path).header("host", "console.test");
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Reply { status: parts.status, body, headers: parts.headers }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    /// Asks for a page until it holds `part`.
    pub(crate) async fn get_until(&self, path: &str, part: &str) -> Reply {
        for _ in 0..1_000 {
            if self.get(path).await.body.contains(part) {
                break;
            }
            // Virtual time.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let reply = self.get(path).await;
        assert!(reply.body.contains(part), "{path} never holds {part:?}");
        reply
    }

    /// Sends a command's form as a page of the console does.
    pub(crate) async fn post(&self, id: &SagaId, form: &str) -> Reply {
        self.post_to(&format!("/console/sagas/{id}/commands"), form).await
    }

    /// Sends a form as a page of the console does.
    pub(crate) async fn post_to(&self, path: &str, form: &str) -> Reply {
        self.send("POST", path, &[("sec-fetch-site", "same-origin")], form).await
    }

    pub(crate) async fn stream(&self, path: &str) -> BodyDataStream {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap().into_body().into_data_stream()
    }

    pub(crate) async fn start(&self, id: &str) -> SagaId {
        self.start_of("order", id).await
    }

    /// Begins an interactive transaction, and adds a branch of each kind.
    pub(crate) async fn begin(&self, id: &str) -> SagaId {
        let document = json!({ "name": "checkout", "mode": "interactive" });
        let definition = parse(&document, &Registry::default()).definition.unwrap();
        let saga_id = SagaId::new(id).unwrap();
        let submission = Submission {
            saga_id: Some(saga_id.clone()),
            deadline: Some(Duration::from_secs(90)),
            ..Submission::new(Chosen::AdHoc(definition), id.to_owned())
        };
        self.engine.submit(submission).await.unwrap();
        self.engine.wait(&saga_id, Duration::from_mins(1)).await.unwrap();
        for (branch, document) in [
            (
                "stock",
                json!({ "participant": "inventory", "compensation": { "path": "/release" } }),
            ),
            (
                "money",
                json!({
                    "participant": "payment",
                    "confirm": { "path": "/capture" }, "cancel": { "path": "/void" },
                }),
            ),
            ("mail", json!({ "participant": "mail", "action": { "path": "/messages" } })),
            ("order", json!({ "saga": { "definition": "order" } })),
        ] {
            let branch = StepId::new(branch).unwrap();
            let document = parse_branch(branch, &document, &Registry::default()).unwrap();
            self.engine.enlist(&saga_id, document, Actor::default()).await.unwrap();
        }
        saga_id
    }

    pub(crate) async fn start_of(&self, definition: &str, id: &str) -> SagaId {
        let saga_id = SagaId::new(id).unwrap();
        let name = DefinitionName::new(definition).unwrap();
        let submission = Submission {
            saga_id: Some(saga_id.clone()),
            labels: BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]),
            ..Submission::new(Chosen::Stored { name, version: None }, id.to_owned())
        };
        self.engine.submit(submission).await.unwrap();
        saga_id
    }

    /// Starts a saga and waits until it is terminal or suspended.
    pub(crate) async fn run(&self, id: &str) -> SagaId {
        let saga_id = self.start(id).await;
        self.ended(&saga_id).await;
        saga_id
    }

    pub(crate) async fn ended(&self, id: &SagaId) {
        self.engine.wait(id, Duration::from_mins(10)).await.unwrap().unwrap();
    }

    pub(crate) async fn saga(&self, id: &SagaId) -> Arc<Saga> {
        self.engine.saga(id).await.unwrap().unwrap().saga
    }
}

pub(crate) fn refused(detail: &str) -> Answer {
    let problem = Problem {
        kind: AttemptFailure::Status,
        status: Some(422),
        detail: detail.to_owned(),
        body: None,
    };
    Answer::failed(OutcomeKind::Refused, true, problem)
}
