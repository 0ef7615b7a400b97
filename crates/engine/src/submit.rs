//! Submissions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{CheckBack, Definition, Mode, OnBusy};
use amends_core::expression::Scope;
use amends_core::mutant::Mutant;
use amends_core::saga::{self, Actor, Event, Input, Parent, Saga, Status, Token};
use amends_core::{DefinitionName, Json, LockKey, SagaId, Timestamp};
use amends_ports::failpoint;
use amends_ports::store::{self, AcceptOutcome, GrantAtOnce, GrantFacts, Header, NewSaga, Wake};
use tokio::sync::oneshot;

use crate::driver::Driver;
use crate::engine::Inner;
use crate::journal::{self, Accept, JournalError};
use crate::memory::Share;
use crate::ownership::Work;
use crate::{Engine, EngineConfig, Hint, SagaDetail, SubmitError, driver, registry, trace};

/// The definition that a submission runs.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// A stored one; the newest version without a number.
    Stored {
        /// Its name.
        name: DefinitionName,
        /// Its version.
        version: Option<u32>,
    },
    /// One that came with the request, checked.
    AdHoc(Arc<Definition>),
    /// One that is stored, looked up before.
    Known {
        /// The definition.
        definition: Arc<Definition>,
        /// Its version.
        version: Option<u32>,
    },
}

/// A request to start a saga.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What to run.
    pub definition: Chosen,
    /// The caller's own id.
    pub saga_id: Option<SagaId>,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Digest of the whole request: a repetition has the same.
    pub request_digest: String,
    /// The input.
    pub input: Json,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Not before this time.
    pub start_at: Option<Timestamp>,
    /// Instead of the definition's deadline.
    pub deadline: Option<Duration>,
    /// W3C `traceparent` of the request.
    pub traceparent: Option<String>,
    /// Lock keys besides those of the definition; made one each and sorted.
    pub lock_keys: Vec<LockKey>,
    /// Instead of the definition's longest wait for lock keys.
    pub lock_wait: Option<Duration>,
    /// How the client of an interactive transaction is asked when it falls silent.
    pub prepared: Option<CheckBack>,
    /// The branch that the saga is.
    pub parent: Option<Parent>,
    /// The saga is cancelled before it is made: nothing of it will run, and its id is taken.
    pub cancelled: Option<Actor>,
}

impl Submission {
    /// A request for a saga of `definition`, with nothing more said; `request_digest` tells a
    /// repetition.
    pub fn new(definition: Chosen, request_digest: String) -> Self {
        Self {
            definition,
            saga_id: None,
            idempotency_key: None,
            request_digest,
            input: Json::null(),
            labels: BTreeMap::new(),
            start_at: None,
            deadline: None,
            traceparent: None,
            lock_keys: Vec::new(),
            lock_wait: None,
            prepared: None,
            parent: None,
            cancelled: None,
        }
    }
}

/// A submission that was accepted, now or before.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The saga.
    pub detail: SagaDetail,
    /// Whether this request is known to have made it; otherwise an earlier one with the same id or
    /// key did, or the answer to a commit was lost.
    pub created: bool,
}

/// Time after which an interactive transaction is rolled back whose client gave no deadline.
const INTERACTIVE_DEADLINE: Duration = Duration::from_mins(1);

/// How often a submission is tried on another partition when its own was lost.
const TRIES: usize = 3;

impl Engine {
    /// Accepts a saga, or finds the one that the same request made before. It is durable when this
    /// returns, and driven by whoever owns its partition.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]; only after [`SubmitError::OutcomeUnknown`] and
    /// [`SubmitError::Unavailable`] may the saga exist all the same.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, SubmitError> {
        let result = self.inner().submit(submission).await;
        match &result {
            Ok(submitted) if submitted.created => self.inner().metrics.accepted(),
            Ok(_) => {}
            Err(error) => self.inner().metrics.rejected(error.reason()),
        }
        result
    }
}

impl Inner {
    async fn submit(self: &Arc<Self>, submission: Submission) -> Result<Submitted, SubmitError> {
        if self.draining.is_cancelled() {
            return Err(SubmitError::Draining);
        }
        // Until it is driven, and counts by itself, or is known to be there already.
        let _share = self.admit(&submission).await?;
        let (definition, version) = self.choose(&submission.definition).await?;
        if let Some(schema) = &definition.input_schema {
            let violations = schema.validate(&submission.input);
            if !violations.is_empty() {
                return Err(SubmitError::Input(violations));
            }
        }
        let accepted = self.accepted(&definition, version, &submission)?;
        for _ in 0..TRIES {
            match self.try_submit(&definition, &accepted, &submission).await {
                Err(JournalError::Lost) => {}
                Err(JournalError::Unknown) => return Err(SubmitError::OutcomeUnknown),
                Err(JournalError::Unavailable) => break,
                Ok(submitted) => return submitted,
            }
        }
        Err(SubmitError::Unavailable(store::Error::Unavailable(
            "the journal could not be written in time".into(),
        )))
    }

