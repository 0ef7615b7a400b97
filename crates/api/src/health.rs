//! Whether the process lives and whether it takes requests.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;
use crate::wire::{LiveView, ReadyView};

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// Is the process alive?
///
/// Looks at nothing else: restarting the process is no cure for a store that is away.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "process",
    responses((status = 200, description = "It is", body = LiveView))
)]
async fn live() -> Json<LiveView> {
    Json(LiveView { live: true })
}

/// Does the process take requests?
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "process",
    responses(
        (status = 200, description = "It does", body = ReadyView),
        (status = 503, description = "It is shutting down, or the store is away", body = ReadyView),
    )
)]
async fn ready(State(state): State<AppState>) -> Response {
    let view = ReadyView::from(state.engine.ready().await);
    let status = if view.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(view)).into_response()
}
