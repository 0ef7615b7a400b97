//! The SQLite store passes the suite that every store passes.

#![allow(clippy::expect_used, reason = "test code")]

use std::sync::Arc;

use amends_ports::Store;
use amends_ports::testing::conformance::PARTITIONS;
use amends_store::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

async fn fresh() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("amends.db");
    let options = SqliteOptions { partitions: PARTITIONS, ..SqliteOptions::default() };
    let url = format!("sqlite://{}", path.display());
    let store = SqliteStore::connect(&url, options).await.expect("a fresh file opens");
    (Arc::new(store), folder)
}

amends_ports::store_conformance!(fresh);