    /// Takes the memory of a new saga. At a bound only what is under way is let in: a repetition,
    /// and a branch of a saga.
    async fn admit(&self, submission: &Submission) -> Result<Share, SubmitError> {
        let EngineConfig { live_sagas_max, live_bytes_max, .. } = self.config;
        let refusal = if self.live.count() >= live_sagas_max {
            SubmitError::Overloaded { name: "engine.live-sagas-max", bound: live_sagas_max }
        } else if let Some(share) = self.memory.admit(&submission.input, live_bytes_max) {
            return Ok(share);
        } else {
            SubmitError::Overloaded { name: "engine.live-bytes-max", bound: live_bytes_max }
        };
        if submission.parent.is_some() || self.is_repeated(submission).await? {
            return Ok(self.memory.reserve(&submission.input));
        }
        Err(refusal)
    }

    /// Whether there is a saga with this id or idempotency key. Whether the same request made it is
    /// judged by the store.
    async fn is_repeated(&self, submission: &Submission) -> Result<bool, SubmitError> {
        if let Some(saga_id) = &submission.saga_id {
            let found = self.store.summary(saga_id).await.map_err(SubmitError::Unavailable)?;
            if found.is_some() {
                return Ok(true);
            }
        }
        let Some(key) = &submission.idempotency_key else { return Ok(false) };
        let found = self.store.saga_of_key(key).await.map_err(SubmitError::Unavailable)?;
        Ok(found.is_some())
    }

    async fn choose(&self, chosen: &Chosen) -> Result<(Arc<Definition>, Option<u32>), SubmitError> {
        match chosen {
            Chosen::Stored { name, version } => {
                let found = self.stored_definition(name, *version).await;
                let (stored, definition) =
                    found.map_err(SubmitError::Unavailable)?.ok_or_else(|| {
                        SubmitError::UnknownDefinition { name: name.clone(), version: *version }
                    })?;
                Ok((definition, stored.version))
            }
            Chosen::Known { definition, version } => Ok((Arc::clone(definition), *version)),
            Chosen::AdHoc(definition) if self.definitions.has(&definition.digest) => {
                Ok((Arc::clone(definition), None))
            }
            Chosen::AdHoc(definition) => {
                let new = registry::new_definition(self, definition, true);
                self.store.put_definition(&new).await.map_err(SubmitError::Unavailable)?;
                self.definitions.keep(definition);
                Ok((Arc::clone(definition), None))
            }
        }
    }

    fn accepted(
        &self,
        definition: &Definition,
        version: Option<u32>,
        submission: &Submission,
    ) -> Result<saga::Accepted, SubmitError> {
        let now = self.clock.now();
        let saga_id = submission.saga_id.clone().unwrap_or_else(|| self.ids.saga_id());
        // One that will never run needs no keys, and would never give them back.
        let lock_keys = match submission.cancelled {
            None => {
                let Submission { input, labels, lock_keys: more, .. } = submission;
                lock_keys(definition, &saga_id, input, labels, more)?
            }
            Some(_) => Vec::new(),
        };
        let own = (definition.mode == Mode::Interactive).then_some(INTERACTIVE_DEADLINE);
        let deadline = submission.deadline.or(definition.deadline).or(own);
        let lock = definition.lock.as_ref().filter(|_| !lock_keys.is_empty());
        let lock_wait = lock.and_then(|lock| match lock.on_busy {
            OnBusy::Queue | OnBusy::Replace => lock.wait,
            OnBusy::Reject => Some(Duration::ZERO),
        });
        let lock_wait = submission.lock_wait.filter(|_| !lock_keys.is_empty()).or(lock_wait);
        Ok(saga::Accepted {
            saga_id,
            definition: definition.digest.clone(),
            definition_name: definition.name.clone(),
            definition_version: version,
            input: submission.input.clone(),
            labels: submission.labels.clone(),
            lock_keys,
            start_at: submission.start_at.filter(|at| *at > now),
            deadline_at: deadline.map(|deadline| now.after(deadline)),
            lock_wait_until: lock_wait.map(|wait| now.after(wait)),
            traceparent: Some(submission.traceparent.clone().unwrap_or_else(|| {
                let (trace_id, span) = (self.ids.token(), self.ids.token());
                trace::traceparent(&trace_id, &span)
            })),
            prepared: submission.prepared.clone().map(Box::new),
            cancelled: submission.cancelled.clone(),
            parent: submission.parent.clone(),
        })
    }

