//! All routes, with what answers where there is none.

use amends_engine::Engine;
use axum::Router;
use axum::middleware;
use http::{Method, Uri};
use utoipa_axum::router::OpenApiRouter;

use crate::edge::edge;
use crate::pages::whole_body;
use crate::state::AppState;
use crate::{
    ApiConfig, ErrorCode, Problem, callbacks, commands, decide, definitions, docs, events, health,
    interactive, journal, locks, metrics, participants, sagas, start,
};

/// The API over an engine.
pub fn router(engine: Engine, config: ApiConfig) -> Router {
    router_with_pages(engine, config, Router::new())
}

/// The API over an engine, and `pages` beside it under the same bounds, checks and metrics.
///
/// Pages get their bodies whole; an event stream of theirs is one of those that are bounded. They
/// must have no fallback: the API has one.
pub fn router_with_pages(engine: Engine, config: ApiConfig, pages: Router) -> Router {
    let state = AppState::new(engine, config);
    let (routes, _) = documented().split_for_parts();
    let pages = pages.layer(middleware::from_fn_with_state(state.clone(), whole_body));
    routes
        .merge(docs::routes())
        .merge(pages.with_state(()))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(state.clone(), edge))
        .with_state(state)
}

/// Every route that the OpenAPI document tells of.
pub(crate) fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(start::routes())
        .merge(sagas::routes())
        .merge(journal::routes())
        .merge(events::routes())
        .merge(commands::routes())
        .merge(decide::routes())
        .merge(interactive::routes())
        .merge(locks::routes())
        .merge(definitions::routes())
        .merge(participants::routes())
        .merge(callbacks::routes())
        .merge(health::routes())
        .merge(metrics::routes())
}

async fn no_route(uri: Uri) -> Problem {
    let shown: String = uri.path().chars().take(200).collect();
    Problem::new(ErrorCode::RouteNotFound, format!("there is no route {shown}"))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let (path, method) = (uri.path(), method.as_str());
    let (path, method): (String, String) =
        (path.chars().take(200).collect(), method.chars().take(20).collect());
    Problem::new(ErrorCode::MethodNotAllowed, format!("{path} does not take {method}"))
}
