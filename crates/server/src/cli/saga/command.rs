//! The commands on sagas and steps. Each answers when it is durable, with the saga as it then is.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::super::answer::text;
use super::super::screen::Screen;
use super::start::json_argument;
use crate::client::{Client, Request};
use crate::failure::Failure;

/// A command on a whole saga.
#[derive(Debug, Args)]
pub(crate) struct OnSaga {
    /// Id of the saga
    id: String,
    #[command(flatten)]
    said: Said,
}

/// A command on one step.
#[derive(Debug, Args)]
pub(crate) struct OnStep {
    /// Id of the saga
    id: String,
    /// Id of the step
    step: String,
    #[command(flatten)]
    said: Said,
}

/// `retry`.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// Id of the saga
    id: String,
    /// Only this step
    #[arg(long)]
    step: Option<String>,
    #[command(flatten)]
    said: Said,
}

/// `resolve`.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// Id of the saga
    id: String,
    /// Id of the step
    step: String,
    /// What became of it
    #[arg(long = "as", value_name = "END")]
    end: End,
    /// The operation that you looked into (with --as succeeded): what you found is not taken of
    /// another one that is open by then
    #[arg(long, value_name = "OP", required_if_eq("end", "succeeded"))]
    op: Option<Looked>,
    /// The step's output, as JSON (with --as succeeded); @FILE reads a file
    #[arg(long, value_name = "JSON")]
    output: Option<String>,
    #[command(flatten)]
    said: Said,
}

/// What became of a step's call.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum End {
    /// It took effect
    Succeeded,
    /// It had no effect
    Failed,
    /// Its effect is made good
    Undone,
}

/// An operation that can take effect, and of which somebody can say so.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Looked {
    /// The step's action
    Action,
    /// The step's try
    Try,
    /// The step's confirm
    Confirm,
}

impl Looked {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Try => "try",
            Self::Confirm => "confirm",
        }
    }
}

/// What the journal keeps of who and why.
#[derive(Debug, Args)]
pub(crate) struct Said {
    /// Why, for the journal
    #[arg(long)]
    reason: Option<String>,
    /// Who, for the journal
    #[arg(long, env = "AMENDS_ACTOR")]
    actor: Option<String>,
}

/// `extend`.
#[derive(Debug, Args)]
pub(crate) struct Extend {
    /// Id of the interactive transaction
    id: String,
    /// The new deadline, from now (such as 30s, 5m)
    #[arg(long, value_name = "DURATION")]
    deadline: String,
    #[command(flatten)]
    said: Said,
}

impl Said {
    /// The request with what is said of who and why, in its body and head.
    pub(in crate::cli) fn on<'a>(&self, request: Request<'a>, mut body: Value) -> Request<'a> {
        if let Some(reason) = &self.reason {
            body["reason"] = json!(reason);
        }
        let request = request.json(&body);
        match &self.actor {
            Some(actor) => request.header("amends-actor", actor),
            None => request,
        }
    }
}

/// pause, resume, cancel, abandon, commit, rollback.
pub(crate) async fn on_saga(
    verb: &str,
    on: &OnSaga,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    sent(&[&on.id, verb], json!({}), &on.said, client, screen).await
}

/// retry.
pub(crate) async fn retry(on: &Retry, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let body = on.step.as_ref().map_or(json!({}), |step| json!({ "step": step }));
    sent(&[&on.id, "retry"], body, &on.said, client, screen).await
}

/// skip.
pub(crate) async fn skip(on: &OnStep, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    sent(&[&on.id, "steps", &on.step, "skip"], json!({}), &on.said, client, screen).await
}

/// resolve as succeeded, failed or undone.
pub(crate) async fn resolve(
    on: &Resolve,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let verb = match on.end {
        End::Succeeded => "resolve-succeeded",
        End::Failed => "resolve-failed",
        End::Undone => "resolve-undone",
    };
    let is_success = matches!(on.end, End::Succeeded);
    if !is_success && (on.output.is_some() || on.op.is_some()) {
        let advice = "--op and --output go with --as succeeded only";
        return Err(Failure::Usage(advice.to_owned()));
    }
    let mut body = json!({});
    if let Some(op) = on.op {
        body["op"] = json!(op.as_str());
    }
    if let Some(output) = &on.output {
        body["output"] = json_argument("--output", output)?;
    }
    sent(&[&on.id, "steps", &on.step, verb], body, &on.said, client, screen).await
}

/// extend.
pub(crate) async fn extend(
    on: &Extend,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let body = json!({ "deadline": on.deadline });
    sent(&[&on.id, "extend"], body, &on.said, client, screen).await
}

async fn sent(
    path: &[&str],
    body: Value,
    said: &Said,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let path: Vec<&str> = ["sagas"].iter().chain(path).copied().collect();
    let answer = said.on(client.post(&path), body).send().await?;
    screen.show(&answer, |screen| {
        let paused = if answer["paused"] == true { ", paused" } else { "" };
        let [id, status] = ["id", "status"].map(|member| text(&answer, member));
        screen.line(&format!("saga {id} is {status}{paused}"))?;
        match text(&answer, "explanation").as_str() {
            "" => Ok(()),
            explanation => screen.line(&format!("  {explanation}")),
        }
    })
}
