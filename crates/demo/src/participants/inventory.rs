//! Inventory: takes units off the shelf for a saga, and puts them back.
//!
//! A saga step with an action and a compensation.

use std::path::Path as FilePath;

use amends_client::barrier::{Barrier, Error};
use amends_client::participant::Answer;
use axum::extract::Path;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Sqlite, SqlitePool};

use super::database;

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
pub async fn open(path: &FilePath) -> Result<SqlitePool, Error> {
    database::open(path, SCHEMA).await
}

/// The service.
pub fn router(db: SqlitePool) -> Router {
    Router::new()
        .route("/reservations", post(reserve))
        .route("/reservations/{saga}/release", post(release))
        .with_state(db)
}

/// What the action is sent.
#[derive(Debug, Deserialize)]
struct Reservation {
    sku: String,
    qty: u32,
}

/// `POST /reservations`: the action. 409 when the shelf is empty.
async fn reserve(
    barrier: Barrier<Sqlite>,
    Json(wanted): Json<Reservation>,
) -> Result<Answer, Error> {
    let saga = barrier.call().saga.clone();
    let Reservation { sku, qty } = wanted;
    barrier
        .run(async |work| {
            let take =
                "UPDATE stock SET on_shelf = on_shelf - ?1 WHERE sku = ?2 AND on_shelf >= ?1";
            let taken = sqlx::query(take).bind(qty).bind(&sku).execute(work.tx()).await?;
            if taken.rows_affected() == 0 {
                let detail = format!("fewer than {qty} of {sku} are on the shelf");
                return Ok(Answer::conflict("empty-shelf", &detail));
            }
            let note =
                "INSERT INTO reservation (saga, sku, qty, state) VALUES (?, ?, ?, 'reserved')";
            sqlx::query(note).bind(&saga).bind(&sku).bind(qty).execute(work.tx()).await?;
            Ok(Answer::created(json!({ "reservation": saga })))
        })
        .await
}

/// `POST /reservations/{saga}/release`: the compensation.
///
/// It runs only when the saga's reservation was made and is still there: the barrier has seen to it.
async fn release(barrier: Barrier<Sqlite>, Path(saga): Path<String>) -> Result<Answer, Error> {
    barrier
        .run(async |work| {
            let release =
                "UPDATE reservation SET state = 'released' WHERE saga = ? RETURNING sku, qty";
            let (sku, qty): (String, i64) =
                sqlx::query_as(release).bind(&saga).fetch_one(work.tx()).await?;
            let put_back = "UPDATE stock SET on_shelf = on_shelf + ? WHERE sku = ?";
            sqlx::query(put_back).bind(qty).bind(&sku).execute(work.tx()).await?;
            Ok(Answer::ok(json!({ "released": qty })))
        })
        .await
}
