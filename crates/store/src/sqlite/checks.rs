//! Tests of the statements themselves: that all of them fit the schema, that none reads a whole
//! table per saga or batch, that an upgrade keeps what was there, and that the file is written as
//! durably as is promised.

use amends_core::saga::{Status, Token};
use amends_core::{LockKey, Timestamp};
use amends_ports::{Cursor, SagaFilter, Store};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, SqlSafeStr as _,
};
use tempfile::TempDir;

use super::page::Asked;
use super::statement::{FIRST_ROWS, FIXED_FACTS, NOTE_GRANTS, Step, TAKE_TOKENS};
use super::{
    SqliteOptions, SqliteStore, definition, inbox, lease, list, load, participant, queue,
    retention, statement,
};
use crate::lead::Lead;
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

/// Labels and lock keys of before keep leading to their sagas, now in the order of time.
#[tokio::test]
async fn lists_survive_the_upgrade_to_labels_with_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = options.connect().await.unwrap();
    let before: Vec<_> = migrations::SQLITE.iter().copied().take_while(|own| own.0 < 7).collect();
    migrations::migrator(&before).run_direct(None, &mut old, false).await.unwrap();
    for sql in statement::FIRST_ROWS {
        sqlx::query(*sql).bind(8).execute(&mut old).await.unwrap();
    }
    let sagas =
        "INSERT INTO saga (saga_no, saga_id, partition, definition, definition_name, status,
             paused, labels, lock_keys, request_digest, created_us, updated_us, ended_us)
         VALUES (1, 'late', 0, 'd', 'transfer', 'completed', 0, '{\"a\":\"1\"}', '[\"k\"]', 'r', 9, 9, 9),
             (2, 'early', 0, 'd', 'transfer', 'completed', 0, '{\"a\":\"1\"}', '[\"k\"]', 'r', 5, 5, 5),
             (3, 'other', 0, 'd', 'transfer', 'completed', 0, '{\"a\":\"2\"}', NULL, 'r', 7, 7, 7);
         INSERT INTO saga_label VALUES ('a', '1', 1), ('a', '1', 2), ('a', '2', 3);
         INSERT INTO saga_lock_key VALUES ('k', 1), ('k', 2);";
    old.execute(sagas).await.unwrap();
    old.close().await.unwrap();

    let store = SqliteStore::connect(path.to_str().unwrap(), SqliteOptions::default()).await;
    let store = store.unwrap();
    let shown = async |filter: SagaFilter| {
        let page = Store::sagas(&store, &filter, None, 9).await.unwrap();
        page.items.into_iter().map(|own| String::from(own.saga_id)).collect::<Vec<_>>()
    };
    let labels = vec![("a".to_owned(), "1".to_owned())];
    assert_eq!(shown(SagaFilter { labels, ..SagaFilter::default() }).await, ["late", "early"]);
    let lock_key = Some(LockKey::new("k").unwrap());
    assert_eq!(shown(SagaFilter { lock_key, ..SagaFilter::default() }).await, ["late", "early"]);
    assert_eq!(store.delete_ended(Timestamp(99), 9).await.unwrap(), 3);
    let left = "SELECT (SELECT count(*) FROM saga_label) + (SELECT count(*) FROM saga_lock_key)";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&store.readers).await.unwrap();
    assert_eq!(left, 0);
}

/// Without statistics, with ones by which every index but that of times is bad, and with those of
/// tables that had one row.
#[tokio::test]
async fn pages_are_read_from_the_index_that_leads_in_its_order() {
    let (store, _folder) = fresh().await;
    let wrong = "ANALYZE; DELETE FROM sqlite_stat1;
        INSERT INTO sqlite_stat1 VALUES ('saga', 'saga_created', '10000000 1 1'),
            ('saga', 'saga_of_status', '10000000 10000000 10000000 10000000'),
            ('saga', 'saga_of_definition', '10000000 10000000 10000000 10000000'),
            ('saga', 'sqlite_autoindex_saga_1', '10000000 10000000'),
            ('saga_label', 'saga_label', '10 10 10 10 1'),
            ('saga_lock_key', 'saga_lock_key', '10 10 10 1');
        ANALYZE sqlite_schema;";
    let tiny = "DELETE FROM sqlite_stat1;
        INSERT INTO sqlite_stat1 VALUES ('saga', 'saga_created', '1 1 1'),
            ('saga', 'saga_of_status', '1 1 1 1'), ('saga', 'saga_of_definition', '1 1 1 1'),
            ('saga', 'sqlite_autoindex_saga_1', '1 1'),
            ('saga_label', 'saga_label', '1 1 1 1 1'),
            ('saga_lock_key', 'saga_lock_key', '1 1 1 1');
        ANALYZE sqlite_schema;";
    for statistics in ["", wrong, tiny] {
        let mut transaction = store.writer.enter().await.unwrap();
        let connection = transaction.connection();
        connection.execute(statistics).await.unwrap();
        for (lead, index) in [
            (Lead::Label(0), "k USING PRIMARY KEY (name=? AND value=?"),
            (Lead::LockKey, "k USING PRIMARY KEY (lock_key=?"),
            (Lead::Definition, "s USING INDEX saga_of_definition (definition_name=?"),
            (Lead::Statuses, "s USING INDEX saga_of_status (status=?"),
            (Lead::Created, "s USING INDEX saga_created (created_us>? AND "),
            (Lead::Id, "s USING INDEX sqlite_autoindex_saga_1 (saga_id>? AND saga_id<?)"),
        ] {
            let by_id = every_condition(Some("p"));
            let filter = if lead == Lead::Id { by_id } else { every_condition(None) };
            let saga_id = "s".parse().unwrap();
            let cursor = Cursor { created_at: Timestamp(5), saga_id };
            let asked = Asked { filter: &filter, after: Some(&cursor), limit: 21 };
            let mut texts: Vec<String> =
                asked.page(lead).into_iter().map(|query| query.sql().as_str().to_owned()).collect();
            if lead != Lead::Id {
                let counted = asked.count(&[lead]);
                let count = counted.sql().as_str().to_owned();
                let plan = plan_of(&mut *connection, &count).await;
                let own = index.split(" (").next().unwrap().replace("USING", "USING COVERING");
                let own = own.replace("COVERING PRIMARY", "PRIMARY");
                assert!(plan.contains(&own), "{plan}\n{count}");
            }
            for text in texts.drain(..) {
                let plan = plan_of(&mut *connection, &text).await;
                assert!(plan.starts_with(&format!("SEARCH {index}")), "{plan}\n{text}");
                assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}\n{text}");
            }
        }
    }
}

/// Lines of a plan.
async fn plan_of(connection: &mut SqliteConnection, text: &str) -> String {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
    let rows = sqlx::query(explain).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(3)).collect::<Vec<_>>().join("\n")
}

fn every_condition(prefix: Option<&str>) -> SagaFilter {
    let label = |name: &str| (name.to_owned(), "1".to_owned());
    SagaFilter {
        statuses: vec![Status::Completed, Status::Running],
        definition: Some("d".parse().unwrap()),
        labels: vec![label("a"), label("b")],
        lock_key: Some(LockKey::new("k").unwrap()),
        created_from: Some(Timestamp(1)),
        created_before: Some(Timestamp(9)),
        id_prefix: prefix.map(str::to_owned),
    }
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
