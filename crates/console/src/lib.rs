//! The web pages: sagas, one saga with its graph, timeline, journal and commands, and lock keys.
//!
//! Pages are made on the server and work without a script; a small script keeps them current. All
//! that they show and do is to be had from the REST API as well, and nothing is decided here: what
//! may be asked of a saga is what [`amends_core::saga::Saga::permitted`] says.
//!
//! # Invariants
//!
//! * Whatever clients or participants sent is shown as text, never as markup.
//! * No inline script, style or handler: the content security policy forbids them.
//! * A form is acted on only when a page of ours sent it.

mod assets;
mod command;
mod filter;
mod graph;
mod journal;
mod layout;
mod live;
mod lock_page;
mod locks_page;
mod look;
mod moment;
mod page;
mod payload;
mod saga_locks;
mod saga_page;
mod saga_route;
mod sagas_page;
mod scale;
mod security;
mod step_state;
mod theme;
mod timeline;

#[cfg(test)]
mod specimen;
#[cfg(test)]
mod tests;

use amends_engine::Engine;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};

use crate::page::{Frame, not_found};

/// The pages, under `/` and `/console`.
///
/// Whoever serves them bounds their requests: in number, in time, and in bytes of a body.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/console", get(home))
        .route("/console/", get(home))
        .route("/console/sagas", get(sagas_page::list))
        .route("/console/sagas/{id}", get(saga_route::show))
        .route("/console/sagas/{id}/commands", post(saga_route::command))
        .route("/console/locks", get(locks_page::list))
        .route("/console/lock", get(lock_page::show).post(lock_page::release))
        .route("/console/events", get(live::events))
        .route("/console/theme", post(theme::choose))
        .route("/console/{*rest}", get(elsewhere))
        .with_state(engine)
        .merge(assets::routes())
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(security::harden))
}

async fn home() -> Redirect {
    Redirect::to("/console/sagas")
}

async fn elsewhere(State(engine): State<Engine>, frame: Frame) -> Response {
    let detail = format!("The console has no page at {}.", frame.here);
    not_found(frame, engine.now(), "There is no such page", detail)
}
