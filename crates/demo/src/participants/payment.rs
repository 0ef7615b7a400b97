//! Payment: holds an amount on a customer's account, then captures or voids it.
//!
//! A TCC step: `try` makes the hold, `confirm` captures it, `cancel` voids it.

use std::path::Path as FilePath;

use amends_client::barrier::{Barrier, Error};
use amends_client::participant::Answer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Sqlite, SqlitePool};

use super::database;

/// Amounts are in cents. An account's `held` is the sum of its open holds.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS account (
        user TEXT PRIMARY KEY,
        balance INTEGER NOT NULL CHECK (balance >= 0), held INTEGER NOT NULL CHECK (held >= 0)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS hold (
        id INTEGER PRIMARY KEY, saga TEXT NOT NULL, user TEXT NOT NULL REFERENCES account,
        amount INTEGER NOT NULL CHECK (amount >= 0),
        state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'voided'))
    ) STRICT;
    CREATE INDEX IF NOT EXISTS hold_by_saga ON hold (saga);
";

/// Opens the payment service's database at `path`.
///
/// # Errors
///
/// The file can't be opened or written.
pub async fn open(path: &FilePath) -> Result<SqlitePool, Error> {
    database::open(path, SCHEMA).await
}

/// The service.
pub fn router(db: SqlitePool) -> Router {
    Router::new()
        .route("/holds", post(hold))
        .route("/holds/{saga}/capture", post(|barrier, saga| close(barrier, saga, End::Captured)))
        .route("/holds/{saga}/void", post(|barrier, saga| close(barrier, saga, End::Voided)))
        .with_state(db)
}

/// What the try is sent.
#[derive(Debug, Deserialize)]
struct Charge {
    user: String,
    amount: u32,
}

/// How a hold ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The money is gone.
    Captured,
    /// The money is back.
    Voided,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Voided => "voided",
        }
    }

    /// How much of a hold goes back to the balance.
    fn given_back(self, amount: i64) -> i64 {
        match self {
            Self::Captured => 0,
            Self::Voided => amount,
        }
    }
}

/// `POST /holds`: the try. 422 when the account doesn't cover the amount.
async fn hold(barrier: Barrier<Sqlite>, Json(charge): Json<Charge>) -> Result<Answer, Error> {
    let saga = barrier.call().saga.clone();
    let Charge { user, amount } = charge;
    barrier
        .run(async |work| {
            let set_aside = "UPDATE account SET balance = balance - ?1, held = held + ?1
                WHERE user = ?2 AND balance >= ?1";
            let held = sqlx::query(set_aside).bind(amount).bind(&user).execute(work.tx()).await?;
            if held.rows_affected() == 0 {
                let detail = format!("the account of {user} doesn't cover {amount}");
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Ok(Answer::refused(status, "card-declined", &detail));
            }
            let note = "INSERT INTO hold (saga, user, amount, state) VALUES (?, ?, ?, 'open')";
            sqlx::query(note).bind(&saga).bind(&user).bind(amount).execute(work.tx()).await?;
            Ok(Answer::created(json!({ "hold_id": saga })))
        })
        .await
}

/// `POST /holds/{saga}/capture`, the confirm, and `…/void`, the cancel. 409 when no hold is open:
/// it was not made, or has ended in the other way.
async fn close(
    barrier: Barrier<Sqlite>,
    Path(saga): Path<String>,
    end: End,
) -> Result<Answer, Error> {
    barrier
        .run(async |work| {
            let close = "UPDATE hold SET state = ? WHERE saga = ? AND state = 'open'
                RETURNING user, amount";
            let closed: Option<(String, i64)> = sqlx::query_as(close)
                .bind(end.word())
                .bind(&saga)
                .fetch_optional(work.tx())
                .await?;
            let Some((user, amount)) = closed else {
                let detail = format!("saga {saga} has no open hold");
                return Ok(Answer::conflict("no-open-hold", &detail));
            };
            sqlx::query("UPDATE account SET held = held - ?, balance = balance + ? WHERE user = ?")
                .bind(amount)
                .bind(end.given_back(amount))
                .bind(user)
                .execute(work.tx())
                .await?;
            Ok(Answer::ok(json!({ end.word(): amount })))
        })
        .await
}
