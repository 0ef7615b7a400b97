//! Writes what a release leaves in its databases when it is killed in the middle of everything.
//!
//! `cargo run --package amends-tests --example old_release -- BINARY FOLDER`, once a release, with
//! the binary of that release (`scripts/first-release` builds one) and `tests/fixtures/VERSION`.
//! Needs `sqlite3` and `pg_dump`. What it wrote is looked at, committed, and never written again.

#![allow(clippy::print_stdout, reason = "a program")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use amends_testbed::Postgres;
use amends_tests::old_release::{
    Expected, ExpectedSaga, INBOX, NOWHERE, OldHand, Plan, definitions, participants, plans,
    revised,
};
use amends_tests::{Client, Server, ServerOptions, until};
use anyhow::Context as _;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: old_release BINARY FOLDER";
    let program = arguments.next().context(usage)?.canonicalize()?;
    let folder = arguments.next().context(usage)?;
    std::fs::create_dir_all(&folder)?;
    sqlite(&program, &folder).await?;
    postgres(&program, &folder).await
}

fn settings() -> Vec<(&'static str, &'static str)> {
    vec![
        ("database.partitions", "8"),
        // Longer than it takes: nobody takes over from a coordinator that is stopped.
        ("engine.lease-ttl", "5m"),
        ("engine.command-timeout", "1s"),
    ]
}

async fn sqlite(program: &Path, folder: &Path) -> anyhow::Result<()> {
    let worker = OldHand::stuck().await?;
    let options = ServerOptions { settings: settings(), ..ServerOptions::default() };
    let mut server = Server::start_as(program, options).await?;
    let expected = make(&[server.client()?], &worker).await?;
    server.kill()?;
    let file = server.data_dir().join("data/amends.db");
    let trim = format!(
        "UPDATE participant SET spec = replace(spec, '{}', '{NOWHERE}');
         UPDATE coordinator SET expires_us = 0;
         UPDATE partition_lease SET expires_us = 0 WHERE owner IS NOT NULL;",
        worker.url()
    );
    run(Command::new("sqlite3").arg(&file).arg(&trim))?;
    let dump = run(Command::new("sqlite3").arg(&file).arg(".dump"))?;
    write(folder, "sqlite", &dump, &expected)
}

async fn postgres(program: &Path, folder: &Path) -> anyhow::Result<()> {
    let worker = OldHand::stuck().await?;
    let postgres = Postgres::start_with(amends_testbed::PostgresOptions {
        durable: true,
        ..amends_testbed::PostgresOptions::default()
    })
    .await?;
    let options =
        ServerOptions { database: Some(postgres.url()), settings: settings(), redis: Vec::new() };
    let mut servers = [
        Server::start_as(program, options.clone()).await?,
        Server::start_as(program, options).await?,
    ];
    let clients = [servers[0].client()?, servers[1].client()?];
    until("the partitions to be shared", LIMIT, async || {
        let owned = clients[1].metric("amends_partitions_owned").await.ok()?;
        (owned == 4).then_some(())
    })
    .await?;
    let expected = make(&clients, &worker).await?;
    // What the stopped one is asked for stays in the inbox.
    servers[1].signal("STOP")?;
    for saga in expected.0.iter().filter(|saga| saga.id.starts_with(INBOX)) {
        let asked = clients[0].post(&format!("/v1/sagas/{}/pause", saga.id), &json!({})).await?;
        anyhow::ensure!([200, 503].contains(&asked.status), "{}", asked.text);
    }
    for server in &mut servers {
        server.kill()?;
    }
    let open = "SELECT count(*) FROM inbox WHERE settled_at IS NULL";
    println!("{} messages are in the inbox", postgres.psql("amends", open).await?.trim());
    let trim = format!(
        "UPDATE participant SET spec = replace(spec, '{}', '{NOWHERE}');
         UPDATE coordinator SET expires_at = 'epoch';
         UPDATE partition_lease SET expires_at = 'epoch' WHERE owner IS NOT NULL;
         DELETE FROM meta WHERE name = 'server';",
        worker.url()
    );
    postgres.psql("amends", &trim).await?;
    let dump = run(Command::new("pg_dump")
        .args(["--no-owner", "--no-privileges", "--no-comments", "--rows-per-insert=100"])
        .arg(postgres.url()))?;
    // Neither remarks nor commands of psql's own: any client can run it.
    let is_sql =
        |line: &&str| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty();
    let dump: Vec<&str> = dump.lines().filter(is_sql).collect();
    write(folder, "postgres", &(dump.join("\n") + "\n"), &expected)
}

