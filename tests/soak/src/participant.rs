//! The participant of the load: fast, slow, failing, late, and at its own bounds.

use std::sync::Arc;
use std::time::Duration;

use amends_tests::Serving;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::bounds::ANSWER_BYTES;
use crate::load::Asker;

/// What a slow call takes.
const SLOW: Duration = Duration::from_secs(1);

/// A participant on a free port; it ends with the value.
pub(crate) struct Participant {
    serving: Serving,
}

struct Shared {
    asker: Asker,
    completions: TaskTracker,
}

impl Participant {
    /// Starts one that completes what comes to `/later` by `asker`.
    pub(crate) async fn start(asker: Asker) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared { asker, completions: TaskTracker::new() });
        let service = Router::new().fallback(answer).with_state(shared);
        Ok(Self { serving: Serving::start(service).await? })
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        self.serving.url()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let body = |bytes: usize| axum::Json("x".repeat(bytes - 2)).into_response();
    match request.uri().path() {
        "/slow" => tokio::time::sleep(SLOW).await,
        "/fail" => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/refuse" => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        "/large" => return body(ANSWER_BYTES),
        "/too-large" => return body(ANSWER_BYTES + 1),
        "/later" => {
            let url = request.headers().get("saga-callback-url");
            if let Some(url) = url.and_then(|url| url.to_str().ok()) {
                let (url, shared) = (url.to_owned(), Arc::clone(&shared));
                let own = Arc::clone(&shared);
                shared.completions.spawn(async move { own.complete(&url).await });
            }
            return StatusCode::ACCEPTED.into_response();
        }
        _ => {}
    }
    axum::Json(json!({ "done": true })).into_response()
}

impl Shared {
    /// Completes a call, says it once more, and as another saga.
    async fn complete(&self, url: &str) {
        let ask = || self.asker.post_to(url).json(&json!({ "done": true }));
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match self.asker.ask("a completion", ask()).await {
                Some(answer) if answer.status == 503 => {}
                Some(_) | None => break,
            }
        }
        self.asker.ask("a second completion", ask()).await;
        self.asker.ask("a forged completion", self.asker.post_to(&format!("{url}x"))).await;
    }
}
