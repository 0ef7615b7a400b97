//! One saga by its id: read it, wait for it, follow it, command it.

use std::time::Duration;

use tokio::time::Instant;

use super::client::Client;
use super::command::Command;
use super::error::Result;
use super::follow::{self, Hint};
use super::items::Items;
use super::journal::{self, JournalPage, JournalRecord};
use super::outgoing::Outgoing;
use super::saga::Saga;
use super::words::Status;

/// One saga. Made by [`Client::saga`].
#[derive(Clone, Debug)]
pub struct SagaHandle {
    client: Client,
    id: String,
}

impl SagaHandle {
    pub(crate) fn new(client: Client, id: String) -> Self {
        Self { client, id }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The saga as it is stored now.
    ///
    /// # Errors
    ///
    /// `saga-not-found`, also when its retention is over.
    pub async fn get(&self) -> Result<Saga> {
        get(&self.client, &self.id).await
    }

    /// The saga when it has ended or is suspended, or as it is after `max`.
    ///
    /// # Errors
    ///
    /// `saga-not-found`; or no good answer for longer than the retry policy allows.
    pub async fn wait(&self, max: Duration) -> Result<Saga> {
        self.wait_for(max, Status::is_settled).await
    }

    /// The saga when it has ended, or as it is after `max`: a suspended saga may go on, once an
    /// operator or a slow retry helps it.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub async fn wait_until_ended(&self, max: Duration) -> Result<Saga> {
        self.wait_for(max, Status::is_ended).await
    }

    async fn wait_for(&self, max: Duration, is_enough: fn(&Status) -> bool) -> Result<Saga> {
        let end = Instant::now() + max;
        let mut hints = self.follow();
        let is_there = async {
            while let Some(hint) = hints.next().await {
                if is_enough(&hint?.status) {
                    break;
                }
            }
            Ok(())
        };
        if let Ok(result) = tokio::time::timeout_at(end, is_there).await {
            result?;
        }
        self.get().await
    }

    /// What happens to it, as hints: first where it stands now, then at most four a second; ends
    /// with the saga. Broken streams are opened again, and where the server that is asked does
    /// not drive the saga, it is read every few seconds. Read the saga for what has changed.
    pub fn follow(&self) -> Items<Hint> {
        follow::one(self.client.clone(), self.id.clone())
    }

    /// Its journal, oldest record first.
    pub fn journal(&self) -> Items<JournalRecord> {
        journal::records(self.client.clone(), self.id.clone())
    }

    /// A part of its journal: at most `limit` records (1 to 500) from number `from`.
    ///
    /// # Errors
    ///
    /// `saga-not-found`, `bad-parameter`.
    pub async fn journal_page(&self, from: u64, limit: u32) -> Result<JournalPage> {
        journal::page(&self.client, &self.id, from, limit).await
    }

    /// Starts nothing new; what is in flight is heard out.
    pub fn pause(&self) -> Command {
        self.command("pause")
    }

    /// Goes on after a pause.
    pub fn resume(&self) -> Command {
        self.command("resume")
    }

    /// Aborts and undoes, if commit is not decided yet.
    pub fn cancel(&self) -> Command {
        self.command("cancel")
    }

    /// Ends a suspended saga as it stands; nothing more is done or undone.
    pub fn abandon(&self) -> Command {
        self.command("abandon")
    }

    /// Makes the next attempt of every call that waits or is stuck at once.
    pub fn retry(&self) -> Command {
        self.command("retry")
    }

    /// The same for the calls of one step.
    pub fn retry_step(&self, step: &str) -> Command {
        self.command("retry").field("step", step)
    }

    /// Goes on without a step of which nothing can have happened.
    pub fn skip(&self, step: &str) -> Command {
        self.step_command(step, "skip")
    }

    /// "It took effect", as you found out; [`output`](Command::output) is for later steps. Name
    /// the [`op`](Command::op) that you looked into: the saga may have gone on since.
    pub fn resolve_succeeded(&self, step: &str) -> Command {
        self.step_command(step, "resolve-succeeded")
    }

    /// "It had no effect", as you found out.
    pub fn resolve_failed(&self, step: &str) -> Command {
        self.step_command(step, "resolve-failed")
    }

    /// "It is undone": you looked, or undid it by hand.
    pub fn resolve_undone(&self, step: &str) -> Command {
        self.step_command(step, "resolve-undone")
    }

    fn command(&self, word: &str) -> Command {
        Command::new(self.client.clone(), &["sagas", &self.id, word])
    }

    fn step_command(&self, step: &str, word: &str) -> Command {
        Command::new(self.client.clone(), &["sagas", &self.id, "steps", step, word])
    }
}

pub(crate) async fn get(client: &Client, id: &str) -> Result<Saga> {
    client.send(Outgoing::get(&["sagas", id])).await?.read()
}
