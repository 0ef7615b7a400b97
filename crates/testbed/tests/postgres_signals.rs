//! A PostgreSQL server that is killed, paused and restarted.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_testbed::{Postgres, PostgresOptions};
use tokio::time::timeout;

/// Enough for a server that runs to answer.
const A_WHILE: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(30);

async fn server() -> Postgres {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    let postgres = Postgres::start_with(options).await.unwrap();
    postgres.psql("amends", "CREATE TABLE t AS SELECT 42 AS n").await.unwrap();
    postgres
}

async fn answer(postgres: &Postgres) -> String {
    postgres.psql("amends", "SELECT n FROM t").await.unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_killed_server_is_gone_with_its_children_and_comes_back_where_it_was() {
    let mut postgres = server().await;
    let backends = postgres.psql("amends", "SELECT pid FROM pg_stat_activity").await.unwrap();
    let (port, url) = (postgres.port(), postgres.url());
    postgres.kill().await.unwrap();
    assert_eq!(postgres.process_id(), None);
    for id in backends.split_whitespace() {
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
    assert!(postgres.psql("amends", "SELECT 1").await.is_err());
    postgres.start_again().await.unwrap();
    assert_eq!((postgres.port(), postgres.url()), (port, url));
    assert_eq!(answer(&postgres).await, "42");
    assert!(postgres.log().contains("was not properly shut down"), "{}", postgres.log());
}

#[tokio::test]
async fn a_paused_server_takes_connections_and_answers_none() {
    let mut postgres = server().await;
    postgres.pause().await.unwrap();
    tokio::net::TcpStream::connect(("127.0.0.1", postgres.port())).await.unwrap();
    assert!(timeout(A_WHILE, postgres.psql("amends", "SELECT 1")).await.is_err());
    postgres.resume().unwrap();
    assert_eq!(timeout(LONG, answer(&postgres)).await.unwrap(), "42");
}

#[tokio::test]
async fn a_paused_server_can_be_killed_and_stopped_and_dropped() {
    let mut postgres = server().await;
    postgres.pause().await.unwrap();
    postgres.kill().await.unwrap();
    postgres.start_again().await.unwrap();
    postgres.pause().await.unwrap();
    postgres.restart_immediate().await.unwrap();
    assert_eq!(answer(&postgres).await, "42");
    postgres.pause().await.unwrap();
    let id = postgres.process_id().unwrap();
    drop(postgres);
    assert!(!std::path::PathBuf::from(format!("/proc/{id}")).exists());
}

#[tokio::test]
async fn a_fast_restart_is_orderly_and_an_immediate_one_is_not() {
    let mut postgres = server().await;
    let before = postgres.process_id();
    postgres.restart_fast().await.unwrap();
    assert!(before != postgres.process_id());
    assert!(postgres.log().contains("database system was shut down"), "{}", postgres.log());
    assert_eq!(answer(&postgres).await, "42");
    postgres.restart_immediate().await.unwrap();
    assert!(postgres.log().contains("was not properly shut down"), "{}", postgres.log());
    assert_eq!(answer(&postgres).await, "42");
}

#[tokio::test]
async fn a_killed_server_leaves_no_shared_memory() {
    let mut postgres = server().await;
    let data = postgres.psql("amends", "SHOW data_directory").await.unwrap();
    let file = std::path::Path::new(data.trim()).join("postmaster.pid");
    let text = std::fs::read_to_string(file).unwrap();
    let id = text.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let exists = || {
        let all = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
        all.lines().any(|line| line.split_whitespace().nth(1) == Some(&id))
    };
    postgres.kill().await.unwrap();
    assert!(exists(), "the test looks at the wrong place");
    drop(postgres);
    assert!(!exists());
}
