//! `amends saga show`: where one saga stands.

use serde_json::Value;

use super::super::answer::{items, joined, pairs, text, time};
use super::super::screen::{Screen, cell, status_cell};
use crate::client::Client;
use crate::failure::Failure;

/// Runs it.
pub(crate) async fn run(id: &str, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let answer = client.get(&["sagas", id]).send().await?;
    screen.show(&answer, |screen| show(&answer, screen))
}

/// Whether nothing more happens to the saga without somebody.
pub(super) fn is_at_rest(saga: &Value) -> bool {
    has_ended(saga) || saga["status"] == "suspended"
}

/// Whether nothing more ever happens to the saga.
pub(super) fn has_ended(saga: &Value) -> bool {
    matches!(saga["status"].as_str(), Some("completed" | "compensated" | "abandoned"))
}

/// Shows a saga view: its status in words, what is set, its steps.
pub(super) fn show(saga: &Value, screen: &mut Screen) -> Result<(), Failure> {
    let paused = if saga["paused"] == true { ", paused" } else { "" };
    screen.line(&format!("saga {} is {}{paused}", text(saga, "id"), text(saga, "status")))?;
    for (title, value) in [
        ("", text(saga, "explanation")),
        ("reason: ", text(saga, "reason")),
        ("definition: ", definition(saga)),
        ("labels: ", pairs(saga, "labels")),
        ("part of: ", parent(saga)),
        ("lock keys: ", keys(saga)),
        ("created: ", time(saga, "created_at")),
        ("ended: ", time(saga, "ended_at")),
        ("deadline: ", time(saga, "deadline_at")),
        ("input: ", text(saga, "input")),
        ("output: ", text(saga, "output")),
        ("allowed now: ", joined(saga, "allowed")),
    ] {
        if !value.is_empty() {
            screen.line(&format!("  {title}{value}"))?;
        }
    }
    screen.line("")?;
    let rows = items(saga, "steps").iter().flat_map(rows).collect();
    let header = ["step", "status", "participant", "call", "state", "tries", "last answer"];
    let nothing = if saga["mode"] == "interactive" { "no branches" } else { "no steps" };
    screen.table(&header, rows, nothing)
}

fn definition(saga: &Value) -> String {
    let name = text(saga, "definition");
    match text(saga, "version").as_str() {
        "" if saga["mode"] == "interactive" => format!("{name}, an interactive transaction"),
        "" => format!("{name}, given with the request"),
        version => format!("{name} version {version}"),
    }
}

fn parent(saga: &Value) -> String {
    let parent = &saga["parent"];
    if parent.is_null() {
        return String::new();
    }
    format!("saga {}, branch {}", text(parent, "saga"), text(parent, "branch"))
}

/// The lock keys, with the saga's place in the queue of each.
fn keys(saga: &Value) -> String {
    let places = items(&saga["lock"], "keys");
    if places.is_empty() {
        return joined(saga, "lock_keys");
    }
    places.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn key(place: &Value) -> String {
    let [key, token, position, holder] =
        ["key", "token", "position", "holder"].map(|member| text(place, member));
    if !token.is_empty() {
        return format!("{key} (token {token})");
    }
    match holder.as_str() {
        "" => format!("{key} (waits, {position} before it)"),
        holder => format!("{key} (waits, {position} before it, held by {holder})"),
    }
}

/// One row a call; a step without calls has one too.
fn rows(step: &Value) -> Vec<Vec<comfy_table::Cell>> {
    let calls = items(step, "calls");
    let name = text(step, "id") + if step["pivot"] == true { " (pivot)" } else { "" };
    let whom = match text(step, "child").as_str() {
        "" => text(step, "participant"),
        child => format!("saga {child}"),
    };
    let about = vec![cell(name), status_cell(&text(step, "status")), cell(whom)];
    if calls.is_empty() {
        return vec![about];
    }
    let rows = calls.iter().enumerate().map(|(index, call)| {
        let mut row = if index == 0 { about.clone() } else { vec![cell(""), cell(""), cell("")] };
        row.extend([
            cell(text(call, "op")),
            status_cell(&text(call, "state")),
            cell(text(call, "attempts")),
            cell(answered(call)),
        ]);
        row
    });
    rows.collect()
}

fn answered(call: &Value) -> String {
    let problem = &call["problem"];
    let mut parts: Vec<String> = ["kind", "status", "detail"]
        .iter()
        .map(|member| text(problem, member))
        .filter(|part| !part.is_empty())
        .collect();
    if !call["next_attempt_at"].is_null() {
        parts.push(format!("next try {}", text(call, "next_attempt_at")));
    }
    parts.join(", ")
}
