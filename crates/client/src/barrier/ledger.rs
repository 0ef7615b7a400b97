//! Where the two-call form keeps what has begun and how it ended.

use std::future::Future;
use std::time::Duration;

use super::{Error, Forward};
use crate::participant::{Answer, Call};

/// A store of the two-call form: a pool of a SQL database, a `RedisLedger`, or one of your own.
///
/// One step of one saga is decided as a whole and at once, by rules that
/// [the module](crate::barrier) lists. Cloning must be cheap.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Records that `call` begins, if it is its turn. For `hold` nobody else gets the turn.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] while another attempt, or the forward call that this one undoes, has the
    /// turn. [`Error::Unavailable`]: it may have been recorded; the turn is free after `hold`.
    fn begin(
        &self,
        call: &Call,
        hold: Duration,
    ) -> impl Future<Output = Result<Begun, Error>> + Send;

    /// Records how it ended.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if a later attempt has the turn; nothing was recorded.
    fn settle(
        &self,
        started: &Started,
        settlement: Settlement<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What the barrier says to a call in the two-call form.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It is this attempt's turn: do the work, then settle.
    Run(Started),
    /// There is nothing to do but to give this answer.
    Settled(Answer),
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub enum Settlement<'a> {
    /// It took effect.
    Succeeded(&'a Answer),
    /// It had no effect, and a repetition is told the same.
    Refused(&'a Answer),
    /// Not settled: the next attempt gets the turn at once, and is told that it is not the first.
    Released,
}

/// A turn: the right to do the work and to settle it.
#[derive(Clone, Debug)]
pub struct Started {
    /// The call.
    pub call: Call,
    /// How often the call was started, from 1. Only the last turn can settle.
    pub round: i64,
    /// In an undo, what is known of the forward call; none in other calls.
    pub forward: Option<Forward>,
}

impl Started {
    /// Whether an earlier attempt began and never settled: it crashed, failed, or was too slow.
    /// The work may be done, half done or not done: look it up before doing it.
    pub fn is_resumed(&self) -> bool {
        self.round > 1
    }
}
