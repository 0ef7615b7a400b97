//! What the rows of a queue come to, whichever database they are from.

use amends_core::LockKey;
use amends_core::saga::Token;
use amends_ports::store::{LockPlace, LockQueue, LockSummary, PLACES_MAX};

/// Sagas that are granted their keys by the release of others in one write, at most: their journals
/// are read in it. Others are woken.
pub(crate) const SUCCESSORS_MAX: usize = 256;

/// How many rows are counted to know how many wait: one may hold the key.
pub(crate) const ROWS_MAX: u32 = PLACES_MAX + 1;

/// One ticket of a key, with what is said of the key beside each.
pub(crate) struct Ticket {
    pub(crate) key: LockKey,
    /// That it was granted with; none if it waits.
    pub(crate) token: Option<Token>,
    /// The key's, if nobody holds it.
    pub(crate) fence: Token,
    /// How many tickets the key has, counted up to [`ROWS_MAX`].
    pub(crate) count: u32,
    pub(crate) place: LockPlace,
}

impl Ticket {
    /// What is said of the key of which this is the first ticket.
    pub(crate) fn summary(self) -> LockSummary {
        let held = u32::from(self.token.is_some());
        LockSummary {
            key: self.key,
            token: self.token.unwrap_or(self.fence),
            holder: self.token.map(|_| self.place),
            waiting: self.count.saturating_sub(held).min(PLACES_MAX),
        }
    }
}

/// A key from its first tickets, of which `limit` may stand in the queue.
pub(crate) fn queue_of(tickets: Vec<Ticket>, limit: u16) -> Option<LockQueue> {
    let mut tickets = tickets.into_iter();
    let first = tickets.next()?;
    let waits_first = first.token.is_none().then(|| first.place.clone());
    let LockSummary { key, token, holder, waiting } = first.summary();
    let queue = waits_first.into_iter().chain(tickets.map(|waiter| waiter.place));
    Some(LockQueue { key, token, holder, queue: queue.take(usize::from(limit)).collect(), waiting })
}

/// A text that comes after all keys that begin with `prefix`, and before all others behind them.
pub(crate) fn beyond(prefix: &str) -> String {
    // Longer than what can follow in a key, of the last character that there is.
    prefix.to_owned() + &"\u{10FFFF}".repeat(LockKey::BYTES_MAX / 4 + 1)
}
