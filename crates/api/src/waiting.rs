//! `Prefer: wait=N`: answering once there is something to tell.

use std::time::Duration;

use amends_core::saga::Status;
use amends_engine::SagaDetail;
use http::{HeaderMap, HeaderValue};

use crate::headers;
use crate::state::AppState;

/// The saga once it is settled, or is an interactive transaction whose client has the next word;
/// or as it is after `wait` or when the process shuts down. What was asked is done, so whatever
/// fails here is no failure of the request.
pub(crate) async fn settled(
    state: &AppState,
    detail: SagaDetail,
    wait: Option<Duration>,
) -> SagaDetail {
    let Some(wait) = wait.filter(|_| !is_settled(&detail)) else { return detail };
    let (engine, draining) = (&state.engine, state.engine.draining());
    let later = tokio::select! {
        later = engine.wait(detail.saga.id(), wait) => later,
        () = draining.cancelled() => engine.saga(detail.saga.id()).await,
    };
    later.ok().flatten().unwrap_or(detail)
}

fn is_settled(detail: &SagaDetail) -> bool {
    let status = detail.saga.status();
    status.is_terminal() || status == Status::Suspended || detail.saga.waits_for_client()
}

/// Tells that the wish to wait was heard.
pub(crate) fn say_applied(headers: &mut HeaderMap, wait: Option<Duration>) {
    let applied = wait.and_then(|wait| format!("wait={}", wait.as_secs()).try_into().ok());
    headers.extend(applied.map(|applied: HeaderValue| (headers::PREFERENCE_APPLIED, applied)));
}
