//! `amends definition`: check, apply, list, show.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::answer::{items, text, time};
use super::document::{Document, report};
use super::screen::{Screen, cell};
use crate::client::Client;
use crate::failure::Failure;

/// What can be done with definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionCommand {
    /// Check a file and tell all its faults; needs no server
    Check {
        /// JSON or YAML file
        file: PathBuf,
        /// Ask the server too, which knows the registered participants
        #[arg(long)]
        online: bool,
    },
    /// Store files as the next version of their names
    Apply {
        /// JSON or YAML files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the newest version of each definition
    List,
    /// Show a definition
    Show {
        /// Its name
        name: String,
        /// A version; the newest without one
        #[arg(long)]
        version: Option<u32>,
    },
}

/// Runs it; only what talks to a server makes a client.
pub(crate) async fn run(
    command: DefinitionCommand,
    client: impl Fn() -> Result<Client, Failure>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        DefinitionCommand::Check { file, online: false } => {
            let document = Document::read(&file)?;
            document.show(&report(&document.check()), screen)
        }
        DefinitionCommand::Check { file, online: true } => {
            let document = Document::read(&file)?;
            let answer = sent(&client()?, &["definitions", "validate"], &document).await?;
            document.show(&answer, screen)
        }
        DefinitionCommand::Apply { files } => {
            let client = client()?;
            for file in files {
                apply(&client, &Document::read(&file)?, screen).await?;
            }
            Ok(())
        }
        DefinitionCommand::List => list(&client()?, screen).await,
        DefinitionCommand::Show { name, version } => show(&client()?, &name, version, screen).await,
    }
}

async fn sent(client: &Client, path: &[&str], document: &Document) -> Result<Value, Failure> {
    client.post(path).body(document.content_type(), document.text.clone()).send().await
}

async fn apply(client: &Client, document: &Document, screen: &mut Screen) -> Result<(), Failure> {
    let answer = sent(client, &["definitions"], document).await?;
    screen.show(&answer, |screen| {
        for warning in items(&answer, "warnings") {
            let warning: crate::problem::Fault =
                serde_json::from_value(warning.clone()).unwrap_or_default();
            screen.line(&warning.to_string())?;
        }
        screen.line(&format!("{} version {}", text(&answer, "name"), text(&answer, "version")))
    })
}

async fn list(client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut next = None;
    loop {
        let after: Vec<(&str, String)> = next.map(|name| ("after", name)).into_iter().collect();
        let answer = client.get(&["definitions"]).query(&after).send().await?;
        all.extend_from_slice(items(&answer, "definitions"));
        next = answer["next"].as_str().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    let answer = serde_json::json!({ "definitions": all, "next": null });
    screen.show(&answer, |screen| {
        let rows = all.iter().map(|definition| {
            let digest = text(definition, "digest");
            let start = digest.get(..12).unwrap_or(&digest);
            vec![
                cell(text(definition, "name")),
                cell(text(definition, "version")),
                cell(time(definition, "created_at")),
                cell(start),
            ]
        });
        let nothing = "no definitions; store one with `amends definition apply FILE`";
        screen.table(&["name", "version", "created", "digest"], rows.collect(), nothing)
    })
}

async fn show(
    client: &Client,
    name: &str,
    version: Option<u32>,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let version = version.map(|version| version.to_string());
    let answer = match &version {
        Some(version) => client.get(&["definitions", name, "versions", version]).send().await?,
        None => client.get(&["definitions", name]).send().await?,
    };
    screen.show(&answer, |screen| {
        let [name, version] = ["name", "version"].map(|member| text(&answer, member));
        screen.line(&format!("# {name} version {version}, {}", time(&answer, "created_at")))?;
        screen.line(&format!("{:#}", answer["document"]))
    })
}
