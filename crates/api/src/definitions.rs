//! Definitions: check, store, list, show, explore.

use std::sync::Arc;

use amends_core::DefinitionName;
use amends_core::definition::{Definition, Fault, FaultCode, Format, Parsed, parse_text};
use amends_core::explore::explore;
use amends_ports::store::StoredDefinition;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::str::FromStr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{DocumentText, Ids, Parameters};
use crate::problem::Result;
use crate::sagas::read_limit;
use crate::start::invalid;
use crate::state::AppState;
use crate::wire::{
    DefinitionList, DefinitionRow, DefinitionStored, DefinitionView, ExplorationView, ProblemBody,
    RunView, ValidationView,
};
use crate::{ErrorCode, Problem};

/// Names that stand in the path for something else.
const RESERVED_NAMES: [&str; 2] = ["validate", "explore"];

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_definitions, register_definition))
        .routes(routes!(validate_definition))
        .routes(routes!(explore_document))
        .routes(routes!(show_definition))
        .routes(routes!(show_definition_version))
        .routes(routes!(explore_definition))
}

/// Register a definition.
///
/// Stores it as the next version of its name; the same content again gives the version that
/// exists.
#[utoipa::path(
    post,
    path = "/v1/definitions",
    tag = "definitions",
    operation_id = "register_definition",
    responses(
        (status = 201, description = "Stored", body = DefinitionStored, headers(("Location" = String, description = "The version"))),
        (status = 200, description = "Stored before", body = DefinitionStored, headers(("Location" = String, description = "The version"))),
    )
)]
async fn register_definition(
    State(state): State<AppState>,
    parameters: Parameters,
    document: DocumentText,
) -> Result<Response> {
    parameters.finish()?;
    let parsed = parse(&state, &document).await?;
    let definition = checked(&parsed)?;
    let (stored, is_new) = state.engine.put_definition(&definition).await?;
    let version = stored.version.unwrap_or(1);
    let location =
        HeaderValue::try_from(format!("/v1/definitions/{}/versions/{version}", stored.name));
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(DefinitionStored::new(stored, &parsed))).into_response();
    // A name has no character that a header could not hold.
    response.headers_mut().extend(location.ok().map(|location| (header::LOCATION, location)));
    Ok(response)
}

/// Check a definition.
///
/// Nothing is stored.
#[utoipa::path(
    post,
    path = "/v1/definitions/validate",
    tag = "definitions",
    operation_id = "validate_definition",
    responses(
        (status = 200, description = "What was found", body = ValidationView),
    )
)]
async fn validate_definition(
    State(state): State<AppState>,
    parameters: Parameters,
    document: DocumentText,
) -> Result<Json<ValidationView>> {
    parameters.finish()?;
    let parsed = parse(&state, &document).await?;
    Ok(Json(ValidationView::from(&parsed)))
}

/// Reads a document. One that is not JSON or YAML at all is a fault of the request.
async fn parse(state: &AppState, document: &DocumentText) -> Result<Parsed> {
    let registry = state.engine.registry().await?;
    let mut parsed = parse_text(document.as_str(), document.format, &registry);
    if let Some(fault) = parsed.faults.iter().find(|fault| fault.code == FaultCode::Syntax) {
        let code = match document.format {
            Format::Json => ErrorCode::JsonSyntax,
            Format::Yaml => ErrorCode::YamlSyntax,
        };
        return Err(Problem::new(code, fault.detail.clone()).at(fault.pointer.clone()));
    }
    let name = parsed.definition.as_ref().map(|definition| definition.name.as_str());
    if name.is_some_and(|name| RESERVED_NAMES.contains(&name)) {
        parsed.definition = None;
        let detail = "is reserved; take another name";
        parsed.faults.insert(0, Fault::new("/name", FaultCode::BadId, detail));
    }
    Ok(parsed)
}

fn checked(parsed: &Parsed) -> Result<Arc<Definition>> {
    parsed.definition.clone().ok_or_else(|| invalid(&parsed.faults, ""))
}

