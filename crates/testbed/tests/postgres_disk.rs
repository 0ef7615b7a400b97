//! A PostgreSQL server whose disk is full.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_testbed::{DiskLimit, NotPermitted, Postgres, PostgresOptions};

const LONG: Duration = Duration::from_secs(30);

/// None where nothing may be mounted.
async fn server(disk: DiskLimit) -> Option<Postgres> {
    let options = PostgresOptions { disk: Some(disk), ..PostgresOptions::default() };
    match Postgres::start_with(options).await {
        Err(error) if error.is::<NotPermitted>() => None,
        server => Some(server.unwrap()),
    }
}

/// Writes so much that no room of before is enough.
async fn write(postgres: &Postgres) -> anyhow::Result<String> {
    let sql = "CREATE TABLE IF NOT EXISTS t (v TEXT);
        INSERT INTO t SELECT repeat(md5(n::text), 30) FROM generate_series(1, 30000) AS n";
    postgres.psql("amends", sql).await
}

#[tokio::test]
async fn without_room_for_data_writes_fail_and_the_server_lives() {
    let Some(postgres) = server(DiskLimit::Data(160 << 20)).await else { return };
    let id = postgres.process_id();
    // The first session of a database writes a file, without which there is none.
    postgres.psql("amends", "SELECT 1").await.unwrap();
    postgres.disk().unwrap().fill().unwrap();
    let error = write(&postgres).await.unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(postgres.psql("amends", "SELECT 1").await.unwrap().trim(), "1");
    postgres.disk().unwrap().free().unwrap();
    write(&postgres).await.unwrap();
    assert_eq!(postgres.process_id(), id);
}

#[tokio::test]
async fn without_room_for_its_log_the_server_is_down_until_there_is_and_it_is_started() {
    let Some(mut postgres) = server(DiskLimit::Wal(64 << 20)).await else { return };
    postgres.psql("amends", "CREATE TABLE u AS SELECT 42 AS n").await.unwrap();
    postgres.disk().unwrap().fill().unwrap();
    assert!(write(&postgres).await.is_err());
    assert!(!postgres.until_ended(LONG).await.unwrap().success());
    assert!(postgres.log().contains("No space left on device"), "{}", postgres.log());
    assert!(postgres.start_again().await.is_err());
    postgres.disk().unwrap().free().unwrap();
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.psql("amends", "SELECT n FROM u").await.unwrap().trim(), "42");
}

#[tokio::test]
async fn the_disk_goes_with_the_server() {
    let Some(postgres) = server(DiskLimit::Data(160 << 20)).await else { return };
    let data = postgres.psql("amends", "SHOW data_directory").await.unwrap();
    let mounts = || std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(mounts().contains(data.trim()));
    drop(postgres);
    assert!(!mounts().contains(data.trim()));
    assert!(Postgres::start().await.unwrap().disk().is_err());
}
