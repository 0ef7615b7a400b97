//! One lock key: who holds it, who waits for it in which order, and how it is taken away.

use amends_core::definition::OnLost;
use amends_core::saga::Actor;
use amends_core::{LockKey, SagaId, Timestamp};
use amends_engine::{CommandError, Engine, ReleaseError};
use amends_ports::store::{self, LockQueue};
use askama::Template;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};

use crate::command::{field, reason};
use crate::filter::query_text;
use crate::locks_page::{Place, counted};
use crate::page::{Frame, ProblemPage, respond, store_away};
use crate::saga_locks::lock_link;
use crate::saga_page::Notice;
use crate::saga_route::actor;
use crate::security::is_same_origin;

/// Places of a queue that are shown.
const PLACES: u16 = 100;

type Pairs = Vec<(String, String)>;

#[derive(Debug, Template)]
#[template(path = "lock.html")]
struct LockPage {
    frame: Frame,
    now: Timestamp,
    key: String,
    notice: Option<Notice>,
    token: String,
    holder: Option<Place>,
    /// The holder's other keys, which it would lose too.
    other_keys: Vec<String>,
    consequence: &'static str,
    queue: Vec<Place>,
    waiting: String,
    is_cut: bool,
    sagas_link: String,
    refresh_link: String,
}

/// What a page is made from.
#[derive(Debug, Default)]
struct Shown {
    queue: Option<LockQueue>,
    holder: Option<Holder>,
}

/// What the saga that holds the key would lose, and do then.
#[derive(Debug)]
struct Holder {
    keys: Vec<LockKey>,
    on_lost: OnLost,
}

/// `GET /console/lock?key=…`.
pub(crate) async fn show(
    State(engine): State<Engine>,
    frame: Frame,
    Query(pairs): Query<Pairs>,
) -> Response {
    let notice = (field(&pairs, "did") == "release").then(|| Notice {
        tone: "good",
        icon: "check",
        text: "The saga that held it has lost its lock keys.".to_owned(),
    });
    page(&engine, frame, &pairs, StatusCode::OK, notice).await
}

/// `POST /console/lock`: takes the key away from the saga that the form names.
pub(crate) async fn release(
    State(engine): State<Engine>,
    frame: Frame,
    headers: HeaderMap,
    Form(pairs): Form<Pairs>,
) -> Response {
    let (status, why) = match carry_out(&engine, &headers, &pairs).await {
        Ok(key) => {
            let link = format!("{}&did=release", lock_link(key.as_str()));
            return Redirect::to(&link).into_response();
        }
        Err(Failed::Store(error)) => return store_away(frame, engine.now(), &error),
        Err(Failed::Refused(status, why)) => (status, why),
    };
    let mut text = format!("Nothing was released: {why}.");
    if let (Ok(reason), false) = (reason(&pairs), field(&pairs, "reason").is_empty()) {
        text.push_str(" Your reason was: ");
        text.push_str(&reason);
    }
    page(&engine, frame, &pairs, status, Some(Notice { tone: "bad", icon: "alert", text })).await
}

/// Why a form did nothing.
enum Failed {
    Refused(StatusCode, String),
    Store(store::Error),
}

