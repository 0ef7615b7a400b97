//! Commands and completions: to the saga if it is driven here, else to its owner by way of the
//! inbox.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Definition;
use amends_core::mutant::Mutant;
use amends_core::saga::{Actor, Answer, CallState, Command, Op, Refusal, Saga};
use amends_core::{CallKey, SagaId, StepId, StepIndex};
use amends_ports::store::{self, InboxId, InboxItem, Partition};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::oneshot;

use crate::engine::Inner;
use crate::live::{CommandReply, CompleteReply, Message};
use crate::message::InboxMessage;
use crate::poller::{self, News};
use crate::{CommandError, CompleteError, Engine, SagaDetail};

/// Pause before a saga that is between memory and store is looked for again.
const PAUSE: Duration = Duration::from_millis(20);

/// Where a saga is to be told something.
enum Place {
    /// Here: it was told, or is between memory and store.
    Here,
    /// Nowhere: it does not exist.
    Nowhere,
    /// It has ended.
    Ended,
    /// Another coordinator owns its partition, or nobody does yet.
    Elsewhere(Partition),
}

impl Engine {
    /// Carries a command out, durably. Repeating one is harmless.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    pub async fn command(
        &self,
        saga_id: &SagaId,
        command: Command,
        by: Actor,
    ) -> Result<SagaDetail, CommandError> {
        let inner = self.inner();
        let until = inner.clock.elapsed() + inner.config.command_timeout;
        while inner.clock.elapsed() < until {
            let (sender, receiver) = oneshot::channel();
            let reply = CommandReply::Caller(sender);
            let (own, by_own) = (Box::new(command.clone()), Box::new(by.clone()));
            let message = Message::Command { command: own, by: by_own, reply };
            let place = inner.tell(saga_id, message).await.map_err(CommandError::Unavailable)?;
            match place {
                Place::Here => {
                    // No answer: the saga left memory, or its partition was lost. Look again.
                    if let Ok(answer) = receiver.await {
                        return answer;
                    }
                }
                Place::Nowhere => return Err(CommandError::UnknownSaga(saga_id.clone())),
                Place::Ended => return self.judge(saga_id, &command).await,
                Place::Elsewhere(partition) => {
                    let posted = inner.as_posted(saga_id, &command).await?;
                    let message = InboxMessage::Command { command: posted, by: by.clone() };
                    let result = inner.post_and_wait(saga_id, partition, &message, until).await;
                    match result.map_err(CommandError::Unavailable)? {
                        Some(true) => return self.after(saga_id).await,
                        Some(false) => {
                            let detail = self.judge(saga_id, &command).await?;
                            if detail.saga.status().is_terminal() || Mutant::RefusedIsDone.is_on() {
                                return Ok(detail);
                            }
                            // It was refused, and would be permitted by now: ask once more.
                            inner.clock.sleep(PAUSE).await;
                        }
                        None => return Err(CommandError::OwnerSilent(saga_id.clone())),
                    }
                }
            }
        }
        Err(CommandError::OwnerSilent(saga_id.clone()))
    }

    /// Takes the end of a pending call, from a callback whose URL holds `token`.
    ///
    /// # Errors
    ///
    /// [`CompleteError`].
    pub async fn complete(
        &self,
        saga_id: &SagaId,
        step: &StepId,
        op: Op,
        token: &str,
        answer: Answer,
    ) -> Result<(), CompleteError> {
        let inner = self.inner();
        let key = CallKey { saga_id: saga_id.clone(), step_id: step.clone(), op };
        if !inner.is_callback_token(&key, token) {
            return Err(CompleteError::UnknownCallback);
        }
        let until = inner.clock.elapsed() + inner.config.command_timeout;
        while inner.clock.elapsed() < until {
            let detail = inner.detail(saga_id).await.map_err(CompleteError::Unavailable)?;
            let Some(detail) = detail else {
                return Err(CompleteError::UnknownCallback);
            };
            let definition: &Definition = detail.saga.definition();
            let index = definition.index_of(step.as_str());
            let index = index.ok_or(CompleteError::UnknownCallback)?;
            let (sender, receiver) = oneshot::channel();
            let reply = CompleteReply::Caller(sender);
            let answer = Box::new(answer.clone());
            let message = Message::Complete { step: index, op, answer: answer.clone(), reply };
            let place = inner.tell(saga_id, message).await.map_err(CompleteError::Unavailable)?;
            match place {
                Place::Here => match receiver.await {
                    // The answer to the call itself may still be on its way to the saga: a
                    // participant may complete a call before we have read its 202.
                    Ok(Err(CompleteError::Late(_))) if is_in_flight(&detail.saga, index, op) => {
                        inner.clock.sleep(PAUSE).await;
                    }
                    Ok(result) => return result,
                    Err(_) => {}
                },
                Place::Nowhere => return Err(CompleteError::UnknownCallback),
                Place::Ended => return Err(CompleteError::Late(step.clone())),
                Place::Elsewhere(partition) => {
                    let message = InboxMessage::Complete { step: step.clone(), op, answer };
                    let result = inner.post_and_wait(saga_id, partition, &message, until).await;
                    match result.map_err(CompleteError::Unavailable)? {
                        Some(true) => return Ok(()),
                        Some(false) if is_in_flight(&detail.saga, index, op) => {
                            inner.clock.sleep(PAUSE).await;
                        }
                        Some(false) => return Err(CompleteError::Late(step.clone())),
                        None => return Err(CompleteError::OwnerSilent(saga_id.clone())),
                    }
                }
            }
        }
        Err(CompleteError::OwnerSilent(saga_id.clone()))
    }

    /// What a saga that has ended says to a command.
    async fn judge(&self, saga_id: &SagaId, command: &Command) -> Result<SagaDetail, CommandError> {
        let detail = self.inner().detail(saga_id).await.map_err(CommandError::Unavailable)?;
        let detail = detail.ok_or_else(|| CommandError::UnknownSaga(saga_id.clone()))?;
        match detail.saga.permits(command) {
            Ok(()) => Ok(detail),
            Err(refusal) => Err(CommandError::refused(&detail.saga, refusal)),
        }
    }

    /// The saga after its owner has carried a command out.
    async fn after(&self, saga_id: &SagaId) -> Result<SagaDetail, CommandError> {
        let detail = self.inner().detail(saga_id).await.map_err(CommandError::Unavailable)?;
        detail.ok_or_else(|| CommandError::UnknownSaga(saga_id.clone()))
    }
}

