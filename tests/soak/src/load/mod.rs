//! What keeps the server busy: tasks that each do one thing again and again.

mod asker;
mod clients;
mod sagas;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) use asker::Asker;

use crate::bounds::{ANSWER_BYTES, REQUESTS, STREAMS};
use crate::participant::Participant;
use crate::tally::Tally;

/// How long one task rests between two turns.
const REST: Duration = Duration::from_millis(20);

/// Tasks that flood the server with starts: some fewer than it takes requests at once.
const STARTERS: usize = REQUESTS / 3;

/// A running load.
pub(crate) struct Load {
    tasks: JoinSet<()>,
    _participant: Participant,
}

impl Load {
    /// Registers what is needed and starts all tasks.
    ///
    /// # Errors
    ///
    /// The server refuses a registration.
    pub(crate) async fn start(url: &str, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let asker = Asker::new(url, tally)?;
        let participant = Participant::start(asker.clone()).await?;
        asker.register(participant.url()).await?;
        for (name, steps) in definitions() {
            asker.define(&json!({ "name": name, "steps": steps })).await?;
        }
        let mut tasks = JoinSet::new();
        for index in 0..STARTERS {
            tasks.spawn(sagas::flood(asker.clone(), index));
        }
        // Two more than there are places.
        for _ in 0..STREAMS + 2 {
            tasks.spawn(clients::sip_events(asker.clone()));
        }
        for _ in 0..2 {
            tasks.spawn(sagas::bodies(asker.clone()));
            tasks.spawn(sagas::locks(asker.clone()));
            tasks.spawn(sagas::completions(asker.clone()));
            tasks.spawn(clients::leave_early(asker.clone()));
            tasks.spawn(transactions::branches(asker.clone()));
        }
        tasks.spawn(sagas::long(asker.clone()));
        tasks.spawn(sagas::labels(asker.clone()));
        tasks.spawn(sagas::expressions(asker.clone()));
        tasks.spawn(sagas::journals(asker.clone()));
        tasks.spawn(clients::read(asker.clone()));
        tasks.spawn(clients::nonsense(asker.clone()));
        tasks.spawn(clients::silence(asker.clone()));
        tasks.spawn(clients::change_participant(asker, participant.url().to_owned()));
        Ok(Self { tasks, _participant: participant })
    }

    /// Ends all tasks. The participant goes on as long as the value lives, so that sagas can end.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// What is started by name.
fn definitions() -> [(&'static str, Value); 4] {
    let step = |id: String, path: &str| {
        json!({
            "id": id, "participant": "soak",
            "action": { "path": path }, "compensation": { "path": "/fast" },
            "retry": { "max_attempts": 2, "initial": "10ms", "max": "10ms" },
        })
    };
    let mut later = step("later".to_owned(), "/later");
    later["completion"] = json!("callback");
    later["timeout"] = json!("10s");
    let hundred: Vec<Value> = (0..100).map(|index| step(format!("s{index}"), "/fast")).collect();
    let paths = ["/slow", "/large", "/too-large"];
    let slow = paths.iter().enumerate().map(|(index, path)| step(format!("s{index}"), path));
    [
        ("slow", slow.collect()),
        ("fast", json!([step("only".to_owned(), "/fast")])),
        ("later", json!([later])),
        ("hundred", json!(hundred)),
    ]
}

/// What the participant is registered with.
fn registration(url: &str) -> Value {
    json!({
        "endpoints": [url], "timeout": "5s", "answer_bytes_max": ANSWER_BYTES,
        "max_concurrency": 64, "breaker": false,
    })
}
