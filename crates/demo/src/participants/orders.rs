//! Orders: writes a saga's order, and takes it back.
//!
//! A saga step with an action and a compensation.

use std::path::Path as FilePath;

use amends_client::barrier::{Barrier, Error};
use amends_client::participant::Answer;
use axum::extract::Path;
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Sqlite, SqlitePool};

use super::database;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS customer_order (
        id INTEGER PRIMARY KEY, saga TEXT NOT NULL, user TEXT NOT NULL, sku TEXT NOT NULL,
        hold TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS customer_order_by_saga ON customer_order (saga);
";

/// Opens the orders' database at `path`.
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
        .route("/orders", post(create))
        .route("/orders/{saga}", delete(remove))
        .with_state(db)
}

/// What the action is sent.
#[derive(Debug, Deserialize)]
struct Order {
    user: String,
    sku: String,
    hold: String,
}

/// `POST /orders`: the action.
async fn create(barrier: Barrier<Sqlite>, Json(order): Json<Order>) -> Result<Answer, Error> {
    let saga = barrier.call().saga.clone();
    let write = "INSERT INTO customer_order (saga, user, sku, hold) VALUES (?, ?, ?, ?)";
    barrier
        .run(async |work| {
            sqlx::query(write)
                .bind(&saga)
                .bind(&order.user)
                .bind(&order.sku)
                .bind(&order.hold)
                .execute(work.tx())
                .await?;
            Ok(Answer::created(json!({ "id": format!("order-of-{saga}") })))
        })
        .await
}

/// `DELETE /orders/{saga}`: the compensation.
async fn remove(barrier: Barrier<Sqlite>, Path(saga): Path<String>) -> Result<Answer, Error> {
    let delete = "DELETE FROM customer_order WHERE saga = ?";
    barrier
        .run(async |work| {
            let done = sqlx::query(delete).bind(&saga).execute(work.tx()).await?;
            Ok(Answer::ok(json!({ "removed": done.rows_affected() })))
        })
        .await
}
