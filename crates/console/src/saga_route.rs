//! Answers for one saga: its page, and the commands that its forms send.

use amends_core::SagaId;
use amends_core::saga::Actor;
use amends_engine::{CommandError, Engine};
use amends_ports::store;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};

use crate::command::{done, read as read_command};
use crate::page::{Frame, not_found, respond, store_away};
use crate::saga_page::{JOURNAL_FACTS, Notice, Part, SagaPage, Shown};
use crate::security::is_same_origin;

/// Facts of a timeline: enough for any saga that is read by eye.
const TIMELINE_FACTS: u64 = 600;
/// Facts asked for at once.
const FACTS_AT_ONCE: u16 = 200;
/// Most bytes of an actor's name.
const ACTOR_BYTES_MAX: usize = 128;

type Pairs = Vec<(String, String)>;

/// `GET /console/sagas/{id}`.
pub(crate) async fn show(
    State(engine): State<Engine>,
    frame: Frame,
    Path(id): Path<String>,
    Query(pairs): Query<Pairs>,
) -> Response {
    let value = |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let from = value("journal").and_then(|from| from.parse().ok());
    let notice = value("did").and_then(|word| done(word)).map(|text| Notice {
        tone: "good",
        icon: "check",
        text: text.to_owned(),
    });
    page(&engine, frame, &id, from, StatusCode::OK, notice).await
}

/// `POST /console/sagas/{id}/commands`.
pub(crate) async fn command(
    State(engine): State<Engine>,
    frame: Frame,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(pairs): Form<Pairs>,
) -> Response {
    let refused = |text: String| Some(Notice { tone: "bad", icon: "alert", text });
    if !is_same_origin(&headers) {
        let text = "Nothing was done: the form was not sent by a page of this console.".to_owned();
        return page(&engine, frame, &id, None, StatusCode::FORBIDDEN, refused(text)).await;
    }
    let asked = match read_command(&pairs, engine.now()) {
        Ok(asked) => asked,
        Err(text) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return page(&engine, frame, &id, None, status, refused(text)).await;
        }
    };
    let Ok(saga_id) = SagaId::new(&id) else {
        return page(&engine, frame, &id, None, StatusCode::NOT_FOUND, None).await;
    };
    let word = asked.command.as_str();
    let reason = asked.reason.clone();
    let by = Actor { name: actor(&headers), reason: asked.reason };
    let (status, text) = match engine.command(&saga_id, asked.command, by).await {
        Ok(_) => return Redirect::to(&format!("/console/sagas/{id}?did={word}")).into_response(),
        Err(CommandError::Unavailable(error)) => return store_away(frame, engine.now(), &error),
        Err(error @ CommandError::Refused { .. }) => (StatusCode::CONFLICT, error.to_string()),
        Err(error @ CommandError::UnknownSaga(_)) => (StatusCode::NOT_FOUND, error.to_string()),
        Err(error @ CommandError::OwnerSilent(_)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{error}. The command may still be carried out; sending it again is harmless"),
        ),
    };
    let mut text = format!("“{word}” was not carried out: {text}.");
    if !reason.is_empty() {
        text.push_str(" Your reason was: ");
        text.push_str(&reason);
    }
    page(&engine, frame, &id, None, status, refused(text)).await
}

/// The page of the saga named `id`, or the one that says why there is none.
async fn page(
    engine: &Engine,
    frame: Frame,
    id: &str,
    from: Option<u64>,
    status: StatusCode,
    notice: Option<Notice>,
) -> Response {
    let now = engine.now();
    let Ok(saga_id) = SagaId::new(id) else {
        let detail = format!("{id:?} cannot be a saga's id: ids are letters, digits, _, - and .");
        return not_found(frame, now, "There is no such saga", detail);
    };
    match shown(engine, &saga_id, from, notice).await {
        Ok(Some(shown)) => respond(status, &SagaPage::new(frame, now, shown)),
        Ok(None) => {
            let detail = format!("No saga has the id {saga_id}.");
            not_found(frame, now, "There is no such saga", detail)
        }
        Err(error) => store_away(frame, now, &error),
    }
}

async fn shown(
    engine: &Engine,
    id: &SagaId,
    from: Option<u64>,
    notice: Option<Notice>,
) -> Result<Option<Shown>, store::Error> {
    let Some(detail) = engine.saga(id).await? else {
        return Ok(None);
    };
    let count = detail.saga.fact_count();
    let newest = facts(engine, id, count.saturating_sub(TIMELINE_FACTS), TIMELINE_FACTS).await?;
    let first = from.unwrap_or(count.saturating_sub(JOURNAL_FACTS));
    let journal = match first.checked_sub(newest.from) {
        Some(skipped) => {
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            let most = usize::try_from(JOURNAL_FACTS).unwrap_or(usize::MAX);
            let records = newest.records.iter().skip(skipped).take(most).cloned().collect();
            Part { from: first, records }
        }
        None => facts(engine, id, first, JOURNAL_FACTS).await?,
    };
    let locks = if detail.saga.accepted().lock_keys.is_empty() || detail.saga.ended_at().is_some() {
        Vec::new()
    } else {
        engine.lock_places(id).await?
    };
    Ok(Some(Shown { detail, newest, journal, is_numbered: from.is_some(), notice, locks }))
}

/// Up to `most` facts from number `from` on; the store may answer fewer at once than it is asked.
async fn facts(engine: &Engine, id: &SagaId, from: u64, most: u64) -> Result<Part, store::Error> {
    let mut part = Part { from, records: Vec::new() };
    loop {
        let have = u64::try_from(part.records.len()).unwrap_or(u64::MAX);
        let left = most.saturating_sub(have).min(u64::from(FACTS_AT_ONCE));
        let limit = u16::try_from(left).unwrap_or(FACTS_AT_ONCE);
        if limit == 0 {
            return Ok(part);
        }
        let Some(page) = engine.records(id, from.saturating_add(have), limit).await? else {
            return Ok(part);
        };
        let is_last = !page.more || page.records.is_empty();
        part.records.extend(page.records);
        if is_last {
            return Ok(part);
        }
    }
}

/// Who a proxy in front says is signed in, as for the REST API.
pub(crate) fn actor(headers: &HeaderMap) -> String {
    let name = headers.get("amends-actor").and_then(|name| name.to_str().ok()).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(ACTOR_BYTES_MAX).collect()
}
