//! Tests of the statements themselves: that all of them fit the schema, that none reads a whole
//! table per saga or batch, and that the file is written as durably as is promised.

use sqlx::{AssertSqlSafe, Executor as _, Row as _, SqlSafeStr as _};
use tempfile::TempDir;

use super::statement::{FIRST_ROWS, FIXED_FACTS, Step, TAKE_INTO_MEMORY, TAKE_TOKENS};
use super::{
    SqliteOptions, SqliteStore, definition, inbox, lease, list, load, participant, retention,
};

async fn fresh() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/amends.db", folder.path().display());
    let store = SqliteStore::connect(&url, SqliteOptions::default()).await.unwrap();
    (store, folder)
}

fn families() -> impl Iterator<Item = &'static str> {
    [
        lease::STATEMENTS,
        load::STATEMENTS,
        list::STATEMENTS,
        retention::STATEMENTS,
        inbox::STATEMENTS,
        definition::STATEMENTS,
        participant::STATEMENTS,
        FIRST_ROWS,
        &[FIXED_FACTS, TAKE_TOKENS, TAKE_INTO_MEMORY],
    ]
    .into_iter()
    .flatten()
    .copied()
}

fn single_statements() -> impl Iterator<Item = &'static str> {
    families()
        .chain(Step::ALL.into_iter().map(Step::sql))
        .flat_map(|text| text.split_inclusive(';'))
        .filter(|text| !text.trim().is_empty())
}

#[tokio::test]
async fn every_statement_fits_the_schema() {
    let (store, _folder) = fresh().await;
    let mut transaction = store.writer.enter().await.unwrap();
    for text in single_statements() {
        let prepared = transaction.connection().prepare(text.into_sql_str()).await;
        assert!(prepared.is_ok(), "{text}\n{:?}", prepared.err());
    }
}

/// Tables that hold a row for each saga, under every name that statements give them, may be
/// searched but not scanned.
#[tokio::test]
async fn no_statement_of_a_batch_or_a_sweep_scans_a_table() {
    let (store, _folder) = fresh().await;
    let mut transaction = store.writer.enter().await.unwrap();
    let mut plans = 0;
    let texts = Step::ALL.into_iter().map(Step::sql).filter(|text| !text.starts_with("BEGIN"));
    let texts = texts.chain(load::STATEMENTS.iter().copied());
    let texts = texts.chain(retention::STATEMENTS.iter().flat_map(|text| text.split(';')));
    for text in texts.chain(inbox::STATEMENTS.iter().copied()) {
        if text.trim().is_empty() {
            continue;
        }
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        for row in sqlx::query(explain).fetch_all(transaction.connection()).await.unwrap() {
            let line: String = row.get(3);
            let harmless = ["VIRTUAL TABLE", "SCAN temp.freed", "SCAN f", "SCAN (", "CONSTANT ROW"];
            let is_scan = line.starts_with("SCAN");
            assert!(
                !is_scan || harmless.iter().any(|known| line.contains(known)),
                "{line}\n{text}"
            );
            plans += 1;
        }
    }
    assert!(plans > 30, "plans were read");
}

#[tokio::test]
async fn a_commit_is_on_disk_when_it_is_answered() {
    let (store, _folder) = fresh().await;
    let mut transaction = store.writer.enter().await.unwrap();
    let connection = transaction.connection();
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
}

#[tokio::test]
async fn readers_cannot_write() {
    let (store, _folder) = fresh().await;
    let refused = sqlx::query("DELETE FROM meta").execute(&store.readers).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_by_the_next() {
    let (store, _folder) = fresh().await;
    let mut transaction = store.writer.begin().await.unwrap();
    let forget = sqlx::query("DELETE FROM meta");
    forget.execute(transaction.connection()).await.unwrap();
    drop(transaction);
    let mut transaction = store.writer.begin().await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM meta")
        .fetch_one(transaction.connection())
        .await
        .unwrap();
    assert!(rows > 0);
    transaction.commit().await.unwrap();
}
