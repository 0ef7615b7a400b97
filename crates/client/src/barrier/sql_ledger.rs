//! The two-call form in a SQL database: a transaction to begin and a statement to settle.

use std::time::Duration;

use sqlx::Pool;

use super::decide::{Decision, decide};
use super::dialect::Rounds;
use super::row::{Content, Key, State};
use super::{Begun, Error, Ledger, Settlement, SqlStore, Started};
use crate::participant::Call;

impl<DB: SqlStore> Ledger for Pool<DB> {
    async fn begin(&self, call: &Call, hold: Duration) -> Result<Begun, Error> {
        let hold_ms = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX / 2);
        let mut tx = DB::begin(self).await?;
        match decide::<DB>(&mut tx, call, hold_ms).await {
            Ok(Decision::Run(turn)) => {
                tx.commit().await?;
                let (call, forward) = (call.clone(), turn.forward);
                Ok(Begun::Run(Started { call, round: turn.round, forward }))
            }
            Ok(Decision::Recorded(answer)) => {
                tx.commit().await?;
                Ok(Begun::Settled(answer))
            }
            Ok(Decision::Told(answer)) => {
                tx.rollback().await?;
                Ok(Begun::Settled(answer))
            }
            Err(error) => {
                // The first error tells more than one of rolling back.
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    }

    async fn settle(&self, started: &Started, settlement: Settlement<'_>) -> Result<(), Error> {
        let content = match settlement {
            Settlement::Succeeded(answer) => Content::settled(State::Succeeded, answer),
            Settlement::Refused(answer) => Content::settled(State::Refused, answer),
            Settlement::Released => Content::started(0),
        };
        let key = Key::new(&started.call, started.call.op);
        let mut connection = self.acquire().await?;
        let rounds = Rounds::same(started.round);
        if DB::change(&mut connection, key, content, rounds).await? {
            Ok(())
        } else {
            Err(Error::Lost)
        }
    }
}
