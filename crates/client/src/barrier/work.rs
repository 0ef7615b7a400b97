//! The barrier around work in one SQL transaction.

use sqlx::{Pool, Transaction};

use super::decide::{Decision, Turn, decide};
use super::dialect::Rounds;
use super::row::{Content, Key, State};
use super::{Error, Forward, SqlStore};
use crate::participant::{Answer, Call, Kind};

/// Bytes of an answer that are kept, unless another bound is given: 64 KiB.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What stands before a handler whose work is in one transaction of a SQL database.
///
/// With the feature `axum` it is an extractor: the pool comes from the router's state, the call
/// from the request's headers (400 where they are missing).
#[derive(Clone, Debug)]
pub struct Barrier<DB: SqlStore> {
    pool: Pool<DB>,
    call: Call,
    answer_bytes_max: usize,
}

/// What the barrier says to a call.
#[derive(Debug)]
pub enum Entry<DB: SqlStore> {
    /// It is this call's turn: do the work, then settle.
    First(Work<DB>),
    /// There is nothing to do but to give this answer.
    Settled(Answer),
}

/// The handler's work: one transaction, open until it is settled; dropped, it is rolled back and
/// the call may come again.
#[derive(Debug)]
pub struct Work<DB: SqlStore> {
    tx: Transaction<'static, DB>,
    call: Call,
    turn: Turn,
    answer_bytes_max: usize,
}

impl<DB: SqlStore> Barrier<DB> {
    /// A barrier for one call.
    pub fn new(pool: Pool<DB>, call: Call) -> Self {
        Self { pool, call, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// Keeps answers of up to so many bytes instead of 64 KiB. A longer one is an error and
    /// rolls the work back. MySQL keeps at most 16 MiB.
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.answer_bytes_max = bytes;
        self
    }

    /// The call that stands before it.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Lets the call in, runs `handler` if it is its turn, and settles by its answer:
    ///
    /// * 2xx: work and answer are committed together;
    /// * a 4xx to a forward call: the work is rolled back, the refusal is recorded;
    /// * a 4xx to an undo or confirm, and everything else (408, 425, 429, 5xx) or an error: all is
    ///   rolled back, and the call may come again.
    ///
    /// The handler works in [`Work::tx`] and must not end the transaction itself. It passes errors
    /// of the database up: MySQL ends a transaction that met a deadlock, and what comes after it
    /// would stand outside. If the future is dropped, all is rolled back.
    ///
    /// # Errors
    ///
    /// The handler's own, and [`Error`]; nothing was done, as [`Error::Unavailable`] says.
    pub async fn run<E: From<Error>>(
        self,
        handler: impl AsyncFnOnce(&mut Work<DB>) -> Result<Answer, E>,
    ) -> Result<Answer, E> {
        let mut work = match self.enter().await? {
            Entry::First(work) => work,
            Entry::Settled(answer) => return Ok(answer),
        };
        match handler(&mut work).await {
            Ok(answer) => Ok(work.settle(answer).await?),
            Err(error) => {
                work.abandon().await;
                Err(error)
            }
        }
    }

    /// Lets the call in, if it is its turn. Waits for another attempt that is at work.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing was done.
    pub async fn enter(self) -> Result<Entry<DB>, Error> {
        let mut tx = DB::begin(&self.pool).await?;
        // Nobody sees the row before it is settled, so there is nothing to hold.
        match decide::<DB>(&mut tx, &self.call, 0).await {
            Ok(Decision::Run(turn)) => {
                DB::run(&mut tx, "SAVEPOINT amends_work").await?;
                let Self { call, answer_bytes_max, .. } = self;
                Ok(Entry::First(Work { tx, call, turn, answer_bytes_max }))
            }
            Ok(Decision::Recorded(answer)) => {
                tx.commit().await?;
                Ok(Entry::Settled(answer))
            }
            Ok(Decision::Told(answer)) => {
                tx.rollback().await?;
                Ok(Entry::Settled(answer))
            }
            Err(error) => {
                // The first error tells more than one of rolling back.
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    }
}

impl<DB: SqlStore> Work<DB> {
    /// The transaction to work in: `sqlx::query(…).execute(work.tx())`.
    pub fn tx(&mut self) -> &mut DB::Connection {
        &mut self.tx
    }

    /// The call that is at work.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// In an undo, what is known of the forward call; none in other calls.
    pub fn forward(&self) -> Option<&Forward> {
        self.turn.forward.as_ref()
    }

    /// Ends the work by its answer, as [`Barrier::run`] lists, and gives the answer back.
    ///
    /// # Errors
    ///
    /// [`Error`]; all is rolled back.
    pub async fn settle(mut self, answer: Answer) -> Result<Answer, Error> {
        match (answer.kind(), self.call.op.is_forward()) {
            (Kind::Success, _) => self.record(State::Succeeded, answer).await,
            (Kind::Refusal, true) => {
                // A refusal says that nothing was done; on PostgreSQL it may also come of a
                // statement that failed, after which nothing else could be written.
                DB::run(&mut self.tx, "ROLLBACK TO SAVEPOINT amends_work").await?;
                self.record(State::Refused, answer).await
            }
            (Kind::Refusal, false) | (Kind::Retry, _) => {
                self.tx.rollback().await?;
                Ok(answer)
            }
        }
    }

    async fn record(mut self, state: State, answer: Answer) -> Result<Answer, Error> {
        let (bytes, bytes_max) = (answer.body.len(), self.answer_bytes_max);
        if bytes > bytes_max {
            self.abandon().await;
            return Err(Error::AnswerTooLong { bytes, bytes_max });
        }
        let own = Key::new(&self.call, self.call.op);
        let content = Content::settled(state, &answer);
        if !DB::change(&mut self.tx, own, content, Rounds::same(self.turn.round)).await? {
            self.abandon().await;
            return Err(Error::Lost);
        }
        self.tx.commit().await?;
        Ok(answer)
    }

    async fn abandon(self) {
        // A transaction that cannot be rolled back ends with its connection.
        let _ = self.tx.rollback().await;
    }
}
