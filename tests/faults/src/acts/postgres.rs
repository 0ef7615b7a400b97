//! A PostgreSQL that is killed, restarted, stands still, or says no.

use std::time::Duration;

use amends_tests::until;
use futures_util::FutureExt as _;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tokio::time::Instant;

use super::{BEYOND_LEASE, plain};
use crate::catalog::Entry;
use crate::scene::Scene;

/// All of these.
pub(crate) const KINDS: &[Entry] = &[
    plain(
        "restart-postgres-immediate",
        "SIGQUIT of PostgreSQL, started again: it recovers from its log",
        "what was committed is there; starts are answered 503 meanwhile",
        |scene| restart(scene).boxed_local(),
    ),
    plain(
        "restart-postgres-fast",
        "SIGINT of PostgreSQL, started again",
        "what was committed is there; starts are answered 503 meanwhile",
        |scene| restart_fast(scene).boxed_local(),
    ),
    plain(
        "restart-postgres-again-and-again",
        "SIGQUIT of PostgreSQL, started again, four times within some seconds",
        "what was committed is there",
        |scene| restart_often(scene).boxed_local(),
    ),
    plain(
        "kill-postgres",
        "SIGKILL of PostgreSQL and all its processes, started again",
        "what was committed is there",
        |scene| kill(scene).boxed_local(),
    ),
    plain(
        "stop-postgres",
        "SIGSTOP of PostgreSQL and all its processes for two leases, then SIGCONT",
        "leases run out for all; whoever is first goes on",
        |scene| stop(scene).boxed_local(),
    ),
    plain(
        "connections-exhausted",
        "others hold every connection that PostgreSQL has, for two leases (53300)",
        "coordinators come back as connections do",
        |scene| exhaust(scene).boxed_local(),
    ),
    plain(
        "postgres-down",
        "PostgreSQL is down for two leases",
        "coordinators wait and come back by themselves",
        |scene| down(scene).boxed_local(),
    ),
    plain(
        "terminate-backends",
        "every connection to PostgreSQL is terminated (57P01), 20 times in 3 s",
        "a commit whose answer is lost is neither lost nor done twice",
        |scene| terminate(scene).boxed_local(),
    ),
    plain(
        "serialization-failures",
        "default_transaction_isolation = serializable for 5 s",
        "what fails with 40001 is repeated",
        |scene| {
            let setting = ("default_transaction_isolation", "serializable");
            set(scene, setting, Duration::from_secs(5), "could not serialize").boxed_local()
        },
    ),
    plain(
        "read-only",
        "default_transaction_read_only = on for two leases (25006)",
        "starts are answered 503; all goes on after it",
        |scene| {
            let setting = ("default_transaction_read_only", "on");
            set(scene, setting, BEYOND_LEASE, "read-only transaction").boxed_local()
        },
    ),
    plain(
        "cancelled-statements",
        "every statement that waits for a lock is cancelled (57014), ten times in some seconds",
        "what is cut off is repeated",
        |scene| cancel(scene).boxed_local(),
    ),
    plain(
        "lock-timeouts",
        "a session holds the tables for 7 s: lock_timeout passes (55P03), leases run out",
        "what is cut off is repeated; leases that were not renewed are not used",
        |scene| hold_tables(scene, Duration::from_secs(7)).boxed_local(),
    ),
    plain(
        "deadlocks",
        "a session locks tables against the order of the coordinators, five times (40P01)",
        "what is picked as the victim is repeated",
        |scene| deadlocks(scene).boxed_local(),
    ),
];

/// Ends every session of the coordinators.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE datname = 'amends' AND pid <> pg_backend_pid()";

async fn restart(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.restart_immediate().await
}

async fn restart_fast(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.restart_fast().await
}

async fn restart_often(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for _ in 0..4 {
        scene.stage.postgres.restart_immediate().await?;
        scene.until_accepted(3).await?;
    }
    Ok(())
}

async fn kill(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.kill().await?;
    scene.stage.postgres.start_again().await
}

async fn stop(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.pause().await?;
    scene.last(BEYOND_LEASE).await;
    scene.stage.postgres.resume()
}

async fn exhaust(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let options = scene.stage.postgres.url_of("postgres").parse::<PgConnectOptions>()?;
    let mut held = vec![options.connect().await?];
    let began = Instant::now();
    let mut refused = 0;
    while began.elapsed() < BEYOND_LEASE {
        if let Ok(connection) = options.connect().await {
            held.push(connection);
        } else {
            refused += 1;
            // Theirs are freed, and taken before they are back.
            sqlx::query(TERMINATE).execute(&mut held[0]).await?;
        }
    }
    scene.remark(format!("{} connections held", held.len()));
    scene.insist(refused > 0, "connections were never exhausted");
    Ok(())
}

async fn down(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    scene.stage.postgres.stop().await?;
    scene.last(BEYOND_LEASE).await;
    scene.stage.postgres.start_again().await
}

async fn terminate(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for _ in 0..20 {
        scene.stage.sql(TERMINATE).await?;
        scene.last(Duration::from_millis(150)).await;
    }
    Ok(())
}

/// Statements are so short that few would be found: a lock makes them wait.
async fn cancel(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let waiting = "SELECT pg_sleep(0.2); SELECT count(pg_cancel_backend(pid)) \
                   FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    for _ in 0..10 {
        holding_tables(scene, waiting).await?;
        scene.last(Duration::from_millis(100)).await;
    }
    scene.insist_postgres_said("due to user request");
    Ok(())
}

/// Has a setting for a time, in new sessions and in those that there are.
async fn set(
    scene: &mut Scene<'_>,
    (name, value): (&str, &str),
    time: Duration,
    said: &str,
) -> anyhow::Result<()> {
    for change in [format!("SET {name} = '{value}'"), format!("RESET {name}")] {
        let is_over = change.starts_with("RESET");
        scene.stage.sql(&format!("ALTER SYSTEM {change}")).await?;
        scene.stage.sql("SELECT pg_reload_conf()").await?;
        if !is_over {
            scene.last(time).await;
        }
    }
    scene.insist_postgres_said(said);
    Ok(())
}

async fn hold_tables(scene: &mut Scene<'_>, time: Duration) -> anyhow::Result<()> {
    holding_tables(scene, &format!("SELECT pg_sleep({})", time.as_secs_f64())).await?;
    scene.insist_postgres_said("due to lock timeout");
    Ok(())
}

/// Runs SQL while nobody else can use the tables.
async fn holding_tables(scene: &Scene<'_>, sql: &str) -> anyhow::Result<()> {
    let all = format!(
        "BEGIN; LOCK TABLE partition_lease, saga, saga_journal IN ACCESS EXCLUSIVE MODE; {sql}; COMMIT"
    );
    // Others lock in another order now and then, and it may be this session that has to yield.
    let held = until("the tables to be held", Duration::from_secs(30), async || {
        scene.stage.sql(&all).await.ok()
    });
    held.await
}

async fn deadlocks(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let against = "BEGIN; LOCK TABLE saga_journal IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.1); \
                   LOCK TABLE partition_lease IN ACCESS EXCLUSIVE MODE; COMMIT";
    for _ in 0..5 {
        // The victim may be this session.
        let _ = scene.stage.sql(against).await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'amends'";
    let seen = scene.stage.postgres.psql("amends", deadlocks).await?;
    scene.insist(seen.trim() != "0", "no deadlock came about");
    Ok(())
}
