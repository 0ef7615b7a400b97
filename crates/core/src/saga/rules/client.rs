//! The client of an interactive transaction and the parent of a nested saga: what they want, and
//! what a reader of the journal expects them to be answered.

use super::answers::{Journal, word};
use super::moves::{Kind, Wish};
use super::plan::Role;
use super::story::{Entry, Fate};
use super::world::{World, nth};
use crate::definition::{
    Branch, BranchCall, BranchWork, CheckBack, Digest, LockRelease, NestedSaga, Starts,
};
use crate::saga::{
    CallId, Command, Decision, Effect, EndStatus, Event, ForwardOutcome, Handled, Op, Parent,
};
use crate::{
    DefinitionName, Jitter, Json, ParticipantName, RetryPolicy, SagaId, StepId, StepIndex,
    Timestamp,
};

/// Most branches that clients here think of.
const BRANCHES_MAX: usize = 8;

impl Role {
    pub(super) fn check_back(self) -> Option<Box<CheckBack>> {
        let check_back =
            || CheckBack { participant: participant(), call: call("/local", "GET", Some(2)) };
        matches!(self, Self::Interactive { asks_back: true }).then(|| Box::new(check_back()))
    }

    pub(super) fn parent(self) -> Option<Parent> {
        let parent =
            || Parent { saga_id: SagaId::new("p").unwrap(), branch: StepId::new("b").unwrap() };
        matches!(self, Self::Part { .. }).then(parent)
    }
}

fn participant() -> ParticipantName {
    ParticipantName::new("p").unwrap()
}

fn call(path: &str, method: &str, attempts: Option<u32>) -> BranchCall {
    let second = std::time::Duration::from_secs(1);
    let retry = attempts.map(|attempts_max| RetryPolicy {
        attempts_max,
        initial: second,
        factor: 1.0,
        max: second,
        jitter: Jitter::None,
    });
    BranchCall {
        method: method.to_owned(),
        path: path.to_owned(),
        body: (method == "POST").then(|| Json::from_value(&serde_json::json!({ "to": path }))),
        headers: vec![("x-shop".to_owned(), "north ${input}".to_owned())],
        timeout: Some(second),
        retry,
    }
}

/// A branch of this kind; the same name and kind is the same branch.
pub(super) fn branch(name: &str, kind: Kind, after: Option<Vec<StepId>>) -> Branch {
    let of = |word: &str| call(&format!("/{name}/{word}"), "POST", Some(2));
    let work = match kind {
        Kind::Compensation => {
            BranchWork::Compensation { participant: participant(), compensation: of("undo") }
        }
        Kind::Tcc => BranchWork::Tcc {
            participant: participant(),
            confirm: of("confirm"),
            cancel: of("cancel"),
        },
        Kind::Message => BranchWork::Message { participant: participant(), action: of("send") },
        Kind::Nested => BranchWork::Saga(NestedSaga {
            saga_id: SagaId::new(format!("s-1.{name}")).unwrap(),
            definition: Digest("0".repeat(64)),
            definition_name: DefinitionName::new("nested").unwrap(),
            definition_version: None,
            input: Json::null(),
        }),
    };
    let after = after.filter(|_| kind != Kind::Nested);
    Branch { id: StepId::new(name).unwrap(), after, work }
}

