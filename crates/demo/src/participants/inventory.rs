//! Inventory: takes units off the shelf for a saga, and puts them back.
//!
//! A saga step with an action and a compensation.

use std::path::Path as FilePath;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqlitePool;

use super::barrier::{self, Entry};
use super::{Answer, Call, Failure, database};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS stock (
        sku TEXT PRIMARY KEY, on_shelf INTEGER NOT NULL CHECK (on_shelf >= 0)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS reservation (
        id INTEGER PRIMARY KEY, saga TEXT NOT NULL, sku TEXT NOT NULL REFERENCES stock,
        qty INTEGER NOT NULL CHECK (qty > 0),
        state TEXT NOT NULL CHECK (state IN ('reserved', 'released'))
    ) STRICT;
    CREATE INDEX IF NOT EXISTS reservation_by_saga ON reservation (saga);
";

/// Opens the inventory's database at `path`.
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
        .route("/reservations", post(reserve))
        .route("/reservations/{saga}/release", post(release))
        .with_state(db)
}

/// What both operations are sent.
#[derive(Debug, Deserialize)]
struct Reservation {
    user: String,
    sku: String,
    qty: u32,
}

impl Reservation {
    /// The definition locks `user:…`: tokens of one user's sagas are compared with each other.
    fn fence_key(&self) -> String {
        format!("user:{}", self.user)
    }
}

/// `POST /reservations`: the action. 409 when the shelf is empty.
async fn reserve(
    State(db): State<SqlitePool>,
    call: Call,
    Json(wanted): Json<Reservation>,
) -> Result<Answer, Failure> {
    let saga = call.saga.clone();
    let mut work = match barrier::enter(&db, call, &wanted.fence_key()).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    let take = "UPDATE stock SET on_shelf = on_shelf - ?1 WHERE sku = ?2 AND on_shelf >= ?1";
    let taken = sqlx::query(take).bind(wanted.qty).bind(&wanted.sku).execute(work.tx()).await?;
    if taken.rows_affected() == 0 {
        let detail = format!("fewer than {} of {} are on the shelf", wanted.qty, wanted.sku);
        return Ok(work
            .settle(Answer::refused(StatusCode::CONFLICT, "empty-shelf", &detail))
            .await?);
    }
    sqlx::query("INSERT INTO reservation (saga, sku, qty, state) VALUES (?, ?, ?, 'reserved')")
        .bind(&saga)
        .bind(&wanted.sku)
        .bind(wanted.qty)
        .execute(work.tx())
        .await?;
    Ok(work.settle(Answer::created(json!({ "reservation": saga }))).await?)
}

/// `POST /reservations/{saga}/release`: the compensation.
///
/// It runs only when the saga's reservation was made and is still there: the barrier has seen to it.
async fn release(
    State(db): State<SqlitePool>,
    Path(saga): Path<String>,
    call: Call,
    Json(wanted): Json<Reservation>,
) -> Result<Answer, Failure> {
    let mut work = match barrier::enter(&db, call, &wanted.fence_key()).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    let release = "UPDATE reservation SET state = 'released' WHERE saga = ? RETURNING sku, qty";
    let (sku, qty): (String, i64) =
        sqlx::query_as(release).bind(&saga).fetch_one(work.tx()).await?;
    sqlx::query("UPDATE stock SET on_shelf = on_shelf + ? WHERE sku = ?")
        .bind(qty)
        .bind(&sku)
        .execute(work.tx())
        .await?;
    Ok(work.settle(Answer::ok(json!({ "released": qty }))).await?)
}
