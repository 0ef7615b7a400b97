//! `amends participant`: add, list, show, check, remove.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{items, joined, plain, text, time};
use super::screen::{Screen, cell, status_cell};
use crate::client::Client;
use crate::failure::Failure;

/// What can be done with participants.
#[derive(Debug, Subcommand)]
pub(crate) enum ParticipantCommand {
    /// Register a participant, or change it
    Add(AddArguments),
    /// List all participants
    List,
    /// Show a participant; secrets are never shown
    Show {
        /// Its name
        name: String,
    },
    /// Ask the health path of each endpoint now
    Check {
        /// Its name
        name: String,
    },
    /// Forget a participant
    Remove {
        /// Its name
        name: String,
        /// Even if a live definition names it
        #[arg(long)]
        force: bool,
    },
}

/// A participant, by a file, by flags, or by a file with flags over it.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// Its name, as definitions say it
    name: String,
    /// Base URLs
    endpoints: Vec<String>,
    /// JSON file with the whole registration
    #[arg(long)]
    file: Option<PathBuf>,
    /// Path that says whether an endpoint is well
    #[arg(long)]
    health: Option<String>,
    /// Time for one attempt, where the definition does not say (such as 2s)
    #[arg(long)]
    timeout: Option<String>,
    /// Most calls at once
    #[arg(long)]
    max_concurrency: Option<u32>,
    /// Name of the server's environment variable with a bearer token
    #[arg(long, value_name = "VARIABLE")]
    bearer_env: Option<String>,
    /// Label, as often as needed
    #[arg(long = "label", value_name = "K=V", value_parser = super::saga::pair)]
    labels: Vec<(String, String)>,
}

/// Runs it.
pub(crate) async fn run(
    command: ParticipantCommand,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        ParticipantCommand::Add(arguments) => add(&arguments, client, screen).await,
        ParticipantCommand::List => list(client, screen).await,
        ParticipantCommand::Show { name } => {
            let answer = client.get(&["participants", &name]).send().await?;
            screen.show(&answer, |screen| show(&answer, screen))
        }
        ParticipantCommand::Check { name } => check(&name, client, screen).await,
        ParticipantCommand::Remove { name, force } => {
            let force = if force { vec![("force", "true".to_owned())] } else { Vec::new() };
            client.delete(&["participants", &name]).query(&force).send().await?;
            screen
                .show(&json!({ "removed": name }), |screen| screen.line(&format!("{name} removed")))
        }
    }
}

async fn add(
    arguments: &AddArguments,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let spec = spec(arguments)?;
    let answer = client.put(&["participants", &arguments.name]).json(&spec).send().await?;
    screen.show(&answer, |screen| {
        let revision = text(&answer, "revision");
        screen.line(&format!("{} registered, revision {revision}", arguments.name))
    })
}

fn spec(arguments: &AddArguments) -> Result<Value, Failure> {
    let mut spec = match &arguments.file {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|source| Failure::File { path: path.clone(), source })?;
            let spec: Value = serde_json::from_str(&text)
                .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
            if !spec.is_object() {
                let path = path.display();
                return Err(Failure::Usage(format!("{path}: must hold a JSON object")));
            }
            spec
        }
        None => json!({}),
    };
    if !arguments.endpoints.is_empty() {
        spec["endpoints"] = json!(arguments.endpoints);
    }
    if spec["endpoints"].is_null() {
        let advice = "name at least one endpoint (http://HOST:PORT), or a --file that does";
        return Err(Failure::Usage(advice.to_owned()));
    }
    for (member, value) in [("health", &arguments.health), ("timeout", &arguments.timeout)] {
        if let Some(value) = value {
            spec[member] = json!(value);
        }
    }
    if let Some(max) = arguments.max_concurrency {
        spec["max_concurrency"] = json!(max);
    }
    if let Some(variable) = &arguments.bearer_env {
        let token = json!({ "env": variable });
        spec["auth"] = json!({ "type": "bearer", "token": token });
    }
    for (name, value) in &arguments.labels {
        spec["labels"][name] = json!(value);
    }
    // Reading a missing member by index leaves nothing behind, writing one does.
    if let Some(members) = spec.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    Ok(spec)
}

async fn list(client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let answer = client.get(&["participants"]).send().await?;
    screen.show(&answer, |screen| {
        let rows = items(&answer, "participants").iter().map(|participant| {
            vec![
                cell(text(participant, "name")),
                cell(text(participant, "protocol")),
                cell(joined(participant, "endpoints")),
                cell(text(participant, "revision")),
                cell(time(participant, "updated_at")),
            ]
        });
        let nothing = "no participants; register one with `amends participant add NAME URL`";
        let header = ["name", "protocol", "endpoints", "revision", "changed"];
        screen.table(&header, rows.collect(), nothing)
    })
}

fn show(answer: &Value, screen: &mut Screen) -> Result<(), Failure> {
    let Some(members) = answer.as_object() else { return Ok(()) };
    let rows = members
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| vec![cell(name), cell(plain(value))]);
    screen.table(&["member", "value"], rows.collect(), "")
}

async fn check(name: &str, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let answer = client.post(&["participants", name, "check"]).send().await?;
    screen.show(&answer, |screen| {
        let rows = items(&answer, "endpoints").iter().map(|endpoint| {
            let healthy = if endpoint["healthy"] == true { "healthy" } else { "unhealthy" };
            let took = endpoint["latency_ms"].as_f64().map(|ms| format!("{ms:.1} ms"));
            let detail = took.unwrap_or_else(|| text(endpoint, "detail"));
            vec![cell(text(endpoint, "url")), status_cell(healthy), cell(detail)]
        });
        screen.table(&["endpoint", "health", "answered"], rows.collect(), "no endpoints")
    })?;
    if answer["healthy"] == true {
        return Ok(());
    }
    Err(Failure::NotCompleted(format!("participant {name} is not healthy")))
}
