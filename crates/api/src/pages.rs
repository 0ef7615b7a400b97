//! Pages that are served beside the API.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::extract;
use crate::state::AppState;

/// Hands a page its body whole, within the bounds of all bodies: pages know none.
pub(crate) async fn whole_body(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match extract::whole(&parts.headers, body, &state.config).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(problem) => problem.into_response(),
    }
}