impl World {
    pub(super) fn wish(&mut self, wish: Wish, pick: usize) {
        let known = nth(self.saga.branches().iter().collect::<Vec<_>>().iter(), pick).cloned();
        match wish {
            Wish::Enlist { kind, after } => {
                let count = self.saga.branches().len();
                let after = after.map(|bits| self.named(bits, pick));
                if count < BRANCHES_MAX {
                    self.enlist(branch(&format!("b{count}"), kind, after));
                }
            }
            Wish::Repeat => known.into_iter().for_each(|known| self.enlist(known)),
            Wish::Change => {
                if let Some(mut other) = known {
                    other.after = match other.after {
                        Some(_) => None,
                        None => Some(Vec::new()),
                    };
                    self.enlist(other);
                }
            }
            Wish::Call => {
                if let Some(known) = known {
                    self.client_calls(&known);
                }
            }
            Wish::Commit => {
                if self.journal().commit() == "done" && self.journal().decision().is_none() {
                    self.client_has_committed();
                }
                let expected = self.journal().commit();
                self.ask_as_client(&Command::Commit, expected);
            }
            Wish::Cancel if self.is_interactive() => {
                let expected = self.journal().cancel();
                self.ask_as_client(&Command::Cancel, expected);
            }
            Wish::Cancel => {}
            Wish::Extend { secs } => {
                let until = Timestamp(self.now.0 + i64::from(secs) * 1_000_000);
                let expected = self.journal().shape();
                self.ask_as_client(&Command::Extend { until }, expected);
            }
            Wish::Decide { commits } => self.parent_decides(commits),
        }
    }

    /// Some of the branches so far, rarely one that is not there.
    fn named(&self, bits: u8, pick: usize) -> Vec<StepId> {
        let earlier = self.saga.branches().iter().enumerate();
        let mut named: Vec<StepId> = earlier
            .filter(|(index, _)| bits & (1 << index) != 0)
            .map(|(_, branch)| branch.id.clone())
            .collect();
        if pick.is_multiple_of(16) {
            named.push(StepId::new("elsewhere").unwrap());
        }
        named
    }

    fn enlist(&mut self, branch: Branch) {
        let expected = self.journal().enlist(&branch);
        let was_there = self.saga.branches().iter().any(|known| known.id == branch.id);
        let forward = branch.client_op();
        self.ask_as_client(&Command::Enlist { branch: Box::new(branch) }, expected);
        if expected == "done" && !was_there {
            // From now on the client may call.
            if let Some(op) = forward {
                let call = CallId { step: StepIndex(self.last_step()), op };
                self.entries.push(Entry::Settled { call, fate: Fate::Dirty });
            }
        }
    }

    fn last_step(&self) -> u16 {
        u16::try_from(self.truth.len() - 1).unwrap()
    }

    fn ask_as_client(&mut self, command: &Command, expected: &'static str) {
        let (facts, had_ended) = (self.records.len(), self.has_ended());
        let told = self.command_of("client", command.clone());
        let got = word(&told);
        if got != expected {
            self.faults.push(format!("{command:?} was answered {got}, expected is {expected}"));
        }
        let is_vain = told.is_err() || had_ended;
        if is_vain && self.records.len() != facts {
            self.faults.push(format!("{command:?} added facts"));
        }
    }

    /// The client's own transaction is committed, so all its calls have taken effect.
    pub(super) fn client_has_committed(&mut self) {
        for branch in self.saga.branches().to_vec() {
            self.client_calls(&branch);
        }
    }

    fn client_calls(&mut self, branch: &Branch) {
        if let Some(op) = branch.client_op() {
            let step = self.saga.definition().index_of(branch.id.as_str()).unwrap();
            self.take(CallId { step, op }, true);
        }
    }

    /// A parent commits when it has heard that the part is done, and never decides twice.
    fn parent_decides(&mut self, commits: bool) {
        let decision = if commits { Decision::Commit } else { Decision::Abort };
        let taken = self.journal().decision();
        let expected = match (self.journal().end(), taken) {
            _ if !matches!(self.plan.role, Role::Part { .. }) => "not interactive",
            (Some(EndStatus::Completed), _) if commits => "done",
            (Some(EndStatus::Compensated), _) if !commits => "done",
            (Some(_), _) => "ended",
            (None, Some(Decision::Commit)) if !commits => "committed",
            (None, Some(Decision::Abort)) if commits => "aborted",
            (None, None) if commits && !self.is_prepared() => return,
            (None, _) => "done",
        };
        let told = self.command_of("parent", Command::ParentDecided { decision });
        if word(&told) != expected {
            self.faults.push(format!("{decision:?} of the parent was answered {told:?}"));
        }
    }

