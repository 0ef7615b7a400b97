//! Lists on PostgreSQL: how much is read for a page, whatever the planner believes, and what a
//! release before the tables of labels and lock keys writes and deletes beside this one.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey, Timestamp};
use amends_ports::{Cursor, SagaFilter, Store as _};
use amends_store::postgres::PostgresStore;
use amends_testbed::Postgres;

mod server;

/// Rows of a page.
const LIMIT: u16 = 20;
/// Sagas in the table.
const SAGAS: u32 = 100_000;

/// Sagas `from` to `to` with labels of all kinds, one a second, the newest with the highest number.
/// Ids have the order of time but for their first digit.
fn fill(from: u32, to: u32) -> String {
    format!(
        "INSERT INTO saga (saga_id, partition, definition, definition_name, definition_version,
    status, paused, labels, lock_keys, request_digest, created_at, updated_at, ended_at, listed)
SELECT n % 7 || '-' || lpad(n::text, 6, '0'), n % 8, 'digest',
    CASE WHEN n % 10000 = 17 THEN 'audit' WHEN n % 5 = 0 THEN 'refund' ELSE 'transfer' END, 1,
    CASE WHEN n % 10000 = 9 THEN 'suspended' WHEN n % 20 = 3 THEN 'compensated' ELSE 'completed' END,
    false,
    jsonb_build_object('channel', CASE WHEN n % 10 < 7 THEN 'web' ELSE 'phone' END,
        'shop', 'shop-' || n % 50, 'customer', 'c-' || n % 4000),
    CASE WHEN n % 3 = 0 THEN ARRAY['hot', 'sku-' || n] ELSE ARRAY['sku-' || n] END,
    'request', to_timestamp(1700000000 + n), now(), CASE WHEN n % 10000 <> 9 THEN now() END, true
FROM generate_series({from}, {to}) n;
INSERT INTO saga_label SELECT l.key, l.value, created_at, saga_id
FROM saga CROSS JOIN LATERAL jsonb_each_text(labels) l ON CONFLICT DO NOTHING;
INSERT INTO saga_lock_key SELECT unnest(lock_keys), created_at, saga_id
FROM saga ON CONFLICT DO NOTHING;"
    )
}

fn at(number: u32) -> Timestamp {
    Timestamp((1_700_000_000 + i64::from(number)) * 1_000_000)
}

fn by_labels(pairs: &[(&str, &str)]) -> SagaFilter {
    let labels = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    SagaFilter { labels: labels.collect(), ..SagaFilter::default() }
}

fn by_key(key: &str) -> SagaFilter {
    SagaFilter { lock_key: Some(LockKey::new(key).unwrap()), ..SagaFilter::default() }
}

fn named(name: &str) -> SagaFilter {
    SagaFilter { definition: Some(DefinitionName::new(name).unwrap()), ..SagaFilter::default() }
}

/// Conditions, and how many blocks may be looked at for a page of them. Of a condition that is alone
/// no more than what is shown takes, of several what is counted of each, and what is passed over.
fn conditions() -> Vec<(SagaFilter, u64)> {
    let all = SagaFilter::default;
    let alone = 160;
    let counted = |conditions: u64| conditions * 1_100 + 4_000;
    let day = SagaFilter {
        created_from: Some(at(SAGAS / 4)),
        created_before: Some(at(SAGAS / 4 + 3_000)),
        ..all()
    };
    let prefix = SagaFilter { id_prefix: Some("3".to_owned()), ..all() };
    let compensated = vec![Status::Compensated];
    vec![
        (all(), alone),
        (day.clone(), alone),
        (SagaFilter { statuses: compensated.clone(), ..all() }, alone),
        (SagaFilter { statuses: vec![Status::Compensated, Status::Suspended], ..all() }, alone),
        (SagaFilter { statuses: vec![Status::Completed], ..all() }, alone),
        (SagaFilter { statuses: vec![Status::Suspended], ..all() }, alone),
        (named("refund"), alone),
        (named("audit"), alone),
        (by_labels(&[("channel", "web")]), alone),
        (by_labels(&[("shop", "shop-7")]), alone),
        (by_labels(&[("customer", "c-44")]), alone),
        (by_labels(&[("customer", "nobody")]), alone),
        (by_key("hot"), alone),
        (by_key("sku-77"), alone),
        (prefix.clone(), alone),
        (SagaFilter { id_prefix: Some("3-00".to_owned()), ..all() }, alone),
        (SagaFilter { labels: by_labels(&[("channel", "web")]).labels, ..day.clone() }, alone),
        (SagaFilter { lock_key: by_key("hot").lock_key, ..day.clone() }, alone),
        (SagaFilter { statuses: compensated.clone(), ..day.clone() }, alone),
        (SagaFilter { definition: named("refund").definition, ..day.clone() }, alone),
        (by_labels(&[("channel", "phone"), ("shop", "shop-7")]), counted(2)),
        (by_labels(&[("channel", "web"), ("customer", "c-44")]), counted(2)),
        (
            SagaFilter {
                definition: named("refund").definition,
                ..by_labels(&[("channel", "web")])
            },
            counted(2),
        ),
        (SagaFilter { statuses: compensated.clone(), ..by_key("hot") }, counted(2)),
        (
            SagaFilter {
                statuses: compensated.clone(),
                definition: named("transfer").definition,
                labels: by_labels(&[("channel", "web"), ("shop", "shop-3")]).labels,
                ..day
            },
            counted(4),
        ),
        (
            SagaFilter { labels: by_labels(&[("channel", "web")]).labels, ..prefix.clone() },
            counted(1),
        ),
        (SagaFilter { labels: by_labels(&[("customer", "c-44")]).labels, ..prefix }, counted(1)),
    ]
}

