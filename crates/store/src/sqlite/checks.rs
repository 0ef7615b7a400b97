//! Tests of the statements themselves: that all of them fit the schema, that none reads a whole
//! table per saga or batch, that an upgrade keeps what was there, and that the file is written as
//! durably as is promised.

use amends_core::LockKey;
use amends_core::saga::Token;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, SqlSafeStr as _,
};
use tempfile::TempDir;

use super::statement::{FIRST_ROWS, FIXED_FACTS, NOTE_GRANTS, Step, TAKE_TOKENS};
use super::{
    SqliteOptions, SqliteStore, definition, inbox, lease, list, load, participant, queue,
    retention, statement,
};
use crate::migrations;

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
        queue::STATEMENTS,
        definition::STATEMENTS,
        participant::STATEMENTS,
        FIRST_ROWS,
        &[FIXED_FACTS, TAKE_TOKENS, NOTE_GRANTS],
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
    let texts = texts.chain(queue::STATEMENTS.iter().copied());
    let several = retention::STATEMENTS.iter().copied().chain([NOTE_GRANTS]);
    let texts = texts.chain(several.flat_map(|text| text.split(';')));
    for text in texts.chain(inbox::STATEMENTS.iter().copied()) {
        if text.trim().is_empty() {
            continue;
        }
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        for row in sqlx::query(explain).fetch_all(transaction.connection()).await.unwrap() {
            let line: String = row.get(3);
            let harmless = [
                "VIRTUAL TABLE",
                "SCAN temp.freed",
                "SCAN f",
                "SCAN g",
                "SCAN p",
                "SCAN (",
                "CONSTANT ROW",
            ];
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

/// A new owner reads past none of those who wait.
#[tokio::test]
async fn holders_are_found_by_their_own_index() {
    let (store, _folder) = fresh().await;
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", queue::HOLDERS));
    let rows = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(3)).collect();
    assert!(plan.iter().any(|line| line.contains("INDEX lock_ticket_granted")), "{plan:?}");
}

/// Whoever had its keys when tickets knew no tokens is a holder afterwards, and places stay.
#[tokio::test]
async fn queues_survive_the_upgrade_to_tickets_with_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = options.connect().await.unwrap();
    let before: Vec<_> = migrations::SQLITE.iter().copied().take_while(|own| own.0 < 5).collect();
    migrations::migrator(&before).run_direct(None, &mut old, false).await.unwrap();
    for sql in statement::FIRST_ROWS {
        sqlx::query(*sql).bind(8).execute(&mut old).await.unwrap();
    }
    let sagas =
        "INSERT INTO saga (saga_no, saga_id, partition, definition, definition_name, status,
             paused, lock_keys, request_digest, created_us, updated_us, wake_us)
         VALUES (7, 'h', 0, 'd', 'transfer', 'running', 0, '[\"k\"]', 'r', 5, 5, NULL),
             (8, 'w', 0, 'd', 'transfer', 'queued', 0, '[\"k\"]', 'r', 6, 6, NULL);
         INSERT INTO lock_ticket (lock_key, saga_no) VALUES ('k', 7), ('k', 8);
         UPDATE meta SET value = 3 WHERE name = 'last_token';";
    old.execute(sagas).await.unwrap();
    old.close().await.unwrap();

    let url = path.to_str().unwrap();
    let store = SqliteStore::connect(url, SqliteOptions::default()).await.unwrap();
    let lock = store.lock_queue(&LockKey::new("k").unwrap(), 9).await.unwrap().unwrap();
    assert_eq!(lock.token, Token(3));
    assert_eq!(lock.holder.unwrap().saga_id.as_str(), "h");
    assert_eq!(lock.queue[0].saga_id.as_str(), "w");
    let counter: i64 = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'last_token'")
        .fetch_one(&store.readers)
        .await
        .unwrap();
    assert!(counter >= 8, "the next ticket comes after those that are there");
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
