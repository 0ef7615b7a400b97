//! `amends explore`: what would happen at every failure point.

use std::path::Path;

use amends_api::wire::{ExplorationView, RunView};
use clap::Args;
use serde_json::Value;

use super::answer::{items, text};
use super::document::{Document, report};
use super::screen::{Screen, cell, status_cell};
use crate::client::Client;
use crate::failure::Failure;

/// What to explore.
#[derive(Debug, Args)]
pub(crate) struct ExploreArguments {
    /// A file, explored here without a server; or the name of a stored definition
    definition: String,
    /// A version of the stored definition; the newest without one
    #[arg(long)]
    version: Option<u32>,
}

/// Runs it.
pub(crate) async fn run(
    arguments: &ExploreArguments,
    client: impl Fn() -> Result<Client, Failure>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let file = Path::new(&arguments.definition);
    let answer = if file.exists() {
        offline(&Document::read(file)?, screen)?
    } else if looks_like_a_file(&arguments.definition) {
        return Err(Failure::Usage(format!("there is no file {}", arguments.definition)));
    } else {
        let version = arguments.version.map(|version| ("version", version.to_string()));
        client()?
            .post(&["definitions", &arguments.definition, "explore"])
            .query(version.as_slice())
            .send()
            .await?
    };
    screen.show(&answer, |screen| {
        let rows = items(&answer, "runs").iter().map(row).collect();
        screen.table(&["when", "then these calls", "and the saga is"], rows, "nothing to explore")
    })
}

/// Names of definitions have neither slashes nor dots.
fn looks_like_a_file(text: &str) -> bool {
    text.contains('/') || text.contains('.')
}

fn offline(document: &Document, screen: &mut Screen) -> Result<Value, Failure> {
    let parsed = document.check();
    let Some(definition) = &parsed.definition else {
        document.show(&report(&parsed), screen)?;
        return Err(Failure::Faulty("a definition with errors cannot be explored".to_owned()));
    };
    let runs = amends_core::explore::explore(definition);
    let exploration = ExplorationView {
        definition: definition.name.as_str().to_owned(),
        runs: runs.iter().map(RunView::from).collect(),
    };
    Ok(serde_json::to_value(exploration).unwrap_or_default())
}

fn row(run: &Value) -> Vec<comfy_table::Cell> {
    let failures: Vec<String> = items(run, "failures").iter().map(failure).collect();
    let when =
        if failures.is_empty() { "all goes well".to_owned() } else { failures.join(" and ") };
    let calls: Vec<String> = items(run, "calls").iter().map(call).collect();
    let calls = if calls.is_empty() { "none".to_owned() } else { calls.join(" → ") };
    vec![cell(when), cell(calls), status_cell(&text(run, "status"))]
}

fn failure(failure: &Value) -> String {
    let how = text(failure, "outcome").replace('_', " ");
    format!("{}.{} is {how}", text(failure, "step"), text(failure, "op"))
        .replace("is timed out", "times out")
}

fn call(call: &Value) -> String {
    let name = format!("{}.{}", text(call, "step"), text(call, "op"));
    match text(call, "outcome").as_str() {
        "" | "succeeded" => name,
        outcome => format!("{name} ({})", outcome.replace('_', " ")),
    }
}
