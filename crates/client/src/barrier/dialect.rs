//! The statements of the barrier, once for each database.
//!
//! The statements of a database stand in its own file, all with the same parameters in the same
//! order; the macro here binds them. Times are the database's own clock's.

use std::future::Future;

use sqlx::{Pool, Transaction};

use super::row::{Content, Key, Row};

/// A database that the barrier knows: `sqlx::Postgres`, `sqlx::MySql` or `sqlx::Sqlite`.
///
/// It can't be implemented elsewhere.
pub trait SqlStore: Statements {}

/// What the barrier does in a transaction of the database.
#[doc(hidden)]
pub trait Statements: sqlx::Database {
    /// Begins the transaction of a call.
    fn begin(
        pool: &Pool<Self>,
    ) -> impl Future<Output = sqlx::Result<Transaction<'static, Self>>> + Send;

    /// Inserts the row that decides; false when it was there. Waits for whoever inserts it.
    fn claim(
        tx: &mut Self::Connection,
        key: Key<'_>,
        content: Content<'_>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Reads a row and keeps others from changing it until the end of the transaction.
    fn read(
        tx: &mut Self::Connection,
        key: Key<'_>,
    ) -> impl Future<Output = sqlx::Result<Option<Row>>> + Send;

    /// Changes a started row, and its round; false if it is not in that round any more.
    fn change(
        tx: &mut Self::Connection,
        key: Key<'_>,
        content: Content<'_>,
        rounds: Rounds,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Raises the token that is kept for a lock key, and answers the highest one.
    fn raise(
        tx: &mut Self::Connection,
        lock_key: &str,
        token: i64,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;

    /// Runs a text of several statements without parameters.
    fn run(
        tx: &mut Self::Connection,
        text: &'static str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Runs the schema.
    fn migrate(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Deletes at most `rows_max` rows that did not change for `age_ms`; one transaction.
    fn sweep(
        pool: &Pool<Self>,
        table: Table,
        age_ms: i64,
        rows_max: i64,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;
}

/// The round that a row must be in, and the one it is in afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Rounds {
    pub(crate) const fn same(round: i64) -> Self {
        Self { from: round, to: round }
    }

    pub(crate) const fn next(round: i64) -> Self {
        Self { from: round, to: round.saturating_add(1) }
    }
}

/// A table of the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `amends_barrier`.
    Barrier,
    /// `amends_fence`.
    Fence,
}

/// The statements of one database.
pub(crate) struct Sql {
    pub(crate) begin: &'static str,
    /// saga, step, op, state, status, content type, body, milliseconds held.
    pub(crate) claim: &'static str,
    /// saga, step, op.
    pub(crate) read: &'static str,
    /// state, status, content type, body, milliseconds held, next round, saga, step, op, round.
    pub(crate) change: &'static str,
    /// lock key, token, token again.
    pub(crate) raise: &'static str,
    /// lock key. Answers the token.
    pub(crate) raised: &'static str,
    /// milliseconds of age, rows.
    pub(crate) sweep_barrier: &'static str,
    /// The same.
    pub(crate) sweep_fence: &'static str,
    pub(crate) schema: &'static str,
}

/// Implements [`Statements`] for a database by its statements.
macro_rules! dialect {
    ($database:ty, $sql:expr) => {
        impl $crate::barrier::dialect::SqlStore for $database {}

        impl $crate::barrier::dialect::Statements for $database {
            async fn begin(
                pool: &sqlx::Pool<Self>,
            ) -> sqlx::Result<sqlx::Transaction<'static, Self>> {
                pool.begin_with($sql.begin).await
            }

            async fn claim(
                tx: &mut Self::Connection,
                key: $crate::barrier::row::Key<'_>,
                content: $crate::barrier::row::Content<'_>,
            ) -> sqlx::Result<bool> {
                let done = sqlx::query($sql.claim)
                    .bind(key.saga)
                    .bind(key.step)
                    .bind(key.op.as_str())
                    .bind(content.state.as_str())
                    .bind(content.status())
                    .bind(content.content_type())
                    .bind(content.body())
                    .bind(content.hold_ms)
                    .execute(tx)
                    .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn read(
                tx: &mut Self::Connection,
                key: $crate::barrier::row::Key<'_>,
            ) -> sqlx::Result<Option<$crate::barrier::row::Row>> {
                let columns: Option<$crate::barrier::row::Columns> = sqlx::query_as($sql.read)
                    .bind(key.saga)
                    .bind(key.step)
                    .bind(key.op.as_str())
                    .fetch_optional(tx)
                    .await?;
                columns.map($crate::barrier::row::Row::from_columns).transpose()
            }

            async fn change(
                tx: &mut Self::Connection,
                key: $crate::barrier::row::Key<'_>,
                content: $crate::barrier::row::Content<'_>,
                rounds: $crate::barrier::dialect::Rounds,
            ) -> sqlx::Result<bool> {
                let done = sqlx::query($sql.change)
                    .bind(content.state.as_str())
                    .bind(content.status())
                    .bind(content.content_type())
                    .bind(content.body())
                    .bind(content.hold_ms)
                    .bind(rounds.to)
                    .bind(key.saga)
                    .bind(key.step)
                    .bind(key.op.as_str())
                    .bind(rounds.from)
                    .execute(tx)
                    .await?;
                Ok(done.rows_affected() == 1)
            }

            async fn raise(
                tx: &mut Self::Connection,
                lock_key: &str,
                token: i64,
            ) -> sqlx::Result<i64> {
                sqlx::query($sql.raise)
                    .bind(lock_key)
                    .bind(token)
                    .bind(token)
                    .execute(&mut *tx)
                    .await?;
                sqlx::query_scalar($sql.raised).bind(lock_key).fetch_one(tx).await
            }

            async fn run(tx: &mut Self::Connection, text: &'static str) -> sqlx::Result<()> {
                sqlx::raw_sql(text).execute(tx).await.map(|_| ())
            }

            async fn migrate(pool: &sqlx::Pool<Self>) -> sqlx::Result<()> {
                sqlx::raw_sql($sql.schema).execute(pool).await.map(|_| ())
            }

            async fn sweep(
                pool: &sqlx::Pool<Self>,
                table: $crate::barrier::dialect::Table,
                age_ms: i64,
                rows_max: i64,
            ) -> sqlx::Result<u64> {
                let sql = match table {
                    $crate::barrier::dialect::Table::Barrier => $sql.sweep_barrier,
                    $crate::barrier::dialect::Table::Fence => $sql.sweep_fence,
                };
                let done = sqlx::query(sql).bind(age_ms).bind(rows_max).execute(pool).await?;
                Ok(done.rows_affected())
            }
        }
    };
}
pub(crate) use dialect;
