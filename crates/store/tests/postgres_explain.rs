//! The SQL itself: it can be prepared, its plans stay off what has ended, and it keeps to what
//! databases that speak PostgreSQL's protocol have in common.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey};
use amends_ports::store::CoordinatorId;
use amends_ports::{SagaFilter, Store as _};
use amends_store::postgres::{COLD, HOT, PostgresStore, hot_settings};
use amends_testbed::Postgres;

mod server;

/// Tables that grow with what has ended, or with the keys that were ever used.
const GROWING: [&str; 8] = [
    "saga",
    "saga_label",
    "saga_lock_key",
    "saga_journal",
    "idempotency",
    "inbox",
    "lock_fence",
    "lock_ticket",
];

/// 100,000 sagas that ended, with all that they leave behind, and 500 that live: half of them hold
/// a key, the others wait for one of 50.
const FILL: &str = "
INSERT INTO saga (saga_id, partition, definition, definition_name, definition_version, status,
    paused, labels, lock_keys, idempotency_key, request_digest, created_at, updated_at, ended_at,
    wake_at, listed)
SELECT 'saga-' || n, n % 8, 'digest', 'transfer', 1,
    CASE WHEN n > 100000 THEN 'running' WHEN n % 50 = 0 THEN 'compensated' ELSE 'completed' END,
    false, '{\"tier\": \"gold\"}', ARRAY['sku:' || n], 'key-' || n, 'request',
    now() - n * INTERVAL '1 second', now(), CASE WHEN n <= 100000 THEN now() END,
    CASE WHEN n > 100250 THEN 'infinity'::timestamptz END, true
FROM generate_series(1, 100500) n;
INSERT INTO saga_label SELECT 'tier', 'gold', created_at, saga_id FROM saga;
INSERT INTO saga_lock_key SELECT lock_keys[1], created_at, saga_id FROM saga;
INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
SELECT n % 8, 'saga-' || n, chunk * 3, 3, '[]'
FROM generate_series(1, 100500) n, generate_series(0, 3) chunk;
INSERT INTO idempotency SELECT 'key-' || n, 'saga-' || n FROM generate_series(1, 100500) n;
INSERT INTO inbox (inbox_id, partition, saga_id, message, posted_at, settled_at, result)
SELECT 'item-' || n, n % 8, 'saga-' || n, '{}', now(), now(), '{}'
FROM generate_series(1, 100000) n;
INSERT INTO lock_fence SELECT 'sku:' || n, 1, 1 FROM generate_series(1, 100500) n;
INSERT INTO lock_ticket SELECT 'sku:' || n, 1, 'saga-' || n, n % 8, 1
FROM generate_series(100001, 100250) n;
INSERT INTO lock_ticket SELECT 'sku:' || n - n % 50, n, 'saga-' || n, n % 8
FROM generate_series(100251, 100500) n;
ANALYZE;
";

/// `NULL, NULL, …`: as many as the statement has parameters.
fn nulls(sql: &str) -> String {
    let number = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<usize>().ok())
    };
    let count = sql.split('$').skip(1).filter_map(number).max().unwrap_or(0);
    if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) }
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    PostgresStore::connect(&url, server::options()).await.unwrap();
    let mut script = String::new();
    for (name, sql) in HOT.iter().chain(COLD) {
        writeln!(script, "PREPARE {name}_ AS {sql};").unwrap();
    }
    server.psql(url.rsplit_once('/').unwrap().1, &script).await.unwrap();
}

/// With the settings that the store gives the connections of these statements: in a new database,
/// since a plan is kept from then on, and in a full one.
#[tokio::test]
async fn no_statement_of_a_saga_or_batch_reads_a_whole_table() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let store = PostgresStore::connect(&url, server::options()).await.unwrap();
    store.acquire(&CoordinatorId("a".to_owned()), 8, Duration::from_mins(10)).await.unwrap();
    let database = url.rsplit_once('/').unwrap().1;
    let mut faults = wrong_plans(&server, database).await;
    server.psql(database, FILL).await.unwrap();
    faults.extend(wrong_plans(&server, database).await);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn wrong_plans(server: &Postgres, database: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, _) in HOT {
        let plan = plan_of(server, database, name).await;
        let reads_all = |table: &&str| {
            plan.contains(&format!("Seq Scan on {table} ")) || reads_a_whole_index(&plan, table)
        };
        wrong.extend(
            GROWING
                .into_iter()
                .filter(reads_all)
                .map(|table| format!("{name} on {table}:\n{plan}")),
        );
    }
    wrong
}

/// Waiting tickets may be many: a new owner reads past none of them.
#[tokio::test]
async fn holders_are_found_by_their_own_index() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    PostgresStore::connect(&url, server::options()).await.unwrap();
    let database = url.rsplit_once('/').unwrap().1;
    for fill in ["", FILL] {
        server.psql(database, fill).await.unwrap();
        let plan = plan_of(&server, database, "lock_holders").await;
        assert!(plan.contains(" lock_ticket_granted "), "{plan}");
    }
}

