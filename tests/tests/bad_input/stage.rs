//! What most cases play on: a coordinator, a participant that it knows, two definitions.

use std::time::Duration;

use amends_tests::{Answer, Client, Participant, Server, ServerOptions};
use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// Longest wait for something that should happen at once.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// Sagas that are meant to be there have ids that begin so.
pub(crate) const MEANT: &str = "ok-";

/// A coordinator, and a participant that it knows as `worker`.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) participant: Participant,
}

impl Stage {
    /// With nothing but defaults.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(ServerOptions::default()).await
    }

    /// With these options.
    pub(crate) async fn start_with(options: ServerOptions) -> anyhow::Result<Self> {
        let server = Server::start(options).await?;
        let client = server.client()?;
        let participant = Participant::start(Duration::ZERO).await?;
        client.register("worker", &participant.spec()).await?;
        client.define(&definition("good", json!([step("only")]))).await?;
        Ok(Self { server, client, participant })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.server.url().trim_start_matches("http://").to_owned()
    }

    /// Starts a saga and waits, at most half a minute, for its end.
    pub(crate) async fn start_saga(&self, body: &Value) -> anyhow::Result<Answer> {
        let request = self.client.request(Method::POST, "/v1/sagas").header("prefer", "wait=30");
        self.client.send(request.json(body)).await
    }

    /// Starts a saga of one step that calls `participant` at `/do` and, to undo, at `/undo`.
    /// Its two attempts follow each other at once.
    pub(crate) async fn start_one(&self, id: &str, participant: &str) -> anyhow::Result<Value> {
        let mut only = step("only");
        only["participant"] = json!(participant);
        only["timeout"] = json!("2s");
        only["retry"] = json!({ "max_attempts": 2, "initial": "1ms", "max": "1ms" });
        let body = json!({
            "id": format!("{MEANT}{id}"),
            "definition": definition("ad-hoc", json!([only])),
        });
        self.start_saga(&body).await?.success()
    }

    /// The server lives, is ready, has not panicked, and has no saga that was not meant to be.
    pub(crate) async fn check_unharmed(&self) -> anyhow::Result<()> {
        for path in ["/livez", "/readyz"] {
            let answer = self.client.get(path).await.context("the server is gone")?;
            ensure!(answer.status == 200, "{path}: {}", answer.text);
        }
        let log = self.server.log();
        let bad = log.lines().find(|line| line.contains("panicked") || line.contains(" ERROR "));
        ensure!(bad.is_none(), "its log says {bad:?}");
        self.check_sagas().await?;
        for (path, expected) in [("definitions", "good"), ("participants", "worker")] {
            let list = self.client.get(&format!("/v1/{path}")).await?.success()?;
            let rows = list[path].as_array().context("no list")?;
            let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
            let strange = names.iter().find(|own| **own != expected && !own.starts_with(MEANT));
            ensure!(strange.is_none(), "{path}: {names:?}");
        }
        Ok(())
    }

    async fn check_sagas(&self) -> anyhow::Result<()> {
        let mut path = "/v1/sagas?limit=500".to_owned();
        loop {
            let page = self.client.get(&path).await?.success()?;
            for row in page["sagas"].as_array().context("no list")? {
                let id = row["id"].as_str().unwrap_or_default();
                ensure!(id.starts_with(MEANT), "a saga that nobody meant: {row:#}");
            }
            let Some(next) = page["next"].as_str() else { return Ok(()) };
            path = format!("/v1/sagas?limit=500&cursor={next}");
        }
    }
}

/// A definition whose input is an object.
#[expect(clippy::needless_pass_by_value, reason = "it is always made for this")]
pub(crate) fn definition(name: &str, steps: Value) -> Value {
    json!({ "name": name, "input_schema": { "type": ["object", "null"] }, "steps": steps })
}

/// A step that can be undone.
pub(crate) fn step(id: &str) -> Value {
    json!({
        "id": id, "participant": "worker",
        "action": { "path": "/do" }, "compensation": { "path": "/undo" },
    })
}
