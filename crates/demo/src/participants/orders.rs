//! Orders: writes a saga's order, and takes it back.
//!
//! A saga step with an action and a compensation.

use std::path::Path as FilePath;

use axum::extract::{Path, State};
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqlitePool;

use super::barrier::{self, Entry};
use super::{Answer, Call, Failure, database};

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
pub async fn open(path: &FilePath) -> sqlx::Result<SqlitePool> {
    database::open(path, SCHEMA).await
}

/// The service.
pub fn router(db: SqlitePool) -> Router {
    Router::new()
        .route("/orders", post(create))
        .route("/orders/{saga}", delete(remove))
        .with_state(db)
}

/// What both operations are sent.
#[derive(Debug, Deserialize)]
struct Order {
    user: String,
    sku: String,
    hold: String,
}

impl Order {
    /// The definition locks `user:…`: tokens of one user's sagas are compared with each other.
    fn fence_key(&self) -> String {
        format!("user:{}", self.user)
    }
}

/// `POST /orders`: the action.
async fn create(
    State(db): State<SqlitePool>,
    call: Call,
    Json(order): Json<Order>,
) -> Result<Answer, Failure> {
    let saga = call.saga.clone();
    let mut work = match barrier::enter(&db, call, &order.fence_key()).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    sqlx::query("INSERT INTO customer_order (saga, user, sku, hold) VALUES (?, ?, ?, ?)")
        .bind(&saga)
        .bind(&order.user)
        .bind(&order.sku)
        .bind(&order.hold)
        .execute(work.tx())
        .await?;
    Ok(work.settle(Answer::created(json!({ "id": format!("order-of-{saga}") }))).await?)
}

/// `DELETE /orders/{saga}`: the compensation.
async fn remove(
    State(db): State<SqlitePool>,
    Path(saga): Path<String>,
    call: Call,
    Json(order): Json<Order>,
) -> Result<Answer, Failure> {
    let mut work = match barrier::enter(&db, call, &order.fence_key()).await? {
        Entry::First(work) => work,
        Entry::Settled(answer) => return Ok(answer),
    };
    let delete = "DELETE FROM customer_order WHERE saga = ?";
    let done = sqlx::query(delete).bind(&saga).execute(work.tx()).await?;
    Ok(work.settle(Answer::ok(json!({ "removed": done.rows_affected() }))).await?)
}
