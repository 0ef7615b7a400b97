//! One PostgreSQL server for the tests of a file, with a database for each of them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use amends_store::postgres::PostgresOptions;
use amends_testbed::{Postgres, PostgresOptions as ServerOptions};
use tokio::sync::Mutex;

/// The server that the tests which run now share; it goes with the last of them.
pub(crate) async fn shared(settings: &[(&str, &str)]) -> Arc<Postgres> {
    static SERVER: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
    let mut server = SERVER.lock().await;
    if let Some(server) = server.upgrade() {
        return server;
    }
    let settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = ServerOptions { max_connections: 200, settings, ..ServerOptions::default() };
    let started = Arc::new(Postgres::start_with(options).await.unwrap());
    *server = Arc::downgrade(&started);
    started
}

/// A database of its own on this server; its URL.
pub(crate) async fn database(server: &Postgres) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    server.create_database(&format!("test_{number}")).await.unwrap()
}

/// Options for a server that does not wait for its disk.
pub(crate) fn options() -> PostgresOptions {
    PostgresOptions { allow_lost_commits: true, partitions: 8, ..PostgresOptions::default() }
}
