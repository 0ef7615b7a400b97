//! Commands on sagas and steps. Each is answered when it is durable; repeating one is harmless.

use amends_core::definition::FaultCode;
use amends_core::saga::{Actor, Command, Op};
use amends_core::{SagaId, StepId};
use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Fields;
use crate::extract::{Ids, MaybeJsonText, Parameters};
use crate::headers;
use crate::problem::Result;
use crate::sagas::view;
use crate::state::AppState;
use crate::wire::{CommandBody, ProblemBody, ResolveBody, RetryBody, SagaView};

/// Longest reason, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 1024;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(abandon))
        .routes(routes!(retry))
        .routes(routes!(skip))
        .routes(routes!(resolve_succeeded))
        .routes(routes!(resolve_failed))
        .routes(routes!(resolve_undone))
}

async fn carry_out(
    state: &AppState,
    id: &SagaId,
    command: Command,
    by: Actor,
) -> Result<Json<SagaView>> {
    tracing::Span::current().record("saga.id", id.as_str());
    let detail = state.engine.command(id, command, by).await?;
    Ok(Json(view(state, &detail).await))
}

/// The body's fields; none if it was left out.
pub(crate) fn open(body: &MaybeJsonText) -> Result<Fields<'_>> {
    body.as_str().map_or_else(|| Ok(Fields::empty()), Fields::read)
}

/// A body that says no more than why.
pub(crate) fn read_reason(body: &MaybeJsonText) -> Result<CommandBody> {
    let mut fields = open(body)?;
    let reason = fields.words("reason", REASON_CHARS_MAX);
    fields.finish()?;
    Ok(CommandBody { reason })
}

/// Who asks, and why.
pub(crate) fn actor(headers: &HeaderMap, reason: Option<String>) -> Result<Actor> {
    Ok(Actor { name: headers::actor(headers)?, reason: reason.unwrap_or_default() })
}

