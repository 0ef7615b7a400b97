//! What is kept of lock keys that nobody uses, on a server that would give each transaction one view.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use amends_ports::Store;
use amends_ports::testing::conformance::{PARTITIONS, queue};
use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::Postgres;

mod server;

async fn fresh() -> (Arc<dyn Store>, Arc<Postgres>, String) {
    let server = server::shared(&[("default_transaction_isolation", "repeatable read")]).await;
    let url = server::database(&server).await;
    let options = PostgresOptions { partitions: PARTITIONS, ..server::options() };
    let store = PostgresStore::connect(&url, options).await.unwrap();
    (Arc::new(store), server, url)
}

#[tokio::test]
async fn only_keys_in_use_are_kept() {
    let (store, server, url) = fresh().await;
    queue::tokens_grow_past_forgetting(Arc::clone(&store)).await;
    let database = url.rsplit_once('/').unwrap().1;
    let ask = async |sql: &str| server.psql(database, sql).await.unwrap().trim().to_owned();
    assert_eq!(ask("SELECT count(*) FROM lock_fence").await, "0");
    let floor = "SELECT value::bigint >= 9 FROM meta WHERE name = 'lock_token_floor'";
    assert_eq!(ask(floor).await, "t", "one key was granted nine times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_grow_where_transactions_would_have_one_view() {
    let (store, _server, _url) = fresh().await;
    queue::forgetting_goes_on_beside_grants(store).await;
}
