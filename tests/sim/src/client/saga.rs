//! A client that submits a saga of a definition, and what it does with it.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Definition;
use amends_core::saga::Command;
use amends_core::{Json, SagaId};
use amends_engine::{Chosen, Submission, SubmitError};

use super::{Client, Known};
use crate::plan;

impl Client {
    /// One saga of a definition, from its submission on.
    pub(super) async fn run_saga(&self, definition: Arc<Definition>) -> Known {
        let mut known = Known { saga_id: None, told: None, all_done: false };
        let chosen = Chosen::Known { definition, version: None };
        let has_key = self.chance.is(0.5);
        let start_at = self.chance.is(0.1).then(|| {
            self.world().seen("starts later");
            self.cluster.now().after(self.chance.seconds(20))
        });
        let submission = Submission {
            // Without an id of its own the key tells the saga.
            saga_id: (!has_key || self.chance.is(0.5)).then(|| id(self.number)).flatten(),
            input: Json::from_value(&plan::input(&self.chance)),
            idempotency_key: has_key.then(|| format!("key-{}", self.number)),
            start_at,
            ..Submission::new(chosen, format!("digest-{}", self.number))
        };
        let Some(saga_id) = self.submit(&submission).await else { return known };
        known.saga_id = Some(saga_id.clone());
        if self.gives_up_after.is_none() && self.chance.is(0.1) {
            self.submit_again(&submission, &saga_id).await;
        }
        if self.chance.is(self.world().rate(|swarm| swarm.meddling) / 4.0) {
            self.resolve(&saga_id).await;
        }
        self.meddle(&saga_id, true).await;
        if self.chance.is(0.15) {
            self.follow(&saga_id).await;
        }
        known
    }

    /// Submits until that is acknowledged; none if the client gives up before.
    pub(super) async fn submit(&self, submission: &Submission) -> Option<SagaId> {
        let answer = self
            .while_patient(async |engine| match engine.submit(submission.clone()).await {
                Ok(submitted) => Some(Some(submitted.detail.saga.id().clone())),
                Err(SubmitError::Mismatch(id)) => {
                    self.world().violated(&format!("S19: {id} was taken for another request"));
                    Some(None)
                }
                Err(_) => None,
            })
            .await;
        let saga_id = answer.flatten()?;
        self.world().log(("acknowledged", &saga_id));
        if self.world().watch(|watch| watch.saga(&saga_id).is_none()) {
            self.world().violated(&format!("S1: {saga_id} was acknowledged and is not there"));
        }
        Some(saga_id)
    }

    /// S19: the same request again, anywhere, finds the saga; another one under its name does not.
    async fn submit_again(&self, submission: &Submission, saga_id: &SagaId) {
        self.idle(Duration::from_secs(5)).await;
        if let Some(again) = self.submit(submission).await.filter(|again| again != saga_id) {
            self.world().violated(&format!("S19: {saga_id} submitted again became {again}"));
        }
        let other = Submission { request_digest: "another".to_owned(), ..submission.clone() };
        let is_refused = self
            .until_answered(async |engine| match engine.submit(other.clone()).await {
                Ok(_) => Some(false),
                Err(SubmitError::Mismatch(own)) => Some(own == *saga_id),
                Err(_) => None,
            })
            .await;
        self.world().seen("submitted with another body");
        if !is_refused {
            self.world().violated(&format!("S19: {saga_id} was found by another request"));
        }
    }

    /// Cancels, pauses and resumes, retries, takes keys away, and does by hand what is stuck.
    pub(super) async fn meddle(&self, id: &SagaId, may_cancel: bool) {
        let mut is_paused = false;
        while self.chance.is(self.world().rate(|swarm| swarm.meddling)) {
            self.idle(Duration::from_secs(10)).await;
            match self.chance.below(8) {
                0 if may_cancel => drop(self.command(id, &Command::Cancel).await),
                0 => {}
                1 => {
                    is_paused = true;
                    self.command(id, &Command::Pause).await;
                    self.idle(Duration::from_secs(12)).await;
                    self.command(id, &Command::Resume).await;
                }
                2 => drop(self.command(id, &Command::RetryNow { step: None }).await),
                3 => drop(self.command(id, &Command::ReleaseLock).await),
                4 | 5 => self.resolve(id).await,
                6 => self.skip(id).await,
                _ => self.follow(id).await,
            }
        }
        if is_paused {
            self.command(id, &Command::Resume).await;
        }
    }
}

pub(super) fn id(number: usize) -> Option<SagaId> {
    SagaId::new(format!("s{number}")).ok()
}
