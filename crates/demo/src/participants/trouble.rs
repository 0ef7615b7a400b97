//! Trouble on purpose: a layer in front of a participant that fails chosen calls.
//!
//! Which call meets what is decided beforehand and given in a file, so that a run can be repeated;
//! how often is counted by `Saga-Attempt`, so that a restarted participant goes on where it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use amends_client::participant::Answer;
use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// What happens to the first attempts of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// So many attempts are answered 500, with nothing done.
    FailsFirst(u32),
    /// The first attempt does its work, then keeps its answer back for so many milliseconds.
    AnswersLateByMs(u64),
}

/// The troubles of one participant, by `{saga}/{op}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Troubles(pub BTreeMap<String, Trouble>);

impl Troubles {
    /// Reads the JSON file that [`Troubles::write`] wrote.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no troubles", path.display()))
    }

    /// Writes them as JSON.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec(self)?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Puts the layer in front of `participant`.
    pub fn in_front_of(self, participant: Router) -> Router {
        participant.layer(middleware::from_fn_with_state(Arc::new(self), meddle))
    }

    fn of(&self, headers: &HeaderMap) -> Option<(Trouble, u32)> {
        let text = |name| headers.get(name)?.to_str().ok();
        let key = format!("{}/{}", text("saga-id")?, text("saga-operation")?);
        Some((*self.0.get(&key)?, text("saga-attempt")?.parse().ok()?))
    }
}

async fn meddle(State(troubles): State<Arc<Troubles>>, request: Request, next: Next) -> Response {
    match troubles.of(request.headers()) {
        Some((Trouble::FailsFirst(attempts), attempt)) if attempt <= attempts => {
            let detail = "something is wrong here for a while; nothing was done";
            Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "trouble", detail).into_response()
        }
        Some((Trouble::AnswersLateByMs(late), 1)) => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(late)).await;
            response
        }
        Some(_) | None => next.run(request).await,
    }
}
