//! A participant inside the test: it writes down who called, and answers when it is let.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Serving;

/// One call that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The saga.
    pub saga: String,
    /// The step.
    pub step: String,
    /// The operation.
    pub op: String,
    /// Its number, from 1.
    pub attempt: u32,
    /// Where to say that it is done, if it completes later.
    pub callback_url: Option<String>,
    /// Whether it was heard out: false while it is worked at, and for ever if the caller left.
    pub answered: bool,
}

/// A participant on a free port. Every path below `/refuse` is answered 422, below `/later` 202,
/// anything else 200 with `{"done": true}`; after the delay, and not before the gate is open.
#[derive(Debug)]
pub struct Participant {
    serving: Serving,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    delay: Duration,
    attempts: Mutex<Vec<Attempt>>,
    is_open: watch::Sender<bool>,
}

impl Participant {
    /// Starts one that takes `delay` for every call; its gate is open.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn start(delay: Duration) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            delay,
            attempts: Mutex::default(),
            is_open: watch::Sender::new(true),
        });
        let service = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        Ok(Self { serving: Serving::start(service).await?, shared })
    }

    /// What it is registered with.
    pub fn spec(&self) -> Value {
        json!({ "endpoints": [self.serving.url()], "timeout": "20s" })
    }

    /// Opens or shuts the gate: while it is shut, calls come in and none is answered.
    pub fn gate(&self, is_open: bool) {
        self.shared.is_open.send_replace(is_open);
    }

    /// Every attempt that has come, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.attempts.lock().clone()
    }

    /// How many attempts have come.
    pub fn count(&self) -> usize {
        self.shared.attempts.lock().len()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Ok(attempt) = read(&request) else { return StatusCode::BAD_REQUEST.into_response() };
    let index = {
        let mut attempts = shared.attempts.lock();
        attempts.push(attempt);
        attempts.len() - 1
    };
    tokio::time::sleep(shared.delay).await;
    // The sender lives as long as the answer.
    let _ = shared.is_open.subscribe().wait_for(|is_open| *is_open).await;
    shared.attempts.lock()[index].answered = true;
    let status = match request.uri().path() {
        path if path.starts_with("/refuse") => StatusCode::UNPROCESSABLE_ENTITY,
        path if path.starts_with("/later") => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    (status, axum::Json(json!({ "done": status == StatusCode::OK }))).into_response()
}

fn read(request: &Request) -> anyhow::Result<Attempt> {
    let text = |name: &str| {
        let value = request.headers().get(name).with_context(|| format!("no header {name}"))?;
        Ok::<_, anyhow::Error>(value.to_str()?.to_owned())
    };
    Ok(Attempt {
        saga: text("saga-id")?,
        step: text("saga-step")?,
        op: text("saga-operation")?,
        attempt: text("saga-attempt")?.parse()?,
        callback_url: text("saga-callback-url").ok(),
        answered: false,
    })
}
