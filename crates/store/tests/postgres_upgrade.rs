//! What a migration makes of the rows that an earlier release left.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use amends_store::postgres::PostgresStore;
use amends_testbed::{Postgres, PostgresOptions};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

mod server;

/// The migrations in order, the first being number 1.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Whoever had its keys when tickets knew no tokens is a holder afterwards; who waits, waits.
#[tokio::test]
async fn holders_are_told_from_waiters_after_the_upgrade_to_tickets_with_tokens() {
    let server = Postgres::start_with(PostgresOptions::default()).await.unwrap();
    server.create_database("old").await.unwrap();
    let migrations = migrations();
    for sql in &migrations[..4] {
        server.psql("old", sql).await.unwrap();
    }
    let left = "
INSERT INTO saga (saga_id, partition, definition, definition_name, status, paused, lock_keys,
    request_digest, created_at, updated_at)
VALUES ('h', 0, 'd', 'transfer', 'running', false, '{k,l}', 'r', now(), now()),
    ('w', 0, 'd', 'transfer', 'queued', false, '{k}', 'r', now(), now());
INSERT INTO lock_fence VALUES ('k', 2, 7), ('l', 1, 3), ('idle', 1, 9);
INSERT INTO lock_ticket VALUES ('k', 1, 'h', 0), ('l', 1, 'h', 0), ('k', 2, 'w', 0);";
    server.psql("old", left).await.unwrap();
    server.psql("old", &migrations[4]).await.unwrap();
    let tickets = "SELECT string_agg(concat_ws(':', lock_key, saga_id, token), ' '
    ORDER BY lock_key, ticket) FROM lock_ticket WHERE taken_at IS NOT NULL";
    assert_eq!(server.psql("old", tickets).await.unwrap().trim(), "k:h:7 k:w l:h:3");
}

/// Coordinators that don't say what they read are of releases that read the first format; their
/// statements go on working.
#[tokio::test]
async fn coordinators_that_say_nothing_read_the_first_format() {
    let server = Postgres::start_with(PostgresOptions::default()).await.unwrap();
    server.create_database("old").await.unwrap();
    let migrations = migrations();
    for sql in &migrations[..5] {
        server.psql("old", sql).await.unwrap();
    }
    let heartbeat = |name: &str| {
        format!(
            "INSERT INTO coordinator (coordinator_id, address, draining, expires_at)
             VALUES ('{name}', '', false, now() + INTERVAL '1 hour')"
        )
    };
    server.psql("old", &heartbeat("before")).await.unwrap();
    server.psql("old", &migrations[5]).await.unwrap();
    server.psql("old", &heartbeat("after")).await.unwrap();
    let formats = "SELECT string_agg(coordinator_id || ':' || journal_format, ' '
    ORDER BY coordinator_id) FROM coordinator";
    assert_eq!(server.psql("old", formats).await.unwrap().trim(), "after:1 before:1");
    let facts = "SELECT string_agg(name || ':' || value, ' ' ORDER BY name) FROM meta";
    let facts = server.psql("old", facts).await.unwrap();
    assert_eq!(facts.trim(), "journal_format:1 oldest_reader:6");
}

/// What is there before lists have tables of their own is in them afterwards; what the release
/// before goes on to write beside them is not, and says so.
#[tokio::test]
async fn labels_and_lock_keys_lead_to_what_was_there_before_their_tables() {
    let server = Postgres::start_with(PostgresOptions::default()).await.unwrap();
    server.create_database("old").await.unwrap();
    let migrations = migrations();
    for sql in &migrations[..7] {
        server.psql("old", sql).await.unwrap();
    }
    let accept = |id: &str, labels: &str, keys: &str| {
        format!(
            "INSERT INTO saga (saga_id, partition, definition, definition_name, status, paused,
                labels, lock_keys, request_digest, created_at, updated_at)
            VALUES ('{id}', 0, 'd', 'transfer', 'running', false, {labels}, {keys}, 'r',
                '2026-01-01', now())"
        )
    };
    let before = [
        accept("both", "'{\"a\": \"1\", \"b\": \"2\"}'", "'{k,l}'"),
        accept("plain", "NULL", "NULL"),
        accept("labelled", "'{\"a\": \"1\"}'", "NULL"),
    ];
    for sql in before {
        server.psql("old", &sql).await.unwrap();
    }
    server.psql("old", &migrations[7]).await.unwrap();
    server.psql("old", &accept("between", "'{\"a\": \"1\"}'", "'{k}'")).await.unwrap();
    server.psql("old", &migrations[8]).await.unwrap();
    server.psql("old", &accept("after", "'{\"a\": \"1\"}'", "'{k}'")).await.unwrap();
    let answer = async |sql: &str| server.psql("old", sql).await.unwrap().trim().to_owned();
    let labels = "SELECT string_agg(concat_ws(':', l.name, l.value, l.saga_id), ' ' ORDER BY l.*)
        FROM saga_label l JOIN saga USING (saga_id, created_at)";
    assert_eq!(answer(labels).await, "a:1:both a:1:labelled b:2:both");
    let keys = "SELECT string_agg(concat_ws(':', k.lock_key, k.saga_id), ' ' ORDER BY k.*)
        FROM saga_lock_key k JOIN saga USING (saga_id, created_at)";
    assert_eq!(answer(keys).await, "k:both l:both");
    let unlisted = "SELECT string_agg(saga_id, ' ' ORDER BY saga_id) FROM saga WHERE NOT listed";
    assert_eq!(answer(unlisted).await, "after between");
}

/// A long reader neither makes the upgrade fail nor does everybody else wait behind it for long.
#[tokio::test]
async fn a_long_reader_puts_an_upgrade_off() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    PostgresStore::connect(&url, server::options()).await.unwrap();
    let mut reader = PgConnection::connect(&url).await.unwrap();
    let before = "
CREATE INDEX saga_labelled ON saga (saga_id);
CREATE INDEX saga_locking ON saga (saga_id);
DELETE FROM _sqlx_migrations WHERE version = 11;";
    reader.execute(before).await.unwrap();
    reader.execute("BEGIN; SELECT FROM saga").await.unwrap();
    let mut upgrade = pin!(PostgresStore::connect(&url, server::options()));
    let mut other = PgConnection::connect(&url).await.unwrap();
    let others = async {
        // The upgrade has given up once, and nobody is behind it.
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database =
            (SELECT oid FROM pg_database WHERE datname = current_database())";
        let mut seen = Vec::new();
        while seen != [1, 0] {
            let now: i64 = sqlx::query_scalar(waits).fetch_one(&mut other).await.unwrap();
            if seen.last().is_none_or(|last| *last != now) && (now > 0 || !seen.is_empty()) {
                seen.push(now);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        other.execute("SELECT FROM saga").await.unwrap();
    };
    tokio::select! {
        done = &mut upgrade => panic!("somebody still reads: {:?}", done.err()),
        () = others => {}
    }
    reader.execute("COMMIT").await.unwrap();
    upgrade.await.unwrap();
    let left =
        "SELECT count(*) FROM pg_indexes WHERE indexname IN ('saga_labelled', 'saga_locking')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut reader).await.unwrap();
    assert_eq!(left, 0);
}
