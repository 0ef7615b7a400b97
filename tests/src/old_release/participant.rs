//! The participant of the fixture: stuck while it is written, helpful when it is read.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;

use crate::Serving;

/// One call that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The saga.
    pub saga: String,
    /// The path.
    pub path: String,
    /// Where to say that it is done, if it completes later.
    pub callback_url: Option<String>,
    /// The credentials.
    pub authorization: Option<String>,
    /// Whether it was signed.
    pub is_signed: bool,
}

/// Answers by the first part of the path: `/refuse` with 422, `/later` with 202, `/poll` with 202
/// and a place to ask. `/hang` gets no answer, `/busy` 503 and the place 202 while it is stuck;
/// everything else 200.
#[derive(Debug)]
pub struct OldHand {
    serving: Serving,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_stuck: bool,
    heard: Mutex<Vec<Heard>>,
    is_open: watch::Sender<bool>,
}

impl OldHand {
    /// Starts one for the writing of a fixture.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn stuck() -> anyhow::Result<Self> {
        Self::start(true).await
    }

    /// Starts one for its reading, that lets every call wait until [`OldHand::open`].
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn helpful() -> anyhow::Result<Self> {
        Self::start(false).await
    }

    async fn start(is_stuck: bool) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            is_stuck,
            heard: Mutex::default(),
            is_open: watch::Sender::new(is_stuck),
        });
        let service = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        Ok(Self { serving: Serving::start(service).await?, shared })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        self.serving.url()
    }

    /// Answers from now on, also what waits.
    pub fn open(&self) {
        self.shared.is_open.send_replace(true);
    }

    /// Every call that has come, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    shared.heard.lock().push(heard(path.clone(), request.headers()));
    // The sender lives as long as the answer.
    let _ = shared.is_open.subscribe().wait_for(|is_open| *is_open).await;
    let kind = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match kind {
        "hang" if shared.is_stuck => std::future::pending().await,
        "busy" if shared.is_stuck => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "refuse" => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        "later" => StatusCode::ACCEPTED.into_response(),
        "poll" if method != Method::GET || shared.is_stuck => {
            (StatusCode::ACCEPTED, [(header::LOCATION, "/poll/1")]).into_response()
        }
        _ => axum::Json(json!({ "done": true })).into_response(),
    }
}

fn heard(path: String, headers: &HeaderMap) -> Heard {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    Heard {
        saga: text("saga-id").unwrap_or_default(),
        path,
        callback_url: text("saga-callback-url"),
        authorization: text("authorization"),
        is_signed: headers.contains_key("webhook-signature"),
    }
}