macro_rules! saga_command {
    ($(#[doc = $doc:literal])+ $name:ident, $path:literal, $command:expr) => {
        $(#[doc = $doc])+
        #[utoipa::path(
            post,
            path = $path,
            tag = "commands",
            params(
                ("id" = String, Path, description = "The saga"),
                ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
            ),
            responses(
                (status = 200, description = "Carried out and durable", body = SagaView),
                (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
                (status = 409, description = "Not now; `allowed` says what is", body = ProblemBody, content_type = "application/problem+json"),
            )
        )]
        async fn $name(
            State(state): State<AppState>,
            Ids(id): Ids<SagaId>,
            parameters: Parameters,
            headers: HeaderMap,
            body: MaybeJsonText,
        ) -> Result<Json<SagaView>> {
            parameters.finish()?;
            let CommandBody { reason } = read_reason(&body)?;
            carry_out(&state, &id, $command, actor(&headers, reason)?).await
        }
    };
}

saga_command! {
    /// Pause a saga.
    ///
    /// Nothing new starts; what is in flight is heard out.
    pause, "/v1/sagas/{id}/pause", Command::Pause
}
saga_command! {
    /// Resume a paused saga.
    resume, "/v1/sagas/{id}/resume", Command::Resume
}
saga_command! {
    /// Give a suspended saga up.
    ///
    /// It ends as it stands; what is half done stays so.
    abandon, "/v1/sagas/{id}/abandon", Command::Abandon
}

/// Retry now.
///
/// Makes the next attempt of one step, or of every step that waits for a retry or is stuck, at
/// once. Attempts count anew.
#[utoipa::path(
    post,
    path = "/v1/sagas/{id}/retry",
    tag = "commands",
    params(
        ("id" = String, Path, description = "The saga"),
        ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
    ),
    responses(
        (status = 200, description = "Carried out and durable", body = SagaView),
        (status = 404, description = "`saga-not-found`, `step-not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Not now; `allowed` says what is", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn retry(
    State(state): State<AppState>,
    Ids(id): Ids<SagaId>,
    parameters: Parameters,
    headers: HeaderMap,
    body: MaybeJsonText,
) -> Result<Json<SagaView>> {
    parameters.finish()?;
    let mut fields = open(&body)?;
    let (step, reason) = (fields.id::<StepId>("step"), fields.words("reason", REASON_CHARS_MAX));
    fields.finish()?;
    let RetryBody { step, reason } = RetryBody { step, reason };
    carry_out(&state, &id, Command::RetryNow { step }, actor(&headers, reason)?).await
}

macro_rules! step_command {
    ($(#[doc = $doc:literal])+ $name:ident, $path:literal, |$step:ident| $command:expr) => {
        $(#[doc = $doc])+
        #[utoipa::path(
            post,
            path = $path,
            tag = "commands",
            params(
                ("id" = String, Path, description = "The saga"),
                ("step" = String, Path, description = "The step"),
                ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
            ),
            responses(
                (status = 200, description = "Carried out and durable", body = SagaView),
                (status = 404, description = "`saga-not-found`, `step-not-found`", body = ProblemBody, content_type = "application/problem+json"),
                (status = 409, description = "Not now; `allowed` says what is", body = ProblemBody, content_type = "application/problem+json"),
            )
        )]
        async fn $name(
            State(state): State<AppState>,
            Ids((id, $step)): Ids<(SagaId, StepId)>,
            parameters: Parameters,
            headers: HeaderMap,
            body: MaybeJsonText,
        ) -> Result<Json<SagaView>> {
            parameters.finish()?;
            let CommandBody { reason } = read_reason(&body)?;
            carry_out(&state, &id, $command, actor(&headers, reason)?).await
        }
    };
}

step_command! {
    /// Skip a step.
    ///
    /// Only a step of which nothing can have happened, and not the pivot.
    skip, "/v1/sagas/{id}/steps/{step}/skip", |step| Command::Skip { step }
}
step_command! {
    /// Say that a step's open forward call had no effect.
    ///
    /// For people who have looked at the participant.
    resolve_failed, "/v1/sagas/{id}/steps/{step}/resolve-failed",
    |step| Command::ResolveFailed { step }
}
step_command! {
    /// Say that a step is undone.
    ///
    /// For people who have looked at the participant, or have undone it by hand.
    resolve_undone, "/v1/sagas/{id}/steps/{step}/resolve-undone",
    |step| Command::ResolveUndone { step }
}

/// Say that a step's open call took effect.
///
/// For people who have looked at the participant. `output` is what later steps will see. `op` names
/// the operation that they looked into, so that it is not taken of the call that follows it.
#[utoipa::path(
    post,
    path = "/v1/sagas/{id}/steps/{step}/resolve-succeeded",
    tag = "commands",
    params(
        ("id" = String, Path, description = "The saga"),
        ("step" = String, Path, description = "The step"),
        ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
    ),
    responses(
        (status = 200, description = "Carried out and durable", body = SagaView),
        (status = 404, description = "`saga-not-found`, `step-not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Not now; `allowed` says what is", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn resolve_succeeded(
    State(state): State<AppState>,
    Ids((id, step)): Ids<(SagaId, StepId)>,
    parameters: Parameters,
    headers: HeaderMap,
    body: MaybeJsonText,
) -> Result<Json<SagaView>> {
    parameters.finish()?;
    let mut fields = open(&body)?;
    let (reason, output) = (fields.words("reason", REASON_CHARS_MAX), fields.json("output"));
    let op = resolved_op(&mut fields);
    fields.finish()?;
    let ResolveBody { reason, output, op } = ResolveBody { reason, output, op };
    let command = Command::ResolveSucceeded { step, output, op };
    carry_out(&state, &id, command, actor(&headers, reason)?).await
}

/// The operation of which somebody says that it took effect: none that undoes.
fn resolved_op(fields: &mut Fields<'_>) -> Option<Op> {
    let word = fields.text("op")?;
    let op = word.parse().ok().filter(|op: &Op| !op.is_undo());
    if op.is_none() {
        fields.fault("op", FaultCode::WrongType, "must be action, try or confirm");
    }
    op
}
