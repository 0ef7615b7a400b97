//! `amends locks`: who holds lock keys, who waits for them, and taking them away.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{items, text, time};
use super::saga::Said;
use super::screen::{Screen, cell, status_cell};
use crate::client::Client;
use crate::failure::Failure;

/// Which keys, or what to do with one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LocksArguments {
    #[command(subcommand)]
    command: Option<LockCommand>,
    /// One lock key, for its queue; without it, all keys that somebody holds or waits for
    key: Option<String>,
    /// Start of the keys
    #[arg(long, conflicts_with = "key")]
    prefix: Option<String>,
    /// Most keys on a page, 1 to 500
    #[arg(long, default_value_t = 50, conflicts_with = "key")]
    limit: u16,
    /// Where a page before this one ended
    #[arg(long, conflicts_with = "key")]
    cursor: Option<String>,
    /// All pages
    #[arg(long, conflicts_with_all = ["cursor", "key"])]
    all: bool,
}

/// What can be done with a lock key.
#[derive(Debug, Subcommand)]
enum LockCommand {
    /// Take a lock key, and all others that it holds, away from the saga that holds it
    Release {
        /// The lock key
        key: String,
        #[command(flatten)]
        said: Said,
    },
}

/// Runs it.
pub(crate) async fn run(
    arguments: LocksArguments,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match (&arguments.command, &arguments.key) {
        (Some(LockCommand::Release { key, said }), _) => release(key, said, client, screen).await,
        (None, Some(key)) => show(key, client, screen).await,
        (None, None) => list(&arguments, client, screen).await,
    }
}

async fn list(
    arguments: &LocksArguments,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let (mut locks, mut next) = (Vec::new(), arguments.cursor.clone());
    loop {
        let mut parameters = vec![("limit", arguments.limit.to_string())];
        parameters.extend(arguments.prefix.clone().map(|prefix| ("prefix", prefix)));
        parameters.extend(next.take().map(|cursor| ("cursor", cursor)));
        let answer = client.get(&["locks"]).query(&parameters).send().await?;
        locks.extend_from_slice(items(&answer, "locks"));
        next = answer["next"].as_str().map(str::to_owned);
        if next.is_none() || !arguments.all {
            break;
        }
    }
    let answer = json!({ "locks": locks, "next": next });
    screen.show(&answer, |screen| {
        let header = ["key", "token", "holder", "status", "definition", "since", "waiting"];
        screen.table(&header, locks.iter().map(row).collect(), "nobody holds a lock key")?;
        match &next {
            Some(cursor) => screen.line(&format!("more: --cursor {cursor}, or --all")),
            None => Ok(()),
        }
    })
}

fn row(lock: &Value) -> Vec<comfy_table::Cell> {
    let holder = &lock["holder"];
    vec![
        cell(text(lock, "key")),
        cell(text(lock, "token")),
        cell(text(holder, "saga")),
        status_cell(&text(holder, "status")),
        cell(text(holder, "definition")),
        cell(time(holder, "since")),
        cell(text(lock, "waiting")),
    ]
}

async fn show(key: &str, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let answer = client.get(&["locks", key]).send().await?;
    screen.show(&answer, |screen| queue(&answer, screen))
}

/// The holder, and who waits.
fn queue(lock: &Value, screen: &mut Screen) -> Result<(), Failure> {
    let key = text(lock, "key");
    let holder = &lock["holder"];
    if holder.is_null() {
        screen.line(&format!("{key} is held by nobody just now"))?;
    } else {
        let [saga, status, definition] =
            ["saga", "status", "definition"].map(|member| text(holder, member));
        screen.line(&format!("{key} is held by saga {saga} ({definition}, {status})"))?;
        screen.line(&format!("  token: {}", text(lock, "token")))?;
        screen.line(&format!("  since: {}", time(holder, "since")))?;
    }
    screen.line(&format!("  waiting: {}", text(lock, "waiting")))?;
    let places = items(lock, "queue");
    if places.is_empty() {
        return Ok(());
    }
    screen.line("")?;
    let rows = places.iter().map(|place| {
        vec![
            cell(text(place, "position")),
            cell(text(place, "saga")),
            status_cell(&text(place, "status")),
            cell(text(place, "definition")),
            cell(time(place, "since")),
        ]
    });
    screen.table(&["place", "saga", "status", "definition", "since"], rows.collect(), "")
}

async fn release(
    key: &str,
    said: &Said,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let request = said.on(client.post(&["locks", key, "release"]), json!({}));
    let answer = request.send().await?;
    screen.show(&answer, |screen| {
        screen.line(&format!("{key} was taken away from the saga that held it"))?;
        queue(&answer, screen)
    })
}
