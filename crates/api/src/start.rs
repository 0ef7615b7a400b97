//! Starting sagas. The one route where speed matters: nothing is parsed twice.

use amends_core::definition::{Fault, FaultCode, Format, parse_text};
use amends_core::saga::Status;
use amends_core::{Json, SagaId};
use amends_engine::{Chosen, SagaDetail, Submission, Submitted};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::value::RawValue;
use std::time::Duration;
use tracing::Span;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::Fields;
use crate::digest::Asked;
use crate::extract::JsonText;
use crate::problem::Result;
use crate::state::AppState;
use crate::wire::{self, DefinitionChoice, ProblemBody, SagaView, SubmitBody};
use crate::{ErrorCode, Problem, headers};

/// Most labels of one saga.
const LABELS_MAX: usize = 32;
/// Longest name of a label, in bytes.
const LABEL_NAME_BYTES_MAX: usize = 64;
/// Longest value of a label, in bytes.
const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Ids that stand in the path for something else.
const RESERVED_IDS: [&str; 2] = ["counts", "events"];

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(start_saga))
}

/// What the headers of a start request say.
struct StartHeaders {
    idempotency_key: Option<String>,
    wait: Option<Duration>,
    traceparent: Option<String>,
}

impl FromRequestParts<AppState> for StartHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let own = &parts.headers;
        Ok(Self {
            idempotency_key: headers::idempotency_key(own)?,
            wait: headers::wait(own, state.config.wait_max),
            traceparent: headers::traceparent(own).map(str::to_owned),
        })
    }
}