fn is_in_flight(saga: &Saga, step: StepIndex, op: Op) -> bool {
    saga.step(step).call(op).state == CallState::InFlight
}

impl Inner {
    /// Tells a saga something if it is ours; takes it into memory if it sleeps. Otherwise says
    /// where it is to be told.
    async fn tell(
        self: &Arc<Self>,
        saga_id: &SagaId,
        message: Message,
    ) -> Result<Place, store::Error> {
        let Err(message) = self.live.send(saga_id, message) else {
            return Ok(Place::Here);
        };
        let Some((partition, summary)) = self.store.summary(saga_id).await? else {
            return Ok(Place::Nowhere);
        };
        if summary.status.is_terminal() {
            return Ok(Place::Ended);
        }
        let Some(work) = self.ownership.work_on(partition) else {
            return Ok(Place::Elsewhere(partition));
        };
        // A task of its own: once the saga is claimed it must be driven, even if whoever asked
        // for it does not wait any more.
        let (inner, saga_id) = (Arc::clone(self), saga_id.clone());
        let claiming = self.tasks.spawn(async move {
            match inner.store.claim_one(&[work.owned().lease()], &saga_id).await {
                Ok(Some(stored)) => {
                    let news = Some(News::Message(message));
                    inner.adopt(work, stored, poller::loaded, news).await;
                }
                // It is on its way into or out of memory.
                Ok(None) => inner.clock.sleep(PAUSE).await,
                Err(error) => {
                    work.owned().may_have_strays();
                    return Err(error);
                }
            }
            Ok(())
        });
        claiming.await.unwrap_or(Ok(())).map(|()| Place::Here)
    }