    async fn try_submit(
        self: &Arc<Self>,
        definition: &Arc<Definition>,
        accepted: &saga::Accepted,
        submission: &Submission,
    ) -> Result<Result<Submitted, SubmitError>, JournalError> {
        let now = self.clock.now();
        // Sagas that wait for one another meet in one partition; others go where we own one.
        let (partition, work) = match accepted.lock_keys.first() {
            Some(key) => {
                let partition = self.partition_of(key.as_str());
                (partition, self.ownership.work_on(partition))
            }
            None => match self.ownership.work_on_any() {
                Some(work) => (work.owned().partition(), Some(work)),
                None => (self.partition_of(accepted.saga_id.as_str()), None),
            },
        };
        let (mut saga, mut handled) = Saga::accept(Arc::clone(definition), accepted.clone(), now);
        if work.is_none() {
            // Its owner starts it.
            handled.records.truncate(1);
            if let Ok(accepted_only) = Saga::replay(Arc::clone(definition), &handled.records) {
                saga = accepted_only;
            }
        }
        let wake = match (&work, saga.waits_for_lock()) {
            (Some(_), false) => Wake::InMemory,
            (Some(_), true) => driver::lock_wake(&saga),
            (None, _) => Wake::At(now),
        };
        let header = driver::header(&saga, now, wake);
        // With its keys it runs, unless a guard must be set first or something else is waited for.
        // Where that turns out to be wrong, its driver puts the row right.
        let runs = self.guards.service().is_none()
            && saga.waits_for_lock()
            && accepted.start_at.is_none()
            && accepted.prepared.is_none();
        let grant = (work.is_some() && !accepted.lock_keys.is_empty()).then(|| {
            let untold = if runs { Status::Running } else { header.status };
            let told = runs.then(|| told_at_once(&saga, &header)).flatten();
            told.unwrap_or_else(|| GrantAtOnce::untold(untold))
        });
        let (reply, receiver) = oneshot::channel();
        let new = NewSaga {
            saga_id: accepted.saga_id.clone(),
            partition,
            definition: accepted.definition.clone(),
            definition_name: accepted.definition_name.clone(),
            definition_version: accepted.definition_version,
            labels: accepted.labels.clone(),
            lock_keys: accepted.lock_keys.clone(),
            grant: grant.clone(),
            idempotency_key: submission.idempotency_key.clone(),
            request_digest: submission.request_digest.clone(),
            created_at: now,
            header: header.clone(),
            records: journal::encode(&handled.records),
            record_count: u32::try_from(handled.records.len()).unwrap_or(u32::MAX),
        };
        let owned = work.as_ref().map(|work| Arc::clone(work.owned()));
        failpoint!("engine.submit.before-write");
        if self.journal.try_accept(Accept { saga: new, owned, reply }).is_err() {
            let bound = self.config.journal_queue_max;
            return Ok(Err(SubmitError::Overloaded { name: "engine.journal-queue-max", bound }));
        }
        let saga = Arc::new(saga);
        let detail = SagaDetail { saga: Arc::clone(&saga), updated_at: now };
        let (sender, outcome) = oneshot::channel();
        let inner = Arc::clone(self);
        // The saga's task waits for the store's answer itself: once the saga is stored it must be
        // driven, even if whoever submitted it does not wait any more.
        self.tasks.spawn(async move {
            let written = receiver.await.unwrap_or(Err(JournalError::Lost));
            let started = match (&written, work) {
                (Ok(AcceptOutcome::Created { tokens }), Some(work)) => {
                    let granted = grant.zip(tokens.clone());
                    inner.starting(work, saga, handled, header, granted)
                }
                _ => None,
            };
            failpoint!("engine.submit.before-answer");
            let _ = sender.send(written);
            if let Some((driver, first, untold)) = started {
                driver.run(first, untold).await;
            }
        });
        if Mutant::EarlyAnswer.is_on() {
            return Ok(Ok(Submitted { detail, created: true }));
        }
        match outcome.await.map_err(|_| JournalError::Lost)?? {
            AcceptOutcome::Exists { saga_id, request_digest } => {
                Ok(self.existing(&saga_id, &request_digest, submission).await)
            }
            AcceptOutcome::Created { .. } => Ok(Ok(Submitted { detail, created: true })),
        }
    }