/// With statistics of an empty table, with those of few sagas that were all of a kind that is rare
/// now, and with right ones: the first page, one from the middle and one from far back.
#[tokio::test]
async fn a_page_reads_little_whatever_the_statistics_say() {
    let server = server::shared(&[]).await;
    let alike = fill(1, 2_000).replace("n % 10000 = 17", "true").replace("n % 10000 = 9", "true");
    let alike = alike.replace("n % 10 < 7", "true").replace("n % 50", "7");
    let stale = [
        format!("ANALYZE; {}", fill(1, SAGAS)),
        format!("{alike} ANALYZE; TRUNCATE saga, saga_label, saga_lock_key; {}", fill(1, SAGAS)),
        format!("{} ANALYZE;", fill(1, SAGAS)),
    ];
    for (index, fill) in stale.iter().enumerate() {
        let url = server::database(&server).await;
        let database = url.rsplit_once('/').unwrap().1;
        drop(PostgresStore::connect(&url, server::options()).await.unwrap());
        for table in ["saga", "saga_label", "saga_lock_key"] {
            let still = format!("ALTER TABLE {table} SET (autovacuum_enabled = false)");
            server.psql(database, &still).await.unwrap();
        }
        server.psql(database, fill).await.unwrap();
        let mut faults = Vec::new();
        for (filter, most) in conditions() {
            for place in [None, Some(SAGAS / 2), Some(SAGAS / 20)] {
                // Under a prefix a cursor is a place among ids.
                let saga_id = |n: u32| format!("3-{n:06}").parse().unwrap();
                let after = place.map(|n| Cursor { created_at: at(n), saga_id: saga_id(n) });
                let before = blocks_read(&server, database).await;
                let store = PostgresStore::connect(&url, server::options()).await.unwrap();
                store.sagas(&filter, after.as_ref(), LIMIT).await.unwrap();
                drop(store);
                let read = blocks_read(&server, database).await - before;
                if read > most {
                    faults.push(format!("{read}, not {most}, at {place:?} of {filter:?}"));
                }
            }
        }
        assert!(faults.is_empty(), "statistics {index}:\n{}", faults.join("\n"));
        let before = blocks_read(&server, database).await;
        let all = "SELECT count(*) FROM saga WHERE reason = 'none'";
        server.psql(database, all).await.unwrap();
        let read = blocks_read(&server, database).await - before;
        assert!(read > 1_000, "what is read is not counted: {read}");
    }
}

/// Blocks of tables and indexes that were looked at, by sessions that have ended: they count when
/// they go.
async fn blocks_read(server: &Postgres, database: &str) -> u64 {
    let open = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'amends'";
    let ended = async { while server.psql(database, open).await.unwrap().trim() != "0" {} };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    let read = "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)
        FROM pg_statio_user_tables WHERE relname IN ('saga', 'saga_label', 'saga_lock_key')";
    server.psql(database, read).await.unwrap().trim().parse().unwrap()
}

/// As a release before 0008 writes them: it knows neither the column nor the tables.
const OLD_STYLE: &str = "
INSERT INTO saga (saga_id, partition, definition, definition_name, status, paused, labels,
    lock_keys, request_digest, created_at, updated_at, ended_at)
SELECT 'old-' || n, 0, 'digest', 'transfer', 'completed', false, '{\"team\": \"blue\"}', '{k,l}', 'r',
    to_timestamp(1700000000 + n * 10), now(), now()
FROM generate_series(1, 9) n;
INSERT INTO saga (saga_id, partition, definition, definition_name, status, paused, labels,
    lock_keys, request_digest, created_at, updated_at, ended_at, listed)
SELECT 'new-' || n, 0, 'digest', 'transfer', 'completed', false, '{\"team\": \"blue\"}', '{k,l}', 'r',
    to_timestamp(1700000005 + n * 10), now(), now(), true
