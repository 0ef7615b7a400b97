//! Participants as processes: they say where they listen, survive `kill -9` with all that they
//! answered, come back on their port, and end with their parent. And the demo from end to end,
//! against a coordinator that does its work, and against one that doesn't.

#![allow(clippy::unwrap_used, reason = "test code")]

mod simple_coordinator;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use amends_demo::participants::inventory;
use amends_demo::{
    BenchParticipantOptions, DemoOptions, LoadOptions, ParticipantOptions, Show, Summary, Workload,
};
use clap::Parser;
use serde_json::json;
use simple_coordinator::{Care, SimpleCoordinator};

/// This program, started by itself.
#[derive(Parser)]
enum Role {
    DemoParticipant(ParticipantOptions),
    BenchParticipant(BenchParticipantOptions),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !std::env::args().nth(1).is_some_and(|word| word.ends_with("-participant")) {
        a_killed_participant_keeps_what_it_answered().await?;
        a_participant_ends_with_its_parent().await?;
        a_demo_ends_with_balanced_books().await?;
        a_coordinator_that_forgets_to_undo_is_found_out().await?;
        return a_load_that_ends_no_saga_says_why().await;
    }
    match Role::parse() {
        Role::DemoParticipant(options) => amends_demo::serve_participant(options).await,
        Role::BenchParticipant(options) => amends_demo::bench_participant(options).await,
    }
}

/// A child that is killed with the test.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut url)?;
        }
        Ok(Self { child, url: url.trim().to_owned() })
    }

    fn inventory(db: &Path, port: &str) -> anyhow::Result<Self> {
        Self::start(&["demo-participant", "inventory", "--port", port, "--db", &text(db)])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn a_killed_participant_keeps_what_it_answered() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("inventory.db");
    let db = inventory::open(&path).await?;
    sqlx::raw_sql("INSERT INTO stock (sku, on_shelf) VALUES ('tea', 9)").execute(&db).await?;
    db.close().await;

    let first = Process::inventory(&path, "0")?;
    let url = first.url.clone();
    let answer = reserve(&url, "one").await?;
    drop(first);
    let port = url.rsplit(':').next().unwrap_or_default();
    let second = Process::inventory(&path, port)?;
    assert_eq!(second.url, url, "it came back elsewhere");
    assert_eq!(reserve(&url, "one").await?, answer);
    reserve(&url, "two").await?;

    let db = inventory::open(&path).await?;
    let left: i64 = sqlx::query_scalar("SELECT on_shelf FROM stock").fetch_one(&db).await?;
    assert_eq!(left, 3, "two sagas took three each, one of them asked twice");
    Ok(())
}

async fn a_participant_ends_with_its_parent() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut processes = [
        Process::inventory(&dir.path().join("inventory.db"), "0")?,
        Process::start(&["bench-participant"])?,
    ];
    for process in &mut processes {
        assert!(reqwest::get(format!("{}/health", process.url)).await?.status().is_success());
        drop(process.child.stdin.take());
        assert!(process.child.wait()?.success(), "closing its input ends it in peace");
    }
    Ok(())
}

async fn a_load_that_ends_no_saga_says_why() -> anyhow::Result<()> {
    let idle = Process::start(&["bench-participant"])?;
    let options = LoadOptions {
        address: idle.url.trim_start_matches("http://").to_owned(),
        case: "chain3".parse().map_err(anyhow::Error::msg)?,
        definition: None,
        in_flight: 2,
        seconds: 5,
        warm_up_seconds: 0,
        header: None,
    };
    let error = amends_demo::bench_load(options).await.map(|load| load.to_string());
    let error = error.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("missing field `status`"), "{error:?}");
    Ok(())
}

async fn a_demo_ends_with_balanced_books() -> anyhow::Result<()> {
    let summary = run_demo(Care::Undoes).await?;
    assert!(summary.is_balanced(), "{summary}");
    assert_eq!((summary.completed, summary.undone), (90, 10), "{summary}");
    Ok(())
}

async fn a_coordinator_that_forgets_to_undo_is_found_out() -> anyhow::Result<()> {
    let summary = run_demo(Care::Forgets).await?;
    assert!(!summary.is_balanced(), "{summary}");
    assert_eq!(summary.faults.len(), 5, "one for each declined card: {summary}");
    assert!(summary.faults.iter().all(|fault| fault.contains("reservation is still in force")));
    Ok(())
}

async fn run_demo(care: Care) -> anyhow::Result<Summary> {
    let dir = tempfile::tempdir()?;
    let coordinator = SimpleCoordinator::start(care).await?;
    let options = DemoOptions {
        workload: Workload { sagas: 100, seed: 3, concurrency: 16 },
        coordinator_urls: vec![coordinator.url.clone()],
        participant_exe: std::env::current_exe()?,
        data_dir: dir.path().to_owned(),
        page_url: None,
        show: Show::Nothing,
        masters: None,
    };
    Ok(amends_demo::run(options).await?.summary.clone())
}

/// Reserves three units; the answer.
async fn reserve(url: &str, saga: &str) -> anyhow::Result<(u16, String)> {
    let response = reqwest::Client::new()
        .post(format!("{url}/reservations"))
        .header("saga-id", saga)
        .header("saga-step", "reserve")
        .header("saga-operation", "action")
        .json(&json!({ "user": "ada", "sku": "tea", "qty": 3 }))
        .send()
        .await?;
    Ok((response.status().as_u16(), response.text().await?))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