    /// The driver of a new saga, what it does first, and the tokens that it is still to be told of;
    /// none if the saga waits for its lock keys: then whoever releases them wakes it. `granted` are
    /// its tokens, and what was written with them.
    fn starting(
        self: &Arc<Self>,
        work: Work,
        mut saga: Arc<Saga>,
        mut handled: saga::Handled,
        header: Header,
        granted: Option<(GrantAtOnce, Vec<Token>)>,
    ) -> Option<(Driver, saga::Handled, Option<Vec<Token>>)> {
        let mut untold = None;
        // The grant set the row to be in memory, and to its status.
        let header = match &granted {
            Some((grant, _)) => Header { status: grant.status, wake: Wake::InMemory, ..header },
            None => header,
        };
        let has_keys = granted.is_some();
        if let Some((grant, tokens)) = granted {
            if grant.facts.is_some() {
                // As it was foreseen, so that it can't be refused.
                let told =
                    Arc::make_mut(&mut saga).handle(header.updated_at, Input::Granted(tokens));
                handled.effects.extend(told.into_iter().flat_map(|told| told.effects));
            } else {
                untold = Some(tokens);
            }
        }
        self.send_hint(|| Hint {
            saga_id: saga.id().clone(),
            definition: saga.accepted().definition_name.clone(),
            fact_count: saga.fact_count(),
            status: saga.status(),
        });
        handled.records.clear();
        if has_keys {
            handled.effects.retain(|effect| !matches!(effect, saga::Effect::Lock { .. }));
        } else if saga.waits_for_lock() {
            self.replace_waiting(&saga);
            return None;
        }
        driver::prepare(self, work, saga, header).map(|driver| (driver, handled, untold))
    }

    async fn existing(
        &self,
        saga_id: &SagaId,
        request_digest: &str,
        submission: &Submission,
    ) -> Result<Submitted, SubmitError> {
        if request_digest != submission.request_digest && !Mutant::OtherBody.is_on() {
            return Err(SubmitError::Mismatch(saga_id.clone()));
        }
        let detail = self.detail(saga_id).await.map_err(SubmitError::Unavailable)?;
        let detail = detail.ok_or(SubmitError::OutcomeUnknown)?;
        Ok(Submitted { detail, created: false })
    }
}

/// What follows when this new saga, whose row would be `header`, is granted its lock keys in the
/// write that makes it. None if more of its row changes by that than its status.
fn told_at_once(saga: &Saga, header: &Header) -> Option<GrantAtOnce> {
    const TOKENS: &str = r#""tokens":["#;
    let now = header.updated_at;
    let mut granted = saga.clone();
    let tokens = vec![Token(0); saga.accepted().lock_keys.len()];
    let mut records = granted.handle(now, Input::Granted(tokens)).ok()?.records;
    let status = granted.status();
    let row = Header { status, wake: Wake::InMemory, ..header.clone() };
    if driver::header(&granted, now, Wake::InMemory) != row {
        return None;
    }
    let Event::LockGranted { tokens } = &mut records.first_mut()?.event else { return None };
    tokens.clear();
    // Nothing of the caller's stands before them.
    let mut before = journal::encode(&records);
    let at = before.find(TOKENS)? + TOKENS.len();
    let after = before.split_off(at);
    let record_count = u32::try_from(records.len()).ok()?;
    Some(GrantAtOnce { status, facts: Some(GrantFacts { before, after, record_count }) })
}

/// A saga's lock keys, those of its definition and `more`, sorted, each once.
pub(crate) fn lock_keys(
    definition: &Definition,
    saga_id: &SagaId,
    input: &Json,
    labels: &BTreeMap<String, String>,
    more: &[LockKey],
) -> Result<Vec<LockKey>, SubmitError> {
    let mut keys = more.to_vec();
    let templates = definition.lock.as_ref().map_or(&[][..], |lock| &lock.keys);
    let scope = Scope { saga_id, labels, input, steps: Vec::new(), step_key: None, forward: None };
    for (index, template) in templates.iter().enumerate() {
        let wrong = |detail: String| SubmitError::LockKey { index, detail };
        let text = template.render_text(&scope).map_err(|error| wrong(error.to_string()))?;
        keys.push(LockKey::new(&text).map_err(|error| wrong(format!("{text:?} {error}")))?);
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

impl SubmitError {
    /// The word for it in metrics.
    const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownDefinition { .. } => "unknown_definition",
            Self::Input(_) => "input",
            Self::LockKey { .. } => "lock_key",
            Self::Mismatch(_) => "mismatch",
            Self::Draining => "draining",
            Self::Overloaded { .. } => "overloaded",
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }
}
