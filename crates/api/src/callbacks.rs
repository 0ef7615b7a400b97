//! Completions of pending calls, under the URL that was handed out with the call.

use amends_core::definition::FaultCode;
use amends_core::saga::{Answer, AttemptFailure, Op, OutcomeKind, Problem as CallProblem};
use amends_core::{Json, SagaId, StepId};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Fields;
use crate::extract::CallbackText;
use crate::problem::Result;
use crate::state::AppState;
use crate::wire::{CompletionBody, CompletionWord, ProblemBody};
use crate::{ErrorCode, Problem};

/// Most bytes of a participant's words that are kept.
const DETAIL_BYTES_MAX: usize = 2048;
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 256;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(complete))
}

/// Complete a pending call.
///
/// For participants: the URL comes with the call as `Saga-Callback-Url` and works once. A plain
/// JSON body is the step's output. `application/vnd.amends.completion+json` can also say that the
/// call was refused or is to be tried again.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{saga}/{step}/{op}/{token}",
    tag = "callbacks",
    operation_id = "complete_call",
    params(
        ("saga" = String, Path, description = "The saga"),
        ("step" = String, Path, description = "The step"),
        ("op" = String, Path, description = "The operation"),
        ("token" = String, Path, description = "The token of this call"),
    ),
    responses(
        (status = 204, description = "Taken and durable"),
        (status = 404, description = "`callback-not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`callback-late`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn complete(
    State(state): State<AppState>,
    path: std::result::Result<Path<(String, String, String, String)>, PathRejection>,
    body: CallbackText,
) -> Result<StatusCode> {
    let answer = read(&body)?;
    let place = path.ok().and_then(|Path((saga, step, op, token))| {
        let (saga, step, op): (SagaId, StepId, Op) =
            (saga.parse().ok()?, step.parse().ok()?, op.parse().ok()?);
        (token.len() <= TOKEN_BYTES_MAX).then_some((saga, step, op, token))
    });
    let Some((saga, step, op, token)) = place else {
        return Err(Problem::new(ErrorCode::CallbackNotFound, "there is no such callback"));
    };
    tracing::Span::current().record("saga.id", saga.as_str());
    state.engine.complete(&saga, &step, op, &token, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(body: &CallbackText) -> Result<Answer> {
    match body {
        CallbackText::Nothing => Ok(Answer::succeeded(None)),
        CallbackText::Output(text) => match Json::parse(text.as_str()) {
            Ok(output) => Ok(Answer::succeeded(Some(output))),
            Err(error) => Err(Problem::new(ErrorCode::JsonSyntax, error.to_string())),
        },
        CallbackText::Completion(text) => parse(text.as_str()).map(answer),
    }
}

fn parse(text: &str) -> Result<CompletionBody> {
    const OUTCOME: &str = "outcome";
    let mut fields = Fields::read(text)?;
    let word = fields.text(OUTCOME);
    let outcome = match word.as_deref() {
        Some("succeeded") => Some(CompletionWord::Succeeded),
        Some("refused") => Some(CompletionWord::Refused),
        Some("retryable") => Some(CompletionWord::Retryable),
        Some(_) => {
            let detail = "must be succeeded, refused or retryable";
            fields.fault(OUTCOME, FaultCode::WrongType, detail);
            None
        }
        None => {
            if fields.raw(OUTCOME).is_none() {
                fields.fault(OUTCOME, FaultCode::MissingField, "must be given");
            }
            None
        }
    };
    let output = fields.json("output");
    let detail = fields.text("detail").map(|detail| clip(&detail));
    fields.finish()?;
    // Without an outcome there was a fault.
    let outcome = outcome.ok_or_else(|| Problem::internal("a fault was lost"))?;
    Ok(CompletionBody { outcome, output, detail })
}

fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(DETAIL_BYTES_MAX)].to_owned()
}

fn answer(body: CompletionBody) -> Answer {
    let (outcome, word) = match body.outcome {
        CompletionWord::Succeeded => return Answer::succeeded(body.output),
        CompletionWord::Refused => (OutcomeKind::Refused, "refused"),
        CompletionWord::Retryable => (OutcomeKind::Retryable, "is to be tried again"),
    };
    let detail = body.detail.unwrap_or_else(|| format!("the participant completed it: it {word}"));
    let problem = CallProblem { kind: AttemptFailure::Status, status: None, detail, body: None };
    Answer::failed(outcome, true, problem)
}
