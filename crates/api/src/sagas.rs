//! Looking at sagas: one, a page of them, how many there are.

use std::str::FromStr;

use amends_core::saga::Status;
use amends_core::{IdError, LockKey, SagaId, Timestamp};
use amends_engine::SagaDetail;
use amends_ports::store::SagaLock;
use amends_ports::{Cursor, SagaFilter};
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Ids, Parameters, bad};
use crate::problem::Result;
use crate::state::AppState;
use crate::wire::{CountsView, ProblemBody, SagaList, SagaView};
use crate::{ErrorCode, Problem};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_sagas))
        .routes(routes!(count_sagas))
        .routes(routes!(show_saga))
}

/// Show a saga.
#[utoipa::path(
    get,
    path = "/v1/sagas/{id}",
    tag = "sagas",
    operation_id = "show_saga",
    params(("id" = String, Path, description = "The saga")),
    responses(
        (status = 200, description = "The saga as it is now", body = SagaView),
        (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_saga(
    State(state): State<AppState>,
    Ids(id): Ids<SagaId>,
    parameters: Parameters,
) -> Result<Json<SagaView>> {
    parameters.finish()?;
    let detail = find(&state, &id).await?;
    let places = lock_places(&state, &detail).await?;
    Ok(Json(SagaView::new(&detail, places)))
}

/// Where a saga stands for its lock keys; asked of the store only if it may stand anywhere.
async fn lock_places(state: &AppState, detail: &SagaDetail) -> Result<Vec<SagaLock>> {
    let saga = &detail.saga;
    if saga.status().is_terminal() || saga.accepted().lock_keys.is_empty() {
        return Ok(Vec::new());
    }
    Ok(state.engine.lock_places(saga.id()).await?)
}

/// A saga as the answer to something that was done: what cannot be read now is left out.
pub(crate) async fn view(state: &AppState, detail: &SagaDetail) -> SagaView {
    SagaView::new(detail, lock_places(state, detail).await.unwrap_or_default())
}

/// The saga, or the problem that there is none.
pub(crate) async fn find(state: &AppState, id: &SagaId) -> Result<SagaDetail> {
    tracing::Span::current().record("saga.id", id.as_str());
    state.engine.saga(id).await?.ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: &SagaId) -> Problem {
    Problem::new(ErrorCode::SagaNotFound, format!("saga {id} does not exist"))
}

/// List sagas.
///
/// Newest first; with `q` in descending order of id. All conditions must hold; a parameter that may
/// be repeated says so.
#[utoipa::path(
    get,
    path = "/v1/sagas",
    tag = "sagas",
    operation_id = "list_sagas",
    params(
        ("status" = Option<String>, Query, description = "Any of these, with commas between; may be repeated"),
        ("definition" = Option<String>, Query, description = "Sagas of this definition"),
        ("label" = Option<String>, Query, description = "`name:value`; may be repeated"),
        ("key" = Option<String>, Query, description = "Sagas with this lock key"),
        ("from" = Option<String>, Query, description = "Accepted at or after this time (RFC 3339)"),
        ("before" = Option<String>, Query, description = "Accepted before this time (RFC 3339)"),
        ("q" = Option<String>, Query, description = "Ids that start with this text, in descending order of id"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u16>, Query, description = "Most rows, 1 to 500; 50 without it"),
    ),
    responses(
        (status = 200, description = "A page", body = SagaList),
    )
)]
async fn list_sagas(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Json<SagaList>> {
    let filter = read_filter(&mut parameters)?;
    let cursor = parameters.one("cursor", Cursor::decode)?;
    let limit = read_limit(&mut parameters, &state)?;
    parameters.finish()?;
    let page = state.engine.sagas(&filter, cursor.as_ref(), limit).await?;
    Ok(Json(SagaList::from(page)))
}

fn read_filter(parameters: &mut Parameters) -> Result<SagaFilter> {
    Ok(SagaFilter {
        statuses: read_statuses(parameters)?,
        definition: parameters.one("definition", FromStr::from_str)?,
        labels: read_labels(parameters)?,
        lock_key: parameters.one("key", LockKey::from_str)?,
        created_from: parameters.one("from", Timestamp::parse)?,
        created_before: parameters.one("before", Timestamp::parse)?,
        id_prefix: parameters.one("q", read_prefix)?,
    })
}

/// How many rows a page may have.
pub(crate) fn read_limit(parameters: &mut Parameters, state: &AppState) -> Result<u16> {
    let limit = parameters.number("limit", 1, state.config.page_rows_max.into())?;
    Ok(limit.and_then(|limit| u16::try_from(limit).ok()).unwrap_or(state.config.page_rows))
}

/// `status=running,suspended`, maybe several times.
pub(crate) fn read_statuses(parameters: &mut Parameters) -> Result<Vec<Status>> {
    let values = parameters.all("status");
    let words = values.iter().flat_map(|value| value.split(','));
    let statuses: std::result::Result<Vec<Status>, _> = words.map(Status::from_str).collect();
    let mut statuses = statuses.map_err(|error| bad("status", error))?;
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

/// Most labels that one list may ask for.
const LABELS_MAX: usize = 32;

fn read_labels(parameters: &mut Parameters) -> Result<Vec<(String, String)>> {
    let values = parameters.all("label");
    if values.len() > LABELS_MAX {
        return Err(bad("label", format_args!("may be given at most {LABELS_MAX} times")));
    }
    let pair = |text: &String| match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(bad("label", "must be name:value")),
    };
    values.iter().map(pair).collect()
}

/// A part of an id has the characters of an id, so nothing in it means anything to a store.
pub(crate) fn read_prefix(text: &str) -> std::result::Result<String, IdError> {
    SagaId::new(text).map(String::from)
}

/// Count sagas by status.
#[utoipa::path(
    get,
    path = "/v1/sagas/counts",
    tag = "sagas",
    operation_id = "count_sagas",
    responses(
        (status = 200, description = "One number a status, counted up to `capped_at`", body = CountsView),
    )
)]
async fn count_sagas(
    State(state): State<AppState>,
    parameters: Parameters,
) -> Result<Json<CountsView>> {
    parameters.finish()?;
    let capped_at = state.config.counts_max;
    let counted = state.engine.counts(capped_at).await?;
    Ok(Json(CountsView::new(&counted, capped_at)))
}
