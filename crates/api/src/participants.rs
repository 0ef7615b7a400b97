//! Participants: register, list, show, change, delete, check.

use amends_core::ParticipantName;
use amends_core::definition::{Fault, FaultCode};
use amends_core::participant::{Endpoint, ParticipantSpec};
use amends_ports::store::StoredParticipant;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Ids, JsonText, Parameters};
use crate::problem::Result;
use crate::state::AppState;
use crate::wire::{
    self, HealthView, ParticipantList, ParticipantView, ProblemBody, participant_view,
};
use crate::{ErrorCode, Problem, headers};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_participants, register_participant))
        .routes(routes!(show_participant, put_participant, delete_participant))
        .routes(routes!(check_participant))
}

/// Register or change a participant; the name stands in the body.
#[utoipa::path(
    post,
    path = "/v1/participants",
    tag = "participants",
    operation_id = "register_participant",
    params(
        ("If-Match" = Option<String>, Header, description = "Change only this revision"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if it is new"),
    ),
    responses(
        (status = 201, description = "Registered", body = ParticipantView, headers(("Location" = String, description = "The participant"), ("ETag" = String, description = "The revision"))),
        (status = 200, description = "Changed", body = ParticipantView, headers(("Location" = String, description = "The participant"), ("ETag" = String, description = "The revision"))),
        (status = 412, description = "`revision-mismatch`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn register_participant(
    State(state): State<AppState>,
    parameters: Parameters,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response> {
    parameters.finish()?;
    put(&state, &headers, &body, None).await
}

/// Register or change a participant.
#[utoipa::path(
    put,
    path = "/v1/participants/{name}",
    tag = "participants",
    operation_id = "put_participant",
    params(
        ("name" = String, Path, description = "The participant"),
        ("If-Match" = Option<String>, Header, description = "Change only this revision"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if it is new"),
    ),
    responses(
        (status = 201, description = "Registered", body = ParticipantView, headers(("Location" = String, description = "The participant"), ("ETag" = String, description = "The revision"))),
        (status = 200, description = "Changed", body = ParticipantView, headers(("Location" = String, description = "The participant"), ("ETag" = String, description = "The revision"))),
        (status = 412, description = "`revision-mismatch`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn put_participant(
    State(state): State<AppState>,
    Ids(name): Ids<ParticipantName>,
    parameters: Parameters,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response> {
    parameters.finish()?;
    put(&state, &headers, &body, Some(&name)).await
}

async fn put(
    state: &AppState,
    headers: &HeaderMap,
    body: &JsonText,
    name: Option<&ParticipantName>,
) -> Result<Response> {
    let expected = headers::expected_revision(headers)?;
    let spec = read(state, body.as_str(), name)?;
    let (stored, is_new) = state.engine.put_participant(spec, expected).await?;
    let location = HeaderValue::try_from(format!("/v1/participants/{}", stored.spec.name));
    let mut response = show(&stored);
    if is_new {
        *response.status_mut() = StatusCode::CREATED;
    }
    // A name has no character that a header could not hold.
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    Ok(response)
}

fn read(state: &AppState, text: &str, name: Option<&ParticipantName>) -> Result<ParticipantSpec> {
    let mut document: Value = serde_json::from_str(text)
        .map_err(|error| Problem::new(ErrorCode::JsonSyntax, error.to_string()))?;
    if let (Some(name), Value::Object(map)) = (name, &mut document) {
        let own = map.entry("name").or_insert_with(|| name.as_str().into());
        if own.as_str() != Some(name.as_str()) {
            let detail = format!("differs from {name} in the path; leave it out");
            return Err(invalid(&[Fault::new("/name", FaultCode::FieldConflict, detail)]));
        }
    }
    let spec = ParticipantSpec::parse(&document).map_err(|faults| invalid(&faults))?;
    let mut faults = state.config.targets.check(&spec);
    faults.extend(own_address(&spec, &state.config.public_url));
    if faults.is_empty() { Ok(spec) } else { Err(invalid(&faults)) }
}

/// The coordinator is no participant of its own: definitions could then command sagas.
fn own_address(spec: &ParticipantSpec, public_url: &str) -> Option<Fault> {
    let own = Endpoint::new(public_url).ok()?;
    let is_own = |endpoint: &Endpoint| {
        let same_host = endpoint.host() == own.host() || is_loopback(endpoint) && is_loopback(&own);
        same_host && endpoint.port() == own.port()
    };
    let index = spec.endpoints.iter().position(is_own)?;
    let detail = "the target is this coordinator itself, which takes no part in sagas";
    Some(Fault::new(format!("/endpoints/{index}"), FaultCode::TargetNotAllowed, detail))
}

fn is_loopback(endpoint: &Endpoint) -> bool {
    let by_name = endpoint.host() == "localhost";
    by_name || endpoint.address().is_some_and(|address| address.to_canonical().is_loopback())
}

fn invalid(faults: &[Fault]) -> Problem {
    let first = faults.first().map(|fault| fault.detail.as_str()).unwrap_or_default();
    let detail = format!("the registration has {} fault(s); the first: {first}", faults.len());
    Problem::new(ErrorCode::ParticipantInvalid, detail)
        .listing(faults.iter().map(wire::Fault::from).collect())
}

fn show(stored: &StoredParticipant) -> Response {
    let etag = headers::etag(stored.revision);
    ([(header::ETAG, etag)], Json(participant_view(stored))).into_response()
}

/// List participants.
#[utoipa::path(
    get,
    path = "/v1/participants",
    tag = "participants",
    operation_id = "list_participants",
    responses(
        (status = 200, description = "All of them, by name", body = ParticipantList),
    )
)]
async fn list_participants(
    State(state): State<AppState>,
    parameters: Parameters,
) -> Result<Json<ParticipantList>> {
    parameters.finish()?;
    let all = state.engine.participants().await?;
    Ok(Json(ParticipantList { participants: all.iter().map(participant_view).collect() }))
}

/// Show a participant.
#[utoipa::path(
    get,
    path = "/v1/participants/{name}",
    tag = "participants",
    operation_id = "show_participant",
    params(("name" = String, Path, description = "The participant")),
    responses(
        (status = 200, description = "The participant, without secrets", body = ParticipantView, headers(("ETag" = String, description = "The revision"))),
        (status = 404, description = "`participant-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_participant(
    State(state): State<AppState>,
    Ids(name): Ids<ParticipantName>,
    parameters: Parameters,
) -> Result<Response> {
    parameters.finish()?;
    let stored = state.engine.participant(&name).await?.ok_or_else(|| {
        let detail = format!("participant {name} is not registered");
        Problem::new(ErrorCode::ParticipantNotFound, detail)
    })?;
    Ok(show(&stored))
}

/// Delete a participant.
#[utoipa::path(
    delete,
    path = "/v1/participants/{name}",
    tag = "participants",
    operation_id = "delete_participant",
    params(
        ("name" = String, Path, description = "The participant"),
        ("force" = Option<bool>, Query, description = "Even if definitions name it"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "`participant-not-found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`participant-in-use`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn delete_participant(
    State(state): State<AppState>,
    Ids(name): Ids<ParticipantName>,
    mut parameters: Parameters,
) -> Result<StatusCode> {
    let force = parameters.one("force", |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false"),
    })?;
    parameters.finish()?;
    state.engine.delete_participant(&name, force.unwrap_or(false)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Check a participant's health now.
#[utoipa::path(
    post,
    path = "/v1/participants/{name}/check",
    tag = "participants",
    operation_id = "check_participant",
    params(("name" = String, Path, description = "The participant")),
    responses(
        (status = 200, description = "What its endpoints answered", body = HealthView),
        (status = 404, description = "`participant-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn check_participant(
    State(state): State<AppState>,
    Ids(name): Ids<ParticipantName>,
    parameters: Parameters,
) -> Result<Json<HealthView>> {
    parameters.finish()?;
    let health = state.engine.check_participant(&name).await?;
    Ok(Json(HealthView::new(name.into(), health)))
}
