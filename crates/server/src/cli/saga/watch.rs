//! `amends saga watch`: by the server's events, by asking again where those are not to be had.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::super::answer::{items, text, time};
use super::super::screen::Screen;
use super::show::has_ended;
use crate::client::Client;
use crate::failure::Failure;

/// Time between two questions while there is no stream of events.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Follows one saga until it has ended; status 0 only if it completed.
pub(super) async fn one(id: &str, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let mut seen = Seen::default();
    loop {
        // An event only hints that there is news; what is shown is always the saga itself.
        let saga = client.get(&["sagas", id]).send().await?;
        seen.show(&saga, screen)?;
        if has_ended(&saga) {
            return ended(&saga);
        }
        let events = client.get(&["sagas", id, "events"]);
        let stream = events.events(async |_| {
            let saga = client.get(&["sagas", id]).send().await?;
            seen.show(&saga, screen)?;
            Ok(!has_ended(&saga))
        });
        match stream.await {
            Err(failure @ Failure::Output(_)) => return Err(failure),
            // The stream is over or not to be had; the question above says which.
            Ok(()) | Err(_) => tokio::time::sleep(ASK_AGAIN_AFTER).await,
        }
    }
}

/// Follows all sagas until the stream ends.
pub(super) async fn all(client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    loop {
        let events = client.get(&["sagas", "events"]).events(async |event| {
            if screen.is_json() {
                screen.line(&event.to_string())?;
            } else {
                let [id, status, step] = ["id", "status", "step"].map(|member| text(event, member));
                screen.line(format!("{id}  {status}  {step}").trim_end())?;
            }
            Ok(true)
        });
        // The end of a stream is a server that drains; a refused connection ends the command.
        events.await?;
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

fn ended(saga: &Value) -> Result<(), Failure> {
    match text(saga, "status").as_str() {
        "completed" => Ok(()),
        status => {
            let why = text(saga, "reason");
            let why = if why.is_empty() { why } else { format!(": {why}") };
            Err(Failure::NotCompleted(format!("saga {} is {status}{why}", text(saga, "id"))))
        }
    }
}

/// What was shown already: only news is shown.
#[derive(Debug, Default)]
struct Seen {
    status: String,
    steps: BTreeMap<String, String>,
    version: String,
}

impl Seen {
    fn show(&mut self, saga: &Value, screen: &mut Screen) -> Result<(), Failure> {
        let at = time(saga, "updated_at");
        if screen.is_json() {
            let version = text(saga, "updated_at");
            if version != self.version {
                self.version = version;
                screen.line(&saga.to_string())?;
            }
            return Ok(());
        }
        let status = text(saga, "status");
        if status != self.status {
            screen.line(&format!("{at}  saga {} {status}", text(saga, "id")))?;
            if status == "suspended" {
                screen.line(&format!("  {}", text(saga, "explanation")))?;
            }
            self.status = status;
        }
        for step in items(saga, "steps") {
            let (id, status) = (text(step, "id"), text(step, "status"));
            let known = self.steps.insert(id.clone(), status.clone());
            if known.as_deref().unwrap_or("waiting") != status {
                screen.line(&format!("{at}    {id} {status}"))?;
            }
        }
        Ok(())
    }
}
