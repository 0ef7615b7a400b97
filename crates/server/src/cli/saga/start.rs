//! `amends saga start`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::super::answer::text;
use super::super::document::Document;
use super::super::screen::Screen;
use super::show::{is_at_rest, show};
use crate::client::Client;
use crate::failure::Failure;

/// Longest wait that the server grants to one request, in seconds.
const WAIT_S_MAX: u64 = 60;

/// Time between two looks at a saga that is waited for longer than that.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A saga to be started.
#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// Name of a stored definition
    #[arg(required_unless_present = "file")]
    definition: Option<String>,
    /// File with a definition for this saga only
    #[arg(long, conflicts_with_all = ["definition", "version"])]
    file: Option<PathBuf>,
    /// Version of the definition; the newest without one
    #[arg(long)]
    version: Option<u32>,
    /// Input, as JSON; @FILE reads a file
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// An id of your own; starting twice with one id starts one saga
    #[arg(long)]
    id: Option<String>,
    /// Label, as often as needed
    #[arg(long = "label", value_name = "K=V", value_parser = super::pair)]
    labels: Vec<(String, String)>,
    /// Key under which a repeated request is the same request
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// When to start (RFC 3339)
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// Time after which no forward step starts or retries (such as 5m)
    #[arg(long, value_name = "DURATION")]
    deadline: Option<String>,
    /// Wait until the saga has ended or needs somebody; exit status 0 only if it completed
    #[arg(long)]
    wait: bool,
    /// Longest wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = amends_core::parse_duration)]
    wait_max: Duration,
}

/// Runs it.
pub(crate) async fn run(
    arguments: &StartArguments,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut request = client.post(&["sagas"]).json(&body(arguments)?);
    if let Some(key) = &arguments.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    if !arguments.wait {
        let answer = request.send().await?;
        return screen.show(&answer, |screen| {
            let [id, status] = ["id", "status"].map(|member| text(&answer, member));
            screen.line(&format!("{id} {status}"))
        });
    }
    let answer = request.wait(arguments.wait_max.as_secs().min(WAIT_S_MAX)).send().await?;
    let id = text(&answer, "id");
    let end = tokio::time::timeout(arguments.wait_max, at_rest(answer, client)).await;
    let answer = match end {
        Ok(answer) => answer?,
        Err(_) => client.get(&["sagas", &id]).send().await?,
    };
    screen.show(&answer, |screen| show(&answer, screen))?;
    match text(&answer, "status").as_str() {
        "completed" => Ok(()),
        status => Err(Failure::NotCompleted(format!("saga {id} is {status}"))),
    }
}

async fn at_rest(mut answer: Value, client: &Client) -> Result<Value, Failure> {
    let id = text(&answer, "id");
    while !is_at_rest(&answer) {
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        answer = client.get(&["sagas", &id]).send().await?;
    }
    Ok(answer)
}

fn body(arguments: &StartArguments) -> Result<Value, Failure> {
    let mut body = json!({ "definition": definition(arguments)? });
    if let Some(input) = &arguments.input {
        body["input"] = json_argument("--input", input)?;
    }
    if let Some(version) = arguments.version {
        body["version"] = json!(version);
    }
    for (member, value) in [
        ("id", &arguments.id),
        ("start_at", &arguments.start_at),
        ("deadline", &arguments.deadline),
    ] {
        if let Some(value) = value {
            body[member] = json!(value);
        }
    }
    for (name, value) in &arguments.labels {
        body["labels"][name] = json!(value);
    }
    Ok(body)
}

/// A name, or the document of a file: checked here, since the API takes it as JSON.
fn definition(arguments: &StartArguments) -> Result<Value, Failure> {
    let Some(file) = &arguments.file else {
        return Ok(json!(arguments.definition));
    };
    let document = Document::read(file)?;
    let parsed = document.check();
    if let Some(definition) = &parsed.definition {
        return Ok(definition.source.value().clone());
    }
    let faults = parsed.faults.iter();
    let faults = faults.map(|fault| format!("\n  {}: {}", fault.pointer, fault.detail));
    let faults: String = faults.collect();
    Err(Failure::Faulty(format!("{} has faults:{faults}", file.display())))
}

/// JSON of an argument, or of the file after an `@`.
pub(super) fn json_argument(flag: &str, text: &str) -> Result<Value, Failure> {
    let read;
    let text = match text.strip_prefix('@') {
        Some(path) => {
            read = fs::read_to_string(path)
                .map_err(|source| Failure::File { path: path.into(), source })?;
            &read
        }
        None => text,
    };
    serde_json::from_str(text)
        .map_err(|error| Failure::Usage(format!("{flag} is not JSON: {error}")))
}
