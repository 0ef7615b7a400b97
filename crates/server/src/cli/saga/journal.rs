//! `amends saga journal`: everything that happened to a saga, oldest first.

use clap::Args;
use serde_json::{Value, json};

use super::super::answer::{items, plain, text};
use super::super::screen::{Screen, cell};
use crate::client::Client;
use crate::failure::Failure;

/// Which part.
#[derive(Debug, Args)]
pub(crate) struct JournalArguments {
    /// Id of the saga
    id: String,
    /// Number of the first record; 0 is the oldest
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Most records; all without it
    #[arg(long)]
    limit: Option<usize>,
}

/// Records asked for at once.
const PAGE: usize = 100;

/// Runs it.
pub(crate) async fn run(
    arguments: &JournalArguments,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let (mut records, mut next) = (Vec::new(), Some(arguments.from));
    let limit = arguments.limit.unwrap_or(usize::MAX);
    while let Some(from) = next
        && records.len() < limit
    {
        let page = PAGE.min(limit - records.len());
        let parameters = [("from", from.to_string()), ("limit", page.to_string())];
        let answer =
            client.get(&["sagas", &arguments.id, "journal"]).query(&parameters).send().await?;
        records.extend_from_slice(items(&answer, "records"));
        next = answer["next"].as_u64();
    }
    let answer = json!({ "from": arguments.from, "records": records, "next": next });
    screen.show(&answer, |screen| {
        let rows = records.iter().map(row).collect();
        screen.table(&["seq", "at", "event", "details"], rows, "no records")
    })
}

fn row(record: &Value) -> Vec<comfy_table::Cell> {
    let details = record.as_object().into_iter().flatten();
    let details: Vec<String> = details
        .filter(|(name, value)| {
            !matches!(name.as_str(), "seq" | "at" | "event") && !value.is_null()
        })
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    let [seq, at, event] = ["seq", "at", "event"].map(|member| cell(text(record, member)));
    vec![seq, at, event, cell(details.join(" "))]
}
