//! Requests to the real API, over the real engine and a store in memory.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use amends_api::{ApiConfig, router};
use amends_engine::{Engine, EngineConfig, NoTracing, Ports};
use amends_ports::testing::{MemoryStore, ScriptedParticipants, TestClock, TestIds};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Uri};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// Requests after which a new coordinator is started, so that what they leave stays small.
const REQUESTS_MAX: usize = 300;

/// Where requests go, by their first byte: `a` is the first. The template is the one that the
/// OpenAPI document has; the media type is that of the body.
pub const ROUTES: [(&str, &str, &str, &str); 17] = [
    ("POST", "/v1/sagas", "/v1/sagas", JSON),
    ("PUT", "/v1/sagas/open/branches/b", "/v1/sagas/{id}/branches/{branch}", JSON),
    ("POST", "/v1/sagas/open/extend", "/v1/sagas/{id}/extend", JSON),
    ("POST", "/v1/callbacks/s/a/action/t", CALLBACK, "application/vnd.amends.completion+json"),
    ("POST", "/v1/callbacks/s/a/action/t", CALLBACK, JSON),
    ("POST", "/v1/definitions", "/v1/definitions", JSON),
    ("POST", "/v1/definitions", "/v1/definitions", "application/yaml"),
    ("PUT", "/v1/participants/q", "/v1/participants/{name}", JSON),
    ("POST", "/v1/sagas/open/retry", "/v1/sagas/{id}/retry", JSON),
    ("POST", "/v1/sagas/open/steps/a/resolve-succeeded", RESOLVE, JSON),
    ("POST", "/v1/sagas/done/cancel", "/v1/sagas/{id}/cancel", JSON),
    ("POST", "/v1/definitions/validate", "/v1/definitions/validate", JSON),
    ("GET", "/v1/sagas?", "/v1/sagas", ""),
    ("GET", "/v1/locks?", "/v1/locks", ""),
    ("GET", "/v1/sagas/", "/v1/sagas/{id}", ""),
    ("GET", "/v1/locks/", "/v1/locks/{key}", ""),
    ("POST", "/v1/participants", "/v1/participants", JSON),
];

const JSON: &str = "application/json";
const CALLBACK: &str = "/v1/callbacks/{saga}/{step}/{op}/{token}";
const RESOLVE: &str = "/v1/sagas/{id}/steps/{step}/resolve-succeeded";

struct Server {
    runtime: Runtime,
    router: Router,
    document: Value,
    requests: usize,
}

/// Sends the bytes after the first one to the route that the first one names: as the body, or as
/// the rest of the path. The answer is one that the OpenAPI document tells of, and never 500.
pub fn request(data: &[u8]) {
    thread_local! {
        static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
    }
    let Some((first, rest)) = data.split_first() else { return };
    let route = ROUTES[usize::from(first.wrapping_sub(b'a')) % ROUTES.len()];
    let Some(request) = build(route, rest) else { return };
    SERVER.with_borrow_mut(|server| {
        if server.as_ref().is_none_or(|own| own.requests >= REQUESTS_MAX) {
            *server = Some(Server::start());
        }
        server.as_mut().unwrap().send(route, request);
    });
}

fn build(
    (method, place, _, media): (&str, &str, &str, &str),
    rest: &[u8],
) -> Option<Request<Body>> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    if method != Method::GET {
        let request = Request::builder().method(method).uri(place).header("content-type", media);
        return Some(request.body(Body::from(rest.to_vec())).unwrap());
    }
    // HTTP itself refuses what is no URI.
    let uri = Uri::try_from([place.as_bytes(), rest].concat()).ok()?;
    let is_elsewhere = uri.path() != place.trim_end_matches('?')
        && (place.ends_with('?') || uri.path().matches('/').count() != 3);
    let is_stream = uri.path().ends_with("/events") || uri.path().ends_with("/counts");
    (!is_elsewhere && !is_stream && uri.path() != place)
        .then(|| Request::get(uri).body(Body::empty()).unwrap())
}

impl Server {
    fn start() -> Self {
        // Virtual time: waits take none, and lie between requests.
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let router = runtime.block_on(async {
            let clock = Arc::new(TestClock::new());
            let ports = Ports {
                store: Arc::new(MemoryStore::new(1, clock.clone())),
                locks: None,
                participants: Arc::new(ScriptedParticipants::new()),
                clock,
                ids: Arc::new(TestIds::default()),
                tracing: Arc::new(NoTracing),
            };
            let engine = Engine::start(ports, EngineConfig::default()).await.unwrap();
            assert!(engine.wait_ready(Duration::from_secs(30)).await);
            router(engine, ApiConfig::default())
        });
        let mut server = Self { runtime, router, document: amends_api::document(), requests: 0 };
        server.prepare();
        server
    }

    fn prepare(&mut self) {
        let step = json!({ "id": "a", "participant": "p", "action": { "path": "/a" }, "compensation": { "path": "/u" } });
        for (index, body) in [
            (16, json!({ "name": "p", "endpoints": ["http://p.test"] })),
            (5, json!({ "name": "order", "steps": [step] })),
            (0, json!({ "definition": "order", "id": "done" })),
            (0, json!({ "mode": "interactive", "id": "open", "deadline": "1h" })),
        ] {
            let route = ROUTES[index];
            let status = self.send(route, build(route, body.to_string().as_bytes()).unwrap());
            assert_eq!(status, 201, "{body}");
        }
    }

    fn send(&mut self, route: (&str, &str, &str, &str), request: Request<Body>) -> u16 {
        let shown = request.uri().to_string();
        self.requests += 1;
        let (status, media, body) = self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            let media = parts.headers.get("content-type").cloned();
            (parts.status.as_u16(), media, body.collect().await.unwrap().to_bytes())
        });
        let (method, _, template, _) = route;
        let responses = &self.document["paths"][template][method.to_lowercase()]["responses"];
        assert!(responses.get(status.to_string()).is_some(), "{method} {shown}: {status}");
        assert_ne!(status, 500, "{method} {shown}: {}", String::from_utf8_lossy(&body));
        if status >= 400 {
            assert_eq!(media.unwrap(), "application/problem+json", "{method} {shown}");
        }
        if status != 204 {
            serde_json::from_slice::<Value>(&body).unwrap();
        }
        status
    }
}