    /// The command in words that whoever owns the saga can read.
    async fn as_posted(
        &self,
        saga_id: &SagaId,
        command: &Command,
    ) -> Result<Command, CommandError> {
        if command.journal_format() <= self.store.journal_format() {
            return Ok(command.clone());
        }
        let detail = self.detail(saga_id).await.map_err(CommandError::Unavailable)?;
        let saga = detail.ok_or_else(|| CommandError::UnknownSaga(saga_id.clone()))?.saga;
        let posted = saga.in_first_format(command.clone());
        posted.map_err(|refusal| CommandError::refused(&saga, refusal))
    }

    /// Posts a message and waits for its result: whether it was carried out; none if the owner
    /// did not answer in time.
    async fn post_and_wait(
        &self,
        saga_id: &SagaId,
        partition: Partition,
        message: &InboxMessage,
        until: Duration,
    ) -> Result<Option<bool>, store::Error> {
        let id = InboxId(self.ids.token());
        let item = InboxItem {
            id: id.clone(),
            partition,
            saga_id: saga_id.clone(),
            // Messages have string keys only, so writing them cannot fail.
            message: serde_json::to_string(message).unwrap_or_default(),
            posted_at: self.clock.now(),
        };
        self.store.post(&item).await?;
        while self.clock.elapsed() < until {
            if let Some(result) = self.store.inbox_result(&id).await? {
                return Ok(Some(result == crate::message::InboxResult::Done.encode()));
            }
            self.clock.sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// The URL at which a pending call is completed: the token in it is a keyed hash of the call's
    /// key, so it can't be guessed and needs no place in the store.
    pub(crate) fn callback_url(&self, key: &CallKey) -> String {
        let base = self.config.public_url.trim_end_matches('/');
        format!("{base}/v1/callbacks/{key}/{}", self.callback_token(key))
    }

    fn callback_token(&self, key: &CallKey) -> String {
        half_hex(&self.mac(&key.to_string()).finalize().into_bytes())
    }

    /// See [`amends_ports::GuardHolder::nonce`].
    pub(crate) fn guard_nonce(&self, saga_id: &SagaId) -> String {
        // A saga's id holds no blank, so no callback's text is the same.
        half_hex(&self.mac(&format!("guard {saga_id}")).finalize().into_bytes())
    }

    fn is_callback_token(&self, key: &CallKey, token: &str) -> bool {
        let decoded: Option<Vec<u8>> = (token.len() == 32)
            .then(|| {
                (0..32)
                    .step_by(2)
                    .map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok())
                    .collect()
            })
            .flatten();
        decoded
            .is_some_and(|bytes| self.mac(&key.to_string()).verify_truncated_left(&bytes).is_ok())
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("a key of any length");
        mac.update(text.as_bytes());
        mac
    }
}

/// The first half of a hash of 32 bytes, as 32 hex digits.
pub(crate) fn half_hex(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl CommandError {
    /// A refusal, with what the saga would take instead.
    pub(crate) fn refused(saga: &Saga, refusal: Refusal) -> Self {
        let whole = saga.permitted().into_iter().map(|command| command.as_str().to_owned());
        let of_steps = saga.definition().indices().flat_map(|index| {
            let step = saga.definition().step(index).id.clone();
            saga.permitted_on(index)
                .into_iter()
                .map(move |command| format!("{step}/{}", command.as_str()))
        });
        Self::Refused { refusal, permitted: whole.chain(of_steps).collect() }
    }
}
