//! Live events: hints that something about a saga has changed, as server-sent events.
//!
//! One broadcast of hints feeds every stream. A stream keeps at most one hint a saga until it is
//! sent, sends at most four times a second, tells when it has missed some, and ends when the
//! process drains.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::str::FromStr;
use std::time::Duration;

use amends_core::saga::Status;
use amends_core::{DefinitionName, SagaId};
use amends_engine::{Hint, SagaDetail};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Ids, Parameters};
use crate::problem::Result;
use crate::sagas::{find, read_prefix, read_statuses};
use crate::state::AppState;
use crate::wire::{HintView, ProblemBody};
use crate::{ErrorCode, Problem};

/// Most sagas of which a stream keeps a hint; beyond, it says that it has missed some.
const PENDING_MAX: usize = 1000;
/// When a client whose stream broke comes back.
const RETRY: Duration = Duration::from_secs(2);
/// The last event that a returning client has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks proxies not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(saga_events)).routes(routes!(all_events))
}

/// Live events of all sagas.
///
/// `event: saga` with a hint as its data, at most four a second for each saga, only the last of
/// several. `event: lagged` says that some were missed: read the list again. The stream ends when
/// the coordinator shuts down; come back then.
#[utoipa::path(
    get,
    path = "/v1/sagas/events",
    tag = "sagas",
    operation_id = "saga_list_events",
    params(
        ("status" = Option<String>, Query, description = "Hints with any of these statuses, with commas between; may be repeated"),
        ("definition" = Option<String>, Query, description = "Sagas of this definition"),
        ("q" = Option<String>, Query, description = "Ids that start with this text"),
    ),
    responses(
        (status = 200, description = "Server-sent events whose data is a Hint", body = HintView, content_type = "text/event-stream"),
    )
)]
async fn all_events(State(state): State<AppState>, mut parameters: Parameters) -> Result<Response> {
    let filter = Filter {
        saga_id: None,
        statuses: read_statuses(&mut parameters)?,
        definition: parameters.one("definition", DefinitionName::from_str)?,
        id_prefix: parameters.one("q", read_prefix)?,
    };
    parameters.finish()?;
    check_draining(&state)?;
    Ok(answer(&state, Feed::new(&state, filter)))
}

/// Live events of one saga.
///
/// The first event says where the saga stands now. The stream ends with the saga; a client that
/// comes back after that, with its `Last-Event-ID`, is answered 204.
#[utoipa::path(
    get,
    path = "/v1/sagas/{id}/events",
    tag = "sagas",
    operation_id = "saga_events",
    params(
        ("id" = String, Path, description = "The saga"),
        ("Last-Event-ID" = Option<String>, Header, description = "`id` of the last event seen"),
    ),
    responses(
        (status = 200, description = "Server-sent events whose data is a Hint", body = HintView, content_type = "text/event-stream"),
        (status = 204, description = "The saga has ended, and the client has seen it"),
        (status = 404, description = "`saga-not-found`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn saga_events(
    State(state): State<AppState>,
    Ids(id): Ids<SagaId>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response> {
    parameters.finish()?;
    check_draining(&state)?;
    let filter = Filter { saga_id: Some(id.clone()), ..Filter::default() };
    // Listening begins before reading, so that nothing falls between.
    let mut feed = Feed::new(&state, filter);
    let detail = find(&state, &id).await?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|own| own.to_str().ok()?.parse().ok());
    if detail.saga.status().is_terminal() && seen == Some(detail.saga.fact_count()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    feed.take(hint(&detail));
    Ok(answer(&state, feed))
}

fn hint(detail: &SagaDetail) -> Hint {
    Hint {
        saga_id: detail.saga.id().clone(),
        definition: detail.saga.accepted().definition_name.clone(),
        fact_count: detail.saga.fact_count(),
        status: detail.saga.status(),
    }
}

fn check_draining(state: &AppState) -> Result<()> {
    if state.engine.is_draining() {
        return Err(Problem::new(ErrorCode::Draining, "the coordinator is shutting down"));
    }
    Ok(())
}

fn answer(state: &AppState, feed: Feed) -> Response {
    let events = stream::unfold(feed, |mut feed| async move {
        feed.next().await.map(|event| (Ok::<_, Infallible>(event), feed))
    });
    let alive = KeepAlive::new().interval(state.config.sse_heartbeat);
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Which hints a stream sends.
#[derive(Debug, Default)]
struct Filter {
    saga_id: Option<SagaId>,
    statuses: Vec<Status>,
    definition: Option<DefinitionName>,
    id_prefix: Option<String>,
}

impl Filter {
    fn matches(&self, hint: &Hint) -> bool {
        self.saga_id.as_ref().is_none_or(|id| *id == hint.saga_id)
            && (self.statuses.is_empty() || self.statuses.contains(&hint.status))
            && self.definition.as_ref().is_none_or(|own| *own == hint.definition)
            && self.id_prefix.as_ref().is_none_or(|own| hint.saga_id.as_str().starts_with(own))
    }
}

/// One stream.
struct Feed {
    hints: Receiver<Hint>,
    filter: Filter,
    /// The newest hint of each saga that waits to be sent.
    pending: BTreeMap<SagaId, Hint>,
    has_missed: bool,
    /// Events that are due.
    ready: VecDeque<Event>,
    /// When what is pending is sent.
    due: Option<Instant>,
    /// Nothing is sent before this.
    rest_until: Instant,
    interval: Duration,
    is_over: bool,
    draining: CancellationToken,
}

impl Feed {
    fn new(state: &AppState, filter: Filter) -> Self {
        Self {
            hints: state.engine.hints(),
            filter,
            pending: BTreeMap::new(),
            has_missed: false,
            ready: VecDeque::from([Event::default().retry(RETRY).comment("amends")]),
            due: None,
            rest_until: Instant::now(),
            interval: state.config.sse_interval,
            is_over: false,
            draining: state.engine.draining(),
        }
    }

    /// The next event; none when the stream is over.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            let due = self.due.unwrap_or(self.rest_until);
            tokio::select! {
                () = self.draining.cancelled() => return None,
                () = tokio::time::sleep_until(due), if self.due.is_some() => self.flush(),
                hint = self.hints.recv() => match hint {
                    Ok(hint) => self.take(hint),
                    Err(RecvError::Lagged(_)) => self.miss(),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    fn take(&mut self, hint: Hint) {
        if !self.filter.matches(&hint) {
            return;
        }
        if self.pending.len() >= PENDING_MAX && !self.pending.contains_key(&hint.saga_id) {
            return self.miss();
        }
        let known = self.pending.get(&hint.saga_id).map_or(0, |known| known.fact_count);
        if hint.fact_count >= known {
            self.pending.insert(hint.saga_id.clone(), hint);
        }
        self.due.get_or_insert(self.rest_until);
    }

    fn miss(&mut self) {
        self.has_missed = true;
        self.due.get_or_insert(self.rest_until);
    }

    fn flush(&mut self) {
        self.due = None;
        self.rest_until = Instant::now() + self.interval;
        if std::mem::take(&mut self.has_missed) {
            self.ready.push_back(Event::default().event("lagged").data("{}"));
        }
        for (_, hint) in std::mem::take(&mut self.pending) {
            self.is_over |= self.filter.saga_id.is_some() && hint.status.is_terminal();
            let event = Event::default().event("saga").id(hint.fact_count.to_string());
            // A hint is texts and numbers, which always have a JSON form.
            self.ready.extend(event.json_data(HintView::from(&hint)).ok());
        }
    }
}
