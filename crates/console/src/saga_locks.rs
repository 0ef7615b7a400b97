//! Where a saga stands for each of its lock keys, in words.

use amends_core::saga::Saga;
use amends_ports::store::{PLACES_MAX, SagaLock};

use crate::filter::query_text;

/// One lock key of a saga.
#[derive(Debug)]
pub(crate) struct KeyRow {
    pub(crate) key: String,
    /// To the key's queue.
    pub(crate) link: String,
    /// Whether the saga has the key now.
    pub(crate) holds: bool,
    pub(crate) words: String,
    /// The saga that has the key, if it is another one.
    pub(crate) holder: String,
}

/// The page of a lock key.
pub(crate) fn lock_link(key: &str) -> String {
    format!("/console/lock?key={}", query_text(key))
}

/// The lock keys of `saga`, of which `places` are the ones that it has or waits for.
pub(crate) fn rows(saga: &Saga, places: &[SagaLock]) -> Vec<KeyRow> {
    let tokens = saga.tokens();
    let row = |key: &amends_core::LockKey| {
        let place = places.iter().find(|place| place.key == *key);
        let last = tokens.iter().find(|(own, _)| own == key).map(|(_, token)| token.0);
        let holder = place.and_then(|place| place.holder.as_ref());
        KeyRow {
            key: key.to_string(),
            link: lock_link(key.as_str()),
            holds: place.is_some_and(|place| place.token.is_some()),
            words: place.map_or_else(|| past(last), present),
            holder: holder
                .filter(|holder| *holder != saga.id())
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    };
    saga.accepted().lock_keys.iter().map(row).collect()
}

fn present(place: &SagaLock) -> String {
    match (place.token, place.ahead) {
        (Some(token), _) => format!("holds it, fencing token {}", token.0),
        (None, 0) => "first in its queue".to_owned(),
        (None, 1) => "waits, 1 saga before it".to_owned(),
        (None, PLACES_MAX..) => format!("waits, {PLACES_MAX} sagas or more before it"),
        (None, ahead) => format!("waits, {ahead} sagas before it"),
    }
}

/// Without a ticket: it has none any more, or never had one.
fn past(token: Option<u64>) -> String {
    match token {
        Some(token) => format!("given back, had fencing token {token}"),
        None => "not held".to_owned(),
    }
}
