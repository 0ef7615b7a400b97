//! The barrier around work that is in no SQL transaction: record, act, settle.

use std::time::Duration;

use super::{Begun, Error, Ledger, Settlement, Started};
use crate::participant::{Answer, Call, Kind};

/// How long a turn is nobody else's, unless another time is given.
pub(super) const HOLD: Duration = Duration::from_secs(30);
/// Bytes of an answer that are kept, unless another bound is given: 64 KiB.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What stands before a handler whose work can't commit together with the barrier's row.
///
/// The handler does its work when [`Started::is_resumed`] is false; else it first looks up whether
/// an earlier attempt did it. That is what the barrier can't know.
///
/// With the feature `axum` it is an extractor: the ledger comes from the router's state, the call
/// from the request's headers (400 where they are missing).
#[derive(Clone, Debug)]
pub struct TwoCall<L: Ledger> {
    ledger: L,
    call: Call,
    hold: Duration,
    answer_bytes_max: usize,
}

impl<L: Ledger> TwoCall<L> {
    /// A barrier for one call.
    pub fn new(ledger: L, call: Call) -> Self {
        Self { ledger, call, hold: HOLD, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// Keeps the turn for so long instead of 30 s. Take more than the handler takes at most:
    /// afterwards another attempt may begin beside it.
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Keeps answers of up to so many bytes instead of 64 KiB.
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
        self
    }

    /// The call that stands before it.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Records the call, runs `handler` if it is its turn, and settles by its answer:
    ///
    /// * 2xx, and a 4xx to a forward call: recorded, every repetition gets it;
    /// * a 4xx to an undo or confirm, everything else, or an error: not settled, and the next
    ///   attempt is told so.
    ///
    /// If the future is dropped in the middle, the turn stays taken until its hold has passed.
    ///
    /// # Errors
    ///
    /// The handler's own, and [`Error`].
    pub async fn run<E: From<Error>>(
        self,
        handler: impl AsyncFnOnce(&Started) -> Result<Answer, E>,
    ) -> Result<Answer, E> {
        let started = match self.begin().await? {
            Begun::Run(started) => started,
            Begun::Settled(answer) => return Ok(answer),
        };
        match handler(&started).await {
            Ok(answer) => Ok(self.settle(&started, answer).await?),
            Err(error) => {
                self.release(&started).await;
                Err(error)
            }
        }
    }

    /// Records the call, if it is its turn.
    ///
    /// # Errors
    ///
    /// As [`Ledger::begin`].
    pub async fn begin(&self) -> Result<Begun, Error> {
        self.ledger.begin(&self.call, self.hold).await
    }

    /// Settles by the answer, as [`TwoCall::run`] lists, and gives it back.
    ///
    /// # Errors
    ///
    /// As [`Ledger::settle`], and [`Error::AnswerTooLong`]: the turn is given back then, and the
    /// next attempt is told that it is not the first.
    pub async fn settle(&self, started: &Started, answer: Answer) -> Result<Answer, Error> {
        let (bytes, bytes_max) = (answer.body.len(), self.answer_bytes_max);
        let settlement = match (answer.kind(), self.call.op.is_forward()) {
            (Kind::Success, _) => Settlement::Succeeded(&answer),
            (Kind::Refusal, true) => Settlement::Refused(&answer),
            (Kind::Refusal, false) | (Kind::Retry, _) => {
                self.release(started).await;
                return Ok(answer);
            }
        };
        if bytes > bytes_max {
            self.release(started).await;
            return Err(Error::AnswerTooLong { bytes, bytes_max });
        }
        self.ledger.settle(started, settlement).await?;
        Ok(answer)
    }

    pub(super) async fn release(&self, started: &Started) {
        // If it fails, the turn is free when its hold has passed.
        let _ = self.ledger.settle(started, Settlement::Released).await;
    }
}
