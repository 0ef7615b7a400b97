//! The list of lock keys that somebody holds or waits for.

use amends_core::{LockKey, Timestamp};
use amends_engine::Engine;
use amends_ports::LocksHealth;
use amends_ports::store::{self, LockPlace, LockSummary, PLACES_MAX};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;

use crate::command::field;
use crate::filter::query_text;
use crate::look::Look;
use crate::moment::{Moment, rough};
use crate::page::{Frame, respond, store_away};
use crate::saga_locks::lock_link;

/// Rows of a page.
const ROWS: usize = 50;
/// Most bytes of a beginning of keys: as many as a key has.
const PREFIX_BYTES_MAX: usize = 256;

#[derive(Debug, Template)]
#[template(path = "locks.html")]
pub(crate) struct LocksPage {
    frame: Frame,
    now: Timestamp,
    prefix: String,
    faults: Vec<String>,
    service: Option<Service>,
    rows: Vec<LockRow>,
    is_first_page: bool,
    first_link: String,
    next_link: Option<String>,
    refresh_link: String,
}

/// The lock service, where there is one.
#[derive(Debug)]
struct Service {
    look: Look,
    words: String,
    masters: Vec<Master>,
    /// Something about a master is worth a look.
    is_odd: bool,
}

#[derive(Debug)]
struct Master {
    address: String,
    look: Look,
    detail: String,
}

#[derive(Debug)]
struct LockRow {
    key: String,
    link: String,
    token: String,
    holder: Option<Place>,
    waiting: String,
    is_waited_for: bool,
}

/// A saga that has a key or waits for it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) definition: String,
    pub(crate) look: Look,
    pub(crate) since: Moment,
    /// How long it has stood there.
    pub(crate) age: String,
}

impl Place {
    pub(crate) fn new(place: &LockPlace, now: Timestamp) -> Self {
        Self {
            id: place.saga_id.to_string(),
            definition: place.definition_name.to_string(),
            look: Look::of_status(place.status),
            since: Moment::new(place.since, now),
            age: rough(now.since(place.since)),
        }
    }
}

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    prefix: String,
    after: Option<LockKey>,
    faults: Vec<String>,
}

impl Asked {
    fn read(pairs: &[(String, String)]) -> Self {
        let mut asked = Self::default();
        let prefix = field(pairs, "prefix");
        if prefix.len() > PREFIX_BYTES_MAX || prefix.chars().any(char::is_control) {
            let why =
                format!("it is longer than {PREFIX_BYTES_MAX} bytes or holds control characters");
            asked.faults.push(format!("“prefix” was left out: {why}."));
        } else {
            prefix.clone_into(&mut asked.prefix);
        }
        let cursor = pairs.iter().find(|(name, _)| name == "cursor").map_or("", |(_, text)| text);
        match LockKey::new(cursor) {
            Ok(key) => asked.after = Some(key),
            Err(_) if cursor.is_empty() => {}
            Err(error) => asked.faults.push(format!("“cursor” was left out: it {error}.")),
        }
        asked
    }

    fn link(&self, after: Option<&LockKey>) -> String {
        let conditions =
            [("prefix", self.prefix.as_str()), ("cursor", after.map_or("", LockKey::as_str))];
        let conditions: Vec<String> = conditions
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", query_text(value)))
            .collect();
        if conditions.is_empty() {
            return "/console/locks".to_owned();
        }
        format!("/console/locks?{}", conditions.join("&"))
    }
}

/// `GET /console/locks`.
pub(crate) async fn list(
    State(engine): State<Engine>,
    frame: Frame,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let asked = Asked::read(&pairs);
    let now = engine.now();
    let status = if asked.faults.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    match read(&engine, &asked).await {
        Ok((locks, health)) => respond(status, &LocksPage::new(frame, now, asked, locks, health)),
        Err(error) => store_away(frame, now, &error),
    }
}

async fn read(
    engine: &Engine,
    asked: &Asked,
) -> Result<(Vec<LockSummary>, Option<LocksHealth>), store::Error> {
    let prefix = Some(asked.prefix.as_str()).filter(|prefix| !prefix.is_empty());
    // One more than is shown tells whether there is another page.
    let limit = u16::try_from(ROWS + 1).unwrap_or(u16::MAX);
    let locks = engine.locks(prefix, asked.after.as_ref(), limit).await?;
    Ok((locks, engine.ready().await.locks))
}

impl LocksPage {
    fn new(
        frame: Frame,
        now: Timestamp,
        asked: Asked,
        mut locks: Vec<LockSummary>,
        health: Option<LocksHealth>,
    ) -> Self {
        let more = locks.len() > ROWS;
        locks.truncate(ROWS);
        let last = locks.last().map(|lock| &lock.key).filter(|_| more);
        Self {
            frame,
            now,
            service: health.map(Service::new),
            rows: locks.iter().map(|lock| LockRow::new(lock, now)).collect(),
            is_first_page: asked.after.is_none(),
            first_link: asked.link(None),
            next_link: last.map(|key| asked.link(Some(key))),
            refresh_link: asked.link(asked.after.as_ref()),
            prefix: asked.prefix,
            faults: asked.faults,
        }
    }
}

impl Service {
    fn new(health: LocksHealth) -> Self {
        let trusted = health.masters.iter().filter(|master| master.trusted).count();
        let all = health.masters.len();
        let (look, words) = if health.quorum {
            let words = format!("Redis guards the keys: {trusted} of {all} masters can vote.");
            (Look::new("good", "check", "quorum"), words)
        } else {
            let words = format!(
                "Redis has no quorum: {trusted} of {all} masters can vote. Sagas with lock keys \
                 start no forward call until it has; undoing goes on, and so do all other sagas."
            );
            (Look::new("bad", "alert", "no quorum"), words)
        };
        let master = |master: amends_ports::LockMaster| Master {
            address: master.address,
            look: match (master.trusted, &master.detail) {
                (true, None) => Look::new("good", "check", "trusted"),
                (true, Some(_)) => Look::new("warn", "alert", "trusted"),
                (false, _) => Look::new("bad", "cross", "no vote"),
            },
            detail: master.detail.unwrap_or_default(),
        };
        let is_odd = health.masters.iter().any(|master| !master.trusted || master.detail.is_some());
        Self { look, words, masters: health.masters.into_iter().map(master).collect(), is_odd }
    }
}

impl LockRow {
    fn new(lock: &LockSummary, now: Timestamp) -> Self {
        Self {
            key: lock.key.to_string(),
            link: lock_link(lock.key.as_str()),
            token: lock.token.0.to_string(),
            holder: lock.holder.as_ref().map(|holder| Place::new(holder, now)),
            waiting: counted(lock.waiting),
            is_waited_for: lock.waiting > 0,
        }
    }
}

/// `10000+` where counting stopped.
pub(crate) fn counted(places: u32) -> String {
    if places >= PLACES_MAX { format!("{PLACES_MAX}+") } else { places.to_string() }
}