fn write(folder: &Path, name: &str, dump: &str, expected: &Expected) -> anyhow::Result<()> {
    std::fs::write(folder.join(format!("{name}.sql")), dump)?;
    let text = serde_json::to_string_pretty(&expected.to_json())?;
    std::fs::write(folder.join(format!("{name}.expected.json")), text + "\n")?;
    println!("{name}: {} sagas, {} bytes", expected.0.len(), dump.len());
    Ok(())
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes every saga and writes down how it stands. Each is asked for at another coordinator.
async fn make(clients: &[Client], worker: &OldHand) -> anyhow::Result<Expected> {
    for (name, spec) in participants(worker.url()) {
        clients[0].register(name, &spec).await?;
    }
    for definition in definitions() {
        clients[0].define(&definition).await?;
    }
    let mut made = Vec::new();
    for (plan, client) in plans().into_iter().zip(clients.iter().cycle()) {
        let id = start(client, &plan).await.with_context(|| plan.id)?;
        bring(client, worker, &plan, &id).await.with_context(|| plan.id)?;
        made.push((plan, id));
    }
    clients[0].define(&revised()).await?;
    // All that is written without being waited for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut expected = Vec::new();
    for (plan, id) in made {
        expected.push(look(&clients[0], worker, &plan, id).await?);
    }
    Ok(Expected(expected))
}

async fn start(client: &Client, plan: &Plan) -> anyhow::Result<String> {
    if plan.request.is_null() {
        return Ok(plan.id.to_owned());
    }
    let mut request = client.request(reqwest::Method::POST, "/v1/sagas").json(&plan.request);
    if let Some(key) = plan.key {
        request = request.header("Idempotency-Key", key);
    }
    let view = client.send(request).await?.success()?;
    Ok(view["id"].as_str().context("a saga without an id")?.to_owned())
}

/// To the status and the call that it is to be found in.
async fn bring(client: &Client, worker: &OldHand, plan: &Plan, id: &str) -> anyhow::Result<()> {
    let first = if plan.branches.is_empty() { plan.before } else { "running" };
    client.until_status(id, first, LIMIT).await?;
    for (branch, request) in &plan.branches {
        let path = format!("/v1/sagas/{id}/branches/{branch}");
        client.put(&path, request).await?.success()?;
    }
    client.until_status(id, plan.before, LIMIT).await?;
    until("its call", LIMIT, async || {
        let came = |call: &amends_tests::old_release::Heard| {
            call.saga == id && call.path.starts_with(plan.open)
        };
        (plan.open.is_empty() || worker.heard().iter().any(came)).then_some(())
    })
    .await?;
    for (command, status) in &plan.commands {
        client.post(&format!("/v1/sagas/{id}/{command}"), &json!({})).await?.success()?;
        client.until_status(id, status, LIMIT).await?;
    }
    Ok(())
}

async fn look(
    client: &Client,
    worker: &OldHand,
    plan: &Plan,
    id: String,
) -> anyhow::Result<ExpectedSaga> {
    let view = client.get(&format!("/v1/sagas/{id}")).await?.success()?;
    let kept = [
        "id",
        "definition",
        "version",
        "mode",
        "parent",
        "status",
        "paused",
        "decision",
        "labels",
        "lock_keys",
        "tokens",
        "input",
        "output",
        "created_at",
        "deadline_at",
        "start_at",
    ];
    let view = kept.iter().map(|name| ((*name).to_owned(), view[*name].clone())).collect();
    let callback = |call: &amends_tests::old_release::Heard| {
        let url = call.callback_url.clone().filter(|_| call.saga == id)?;
        Some(Value::String(url[url.find("/v1/")?..].to_owned()))
    };
    Ok(ExpectedSaga {
        journal: client.journal(&id).await?,
        callback: worker.heard().iter().find_map(callback).unwrap_or_default(),
        request: plan.request.clone(),
        key: json!(plan.key),
        view: Value::Object(view),
        finish: plan.finish.iter().map(|name| (*name).to_owned()).collect(),
        end: plan.end.to_owned(),
        id,
    })
}
