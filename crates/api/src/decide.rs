//! What decides a saga: commit, and cancel by both its names. Each is answered when the request is
//! durable, or with `Prefer: wait` when the saga has ended; repeating one is harmless.

use amends_core::SagaId;
use amends_core::saga::Command;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::commands::{actor, read_reason};
use crate::extract::{Ids, MaybeJsonText, Parameters};
use crate::headers;
use crate::problem::Result;
use crate::sagas::view;
use crate::state::AppState;
use crate::waiting::{say_applied, settled};
use crate::wire::{CommandBody, ProblemBody, SagaView};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(commit)).routes(routes!(cancel)).routes(routes!(rollback))
}

async fn carry_out(
    state: &AppState,
    id: &SagaId,
    command: Command,
    headers: &HeaderMap,
    body: &MaybeJsonText,
) -> Result<Response> {
    tracing::Span::current().record("saga.id", id.as_str());
    let CommandBody { reason } = read_reason(body)?;
    let wait = headers::wait(headers, state.config.wait_max);
    let detail = state.engine.command(id, command, actor(headers, reason)?).await?;
    let detail = settled(state, detail, wait).await;
    let mut response = Json(view(state, &detail).await).into_response();
    say_applied(response.headers_mut(), wait);
    Ok(response)
}

macro_rules! decision {
    ($(#[doc = $doc:literal])+ $name:ident, $path:literal, $tag:literal, $command:expr, $conflict:literal) => {
        $(#[doc = $doc])+
        #[utoipa::path(
            post,
            path = $path,
            tag = $tag,
            params(
                ("id" = String, Path, description = "The saga"),
                ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when the saga has ended or is suspended, or after N seconds (at most 60)"),
                ("Amends-Actor" = Option<String>, Header, description = "Who asks, for the journal"),
            ),
            responses(
                (status = 200, description = "Durable, now or before", body = SagaView),
                (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
                (status = 409, description = $conflict, body = ProblemBody, content_type = "application/problem+json"),
            )
        )]
        async fn $name(
            State(state): State<AppState>,
            Ids(id): Ids<SagaId>,
            parameters: Parameters,
            headers: HeaderMap,
            body: MaybeJsonText,
        ) -> Result<Response> {
            parameters.finish()?;
            carry_out(&state, &id, $command, &headers, &body).await
        }
    };
}

decision! {
    /// Commit an interactive transaction.
    ///
    /// It is decided once every nested saga has done its part. Repeating it is harmless, also
    /// after the end.
    commit, "/v1/sagas/{id}/commit", "transactions", Command::Commit,
    "`abort-decided`, `saga-ended`, `not-running`, `not-interactive`"
}
decision! {
    /// Cancel a saga.
    ///
    /// It aborts and undoes what may have happened. Not possible after the commit decision.
    cancel, "/v1/sagas/{id}/cancel", "commands", Command::Cancel,
    "`commit-decided`, `pivot-undecided`, `parent-decides`, `saga-ended`"
}
decision! {
    /// Roll an interactive transaction back.
    ///
    /// The same as `cancel`. Repeating it is harmless, also after the end.
    rollback, "/v1/sagas/{id}/rollback", "transactions", Command::Cancel,
    "`commit-decided`, `pivot-undecided`, `parent-decides`, `saga-ended`"
}