/// List definitions.
///
/// The newest version of each, by name.
#[utoipa::path(
    get,
    path = "/v1/definitions",
    tag = "definitions",
    operation_id = "list_definitions",
    params(
        ("after" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u16>, Query, description = "Most rows, 1 to 500; 50 without it"),
    ),
    responses(
        (status = 200, description = "A page", body = DefinitionList),
    )
)]
async fn list_definitions(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Json<DefinitionList>> {
    let after = parameters.one("after", DefinitionName::from_str)?;
    let limit = read_limit(&mut parameters, &state)?;
    parameters.finish()?;
    // One more than is shown tells whether there is a next page.
    let mut rows = state.engine.definitions(after.as_ref(), limit.saturating_add(1)).await?;
    let has_next = rows.len() > usize::from(limit);
    rows.truncate(limit.into());
    let next = rows.last().filter(|_| has_next).map(|row| row.name.as_str().to_owned());
    let definitions = rows.into_iter().map(DefinitionRow::from).collect();
    Ok(Json(DefinitionList { definitions, next }))
}

/// Show the newest version of a definition.
#[utoipa::path(
    get,
    path = "/v1/definitions/{name}",
    tag = "definitions",
    operation_id = "show_definition",
    params(("name" = String, Path, description = "The definition")),
    responses(
        (status = 200, description = "The definition", body = DefinitionView),
        (status = 404, description = "`definition-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_definition(
    State(state): State<AppState>,
    Ids(name): Ids<DefinitionName>,
    parameters: Parameters,
) -> Result<Json<DefinitionView>> {
    parameters.finish()?;
    let (stored, _) = find(&state, &name, None).await?;
    Ok(Json(stored.into()))
}

/// A version in a path: a whole number from 1.
struct Version(u32);

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text.parse() {
            Ok(version) if version > 0 => Ok(Self(version)),
            _ => Err("is no version; versions are whole numbers from 1"),
        }
    }
}

/// Show one version of a definition.
#[utoipa::path(
    get,
    path = "/v1/definitions/{name}/versions/{version}",
    tag = "definitions",
    operation_id = "show_definition_version",
    params(
        ("name" = String, Path, description = "The definition"),
        ("version" = u32, Path, description = "The version, from 1"),
    ),
    responses(
        (status = 200, description = "The definition", body = DefinitionView),
        (status = 404, description = "`definition-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn show_definition_version(
    State(state): State<AppState>,
    Ids((name, version)): Ids<(DefinitionName, Version)>,
    parameters: Parameters,
) -> Result<Json<DefinitionView>> {
    parameters.finish()?;
    let (stored, _) = find(&state, &name, Some(version.0)).await?;
    Ok(Json(stored.into()))
}

async fn find(
    state: &AppState,
    name: &DefinitionName,
    version: Option<u32>,
) -> Result<(StoredDefinition, Arc<Definition>)> {
    state.engine.definition(name, version).await?.ok_or_else(|| {
        let which = version.map(|version| format!(" version {version}")).unwrap_or_default();
        Problem::new(ErrorCode::DefinitionNotFound, format!("there is no definition {name}{which}"))
    })
}

/// Explore a stored definition.
///
/// Runs the state machine over every failure point, with no calls made.
#[utoipa::path(
    post,
    path = "/v1/definitions/{name}/explore",
    tag = "definitions",
    operation_id = "explore_definition",
    params(
        ("name" = String, Path, description = "The definition"),
        ("version" = Option<u32>, Query, description = "The version; the newest without it"),
    ),
    responses(
        (status = 200, description = "Every run", body = ExplorationView),
        (status = 404, description = "`definition-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn explore_definition(
    State(state): State<AppState>,
    Ids(name): Ids<DefinitionName>,
    mut parameters: Parameters,
) -> Result<Json<ExplorationView>> {
    let version = parameters.one("version", Version::from_str)?;
    parameters.finish()?;
    let (_, definition) = find(&state, &name, version.map(|Version(version)| version)).await?;
    run(&state, definition).await
}

/// Explore a definition that is not stored.
#[utoipa::path(
    post,
    path = "/v1/definitions/explore",
    tag = "definitions",
    operation_id = "explore_document",
    responses(
        (status = 200, description = "Every run", body = ExplorationView),
    )
)]
async fn explore_document(
    State(state): State<AppState>,
    parameters: Parameters,
    document: DocumentText,
) -> Result<Json<ExplorationView>> {
    parameters.finish()?;
    let parsed = parse(&state, &document).await?;
    run(&state, checked(&parsed)?).await
}

/// Explores away from the threads that drive sagas. Few at once, and one whose client has gone
/// keeps its place until it is done.
async fn run(state: &AppState, definition: Arc<Definition>) -> Result<Json<ExplorationView>> {
    let permits = Arc::clone(&state.explorations);
    let permit = permits.acquire_owned().await.map_err(Problem::internal)?;
    let name = definition.name.as_str().to_owned();
    let runs = tokio::task::spawn_blocking(move || {
        let runs: Vec<RunView> = explore(&definition).iter().map(RunView::from).collect();
        drop(permit);
        runs
    });
    let runs = runs.await.map_err(Problem::internal)?;
    Ok(Json(ExplorationView { definition: name, runs }))
}
