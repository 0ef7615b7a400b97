//! The conformance suite on PostgreSQL.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use amends_ports::Store;
use amends_ports::testing::conformance::PARTITIONS;
use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::Postgres;

mod server;

async fn fresh() -> (Arc<dyn Store>, Arc<Postgres>) {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let options = PostgresOptions { partitions: PARTITIONS, ..server::options() };
    (Arc::new(PostgresStore::connect(&url, options).await.unwrap()), server)
}

amends_ports::store_conformance!(fresh);
