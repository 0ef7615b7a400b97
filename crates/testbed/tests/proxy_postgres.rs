//! Commits to PostgreSQL that are lost, or whose answer is, by a proxy that sees them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::{Output, Stdio};
use std::time::Duration;

use amends_testbed::proxy::{CommitFault, CommitTrap, Faults, When};
use amends_testbed::{FaultProxy, Postgres};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(30);

async fn bed() -> (Postgres, FaultProxy) {
    let postgres = Postgres::start().await.unwrap();
    postgres.psql("amends", "CREATE TABLE t (n INT)").await.unwrap();
    let proxy = FaultProxy::postgres(([127, 0, 0, 1], postgres.port()).into()).await.unwrap();
    (postgres, proxy)
}

/// A client behind the proxy that runs these statements one by one.
fn client(postgres: &Postgres, proxy: &FaultProxy, statements: &[&str]) -> Child {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    for statement in statements {
        psql.args(["-c", statement]);
    }
    psql.arg(proxy.url(&postgres.url()).unwrap());
    psql.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    psql.spawn().unwrap()
}

async fn end(client: Child) -> Output {
    timeout(LONG, client.wait_with_output()).await.unwrap().unwrap()
}

async fn run(postgres: &Postgres, proxy: &FaultProxy, statements: &[&str]) -> bool {
    end(client(postgres, proxy, statements)).await.status.success()
}

async fn rows(postgres: &Postgres) -> String {
    let rows = postgres.psql("amends", "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t").await;
    rows.unwrap().trim().to_owned()
}

async fn until_rows(postgres: &Postgres, wanted: &str) {
    let seen = async { while rows(postgres).await != wanted {} };
    timeout(LONG, seen).await.unwrap();
}

const TRANSACTION: [&str; 3] = ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"];
const ALONE: [&str; 1] = ["INSERT INTO t VALUES (1)"];

#[tokio::test]
async fn the_answer_is_lost_and_the_commit_applied() {
    let (postgres, proxy) = bed().await;
    for statements in [TRANSACTION.as_slice(), &ALONE] {
        let trap = CommitTrap::next(CommitFault::LoseAnswer);
        proxy.set(Faults::at_commit(trap)).await.unwrap();
        assert!(!run(&postgres, &proxy, statements).await);
        // The server had answered when the connection ended.
        assert_eq!(rows(&postgres).await, "1");
        postgres.psql("amends", "TRUNCATE t").await.unwrap();
    }
    assert!(run(&postgres, &proxy, &ALONE).await, "only the next one");
    assert_eq!(proxy.counters().commit_faults, 2);
    assert_eq!(proxy.counters().commits, 3);
}

#[tokio::test]
async fn the_commit_is_lost_and_not_applied() {
    let (postgres, proxy) = bed().await;
    for statements in [TRANSACTION.as_slice(), &ALONE] {
        let trap = CommitTrap::next(CommitFault::LoseCommit);
        proxy.set(Faults::at_commit(trap)).await.unwrap();
        assert!(!run(&postgres, &proxy, statements).await);
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'active'";
    let gone = async { while postgres.psql("amends", open).await.unwrap().trim() != "0" {} };
    timeout(LONG, gone).await.unwrap();
    assert_eq!(rows(&postgres).await, "");
    assert_eq!(proxy.counters().commit_faults, 2);
}

#[tokio::test]
async fn the_answer_is_held_while_the_commit_is_applied() {
    let (postgres, proxy) = bed().await;
    let trap = CommitTrap::next(CommitFault::HoldAnswer(LONG * 10));
    proxy.set(Faults::at_commit(trap)).await.unwrap();
    let mut client = client(&postgres, &proxy, &TRANSACTION);
    until_rows(&postgres, "1").await;
    assert!(client.try_wait().unwrap().is_none(), "it has heard");
    proxy.heal().await.unwrap();
    assert!(end(client).await.status.success());

    let time = Duration::from_millis(300);
    let trap = CommitTrap::next(CommitFault::HoldAnswer(time));
    proxy.set(Faults::at_commit(trap)).await.unwrap();
    let begin = Instant::now();
    assert!(run(&postgres, &proxy, &ALONE).await);
    assert!(begin.elapsed() >= time);
}

#[tokio::test]
async fn a_held_commit_comes_after_its_client_is_gone() {
    let (postgres, proxy) = bed().await;
    let trap = CommitTrap::next(CommitFault::HoldCommit(LONG * 10));
    proxy.set(Faults::at_commit(trap)).await.unwrap();
    let mut client = client(&postgres, &proxy, &TRANSACTION);
    proxy.until(LONG, |counters| counters.commit_faults == 1).await.unwrap();
    client.kill().await.unwrap();
    assert_eq!(rows(&postgres).await, "");
    proxy.heal().await.unwrap();
    until_rows(&postgres, "1").await;
}

#[tokio::test]
async fn every_second_commit_of_what_is_meant() {
    let (postgres, proxy) = bed().await;
    let trap = CommitTrap { when: When::Every(2), ..CommitTrap::next(CommitFault::LoseCommit) };
    proxy.set(Faults::at_commit(trap.touching("INTO t"))).await.unwrap();
    for n in 1..=5 {
        let insert = format!("INSERT INTO t VALUES ({n})");
        assert!(run(&postgres, &proxy, &["CREATE TEMP TABLE x (n INT)"]).await);
        assert_eq!(run(&postgres, &proxy, &["BEGIN", &insert, "COMMIT"]).await, n % 2 == 1);
    }
    assert_eq!(rows(&postgres).await, "1 3 5");
}

#[tokio::test]
async fn commits_are_seen_in_the_extended_protocol() {
    let (postgres, proxy) = bed().await;
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), "BEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;\n").unwrap();
    for protocol in ["extended", "prepared"] {
        let trap = CommitTrap::next(CommitFault::LoseAnswer).touching("INTO t");
        let nth = CommitTrap { when: When::Nth(3), ..trap };
        proxy.set(Faults::at_commit(nth)).await.unwrap();
        let mut bench = Command::new("pgbench");
        let addr = proxy.addr();
        bench.args(["-n", "-t", "5", "-M", protocol, "-h", "127.0.0.1", "-U", "postgres", "-f"]);
        bench.arg(script.path()).arg("-p").arg(addr.port().to_string()).arg("amends");
        bench.kill_on_drop(true);
        let output = timeout(LONG, bench.output()).await.unwrap().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert_eq!(rows(&postgres).await, "1 1 1", "{protocol}: {output:?}");
        postgres.psql("amends", "TRUNCATE t").await.unwrap();
    }
}