    pub(super) fn take_lock(&mut self) {
        let holds = self.plan.locked && self.lock_is_here();
        let told = self.command(Command::ReleaseLock);
        if told.is_ok() != holds {
            self.faults.push(format!("with the lock ({holds}), its release gave {told:?}"));
        }
    }

    fn lock_is_here(&self) -> bool {
        let journal = self.journal();
        let is_given_back =
            self.plan.release == LockRelease::Pivot && journal.decision() == Some(Decision::Commit);
        journal.may_use_lock() && !is_given_back
    }

    /// By the journal: whether it is a nested saga whose steps are all settled.
    pub(super) fn is_prepared(&self) -> bool {
        let mut known = super::story::Known::default();
        known.journal.clone_from(&self.records);
        matches!(self.plan.role, Role::Part { .. })
            && known.has(|event| matches!(event, Event::Started))
            && known.decision().is_none()
            && self
                .saga
                .definition()
                .indices()
                .all(|step| known.is_settled(self.saga.definition(), step))
    }

    pub(super) fn is_interactive(&self) -> bool {
        matches!(self.plan.role, Role::Interactive { .. })
    }

    pub(super) fn is_question(&self, call: CallId) -> bool {
        let step = self.saga.definition().steps.get(call.step.get());
        step.is_some_and(|step| step.starts == Starts::WhenSilent)
    }

    /// What a question asks for is known: nobody waits for its answer any more.
    pub(super) fn drop_question(&mut self) {
        let call = CallId { step: StepIndex(0), op: Op::Action };
        if !self.is_question(call) {
            return;
        }
        self.entries.push(Entry::Settled { call, fate: Fate::Clean });
        if let Some(attempt) = self.open.remove(&call) {
            self.dropped.push((call, attempt.number));
        }
    }

    /// What the engine is to do with the lock keys goes with the fact that says so.
    pub(super) fn check_lock(&mut self, handled: &Handled) {
        let mut wanted = Vec::new();
        for record in &handled.records {
            match &record.event {
                Event::LockReleased { .. } => wanted.push(true),
                Event::Decided { decision: Decision::Commit, .. }
                    if self.plan.locked && self.plan.release == LockRelease::Pivot =>
                {
                    wanted.push(false);
                }
                _ => {}
            }
        }
        let unlocked: Vec<bool> = handled
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Unlock { requeue } => Some(*requeue),
                _ => None,
            })
            .collect();
        if unlocked != wanted {
            self.faults.push(format!("unlocked {unlocked:?}, wanted is {wanted:?}"));
        }
    }

    /// What travels with a call: its tokens, and what is known of the client's call.
    pub(super) fn check_sent(&mut self, call: CallId) {
        let journal = self.journal();
        let is_given_back =
            self.plan.release == LockRelease::Pivot && journal.decision() == Some(Decision::Commit);
        let has_tokens = !self.saga.tokens().is_empty();
        // What is said to a nested saga goes without the parent's keys.
        let is_nested = self.saga.definition().step(call.step).nested.is_some();
        if !is_nested && has_tokens != (self.plan.locked && !is_given_back) {
            self.faults.push(format!("{call:?} is sent with tokens: {has_tokens}"));
        }
        let step = self.saga.definition().step(call.step);
        if step.starts == Starts::ByClient
            && (call.op.is_forward()
                || (call.op.is_undo()
                    && self.saga.forward_outcome(call.step) != ForwardOutcome::Unknown))
        {
            self.faults.push(format!("{call:?} of a client's branch is sent"));
        }
    }

    pub(super) fn journal(&self) -> Journal<'_> {
        Journal { records: &self.records, plan: &self.plan }
    }
}