async fn carry_out(
    engine: &Engine,
    headers: &HeaderMap,
    pairs: &[(String, String)],
) -> Result<LockKey, Failed> {
    let refused = |status, why: &str| Err(Failed::Refused(status, why.to_owned()));
    if !is_same_origin(headers) {
        return refused(StatusCode::FORBIDDEN, "the form was not sent by a page of this console");
    }
    let unclear = StatusCode::UNPROCESSABLE_ENTITY;
    let key = LockKey::new(field(pairs, "key"))
        .map_err(|error| Failed::Refused(unclear, format!("the lock key {error}")))?;
    let reason = reason(pairs).map_err(|why| Failed::Refused(unclear, why))?;
    if reason.is_empty() {
        return refused(unclear, "it needs a reason, for the journal");
    }
    if field(pairs, "sure") != "yes" {
        return refused(unclear, "tick that the saga is to lose its keys");
    }
    // Not the next one, which may have got the key since the page was made.
    let queue = engine.lock(&key, 1).await.map_err(Failed::Store)?;
    let holder = queue.and_then(|queue| queue.holder).map(|holder| holder.saga_id.to_string());
    if holder.is_some_and(|holder| holder != field(pairs, "holder")) {
        return refused(StatusCode::CONFLICT, "another saga holds the key by now");
    }
    let by = Actor { name: actor(headers), reason };
    match engine.release_lock(&key, by).await {
        Ok(_) => Ok(key),
        Err(
            ReleaseError::Unavailable(error)
            | ReleaseError::Command(CommandError::Unavailable(error)),
        ) => Err(Failed::Store(error)),
        Err(error @ ReleaseError::Command(CommandError::OwnerSilent(_))) => {
            let text = format!("{error}; it may still be carried out");
            Err(Failed::Refused(StatusCode::SERVICE_UNAVAILABLE, text))
        }
        Err(
            error @ (ReleaseError::UnknownLock(_)
            | ReleaseError::NotHeld(_)
            | ReleaseError::Command(
                CommandError::UnknownSaga(_) | CommandError::Refused { .. },
            )),
        ) => Err(Failed::Refused(StatusCode::CONFLICT, error.to_string())),
    }
}

async fn page(
    engine: &Engine,
    frame: Frame,
    pairs: &[(String, String)],
    status: StatusCode,
    notice: Option<Notice>,
) -> Response {
    let now = engine.now();
    let key = match LockKey::new(field(pairs, "key")) {
        Ok(key) => key,
        Err(error) => {
            let page = ProblemPage {
                frame,
                now,
                title: "There is no such lock key".to_owned(),
                detail: format!("{:?} cannot be a lock key: it {error}.", field(pairs, "key")),
                advice: "The list under Locks has every key that somebody holds or waits for."
                    .to_owned(),
            };
            return respond(StatusCode::NOT_FOUND, &page);
        }
    };
    match shown(engine, &key).await {
        Ok(shown) => respond(status, &LockPage::new(frame, now, &key, shown, notice)),
        Err(error) => store_away(frame, now, &error),
    }
}

async fn shown(engine: &Engine, key: &LockKey) -> Result<Shown, store::Error> {
    let queue = engine.lock(key, PLACES).await?;
    let holder: Option<&SagaId> =
        queue.as_ref().and_then(|queue| queue.holder.as_ref()).map(|holder| &holder.saga_id);
    let detail = match holder {
        Some(holder) => engine.saga(holder).await?,
        None => None,
    };
    let holder = detail.map(|detail| Holder {
        keys: detail.saga.accepted().lock_keys.clone(),
        on_lost: detail.saga.on_lock_lost(),
    });
    Ok(Shown { queue, holder })
}

impl LockPage {
    fn new(
        frame: Frame,
        now: Timestamp,
        key: &LockKey,
        shown: Shown,
        notice: Option<Notice>,
    ) -> Self {
        let place = |place: &store::LockPlace| Place::new(place, now);
        let queue = shown.queue.as_ref();
        let waiting = queue.map_or(0, |queue| queue.waiting);
        let keys = shown.holder.iter().flat_map(|holder| &holder.keys);
        Self {
            frame,
            now,
            notice,
            token: queue.map(|queue| queue.token.0.to_string()).unwrap_or_default(),
            holder: queue.and_then(|queue| queue.holder.as_ref()).map(place),
            other_keys: keys.filter(|own| *own != key).map(ToString::to_string).collect(),
            consequence: shown.holder.map_or("", |holder| consequence(holder.on_lost)),
            queue: queue.map(|queue| queue.queue.iter().map(place).collect()).unwrap_or_default(),
            waiting: counted(waiting),
            is_cut: waiting > u32::from(PLACES),
            sagas_link: format!("/console/sagas?key={}", query_text(key.as_str())),
            refresh_link: lock_link(key.as_str()),
            key: key.to_string(),
        }
    }
}

const fn consequence(on_lost: OnLost) -> &'static str {
    match on_lost {
        OnLost::Fence | OnLost::Pause => {
            "It stands at the end of the queues again, and starts no call until it has its keys."
        }
        OnLost::Abort => {
            "It aborts, unless commit is decided already, and undoes its work when it has its keys \
             again: it stands at the end of the queues."
        }
    }
}