/// The plan of a statement, with the settings of the connections that it runs on.
async fn plan_of(server: &Postgres, database: &str, name: &str) -> String {
    let (_, sql) = HOT.iter().find(|(own, _)| *own == name).unwrap();
    let mut script = String::new();
    for (name, value) in hot_settings() {
        writeln!(script, "SET {name} = '{value}';").unwrap();
    }
    let arguments = nulls(sql);
    writeln!(script, "PREPARE q AS {sql}; EXPLAIN EXECUTE q {arguments};").unwrap();
    let plan = server.psql(database, &script).await.unwrap();
    assert!(plan.contains("cost="), "{name} has no plan: {plan}");
    plan
}

/// Whether the plan scans an index of the table without a condition on it. With a limit and an
/// order that is what is wanted: retention does it.
fn reads_a_whole_index(plan: &str, table: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    lines.windows(2).any(|pair| {
        let scan = pair[0].contains("Index") && pair[0].contains(&format!(" on {table} "));
        scan && !pair[1].contains("Index Cond") && !pair[0].contains("inbox_settled")
    })
}

/// Every way to filter, at the start and behind a cursor.
#[tokio::test]
async fn lists_are_read_from_indexes() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let database = url.rsplit_once('/').unwrap().1;
    let store = PostgresStore::connect(&url, server::options()).await.unwrap();
    drop(store);
    server.psql(database, FILL).await.unwrap();
    let before = whole_reads(&server, database).await;
    // Opening reads nothing of `saga`.
    let store = PostgresStore::connect(&url, server::options()).await.unwrap();
    let statuses =
        |statuses: &[Status]| SagaFilter { statuses: statuses.to_vec(), ..SagaFilter::default() };
    let filters = [
        SagaFilter::default(),
        statuses(&[Status::Running]),
        statuses(&[Status::Completed]),
        statuses(&[Status::Compensated]),
        statuses(&[Status::Suspended]),
        statuses(&[Status::Running, Status::Completed]),
        SagaFilter {
            definition: Some(DefinitionName::new("transfer").unwrap()),
            ..SagaFilter::default()
        },
        SagaFilter {
            definition: Some(DefinitionName::new("never-run").unwrap()),
            ..SagaFilter::default()
        },
        SagaFilter {
            labels: vec![("tier".to_owned(), "lead".to_owned())],
            ..SagaFilter::default()
        },
        SagaFilter { lock_key: Some(LockKey::new("sku:77").unwrap()), ..SagaFilter::default() },
        SagaFilter { id_prefix: Some("saga-777".to_owned()), ..SagaFilter::default() },
    ];
    for filter in filters {
        let page = store.sagas(&filter, None, 20).await.unwrap();
        if let Some(next) = page.next {
            let page = store.sagas(&filter, Some(&next), 20).await.unwrap();
            assert!(!page.items.is_empty(), "{filter:?}");
        }
    }
    drop(store);
    assert_eq!(whole_reads(&server, database).await, before);
    server.psql(database, "SELECT count(*) FROM saga WHERE reason = 'none'").await.unwrap();
    assert_ne!(whole_reads(&server, database).await, before, "whole reads are not counted");
}

/// How often `saga` was read whole, by sessions that have ended: they count when they go.
async fn whole_reads(server: &Postgres, database: &str) -> String {
    let open = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'amends'";
    let ended = async { while server.psql(database, open).await.unwrap().trim() != "0" {} };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    let reads = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'saga'";
    server.psql(database, reads).await.unwrap()
}

/// Words of features that distributed databases lack or that hold a whole database up.
const FORBIDDEN: [&str; 17] = [
    "PG_ADVISORY",
    "PG_TRY_ADVISORY",
    "LISTEN",
    "NOTIFY",
    "LOCK TABLE",
    "NEXTVAL",
    "SERIAL",
    "BIGSERIAL",
    "SEQUENCE",
    "GENERATED",
    "TRIGGER",
    "PLPGSQL",
    "DEFERRABLE",
    "ON CONSTRAINT",
    "TEMPORARY",
    "SAVEPOINT",
    "CTID",
];

fn forbidden_words(text: &str) -> Vec<&'static str> {
    let upper: String = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ")
        .to_uppercase()
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let words = format!(" {upper} ");
    let stands = |word: &&str| {
        words.contains(&format!(" {word} ")) || (word.starts_with("PG_") && words.contains(*word))
    };
    FORBIDDEN.into_iter().chain(["XMIN", "XMAX"]).filter(stands).collect()
}

#[test]
fn no_statement_and_no_migration_uses_what_is_not_portable() {
    assert_eq!(forbidden_words("SELECT pg_advisory_lock(1)"), ["PG_ADVISORY"]);
    assert_eq!(forbidden_words("ON CONFLICT\n  ON CONSTRAINT x -- LISTEN"), ["ON CONSTRAINT"]);
    for (name, sql) in HOT.iter().chain(COLD) {
        assert!(forbidden_words(sql).is_empty(), "{name}: {:?}", forbidden_words(sql));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let sql = std::fs::read_to_string(&path).unwrap();
        assert!(forbidden_words(&sql).is_empty(), "{}", path.display());
        files += 1;
    }
    assert!(files >= 4, "the migrations were not found");
}
