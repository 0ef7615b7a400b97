//! Starting sagas. The one route where speed matters: nothing is parsed twice.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_core::definition::{Fault, FaultCode, Format, Mode, parse_text};
use amends_core::{DefinitionName, Json, SagaId, Timestamp};
use amends_engine::{Chosen, Submission, Submitted};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::value::RawValue;
use tracing::Span;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::begin::{self, Transaction};
use crate::body::Fields;
use crate::digest::Asked;
use crate::extract::{JsonText, Parameters};
use crate::problem::Result;
use crate::sagas::view;
use crate::state::AppState;
use crate::waiting::{say_applied, settled};
use crate::wire::{self, DefinitionChoice, ProblemBody, SagaView};
use crate::{ErrorCode, Problem, headers};

/// Most labels of one saga.
const LABELS_MAX: usize = 32;
/// Longest name of a label, in bytes.
const LABEL_NAME_BYTES_MAX: usize = 64;
/// Longest value of a label, in bytes.
const LABEL_VALUE_BYTES_MAX: usize = 256;
/// Room for an answer about a saga of a few steps.
const ANSWER_BYTES: usize = 4096;
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
/// Runs a stored definition, or one that stands in the request; or begins an interactive
/// transaction (`mode: interactive`), whose client enlists branches and decides. A repetition with the same
/// `Idempotency-Key` or `id` and the same content gives the same saga.
#[utoipa::path(
    post,
    path = "/v1/sagas",
    tag = "sagas",
    operation_id = "start_saga",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key and content give the same saga"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when the saga has ended or is suspended, or is an interactive transaction that runs, or after N seconds (at most 60)"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    responses(
        (status = 201, description = "Started", body = SagaView, headers(("Location" = String, description = "The saga"))),
        (status = 200, description = "Started before by the same request", body = SagaView, headers(("Location" = String, description = "The saga"), ("Idempotent-Replayed" = String, description = "`true`"))),
        (status = 404, description = "`definition-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn start_saga(
    State(state): State<AppState>,
    parameters: Parameters,
    asked: StartHeaders,
    body: JsonText,
) -> Result<Response> {
    parameters.finish()?;
    let submission = read(&state, body.as_str(), &asked).await?;
    drop(body);
    let Submitted { detail, created } = state.engine.submit(submission).await?;
    Span::current().record("saga.id", detail.saga.id().as_str());
    let detail = settled(&state, detail, asked.wait).await;
    Ok(answer(&view(&state, &detail).await, created, asked.wait))
}

fn answer(view: &SagaView, created: bool, wait: Option<Duration>) -> Response {
    let location = HeaderValue::try_from(format!("/v1/sagas/{}", view.id));
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    // A view has texts for names, so it always has a JSON form.
    let _ = serde_json::to_writer(&mut body, view);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    let own = response.headers_mut();
    // An id has no character that a header could not hold.
    own.extend(location.ok().map(|location| (header::LOCATION, location)));
    if !created {
        own.insert(headers::IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    say_applied(own, wait);
    response
}

async fn read(state: &AppState, text: &str, asked: &StartHeaders) -> Result<Submission> {
    let Request { common, work } = parse(text)?;
    let (definition, transaction) = match work {
        Work::Stored { name, version } => (Chosen::Stored { name, version }, None),
        Work::AdHoc(raw) => (ad_hoc(state, &raw).await?, None),
        Work::Transaction(own) => (own.definition()?, Some(own)),
    };
    let request_digest = Asked {
        definition: &definition,
        saga_id: common.id.as_ref(),
        input: common.input.as_str(),
        labels: &common.labels,
        start_at: common.start_at,
        deadline: common.deadline,
        transaction: transaction.as_ref().map(Transaction::asked),
    }
    .digest();
    let prepared = match &transaction {
        Some(own) => own.check_back(state).await?,
        None => None,
    };
    let Transaction { lock_keys, lock_wait, .. } = transaction.unwrap_or_default();
    let own = state.config.tracing.traceparent(&Span::current());
    Ok(Submission {
        saga_id: common.id,
        idempotency_key: asked.idempotency_key.clone(),
        input: common.input,
        labels: common.labels,
        start_at: common.start_at,
        deadline: common.deadline,
        traceparent: own.or_else(|| asked.traceparent.clone()),
        lock_keys,
        lock_wait,
        prepared,
        ..Submission::new(definition, request_digest)
    })
}

/// A start request.
struct Request {
    common: Common,
    work: Work,
}

/// What every start may say.
struct Common {
    id: Option<SagaId>,
    input: Json,
    labels: BTreeMap<String, String>,
    start_at: Option<Timestamp>,
    deadline: Option<Duration>,
}

/// What is started.
enum Work {
    Stored { name: DefinitionName, version: Option<u32> },
    AdHoc(Box<RawValue>),
    Transaction(Transaction),
}

fn parse(text: &str) -> Result<Request> {
    let mut fields = Fields::read(text)?;
    let mode = begin::read_mode(&mut fields);
    let work = match mode {
        Some(Mode::Interactive) => Some(Work::Transaction(begin::read(&mut fields))),
        Some(Mode::Definition) => read_work(&mut fields),
        None => None,
    };
    let id = fields.id::<SagaId>("id");
    if id.as_ref().is_some_and(|id| RESERVED_IDS.contains(&id.as_str())) {
        fields.fault("id", FaultCode::BadId, "is reserved; take another one");
    }
    let input = fields.json("input").unwrap_or_else(Json::null);
    let labels = fields.texts("labels", LABELS_MAX, check_label);
    let (start_at, deadline) = match mode {
        Some(Mode::Interactive) => (None, fields.duration_in("deadline", &begin::DEADLINES)),
        Some(Mode::Definition) | None => (fields.time("start_at"), fields.duration("deadline")),
    };
    begin::refuse_others(&mut fields, mode);
    fields.finish()?;
    // Without a mode or a definition there was a fault.
    let work = work.ok_or_else(|| Problem::internal("a fault was lost"))?;
    Ok(Request { common: Common { id, input, labels, start_at, deadline }, work })
}

fn read_work(fields: &mut Fields<'_>) -> Option<Work> {
    let definition = choice(fields);
    let version = fields.number("version");
    match definition? {
        DefinitionChoice::Named(name) => Some(Work::Stored { name, version }),
        DefinitionChoice::AdHoc(raw) => {
            if version.is_some() {
                let detail = "goes with the name of a stored definition only";
                fields.fault("version", FaultCode::FieldConflict, detail);
            }
            Some(Work::AdHoc(raw))
        }
    }
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
