//! The barrier: every operation takes effect once, and in a valid order.
//!
//! Calls come at least once, an undo may come for a call that never arrived, and a late call may
//! come after its undo. One row of `(saga, step, op)`, inserted in the transaction of the handler's
//! own work, decides each case:
//!
//! * the same call again finds its row and gets the first answer;
//! * an undo also claims its forward call's row: if that was free, or holds a refusal, there is
//!   nothing to undo, and a forward call that comes later finds the row taken, holding a 409;
//! * of two at once the second waits for the first one's commit;
//! * a fencing token lower than one seen for the same key is refused.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, Sqlite, SqlitePool, Transaction};

use super::{Answer, Call, Op};

/// The barrier's tables, to be made beside the participant's own.
pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS barrier (
        saga TEXT NOT NULL, step TEXT NOT NULL, op TEXT NOT NULL,
        status INTEGER, body TEXT,  -- the answer; NULL only inside the first call's transaction
        PRIMARY KEY (saga, step, op)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS fence (key TEXT PRIMARY KEY, token INTEGER NOT NULL) STRICT;
";

/// What the barrier says to a call.
#[derive(Debug)]
pub enum Entry {
    /// It is the first of its kind: do the work, then settle.
    First(Work),
    /// There is nothing to do but to give this answer.
    Settled(Answer),
}

/// The handler's work: one transaction, open until it is settled; dropped, it is rolled back.
#[derive(Debug)]
pub struct Work {
    tx: Transaction<'static, Sqlite>,
    call: Call,
}

/// Lets `call` in, if it is its turn. `fence_key` names what the saga has locked.
///
/// # Errors
///
/// The database failed, and nothing was done.
pub async fn enter(db: &SqlitePool, call: Call, fence_key: &str) -> sqlx::Result<Entry> {
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await?;
    let is_undoable = match call.op.undoes() {
        Some(forward) => has_effect(&mut tx, &call, forward).await?,
        None => true,
    };
    if !claim(&mut tx, &call, call.op).await? {
        return Ok(Entry::Settled(recorded(&mut tx, &call, call.op).await?));
    }
    if is_stale(&mut tx, &call, fence_key).await? {
        let detail = format!("a newer holder of {fence_key} has been here");
        return Ok(Entry::Settled(conflict("stale-fencing-token", &detail)));
    }
    let work = Work { tx, call };
    if is_undoable {
        return Ok(Entry::First(work));
    }
    Ok(Entry::Settled(work.settle(Answer::ok(json!({ "nothing_to_undo": true }))).await?))
}

impl Work {
    /// The transaction to work in.
    pub fn tx(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// Keeps `answer` for every later attempt and commits it together with the work.
    ///
    /// # Errors
    ///
    /// The database failed, and nothing was done.
    pub async fn settle(mut self, answer: Answer) -> sqlx::Result<Answer> {
        // A refused confirm or undo is no end: it will be asked again, and may then succeed.
        if answer.is_refusal() && !self.call.op.is_forward() {
            self.tx.rollback().await?;
            return Ok(answer);
        }
        record(&mut self.tx, &self.call, self.call.op, &answer).await?;
        self.tx.commit().await?;
        Ok(answer)
    }
}

/// Whether the forward call has had an effect. If it has not come, it has lost its turn now.
async fn has_effect(tx: &mut SqliteConnection, call: &Call, forward: Op) -> sqlx::Result<bool> {
    if claim(tx, call, forward).await? {
        let too_late = conflict("undone-before", "the undo of this call has come before it");
        record(tx, call, forward, &too_late).await?;
    }
    Ok(!recorded(tx, call, forward).await?.is_refusal())
}

/// Inserts the row that decides; false when it was there.
async fn claim(tx: &mut SqliteConnection, call: &Call, op: Op) -> sqlx::Result<bool> {
    let insert = "INSERT INTO barrier (saga, step, op) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    let done =
        sqlx::query(insert).bind(&call.saga).bind(&call.step).bind(op.as_str()).execute(tx).await?;
    Ok(done.rows_affected() == 1)
}

async fn record(
    tx: &mut SqliteConnection,
    call: &Call,
    op: Op,
    answer: &Answer,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE barrier SET status = ?, body = ? WHERE saga = ? AND step = ? AND op = ?")
        .bind(answer.status.as_u16())
        .bind(answer.body.to_string())
        .bind(&call.saga)
        .bind(&call.step)
        .bind(op.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

async fn recorded(tx: &mut SqliteConnection, call: &Call, op: Op) -> sqlx::Result<Answer> {
    let row =
        sqlx::query("SELECT status, body FROM barrier WHERE saga = ? AND step = ? AND op = ?")
            .bind(&call.saga)
            .bind(&call.step)
            .bind(op.as_str())
            .fetch_one(tx)
            .await?;
    let status = StatusCode::from_u16(row.try_get("status")?);
    let body = serde_json::from_str(row.try_get("body")?);
    Ok(Answer {
        status: status.map_err(|error| sqlx::Error::Decode(error.into()))?,
        body: body.map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}

/// Whether a higher token than the call's has been seen for `key`; if not, the call's is kept.
async fn is_stale(tx: &mut SqliteConnection, call: &Call, key: &str) -> sqlx::Result<bool> {
    let Some(token) = call.fencing_token else { return Ok(false) };
    let raise = "INSERT INTO fence (key, token) VALUES (?, ?)
        ON CONFLICT (key) DO UPDATE SET token = excluded.token WHERE excluded.token >= token";
    let done = sqlx::query(raise).bind(key).bind(token).execute(tx).await?;
    Ok(done.rows_affected() == 0)
}

fn conflict(code: &str, detail: &str) -> Answer {
    Answer::refused(StatusCode::CONFLICT, code, detail)
}
