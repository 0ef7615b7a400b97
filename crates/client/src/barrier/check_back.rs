//! Commit locally and send: the row by which a check-back and a local transaction agree.
//!
//! An interactive transaction that was begun with a check-back is asked for when its client falls
//! silent. Both sides compete for the row of the forward call `prepared`: the client's own
//! transaction writes it as succeeded and commits it together with its work, the check-back writes
//! it as undone. Whoever is first decides; the other one is told.

use http::StatusCode;
use serde_json::json;
use sqlx::{Pool, Transaction};

use super::dialect::{SqlStore, Statements};
use super::row::{Content, Key, Row, State};
use super::{Error, told};
use crate::participant::{Answer, Call, Op};

/// The step of which the coordinator asks.
const STEP: &str = "prepared";

/// Notes in the client's own transaction that it commits the interactive transaction `saga`, so
/// that [`check_back`] can tell. Call it before the work: it waits for a check-back under way.
///
/// From here to the commit of `tx` a check-back waits or is answered 503, so keep it short.
///
/// # Errors
///
/// After each of them roll back; dropping `tx` does. [`Error::RolledBack`]: the interactive
/// transaction is rolled back. [`Error::CommittedBefore`]: an earlier attempt has committed the
/// work; don't do it again, but commit the interactive transaction. [`Error::Unavailable`] or
/// [`Error::Busy`]: make the transaction again. [`Error::Misuse`] for a text that is no saga's id.
pub async fn prepare<DB: SqlStore>(tx: &mut Transaction<'_, DB>, saga: &str) -> Result<(), Error> {
    let key = key(saga)?;
    let answer = Answer::json(StatusCode::OK, &json!({ "committed": true }));
    if DB::claim(tx, key, Content::settled(State::Succeeded, &answer)).await? {
        return Ok(());
    }
    match read::<DB>(tx, key).await?.state {
        State::Succeeded => Err(Error::CommittedBefore),
        State::Undone | State::Refused => Err(Error::RolledBack),
        State::Started => Err(Error::busy()),
    }
}

/// Answers the coordinator's question whether the client's own transaction was committed: 200 if
/// so, 409 if not. After a 409, [`prepare`] fails for this saga, so it never will be.
///
/// It waits for a local transaction that is past its [`prepare`], as long as a barrier waits for
/// another attempt.
///
/// **Asking decides**: let only the coordinator ask ([`SignedLayer`]).
///
/// [`SignedLayer`]: crate::participant::SignedLayer
///
/// # Errors
///
/// [`Error::Unavailable`] or [`Error::Busy`] while the local transaction is not at its end: as a
/// response both are 503, and the coordinator asks again. [`Error::Misuse`] for a text that is no
/// saga's id.
pub async fn check_back<DB: SqlStore>(pool: &Pool<DB>, saga: &str) -> Result<Answer, Error> {
    let key = key(saga)?;
    let mut tx = DB::begin(pool).await?;
    match ask::<DB>(&mut tx, key).await {
        Ok(answer) => {
            // Before a no is told it must be kept.
            tx.commit().await?;
            Ok(answer)
        }
        Err(error) => {
            // The first error tells more than one of rolling back.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

async fn ask<DB: SqlStore>(tx: &mut DB::Connection, key: Key<'_>) -> Result<Answer, Error> {
    if DB::claim(tx, key, Content::undone()).await? {
        return Ok(told::rolled_back());
    }
    let row = read::<DB>(tx, key).await?;
    match row.state {
        State::Succeeded => row.answer.ok_or_else(Error::busy),
        State::Undone | State::Refused => Ok(told::rolled_back()),
        State::Started => Err(Error::busy()),
    }
}

async fn read<DB: Statements>(tx: &mut DB::Connection, key: Key<'_>) -> Result<Row, Error> {
    // Gone between the insert and this: rolled back under a lower isolation.
    DB::read(tx, key).await?.ok_or_else(Error::busy)
}

fn key(saga: &str) -> Result<Key<'_>, Error> {
    if Call::is_saga_id(saga) {
        Ok(Key { saga, step: STEP, op: Op::Action })
    } else {
        Err(Error::Misuse(
            "this is no id of a saga: expected 1 to 128 letters, digits, '_', '-' and '.'",
        ))
    }
}