FROM generate_series(1, 9) n;
INSERT INTO saga_label SELECT 'team', 'blue', created_at, saga_id FROM saga WHERE listed;
INSERT INTO saga_lock_key SELECT unnest(lock_keys), created_at, saga_id FROM saga WHERE listed;";

async fn walk(store: &PostgresStore, filter: &SagaFilter, limit: u16) -> Vec<String> {
    let (mut after, mut shown) = (None, Vec::new());
    loop {
        let page = store.sagas(filter, after.as_ref(), limit).await.unwrap();
        shown.extend(page.items.into_iter().map(|own| own.saga_id.as_str().to_owned()));
        after = page.next;
        if after.is_none() {
            return shown;
        }
    }
}

/// They are shown at once, in their place among the others, and as well when they are listed.
#[tokio::test]
async fn what_an_older_release_accepts_is_shown_and_listed() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let database = url.rsplit_once('/').unwrap().1;
    let store = PostgresStore::connect(&url, server::options()).await.unwrap();
    server.psql(database, OLD_STYLE).await.unwrap();
    let expected: Vec<String> =
        (1..10).rev().flat_map(|n| [format!("new-{n}"), format!("old-{n}")]).collect();
    let olds: Vec<String> = (1..10).rev().map(|n| format!("old-{n}")).collect();
    let filters = [by_labels(&[("team", "blue")]), by_key("k")];
    for left in [9, 4, 0] {
        for filter in &filters {
            for limit in [1, 5, 18] {
                assert_eq!(walk(&store, filter, limit).await, expected, "{left} are left");
            }
            let prefixed = SagaFilter { id_prefix: Some("old".to_owned()), ..filter.clone() };
            assert_eq!(walk(&store, &prefixed, 2).await, olds, "{left} are left");
        }
        let listed = store.list_left_behind(5).await.unwrap();
        assert_eq!(listed, left.min(5));
    }
    let whole =
        "SELECT count(*) FROM saga_label l JOIN saga_lock_key k USING (created_at, saga_id)";
    assert_eq!(server.psql(database, whole).await.unwrap().trim(), "36");
}

/// It knows nothing of the rows that lead to what it deletes, nor does who comes under its id.
#[tokio::test]
async fn what_an_older_release_deletes_is_passed_over() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let database = url.rsplit_once('/').unwrap().1;
    let store = PostgresStore::connect(&url, server::options()).await.unwrap();
    server.psql(database, OLD_STYLE).await.unwrap();
    let gone = "DELETE FROM saga WHERE saga_id IN ('new-9', 'new-4');
        INSERT INTO saga (saga_id, partition, definition, definition_name, status, paused, labels,
            lock_keys, request_digest, created_at, updated_at)
        VALUES ('new-4', 0, 'digest', 'transfer', 'running', false, '{\"team\": \"red\"}', '{m}', 'r',
            to_timestamp(1700000045), now())";
    server.psql(database, gone).await.unwrap();
    for left in [10, 0] {
        for filter in [by_labels(&[("team", "blue")]), by_key("k")] {
            let shown = walk(&store, &filter, 3).await;
            assert_eq!(shown.len(), 16, "{left}: {shown:?}");
            assert!(!shown.iter().any(|id| id == "new-9" || id == "new-4"), "{left}: {shown:?}");
        }
        for filter in [by_labels(&[("team", "red")]), by_key("m")] {
            assert_eq!(walk(&store, &filter, 3).await, ["new-4"], "{left}");
        }
        assert_eq!(store.list_left_behind(99).await.unwrap(), left);
    }
}

/// Retention leaves nothing in the tables that lead to sagas.
#[tokio::test]
async fn retention_takes_the_rows_that_lead_to_a_saga() {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let database = url.rsplit_once('/').unwrap().1;
    let store = PostgresStore::connect(&url, server::options()).await.unwrap();
    server.psql(database, OLD_STYLE).await.unwrap();
    let counts = "SELECT (SELECT count(*) FROM saga) || ' ' || (SELECT count(*) FROM saga_label)
        || ' ' || (SELECT count(*) FROM saga_lock_key)";
    assert_eq!(server.psql(database, counts).await.unwrap().trim(), "18 9 18");
    assert_eq!(store.list_left_behind(99).await.unwrap(), 9);
    assert_eq!(server.psql(database, counts).await.unwrap().trim(), "18 18 36");
    let later = Timestamp(4_102_444_800_000_000);
    assert_eq!(store.delete_ended(later, 6).await.unwrap(), 6);
    assert_eq!(server.psql(database, counts).await.unwrap().trim(), "12 12 24");
    assert_eq!(store.delete_ended(later, 99).await.unwrap(), 12);
    assert_eq!(server.psql(database, counts).await.unwrap().trim(), "0 0 0");
}
