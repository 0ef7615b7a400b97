//! The conformance suite on PostgreSQL right after a batch was not what the short statements take
//! for granted: by the careful ones.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use amends_ports::Store;
use amends_ports::store::{Batch, WriteError};
use amends_ports::testing::conformance::PARTITIONS;
use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::Postgres;

mod sagas;
mod server;

async fn fresh() -> (Arc<dyn Store>, Arc<Postgres>) {
    let server = server::shared(&[]).await;
    let url = server::database(&server).await;
    let options = PostgresOptions { partitions: PARTITIONS, ..server::options() };
    let store = PostgresStore::connect(&url, options).await.unwrap();
    // Facts of a saga that is not there.
    let appends = vec![sagas::append_of("never", 1, 1)];
    let refused = store.write(&Batch { appends, ..Batch::default() }).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    (Arc::new(store), server)
}

amends_ports::store_conformance!(fresh);
