//! Asking coordinators until one of them answers.

use std::time::Duration;

use amends_core::SagaId;
use amends_core::saga::{Command, Refusal};
use amends_engine::{CommandError, Engine, SagaDetail};
use tokio::time::timeout;

use super::{Client, PATIENCE, by};
use crate::chance::Chance;
use crate::cluster::Cluster;

/// Asks any coordinator, again and again, until `ask` says that it has its answer.
pub(super) async fn until_answered<T>(
    cluster: &Cluster,
    chance: &Chance,
    mut ask: impl AsyncFnMut(&Engine) -> Option<T>,
) -> T {
    loop {
        if let Some(answer) = once(cluster, chance, &mut ask).await {
            return answer;
        }
        let pause = chance.time(Duration::from_millis(50), Duration::from_secs(1));
        tokio::time::sleep(pause).await;
    }
}

async fn once<T>(
    cluster: &Cluster,
    chance: &Chance,
    ask: &mut impl AsyncFnMut(&Engine) -> Option<T>,
) -> Option<T> {
    let (engine, gate) = cluster.any(chance)?;
    let answer = timeout(PATIENCE, async {
        gate.pass().await;
        let answer = ask(&engine).await;
        gate.pass().await;
        answer
    });
    answer.await.ok().flatten()
}

/// The saga after a command was carried out; none if it was refused.
pub(super) async fn command(
    cluster: &Cluster,
    chance: &Chance,
    id: &SagaId,
    command: &Command,
) -> Result<SagaDetail, Option<Refusal>> {
    until_answered(cluster, chance, async |engine| {
        match engine.command(id, command.clone(), by()).await {
            Ok(detail) => Some(Ok(detail)),
            Err(CommandError::Refused { refusal, .. }) => {
                if matches!(refusal, Refusal::OtherCall { .. }) {
                    cluster.world.seen("said of another call");
                }
                Some(Err(Some(refusal)))
            }
            Err(CommandError::UnknownSaga(_)) => Some(Err(None)),
            Err(CommandError::OwnerSilent(_) | CommandError::Unavailable(_)) => None,
        }
    })
    .await
}

impl Client {
    pub(super) async fn until_answered<T>(&self, ask: impl AsyncFnMut(&Engine) -> Option<T>) -> T {
        until_answered(&self.cluster, &self.chance, ask).await
    }

    /// The answer, unless the client has given up by then.
    pub(super) async fn while_patient<T>(
        &self,
        ask: impl AsyncFnMut(&Engine) -> Option<T>,
    ) -> Option<T> {
        match self.gives_up_after {
            Some(bound) => timeout(bound, self.until_answered(ask)).await.ok(),
            None => Some(self.until_answered(ask).await),
        }
    }

    /// The saga after a command was carried out; none if it was refused. What was answered is
    /// written down.
    pub(super) async fn command(&self, id: &SagaId, wanted: &Command) -> Option<SagaDetail> {
        let detail = command(&self.cluster, &self.chance, id, wanted).await.ok()?;
        self.is_written(id, wanted);
        Some(detail)
    }

    /// Before a command is answered, it is durable.
    fn is_written(&self, id: &SagaId, command: &Command) {
        let is_lost = self.world().watch(|watch| {
            let Some(saga) = watch.saga(id) else { return true };
            let is_decided = saga.decision.is_some();
            match command {
                Command::Cancel => !saga.cancelled && !is_decided,
                Command::Commit => !saga.commit_requested && !is_decided,
                Command::Enlist { branch } => {
                    saga.definition.index_of(branch.id.as_str()).is_none()
                }
                Command::Extend { until } => saga.deadline_at.is_none_or(|at| at < *until),
                Command::ReleaseLock => !saga.was_taken,
                Command::Pause
                | Command::Resume
                | Command::RetryNow { .. }
                | Command::Skip { .. }
                | Command::ResolveSucceeded { .. }
                | Command::ResolveFailed { .. }
                | Command::ResolveUndone { .. }
                | Command::Abandon
                | Command::ParentDecided { .. }
                | Command::Replace => false,
            }
        });
        if is_lost {
            let word = command.as_str();
            self.world().violated(&format!("S1: {word} of {id} was answered and is lost"));
        }
    }
}