/// Start a saga.
///
/// Runs a stored definition, or one that stands in the request. A repetition with the same
/// `Idempotency-Key` or `id` and the same content gives the same saga.
#[utoipa::path(
    post,
    path = "/v1/sagas",
    tag = "sagas",
    operation_id = "start_saga",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key and content give the same saga"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when the saga has ended or is suspended, or after N seconds (at most 60)"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    request_body = SubmitBody,
    responses(
        (status = 201, description = "Started", body = SagaView, headers(("Location" = String, description = "The saga"))),
        (status = 200, description = "Started before by the same request", body = SagaView, headers(("Location" = String, description = "The saga"), ("Idempotent-Replayed" = String, description = "`true`"))),
        (status = 404, description = "`definition-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn start_saga(
    State(state): State<AppState>,
    asked: StartHeaders,
    body: JsonText,
) -> Result<Response> {
    let submission = read(&state, body.as_str(), &asked).await?;
    drop(body);
    let Submitted { detail, created } = state.engine.submit(submission).await?;
    Span::current().record("saga.id", detail.saga.id().as_str());
    let detail = match asked.wait {
        Some(wait) => settled(&state, detail, wait).await,
        None => detail,
    };
    Ok(answer(&detail, created, asked.wait))
}

/// The saga once it is settled, or as it is after `wait` or when the process shuts down. It is
/// accepted, so whatever fails here is no failure of the request.
async fn settled(state: &AppState, detail: SagaDetail, wait: Duration) -> SagaDetail {
    let status = detail.saga.status();
    if status.is_terminal() || status == Status::Suspended {
        return detail;
    }
    let (engine, draining) = (&state.engine, state.engine.draining());
    let later = tokio::select! {
        later = engine.wait(detail.saga.id(), wait) => later,
        () = draining.cancelled() => engine.saga(detail.saga.id()).await,
    };
    later.ok().flatten().unwrap_or(detail)
}

fn answer(detail: &SagaDetail, created: bool, wait: Option<Duration>) -> Response {
    let view = SagaView::from(detail);
    let location = HeaderValue::try_from(format!("/v1/sagas/{}", view.id));
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, axum::Json(view)).into_response();
    let own = response.headers_mut();
    // An id has no character that a header could not hold.
    own.extend(location.ok().map(|location| (header::LOCATION, location)));
    if !created {
        own.insert(headers::IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    let applied = wait.and_then(|wait| format!("wait={}", wait.as_secs()).try_into().ok());
    own.extend(applied.map(|applied: HeaderValue| (headers::PREFERENCE_APPLIED, applied)));
    response
}

async fn read(state: &AppState, text: &str, asked: &StartHeaders) -> Result<Submission> {
    let body = parse(text)?;
    let definition = match body.definition {
        DefinitionChoice::Named(name) => Chosen::Stored { name, version: body.version },
        DefinitionChoice::AdHoc(raw) => ad_hoc(state, &raw).await?,
    };
    let labels = body.labels.unwrap_or_default();
    let request_digest = Asked {
        definition: &definition,
        saga_id: body.id.as_ref(),
        input: body.input.as_str(),
        labels: &labels,
        start_at: body.start_at,
        deadline: body.deadline,
    }
    .digest();
    let own = state.config.tracing.traceparent(&Span::current());
    Ok(Submission {
        saga_id: body.id,
        idempotency_key: asked.idempotency_key.clone(),
        input: body.input,
        labels,
        start_at: body.start_at,
        deadline: body.deadline,
        traceparent: own.or_else(|| asked.traceparent.clone()),
        ..Submission::new(definition, request_digest)
    })
}

fn parse(text: &str) -> Result<SubmitBody> {
    let mut fields = Fields::read(text)?;
    let definition = choice(&mut fields);
    let version = fields.number("version");
    if version.is_some() && matches!(definition, Some(DefinitionChoice::AdHoc(_))) {
        let detail = "goes with the name of a stored definition only";
        fields.fault("version", FaultCode::FieldConflict, detail);
    }
    let id = fields.id::<SagaId>("id");
    if id.as_ref().is_some_and(|id| RESERVED_IDS.contains(&id.as_str())) {
        fields.fault("id", FaultCode::BadId, "is reserved; take another one");
    }
    let input = fields.json("input").unwrap_or_else(Json::null);
    let labels = Some(fields.texts("labels", LABELS_MAX, check_label));
    let start_at = fields.time("start_at");
    let deadline = fields.duration("deadline");
    fields.finish()?;
    // Without a definition there was a fault.
    let definition = definition.ok_or_else(|| Problem::internal("a fault was lost"))?;
    Ok(SubmitBody { definition, version, id, input, labels, start_at, deadline })
}

fn choice(fields: &mut Fields<'_>) -> Option<DefinitionChoice> {
    const NAME: &str = "definition";
    let Some(raw) = fields.raw(NAME) else {
        let detail = "must be the name of a stored definition, or a whole definition";
        fields.fault(NAME, FaultCode::MissingField, detail);
        return None;
    };
    match raw.get().as_bytes().first() {
        Some(b'"') => fields.id(NAME).map(DefinitionChoice::Named),
        Some(b'{') => Some(DefinitionChoice::AdHoc(raw.to_owned())),
        _ => {
            let detail = "must be the name of a stored definition, or a whole definition";
            fields.fault(NAME, FaultCode::WrongType, detail);
            None
        }
    }
}

fn check_label(name: &str, value: &str) -> std::result::Result<(), (FaultCode, String)> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    if !(1..=LABEL_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_word) {
        let detail = "names of labels are 1 to 64 letters, digits, '_', '-', '.' and '/'";
        return Err((FaultCode::BadId, detail.to_owned()));
    }
    if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        let detail = "values of labels are at most 256 bytes without control characters";
        return Err((FaultCode::OutOfRange, detail.to_owned()));
    }
    Ok(())
}

async fn ad_hoc(state: &AppState, raw: &RawValue) -> Result<Chosen> {
    let registry = state.engine.registry().await?;
    let parsed = parse_text(raw.get(), Format::Json, &registry);
    match parsed.definition {
        Some(definition) => Ok(Chosen::AdHoc(definition)),
        None => Err(invalid(&parsed.faults, "/definition")),
    }
}

/// The problem of a definition with faults, its places below `prefix`.
pub(crate) fn invalid(faults: &[Fault], prefix: &str) -> Problem {
    let errors = faults.iter().filter(|fault| fault.is_error()).count();
    let first = faults.first().map(|fault| fault.detail.as_str()).unwrap_or_default();
    let detail = format!("the definition has {errors} error(s); the first: {first}");
    let faults = faults
        .iter()
        .map(wire::Fault::from)
        .map(|fault| wire::Fault { pointer: format!("{prefix}{}", fault.pointer), ..fault });
    Problem::new(ErrorCode::DefinitionInvalid, detail).listing(faults.collect())
}
