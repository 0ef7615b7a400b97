//! The conformance suite on a server whose transactions are serializable: whatever conflicts is
//! rolled back by the server and done again by the store, as on distributed databases.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use amends_ports::Store;
use amends_ports::testing::conformance::PARTITIONS;
use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::Postgres;

mod server;

async fn fresh() -> (Arc<dyn Store>, Arc<Postgres>) {
    let server = server::shared(&[("default_transaction_isolation", "serializable")]).await;
    let url = server::database(&server).await;
    let options = PostgresOptions { partitions: PARTITIONS, ..server::options() };
    (Arc::new(PostgresStore::connect(&url, options).await.unwrap()), server)
}

amends_ports::store_conformance!(fresh);
