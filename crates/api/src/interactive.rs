//! Shaping an interactive transaction: adding branches, and time.

use std::time::Duration;

use amends_core::definition::{FaultCode, parse_branch};
use amends_core::saga::Command;
use amends_core::{SagaId, StepId};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Problem;
use crate::begin::DEADLINES;
use crate::body::Fields;
use crate::commands::{REASON_CHARS_MAX, actor};
use crate::extract::{Ids, JsonText, Parameters};
use crate::problem::Result;
use crate::refusal::invalid_branch;
use crate::sagas::view;
use crate::state::AppState;
use crate::wire::{EnlistedView, ExtendBody, ProblemBody, SagaView};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(enlist)).routes(routes!(extend))
}

/// Enlist a branch.
///
/// Do so before the participant is called, and call it with the `headers` of the answer: from now
/// on the branch is confirmed or undone with the transaction, whatever becomes of its client.
/// The same branch again is harmless.
#[utoipa::path(
    put,
    path = "/v1/sagas/{id}/branches/{branch}",
    tag = "transactions",
    params(
        ("id" = String, Path, description = "The transaction"),
        ("branch" = String, Path, description = "The branch's id: 1 to 64 letters, digits, `_` and `-`, a letter first"),
        ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
    ),
    responses(
        (status = 201, description = "Enlisted and durable", body = EnlistedView),
        (status = 200, description = "Enlisted before by the same request", body = EnlistedView),
        (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`commit-decided`, `abort-decided`, `saga-ended`, `not-running`, `not-interactive`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn enlist(
    State(state): State<AppState>,
    Ids((id, branch)): Ids<(SagaId, StepId)>,
    parameters: Parameters,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response> {
    parameters.finish()?;
    tracing::Span::current().record("saga.id", id.as_str());
    let by = actor(&headers, None)?;
    let value = serde_json::from_str(body.as_str()).map_err(Problem::internal)?;
    let registry = state.engine.registry().await?;
    let document = parse_branch(branch.clone(), &value, &registry)
        .map_err(|faults| invalid_branch(&faults, ""))?;
    let enlisted = state.engine.enlist(&id, document, by).await?;
    let status = if enlisted.created { StatusCode::CREATED } else { StatusCode::OK };
    let view = EnlistedView::of(&enlisted, &branch);
    let view = view.ok_or_else(|| Problem::internal("a branch that was enlisted is not there"))?;
    Ok((status, Json(view)).into_response())
}

/// Put the deadline of an interactive transaction off.
///
/// Counted from now, whatever it was before.
#[utoipa::path(
    post,
    path = "/v1/sagas/{id}/extend",
    tag = "transactions",
    params(
        ("id" = String, Path, description = "The transaction"),
        ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
    ),
    responses(
        (status = 200, description = "Durable", body = SagaView),
        (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`commit-decided`, `abort-decided`, `saga-ended`, `not-running`, `not-interactive`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn extend(
    State(state): State<AppState>,
    Ids(id): Ids<SagaId>,
    parameters: Parameters,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Json<SagaView>> {
    parameters.finish()?;
    tracing::Span::current().record("saga.id", id.as_str());
    let ExtendBody { deadline, reason } = read_extend(body.as_str())?;
    let command = Command::Extend { until: state.engine.now().after(deadline) };
    let detail = state.engine.command(&id, command, actor(&headers, reason)?).await?;
    Ok(Json(view(&state, &detail).await))
}

fn read_extend(text: &str) -> Result<ExtendBody> {
    const FIELD: &str = "deadline";
    let mut fields = Fields::read(text)?;
    if fields.raw(FIELD).is_none() {
        fields.fault(FIELD, FaultCode::MissingField, "must be a duration from now, such as 30s");
    }
    let deadline = fields.duration_in(FIELD, &DEADLINES);
    let reason = fields.words("reason", REASON_CHARS_MAX);
    fields.finish()?;
    // Without one there was a fault.
    let deadline: Duration = deadline.ok_or_else(|| Problem::internal("a fault was lost"))?;
    Ok(ExtendBody { deadline, reason })
}
