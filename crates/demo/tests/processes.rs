//! Participants as processes: they say where they listen, survive `kill -9` with all that they
//! answered, come back on their port, and end with their parent.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use amends_demo::participants::inventory;
use amends_demo::{BenchParticipantOptions, LoadOptions, ParticipantOptions};
use clap::Parser;
use serde_json::json;

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
        definition: "chain3".to_owned(),
        expect: "completed".to_owned(),
        in_flight: 2,
        seconds: 5,
        warm_up_seconds: 0,
    };
    let error = amends_demo::bench_load(options).await.map(|load| load.to_string());
    let error = error.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("missing field `status`"), "{error:?}");
    Ok(())
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
