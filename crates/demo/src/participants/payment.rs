//! Payment: holds an amount on a customer's account, then captures or voids it.
//!
//! A TCC step: `try` makes the hold, `confirm` captures it, `cancel` voids it.

use std::path::Path as FilePath;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use super::barrier::{self, Entry};
use super::{Answer, Call, Failure, database};

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
pub async fn open(path: &FilePath) -> sqlx::Result<SqlitePool> {
    database::open(path, SCHEMA).await
}

/// The service.
pub fn router(db: SqlitePool) -> Router {
    Router::new()
        .route("/holds", post(hold))
        .route("/holds/{saga}/capture", post(capture))
        .route("/holds/{saga}/void", post(void))
        .with_state(db)
}

/// What `try` is sent, and `cancel` again.
#[derive(Debug, Deserialize)]
struct Charge {
    user: String,
    amount: u32,
}

/// What `confirm` and `cancel` need.
#[derive(Debug, Deserialize)]
struct Customer {
    user: String,
}

/// The definition locks `user:…`: tokens of one user's sagas are compared with each other.
fn fence_key(user: &str) -> String {
    format!("user:{user}")
}

/// `POST /holds`: the try. 422 when the account doesn't cover the amount.
async fn hold(
    State(db): State<SqlitePool>,
    call: Call,
    Json(charge): Json<Charge>,
) -> Result<Answer, Failure> {
    let saga = call.saga.clone();
    let mut work = match barrier::enter(&db, call, &fence_key(&charge.user)).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    let set_aside = "UPDATE account SET balance = balance - ?1, held = held + ?1
        WHERE user = ?2 AND balance >= ?1";
    let held =
        sqlx::query(set_aside).bind(charge.amount).bind(&charge.user).execute(work.tx()).await?;
    if held.rows_affected() == 0 {
        let detail = format!("the account of {} doesn't cover {}", charge.user, charge.amount);
        let declined = Answer::refused(StatusCode::UNPROCESSABLE_ENTITY, "card-declined", &detail);
        return Ok(work.settle(declined).await?);
    }
    sqlx::query("INSERT INTO hold (saga, user, amount, state) VALUES (?, ?, ?, 'open')")
        .bind(&saga)
        .bind(&charge.user)
        .bind(charge.amount)
        .execute(work.tx())
        .await?;
    Ok(work.settle(Answer::created(json!({ "hold_id": saga }))).await?)
}

/// `POST /holds/{saga}/capture`: the confirm. 409 when there is no open hold.
async fn capture(
    State(db): State<SqlitePool>,
    Path(saga): Path<String>,
    call: Call,
    Json(customer): Json<Customer>,
) -> Result<Answer, Failure> {
    let mut work = match barrier::enter(&db, call, &fence_key(&customer.user)).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    let Some((user, amount)) = close(work.tx(), &saga, "captured").await? else {
        return Ok(work.settle(no_open_hold(&saga)).await?);
    };
    sqlx::query("UPDATE account SET held = held - ? WHERE user = ?")
        .bind(amount)
        .bind(user)
        .execute(work.tx())
        .await?;
    Ok(work.settle(Answer::ok(json!({ "captured": amount }))).await?)
}

/// `POST /holds/{saga}/void`: the cancel. 409 when the hold was captured.
async fn void(
    State(db): State<SqlitePool>,
    Path(saga): Path<String>,
    call: Call,
    Json(customer): Json<Customer>,
) -> Result<Answer, Failure> {
    let mut work = match barrier::enter(&db, call, &fence_key(&customer.user)).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    let Some((user, amount)) = close(work.tx(), &saga, "voided").await? else {
        return Ok(work.settle(no_open_hold(&saga)).await?);
    };
    sqlx::query("UPDATE account SET held = held - ?1, balance = balance + ?1 WHERE user = ?2")
        .bind(amount)
        .bind(user)
        .execute(work.tx())
        .await?;
    Ok(work.settle(Answer::ok(json!({ "voided": amount }))).await?)
}

/// Ends the saga's open hold; its user and amount, or `None` where no hold is open.
async fn close(
    tx: &mut SqliteConnection,
    saga: &str,
    state: &str,
) -> sqlx::Result<Option<(String, i64)>> {
    let close =
        "UPDATE hold SET state = ? WHERE saga = ? AND state = 'open' RETURNING user, amount";
    sqlx::query_as(close).bind(state).bind(saga).fetch_optional(tx).await
}

fn no_open_hold(saga: &str) -> Answer {
    let detail = format!("saga {saga} has no open hold");
    Answer::refused(StatusCode::CONFLICT, "no-open-hold", &detail)
}
