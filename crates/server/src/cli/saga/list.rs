//! `amends saga list`.

use clap::Args;
use serde_json::{Value, json};

use super::super::answer::{items, pairs, text, time};
use super::super::screen::{Screen, cell, status_cell};
use crate::client::Client;
use crate::failure::Failure;

/// Which sagas.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Statuses, separated by commas: queued, running, confirming, compensating, suspended, completed, compensated, abandoned
    #[arg(long)]
    status: Option<String>,
    /// Name of a definition
    #[arg(long)]
    definition: Option<String>,
    /// Label (K=V)
    #[arg(long, value_name = "K=V", value_parser = super::pair)]
    label: Option<(String, String)>,
    /// Lock key
    #[arg(long)]
    key: Option<String>,
    /// Created at or after (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Created before (RFC 3339)
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Start of the id
    #[arg(short, long, value_name = "PREFIX")]
    query: Option<String>,
    /// Most sagas on a page, 1 to 500
    #[arg(long, default_value_t = 50)]
    limit: u16,
    /// Where a page before this one ended
    #[arg(long)]
    cursor: Option<String>,
    /// All pages
    #[arg(long, conflicts_with = "cursor")]
    all: bool,
}

/// Runs it.
pub(crate) async fn run(
    arguments: &ListArguments,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let (mut sagas, mut next) = (Vec::new(), arguments.cursor.clone());
    loop {
        let mut parameters = parameters(arguments);
        parameters.extend(next.take().map(|cursor| ("cursor", cursor)));
        let answer = client.get(&["sagas"]).query(&parameters).send().await?;
        sagas.extend_from_slice(items(&answer, "sagas"));
        next = answer["next"].as_str().map(str::to_owned);
        if next.is_none() || !arguments.all {
            break;
        }
    }
    let answer = json!({ "sagas": sagas, "next": next });
    screen.show(&answer, |screen| {
        let header = ["id", "status", "definition", "step", "created", "changed", "labels"];
        screen.table(&header, sagas.iter().map(row).collect(), "no sagas")?;
        match &next {
            Some(cursor) => screen.line(&format!("more: --cursor {cursor}, or --all")),
            None => Ok(()),
        }
    })
}

fn parameters(arguments: &ListArguments) -> Vec<(&'static str, String)> {
    let label = arguments.label.as_ref().map(|(name, value)| format!("{name}:{value}"));
    let given = [
        ("status", &arguments.status),
        ("definition", &arguments.definition),
        ("label", &label),
        ("key", &arguments.key),
        ("from", &arguments.from),
        ("before", &arguments.before),
        ("q", &arguments.query),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    given.chain([("limit", arguments.limit.to_string())]).collect()
}

fn row(saga: &Value) -> Vec<comfy_table::Cell> {
    let status = text(saga, "status");
    vec![
        cell(text(saga, "id")),
        status_cell(&status),
        cell(text(saga, "definition")),
        cell(text(saga, "step")),
        cell(time(saga, "created_at")),
        cell(time(saga, "updated_at")),
        cell(pairs(saga, "labels")),
    ]
}
