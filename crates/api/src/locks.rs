//! Lock keys: who holds them, who waits, and taking one away.

use amends_core::{IdError, LockKey};
use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::commands::{actor, read_reason};
use crate::extract::{Ids, MaybeJsonText, Parameters};
use crate::problem::Result;
use crate::state::AppState;
use crate::wire::{CommandBody, LockList, LockRow, LockView, ProblemBody};
use crate::{ErrorCode, Problem};

/// Most sagas that wait for a key and are shown.
const QUEUE_MAX: u16 = 100;
/// Rows on a page where the request does not say.
const ROWS: u16 = 50;
/// Most rows on a page.
const ROWS_MAX: u16 = 500;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_locks))
        .routes(routes!(show_lock))
        .routes(routes!(release_lock))
}

/// List lock keys.
///
/// Those that a saga holds or waits for, in the order of their bytes.
#[utoipa::path(
    get,
    path = "/v1/locks",
    tag = "locks",
    params(
        ("prefix" = Option<String>, Query, description = "Keys that start with this text"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u16>, Query, description = "Most rows, 1 to 500; 50 without it"),
    ),
    responses(
        (status = 200, description = "A page", body = LockList),
    )
)]
async fn list_locks(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Json<LockList>> {
    let prefix = parameters.one("prefix", read_prefix)?.flatten();
    let after = parameters.one("cursor", |text| LockKey::new(text))?;
    let limit = parameters.number("limit", 1, ROWS_MAX.into())?;
    parameters.finish()?;
    let limit = limit.and_then(|limit| u16::try_from(limit).ok()).unwrap_or(ROWS);
    let prefix = prefix.as_ref().map(LockKey::as_str);
    // One more than is shown tells whether there is another page.
    let mut rows = state.engine.locks(prefix, after.as_ref(), limit + 1).await?;
    let is_more = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let next = rows.last().filter(|_| is_more).map(|row| row.key.as_str().to_owned());
    Ok(Json(LockList { locks: rows.into_iter().map(LockRow::from).collect(), next }))
}

/// A part of a key has the characters of a key.
fn read_prefix(text: &str) -> std::result::Result<Option<LockKey>, IdError> {
    if text.is_empty() { Ok(None) } else { LockKey::new(text).map(Some) }
}

/// Show a lock key.
#[utoipa::path(
    get,
    path = "/v1/locks/{key}",
    tag = "locks",
    params(("key" = String, Path, description = "The key, percent-encoded")),
    responses(
        (status = 200, description = "Who holds it, and the first 100 that wait for it", body = LockView),
        (status = 404, description = "`lock-not-found`: nobody holds it or waits for it", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_lock(
    State(state): State<AppState>,
    Ids(key): Ids<LockKey>,
    parameters: Parameters,
) -> Result<Json<LockView>> {
    parameters.finish()?;
    let lock = state.engine.lock(&key, QUEUE_MAX).await?.ok_or_else(|| {
        let detail = format!("nobody holds lock key {key} or waits for it");
        Problem::new(ErrorCode::LockNotFound, detail)
    })?;
    Ok(Json(LockView::from(lock)))
}

/// Take a lock key away.
///
/// The saga that holds it loses all its lock keys: otherwise it could wait for itself. It stands at
/// the end of the queues again and goes on when it has them, backward if its definition says
/// `on_lost: abort` and commit is not decided. The key's token is raised, so that participants with a barrier refuse its late calls.
#[utoipa::path(
    post,
    path = "/v1/locks/{key}/release",
    tag = "locks",
    params(
        ("key" = String, Path, description = "The key, percent-encoded"),
        ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
    ),
    responses(
        (status = 200, description = "Taken away and durable; the key as it is now", body = LockView),
        (status = 404, description = "`lock-not-found`: nobody holds it or waits for it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`lock-not-held`, `saga-ended`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn release_lock(
    State(state): State<AppState>,
    Ids(key): Ids<LockKey>,
    parameters: Parameters,
    headers: HeaderMap,
    body: MaybeJsonText,
) -> Result<Json<LockView>> {
    parameters.finish()?;
    let CommandBody { reason } = read_reason(&body)?;
    let detail = state.engine.release_lock(&key, actor(&headers, reason)?).await?;
    tracing::Span::current().record("saga.id", detail.saga.id().as_str());
    // It is taken away, whatever fails here.
    let lock = state.engine.lock(&key, QUEUE_MAX).await.ok().flatten();
    Ok(Json(lock.map_or_else(|| LockView::free(&key), LockView::from)))
}
