//! A failover from a PostgreSQL server to its standby, with and without a loss.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use amends_testbed::proxy::Faults;
use amends_testbed::{FaultProxy, Postgres, Standby};
use tokio::time::timeout;

/// Enough for a commit that waits for nobody.
const A_WHILE: Duration = Duration::from_millis(500);

async fn primary() -> Postgres {
    let primary = Postgres::start().await.unwrap();
    primary.psql("amends", "CREATE TABLE t (n INT)").await.unwrap();
    primary
}

async fn insert(postgres: &Postgres, n: u32) -> anyhow::Result<String> {
    postgres.psql("amends", &format!("INSERT INTO t VALUES ({n})")).await
}

async fn rows(postgres: &Postgres) -> String {
    let rows = postgres.psql("amends", "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t").await;
    rows.unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_asynchronous_standby_loses_what_it_did_not_get() {
    let mut primary = primary().await;
    let standby = Standby::asynchronous(&primary).await.unwrap();
    insert(&primary, 1).await.unwrap();
    standby.until_streaming(&primary).await.unwrap();
    assert_eq!(rows(standby.server()).await, "1");
    assert!(insert(standby.server(), 9).await.is_err(), "it takes no writes");

    standby.stream().set(Faults::silence()).await.unwrap();
    insert(&primary, 2).await.unwrap();
    primary.kill().await.unwrap();
    let promoted = standby.promote().await.unwrap();
    assert_eq!(rows(&promoted).await, "1");
    insert(&promoted, 3).await.unwrap();
    assert_eq!(rows(&promoted).await, "1 3");
    let timeline = "SELECT timeline_id FROM pg_control_checkpoint()";
    promoted.psql("amends", "CHECKPOINT").await.unwrap();
    assert_eq!(promoted.psql("amends", timeline).await.unwrap().trim(), "2");
}

#[tokio::test]
async fn a_synchronous_standby_loses_nothing() {
    let mut primary = primary().await;
    let standby = Standby::synchronous(&primary).await.unwrap();
    insert(&primary, 1).await.unwrap();
    // It was applied before the answer: there is nothing to wait for.
    assert_eq!(rows(standby.server()).await, "1");
    standby.stream().set(Faults::silence()).await.unwrap();
    assert!(timeout(A_WHILE, insert(&primary, 2)).await.is_err(), "it waits");
    primary.kill().await.unwrap();
    let promoted = standby.promote().await.unwrap();
    assert_eq!(rows(&promoted).await, "1");
    insert(&promoted, 3).await.unwrap();
}

#[tokio::test]
async fn a_standby_catches_up_after_a_partition() {
    let primary = primary().await;
    let standby = Standby::asynchronous(&primary).await.unwrap();
    standby.stream().set(Faults::refuse()).await.unwrap();
    standby.stream().drop_all();
    insert(&primary, 1).await.unwrap();
    assert_eq!(rows(standby.server()).await, "");
    standby.stream().heal().await.unwrap();
    standby.until_streaming(&primary).await.unwrap();
    assert_eq!(rows(standby.server()).await, "1");
}

#[tokio::test]
async fn replay_is_paused_and_goes_on() {
    let primary = primary().await;
    let standby = Standby::asynchronous(&primary).await.unwrap();
    standby.pause_replay().await.unwrap();
    insert(&primary, 1).await.unwrap();
    assert_eq!(rows(standby.server()).await, "");
    standby.resume_replay().await.unwrap();
    standby.until_streaming(&primary).await.unwrap();
    assert_eq!(rows(standby.server()).await, "1");
}

#[tokio::test]
async fn a_failover_behind_a_proxy_keeps_the_address() {
    let mut primary = primary().await;
    let standby = Standby::synchronous(&primary).await.unwrap();
    let address = FaultProxy::postgres(([127, 0, 0, 1], primary.port()).into()).await.unwrap();
    insert(&primary, 1).await.unwrap();
    primary.kill().await.unwrap();
    address.drop_all();
    let promoted = standby.promote().await.unwrap();
    address.retarget(([127, 0, 0, 1], promoted.port()).into());
    let mut psql = tokio::process::Command::new("psql");
    psql.args(["-X", "-A", "-t", "-c", "SELECT n FROM t"]);
    psql.arg(address.url(&primary.url()).unwrap()).kill_on_drop(true);
    let output = timeout(Duration::from_secs(30), psql.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "1");
}
