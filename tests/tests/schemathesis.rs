//! The OpenAPI document against the server that serves it: schemathesis makes thousands of requests
//! from it, right and wrong ones, and every answer must be one that the document tells of.
//!
//! A test of each commit finds the same each time, so it has one seed; `make schemathesis` looks
//! further, from a fresh one. `make schemathesis SEED=1 SECONDS=300` repeats a run, or makes a longer one.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amends_testbed::Child;
use amends_tests::{Client, Participant, Server, ServerOptions};
use serde_json::{Value, json};

/// The seed of a test of each commit.
const SEED: u64 = 1;
/// Time for all requests; fuzzing and journeys from link to link go on until it is spent.
const SECONDS: u64 = 75;
/// What it may take beyond that: starting, shrinking a fault, the report.
const GRACE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_openapi_document_says() {
    let server = Server::start(ServerOptions::default()).await.unwrap();
    let participant = Participant::start(Duration::ZERO).await.unwrap();
    let client = server.client().unwrap();
    prepare(&client, &participant).await;

    let seed = setting("SEED").unwrap_or(SEED);
    let seconds = setting("SECONDS").unwrap_or(SECONDS);
    eprintln!("schemathesis: seed {seed}, {seconds} s; make schemathesis SEED={seed} repeats it");
    let folder = tempfile::Builder::new().prefix("amends-schemathesis-").tempdir().unwrap();
    let output = folder.path().join("output");
    let mut run = Child::spawn(&mut schemathesis(&server, folder.path(), seed, seconds)).unwrap();
    let status = run.wait(Duration::from_secs(seconds) + GRACE).await;
    let said = fs::read_to_string(&output).unwrap();
    let is_good = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    assert!(is_good, "seed {seed}, {status:?}:\n{said}");
    // A run that has left something out proves nothing about it.
    let operations = operations(&client).await;
    assert!(said.contains(&format!("Tested: {operations}\n")), "of {operations}:\n{said}");
    eprintln!("{}", said.split("= SUMMARY =").last().unwrap_or_default());

    assert_eq!(client.get("/readyz").await.unwrap().status, 200);
    let log = server.log();
    let errors: Vec<&str> =
        log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// How many operations the document tells of.
async fn operations(client: &Client) -> usize {
    let document = client.get("/openapi.json").await.unwrap().body;
    let items = document["paths"].as_object().unwrap().values();
    items.map(|item| item.as_object().unwrap().len()).sum()
}

/// The command, its output in `folder/output`, its report beside it.
fn schemathesis(server: &Server, folder: &Path, seed: u64, seconds: u64) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program: PathBuf = root.join("../target/schemathesis/bin/st");
    assert!(program.is_file(), "schemathesis is missing: run `scripts/setup test`");
    let output = File::create(folder.join("output")).unwrap();
    let mut command = Command::new(program);
    command
        .args(["--config-file"])
        .arg(root.join("schemathesis/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--seed", &seed.to_string(), "--max-time", &seconds.to_string(), "--no-color"])
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    command
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(format!("AMENDS_SCHEMATHESIS_{name}")).ok()?;
    Some(text.parse().unwrap())
}

/// Definitions, and a saga in each state that lasts; `schemathesis.toml` names them.
async fn prepare(client: &Client, participant: &Participant) {
    client.register("worker", &participant.spec()).await.unwrap();
    for (name, steps) in [
        ("one", json!([step("a", "/do", "/undo"), step("b", "/do", "/undo")])),
        ("refused", json!([step("a", "/do", "/undo"), step("b", "/refuse", "/undo")])),
        ("wait", json!([later("a"), step("b", "/do", "/undo")])),
        ("stuck", json!([stuck("a"), step("b", "/refuse", "/undo")])),
        (
            "tcc",
            json!([{ "id": "a", "participant": "worker", "try": { "path": "/do" },
            "confirm": { "path": "/do" }, "cancel": { "path": "/undo" } }]),
        ),
    ] {
        client.define(&json!({ "name": name, "steps": steps })).await.unwrap();
    }
    for (definition, id, status) in [
        ("one", "done", "completed"),
        ("refused", "refused", "compensated"),
        ("wait", "pending", "running"),
        ("stuck", "suspended", "suspended"),
    ] {
        let body = json!({ "definition": definition, "id": id });
        client.post("/v1/sagas", &body).await.unwrap().success().unwrap();
        client.until_status(id, status, Duration::from_secs(20)).await.unwrap();
    }
    let open =
        json!({ "mode": "interactive", "id": "open", "deadline": "1h", "lock_keys": ["sku:1"] });
    client.post("/v1/sagas", &open).await.unwrap().success().unwrap();
}

fn step(id: &str, action: &str, compensation: &str) -> Value {
    json!({ "id": id, "participant": "worker",
        "action": { "path": action }, "compensation": { "path": compensation } })
}

fn later(id: &str) -> Value {
    let mut step = step(id, "/later", "/undo");
    step["completion"] = json!("callback");
    step["timeout"] = json!("1h");
    step
}

/// Its undo is refused at once and for good.
fn stuck(id: &str) -> Value {
    let mut step = step(id, "/do", "/refuse");
    step["compensation"]["retry"] = json!({ "max_attempts": 1 });
    step
}
