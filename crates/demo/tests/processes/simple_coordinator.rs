//! A coordinator that does what the demo needs and no more: nothing durable, one saga a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How it treats sagas that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// What was done is undone.
    Undoes,
    /// It says so, but does not.
    Forgets,
}

/// A running coordinator; dropping it ends it.
pub(crate) struct SimpleCoordinator {
    pub(crate) url: String,
    _server: JoinSet<()>,
}

struct Desk {
    care: Care,
    http: reqwest::Client,
    participants: Mutex<BTreeMap<String, String>>,
    requests: AtomicU32,
}

impl SimpleCoordinator {
    pub(crate) async fn start(care: Care) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_millis(500)).build()?;
        let (participants, requests) = (Mutex::default(), AtomicU32::new(0));
        let desk = Arc::new(Desk { care, http, participants, requests });
        let router = Router::new()
            .route("/v1/participants/{name}", put(register))
            .route("/v1/definitions", post(async || StatusCode::CREATED))
            .route("/v1/sagas", post(run_saga))
            .with_state(desk);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, _server: server })
    }
}

async fn register(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    Json(spec): Json<Value>,
) {
    let url = spec["endpoints"][0].as_str().unwrap_or_default().to_owned();
    desk.participants.lock().unwrap().insert(name, url);
}

async fn run_saga(
    State(desk): State<Arc<Desk>>,
    Json(start): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    // Every fifth request meets a coordinator that is busy.
    if desk.requests.fetch_add(1, Ordering::Relaxed) % 5 == 0 {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let id = start["id"].as_str().unwrap_or_default();
    let status = desk.run(id, &start["input"]).await;
    Ok(Json(json!({ "id": id, "status": status })))
}

impl Desk {
    async fn run(&self, id: &str, input: &Value) -> &'static str {
        let mut order = input.clone();
        order["hold"] = json!(id);
        let (release, capture, void) = (
            format!("/reservations/{id}/release"),
            format!("/holds/{id}/capture"),
            format!("/holds/{id}/void"),
        );
        let reserved = self.call(id, "inventory", "action", "/reservations", &order).await;
        let held = reserved && self.call(id, "payment", "try", "/holds", &order).await;
        if held {
            self.call(id, "orders", "action", "/orders", &order).await;
            self.call(id, "payment", "confirm", &capture, &order).await;
            return "completed";
        }
        if self.care == Care::Undoes {
            self.call(id, "payment", "cancel", &void, &order).await;
            self.call(id, "inventory", "compensation", &release, &order).await;
        }
        "compensated"
    }

    /// Whether the call succeeded; repeated while it is not known.
    async fn call(&self, id: &str, name: &str, op: &str, path: &str, body: &Value) -> bool {
        let url = self.participants.lock().unwrap()[name].clone();
        for attempt in 1.. {
            let request = self
                .http
                .post(format!("{url}{path}"))
                .header("saga-id", id)
                .header("saga-step", name)
                .header("saga-operation", op)
                .header("saga-attempt", attempt);
            match request.json(body).send().await {
                Ok(answer) if !answer.status().is_server_error() => {
                    return answer.status().is_success();
                }
                Ok(_) | Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
        false
    }
}
