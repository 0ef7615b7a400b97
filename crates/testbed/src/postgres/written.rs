//! What a server has written since it was made, by its own account.

use anyhow::Context as _;

use super::Postgres;

/// Transactions that wrote: each takes the next number. (`xact_commit` counts readers as well.)
const TRANSACTIONS: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text";
const LOG_BYTES: &str = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";
const ROWS: &str = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint \
                    FROM pg_stat_user_tables";

impl Postgres {
    /// Transactions of the whole server that wrote, its own included.
    ///
    /// # Errors
    ///
    /// As [`Postgres::psql`].
    pub async fn transactions_written(&self) -> anyhow::Result<u64> {
        self.number("postgres", TRANSACTIONS).await
    }

    /// Bytes of the whole server's log of changes.
    ///
    /// # Errors
    ///
    /// As [`Postgres::psql`].
    pub async fn log_bytes_written(&self) -> anyhow::Result<u64> {
        self.number("postgres", LOG_BYTES).await
    }

    /// Rows that were inserted, updated and deleted in a database. Sessions hand in what they wrote
    /// when they have been idle for 10 s, or end.
    ///
    /// # Errors
    ///
    /// As [`Postgres::psql`].
    pub async fn rows_written(&self, database: &str) -> anyhow::Result<u64> {
        self.number(database, ROWS).await
    }

    async fn number(&self, database: &str, sql: &str) -> anyhow::Result<u64> {
        let text = self.psql(database, sql).await?;
        text.trim().parse().with_context(|| format!("{sql} gave {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_server_says_how_many_transactions_rows_and_bytes_were_written() {
        let postgres = Postgres::start().await.unwrap();
        postgres.psql("amends", "CREATE TABLE t (n INT)").await.unwrap();
        let transactions = postgres.transactions_written().await.unwrap();
        let bytes = postgres.log_bytes_written().await.unwrap();
        let rows = postgres.rows_written("amends").await.unwrap();
        postgres.psql("amends", "INSERT INTO t SELECT generate_series(1, 7)").await.unwrap();
        postgres.psql("amends", "SELECT count(*) FROM t").await.unwrap();
        let more = postgres.transactions_written().await.unwrap() - transactions;
        assert!((1..3).contains(&more), "{more}, with the server's own at most");
        assert!(postgres.log_bytes_written().await.unwrap() > bytes + 7);
        // psql does not wait for the end of its session.
        let written = tokio::time::timeout(Duration::from_secs(12), async {
            while postgres.rows_written("amends").await.unwrap() < rows + 7 {}
        });
        written.await.unwrap();
    }
}
