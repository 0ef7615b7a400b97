//! The list of sagas.

use std::collections::HashMap;

use amends_core::Timestamp;
use amends_core::saga::Status;
use amends_engine::Engine;
use amends_ports::{Page, SagaSummary};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use crate::filter::{Conditions, cursor_before};
use crate::look::Look;
use crate::moment::{Moment, fine};
use crate::page::{Frame, respond, store_away};
use crate::saga_locks::lock_link;

/// Rows of a page.
const ROWS: u16 = 50;
/// Counting stops here for each status.
const COUNTED_MAX: u32 = 10_000;

/// Sagas by status, those that need somebody first.
const CHIPS: [Status; 8] = [
    Status::Suspended,
    Status::Running,
    Status::Confirming,
    Status::Compensating,
    Status::Queued,
    Status::Completed,
    Status::Compensated,
    Status::Abandoned,
];

#[derive(Debug, Template)]
#[template(path = "sagas.html")]
pub(crate) struct SagasPage {
    pub(crate) frame: Frame,
    pub(crate) now: Timestamp,
    pub(crate) conditions: Conditions,
    pub(crate) status_words: String,
    pub(crate) chips: Vec<Chip>,
    pub(crate) all_link: String,
    pub(crate) suspended: String,
    pub(crate) running: String,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) rows: Vec<SagaRow>,
    pub(crate) newer: String,
    pub(crate) first_link: String,
    pub(crate) next_link: Option<String>,
    /// Where the script asks for the same rows again.
    pub(crate) refresh_link: String,
}

#[derive(Debug)]
pub(crate) struct Chip {
    look: Look,
    words: &'static str,
    count: String,
    is_zero: bool,
    is_on: bool,
    link: String,
}

#[derive(Debug)]
pub(crate) struct SagaRow {
    id: String,
    look: Look,
    paused: bool,
    definition: String,
    version: Option<u32>,
    keys: Vec<String>,
    more_keys: usize,
    /// To the queue of the first key, while it waits there.
    queue_link: Option<String>,
    started: Moment,
    /// How long it ran, or runs.
    age: String,
    is_ended: bool,
    step: String,
    reason: String,
}

/// `GET /console/sagas`.
pub(crate) async fn list(
    State(engine): State<Engine>,
    frame: Frame,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let now = engine.now();
    let conditions = Conditions::read(&pairs);
    if let Some(id) = conditions.typed_id()
        && let Ok(Some(_)) = engine.saga(&id).await
    {
        return Redirect::to(&format!("/console/sagas/{id}")).into_response();
    }
    match read(&engine, &conditions).await {
        Ok(read) => {
            let status =
                if conditions.faults.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            respond(status, &SagasPage::new(frame, now, conditions, read))
        }
        Err(error) => store_away(frame, now, &error),
    }
}

/// What a list shows.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) counts: Vec<(Status, u32)>,
    pub(crate) page: Page<SagaSummary>,
    /// How many rows are newer than the first one shown; none where nobody asked.
    pub(crate) newer: Option<usize>,
}

async fn read(
    engine: &Engine,
    conditions: &Conditions,
) -> Result<Listed, amends_ports::store::Error> {
    let filter = &conditions.filter;
    // Rows that have the order of their ids have no top that newer ones could come above.
    let top = conditions.top.as_ref().filter(|_| filter.id_prefix.is_none());
    let after = conditions.cursor.as_ref().or(top);
    let page = engine.sagas(filter, after, ROWS).await?;
    let newer = match top {
        Some(top) => {
            let newest = engine.sagas(filter, None, ROWS).await?;
            Some(newest.items.iter().filter(|row| row.created_at >= top.created_at).count())
        }
        None => None,
    };
    Ok(Listed { counts: engine.counts(COUNTED_MAX).await?, page, newer })
}

impl SagasPage {
    pub(crate) fn new(
        frame: Frame,
        now: Timestamp,
        conditions: Conditions,
        listed: Listed,
    ) -> Self {
        let counts: HashMap<Status, u32> = listed.counts.into_iter().collect();
        let count = |status| counts.get(&status).copied().unwrap_or(0);
        let chips = CHIPS.map(|status| Chip {
            look: Look::of_status(status),
            words: if status == Status::Suspended { "needs an operator" } else { status.as_str() },
            count: counted(count(status)),
            is_zero: count(status) == 0,
            is_on: conditions.filter.statuses == [status],
            link: conditions.with_statuses(&[status]),
        });
        let top = match (&conditions.cursor, &conditions.top, listed.page.items.first()) {
            (None, Some(top), _) => Some(top.clone()),
            (None, None, Some(first)) => cursor_before(first.created_at),
            _ => None,
        };
        let refresh_link = match (&conditions.cursor, &top) {
            (Some(cursor), _) => conditions.page_after(cursor),
            (None, Some(top)) => conditions.page_from(top),
            (None, None) => conditions.first_page(),
        };
        let words: Vec<&str> =
            conditions.filter.statuses.iter().map(|status| status.as_str()).collect();
        Self {
            now,
            status_words: words.join(","),
            chips: chips.into_iter().collect(),
            all_link: conditions.with_statuses(&[]),
            suspended: counted(count(Status::Suspended)),
            running: counted(count(Status::Running)),
            tags: conditions.tags(),
            rows: listed.page.items.iter().map(|row| SagaRow::new(row, now)).collect(),
            newer: newer_words(listed.newer.unwrap_or(0)),
            first_link: conditions.first_page(),
            next_link: listed.page.next.as_ref().map(|next| conditions.page_after(next)),
            refresh_link,
            frame,
            conditions,
        }
    }
}

impl SagaRow {
    fn new(summary: &SagaSummary, now: Timestamp) -> Self {
        let until = summary.ended_at.unwrap_or(now);
        Self {
            id: summary.saga_id.to_string(),
            look: Look::of_status(summary.status),
            paused: summary.paused,
            definition: summary.definition.to_string(),
            version: summary.version,
            keys: summary.lock_keys.iter().take(1).map(ToString::to_string).collect(),
            queue_link: summary
                .lock_keys
                .first()
                .filter(|_| summary.status == Status::Queued)
                .map(|key| lock_link(key.as_str())),
            more_keys: summary.lock_keys.len().saturating_sub(1),
            started: Moment::new(summary.created_at, now),
            age: fine(until.since(summary.created_at)),
            is_ended: summary.ended_at.is_some(),
            step: summary.step.as_ref().map(ToString::to_string).unwrap_or_default(),
            reason: summary.reason.clone().unwrap_or_default(),
        }
    }
}

/// `10,000+` where counting stopped.
fn counted(count: u32) -> String {
    if count >= COUNTED_MAX {
        return "10,000+".to_owned();
    }
    if count >= 1_000 {
        return format!("{},{:03}", count / 1_000, count % 1_000);
    }
    count.to_string()
}

fn newer_words(newer: usize) -> String {
    match newer {
        0 => String::new(),
        newer if newer >= usize::from(ROWS) => format!("{newer}+ new"),
        newer => format!("{newer} new"),
    }
}
