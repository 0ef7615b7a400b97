//! The barrier: every operation takes effect once, and in a valid order.
//!
//! Calls come at least once, an undo may come for a call that never arrived, and a late call may
//! come after its undo. One row of `(saga, step, operation)` under a unique key decides each case:
//!
//! | situation | what the barrier does |
//! |---|---|
//! | the same operation again | answers as the first time, without running the handler |
//! | undo without its forward call | records it, answers success, without running the handler |
//! | undo of a forward call that was refused | the same |
//! | forward after its undo | answers 409, without running the handler |
//! | a fencing token lower than one seen for that lock key | answers 409, without running the handler |
//! | two of the same at once | the second waits for the first one's end, or is answered 503 |
//!
//! There are two forms. [`Barrier`] is for work in one SQL transaction: row and work commit
//! together, so the effect is exactly once. [`TwoCall`] is for work elsewhere (another service,
//! files, Redis): the call is recorded, then made, then settled; after a crash in between the next
//! attempt is told, and looks up what happened.
//!
//! ```no_run
//! use amends_client::barrier::{self, Barrier};
//! use amends_client::participant::Answer;
//! use axum::{Json, Router, routing::post};
//! use serde_json::json;
//! use sqlx::{PgPool, Postgres};
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     sku: String,
//! }
//!
//! async fn reserve(
//!     barrier: Barrier<Postgres>,
//!     Json(order): Json<Order>,
//! ) -> Result<Answer, barrier::Error> {
//!     let take = "UPDATE stock SET free = free - 1 WHERE sku = $1 AND free > 0";
//!     barrier
//!         .run(async |work| {
//!             let taken = sqlx::query(take).bind(&order.sku).execute(work.tx()).await?;
//!             Ok(match taken.rows_affected() {
//!                 0 => Answer::conflict("sold-out", "none of it is left"),
//!                 _ => Answer::created(json!({ "reserved": order.sku })),
//!             })
//!         })
//!         .await
//! }
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = PgPool::connect("postgres://shop@127.0.0.1/shop").await?;
//! barrier::migrate(&pool).await?;
//! let app: Router = Router::new().route("/reservations", post(reserve)).with_state(pool);
//! # Ok(())
//! # }
//! ```
//!
//! In two calls, where a provider takes the idempotency key but is no database of ours:
//!
//! ```no_run
//! use amends_client::barrier::{Error, TwoCall};
//! use amends_client::participant::Answer;
//! # struct Provider;
//! # impl Provider {
//! #     async fn find(&self, _: &str) -> Result<Option<String>, std::io::Error> { Ok(None) }
//! #     async fn charge(&self, _: &str) -> Result<String, std::io::Error> { Ok(String::new()) }
//! # }
//!
//! async fn charge(
//!     barrier: TwoCall<sqlx::PgPool>,
//!     provider: axum::Extension<std::sync::Arc<Provider>>,
//! ) -> Result<Answer, Error> {
//!     barrier
//!         .run(async |started| {
//!             let key = started.call.idempotency_key();
//!             // An earlier attempt began and did not end: has it charged?
//!             if started.is_resumed()
//!                 && let Some(receipt) = provider.find(&key).await.map_err(Error::work)?
//!             {
//!                 return Ok(Answer::ok(receipt));
//!             }
//!             Ok(Answer::ok(provider.charge(&key).await.map_err(Error::work)?))
//!         })
//!         .await
//! }
//! # let _: axum::Router<sqlx::PgPool> = axum::Router::new().route("/charges", axum::routing::post(charge));
//! ```

#[cfg(feature = "sql")]
mod check_back;
#[cfg(feature = "sql")]
mod decide;
#[cfg(feature = "sql")]
mod dialect;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod forward;
#[cfg(feature = "axum")]
mod layer;
mod ledger;
#[cfg(feature = "sql")]
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sql")]
mod row;
#[cfg(feature = "sql")]
mod sql_ledger;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sql")]
mod sweep;
pub mod told;
mod two_call;
#[cfg(feature = "sql")]
mod work;

#[cfg(feature = "sql")]
pub use check_back::{check_back, prepare};
#[cfg(feature = "sql")]
pub use dialect::SqlStore;
pub use error::{BoxError, Error};
pub use forward::Forward;
#[cfg(feature = "axum")]
pub use layer::{Guarded, TwoCallLayer};
pub use ledger::{Begun, Ledger, Settlement, Started};
#[cfg(feature = "sql")]
pub use migrate::{SCHEMA_MYSQL, SCHEMA_POSTGRES, SCHEMA_SQLITE, migrate};
#[cfg(feature = "redis")]
pub use redis::RedisLedger;
#[cfg(feature = "sql")]
pub use sweep::{AGE_MIN, sweep};
pub use two_call::TwoCall;
#[cfg(feature = "sql")]
pub use work::{Barrier, Entry, Work};

/// The guide for people; its examples are compiled as tests.
#[cfg(all(doctest, feature = "axum", feature = "redis", feature = "postgres"))]
#[doc = include_str!("../../../../docs/client-barrier.md")]
struct Guide;
