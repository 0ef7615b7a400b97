//! A saga's journal, page by page.

use amends_core::SagaId;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Ids, Parameters};
use crate::problem::Result;
use crate::sagas::{find, not_found};
use crate::state::AppState;
use crate::wire::{JournalView, ProblemBody};

/// Records on a page where the request does not say.
const RECORDS: u16 = 100;
/// Most records on a page.
const RECORDS_MAX: u16 = 500;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show_journal))
}

/// Show a saga's journal.
///
/// Everything that happened to it, oldest first. Records are numbered without gaps from 0.
#[utoipa::path(
    get,
    path = "/v1/sagas/{id}/journal",
    tag = "sagas",
    operation_id = "show_journal",
    params(
        ("id" = String, Path, description = "The saga"),
        ("from" = Option<u64>, Query, description = "Number of the first record"),
        ("limit" = Option<u16>, Query, description = "Most records, 1 to 500; 100 without it"),
    ),
    responses(
        (status = 200, description = "A part of the journal", body = JournalView),
        (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_journal(
    State(state): State<AppState>,
    Ids(id): Ids<SagaId>,
    mut parameters: Parameters,
) -> Result<Json<JournalView>> {
    let from = parameters.number("from", 0, i64::MAX.unsigned_abs())?.unwrap_or(0);
    let limit = parameters.number("limit", 1, RECORDS_MAX.into())?;
    let limit = limit.and_then(|limit| u16::try_from(limit).ok()).unwrap_or(RECORDS);
    parameters.finish()?;
    let page = state.engine.records(&id, from, limit).await?.ok_or_else(|| not_found(&id))?;
    // After the records: their branches are in it then.
    let detail = find(&state, &id).await?;
    Ok(Json(JournalView::new(page, detail.saga.definition())))
}
