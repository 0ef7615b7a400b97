//! A client that runs an interactive transaction: begins, enlists, calls, commits or rolls back, or
//! falls silent.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{
    BranchDocument, Definition, Registry, parse_branch, parse_check_back,
};
use amends_core::saga::{Command, Decision, Op, Refusal, Token};
use amends_core::{Json, LockKey, SagaId, StepId};
use amends_engine::{Chosen, CommandError, EnlistError, Submission};
use serde_json::{Value, json};

use super::saga::id;
use super::{Client, Known, by};
use crate::books::{Arrival, Said};
use crate::network::CHECK_BACK;
use crate::plan;

/// What came of enlisting a branch.
enum Enlisted {
    /// It is in, and calls go with these tokens.
    Yes(Vec<(LockKey, Token)>),
    /// Not now: keys, or an operator's resumption, are waited for.
    NotYet,
    /// Never.
    No,
}

/// How often a client asks again that was told to wait.
const TRIES: usize = 8;

impl Client {
    /// One interactive transaction.
    pub(super) async fn run_transaction(&self, definitions: &[Arc<Definition>]) -> Known {
        let mut known = Known { saga_id: None, told: None, all_done: true };
        let is_prepared = self.chance.is(0.35);
        let submission = self.submission(is_prepared);
        let Some(saga_id) = self.submit(&submission).await else { return known };
        known.saga_id = Some(saga_id.clone());
        let mut has_nested = false;
        for number in 0..self.chance.below(5) {
            let Ok(step) = StepId::new(format!("b{number}")) else { continue };
            let may_nest = !is_prepared && self.gives_up_after.is_none();
            let (document, op) = self.branch(&step, may_nest, definitions);
            has_nested |= matches!(document, Some(BranchDocument::Saga { .. }));
            let Some(document) = document else { continue };
            match self.enlist_patiently(&saga_id, &document).await {
                Enlisted::Yes(tokens) => {
                    known.all_done &= op.is_none_or(|op| self.call(&saga_id, &step, op, &tokens));
                }
                Enlisted::NotYet => known.all_done = false,
                Enlisted::No => {
                    known.all_done = false;
                    break;
                }
            }
            if self.chance.is(0.1) {
                let until = self.cluster.now().after(self.chance.seconds(30));
                self.command(&saga_id, &Command::Extend { until }).await;
            }
        }
        self.meddle(&saga_id, !is_prepared).await;
        self.decide(&saga_id, is_prepared, has_nested, &mut known).await;
        known
    }

    fn submission(&self, is_prepared: bool) -> Submission {
        let has_keys = self.chance.is(0.3);
        let check_back = json!({ "participant": "p3", "path": CHECK_BACK, "timeout": "1s", "retry": {
            "max_attempts": 30, "initial": "100ms", "factor": 2, "max": "2s" } });
        let keys = (0..=self.chance.below(2)).filter(|_| has_keys);
        let keys = keys.map(|_| LockKey::new(format!("k{}", self.chance.below(plan::KEYS))));
        Submission {
            saga_id: id(self.number),
            deadline: Some(self.chance.time(Duration::from_secs(2), Duration::from_secs(40))),
            lock_keys: keys.flatten().collect(),
            lock_wait: (has_keys && self.chance.is(0.3)).then(|| self.chance.seconds(20)),
            prepared: is_prepared
                .then(|| parse_check_back(&check_back, &Registry::default()).ok())
                .flatten(),
            ..Submission::new(Chosen::AdHoc(plan::interactive()), format!("digest-{}", self.number))
        }
    }

    /// A branch, and what its client calls itself.
    fn branch(
        &self,
        step: &StepId,
        may_nest: bool,
        definitions: &[Arc<Definition>],
    ) -> (Option<BranchDocument>, Option<Op>) {
        let (document, op) = match self.chance.below(if may_nest { 5 } else { 3 }) {
            0 => (json!({ "participant": "p0", "compensation": call("/undo") }), Some(Op::Action)),
            1 => (
                json!({ "participant": "p1", "confirm": call("/confirm"), "cancel": call("/cancel") }),
                Some(Op::Try),
            ),
            2 => (json!({ "participant": "p2", "action": call("/message") }), None),
            _ => {
                let can_nest = |one: &&Arc<Definition>| one.graph.pivot().is_none();
                let undoable: Vec<_> = definitions.iter().filter(can_nest).collect();
                if undoable.is_empty() {
                    return (None, None);
                }
                let branch = BranchDocument::Saga {
                    id: step.clone(),
                    definition: self.chance.one_of(&undoable).name.clone(),
                    version: None,
                    input: Json::from_value(&plan::input(&self.chance)),
                };
                return (Some(branch), None);
            }
        };
        let branch = parse_branch(step.clone(), &document, &Registry::default());
        if branch.is_err() {
            self.world().violated(&format!("branch {document} was refused"));
        }
        (branch.ok(), op)
    }

    async fn enlist_patiently(&self, saga_id: &SagaId, branch: &BranchDocument) -> Enlisted {
        for _ in 0..TRIES {
            let enlisted = self.enlist(saga_id, branch).await;
            if !matches!(enlisted, Enlisted::NotYet) {
                return enlisted;
            }
            self.idle(Duration::from_secs(3)).await;
        }
        Enlisted::NotYet
    }

    async fn enlist(&self, saga_id: &SagaId, branch: &BranchDocument) -> Enlisted {
        let enlisted = self
            .until_answered(async |engine| {
                match engine.enlist(saga_id, branch.clone(), by()).await {
                    Ok(enlisted) => Some(Enlisted::Yes(enlisted.detail.saga.tokens())),
                    Err(
                        EnlistError::Command(
                            CommandError::OwnerSilent(_) | CommandError::Unavailable(_),
                        )
                        | EnlistError::Unavailable(_),
                    ) => None,
                    Err(EnlistError::Command(CommandError::Refused {
                        refusal: Refusal::WrongStatus { .. },
                        ..
                    })) => Some(Enlisted::NotYet),
                    Err(EnlistError::Faults(_)) => {
                        self.world().seen("nested saga refused");
                        Some(Enlisted::No)
                    }
                    Err(EnlistError::Command(_)) => Some(Enlisted::No),
                }
            })
            .await;
        let name = match branch {
            BranchDocument::Ready(branch) => &branch.id,
            BranchDocument::Saga { id, .. } => id,
        };
        let is_in = |branch: &StepId| {
            self.world().watch(|watch| {
                let saga = watch.saga(saga_id)?;
                saga.definition.index_of(branch.as_str())
            })
        };
        if matches!(enlisted, Enlisted::Yes(_)) && is_in(name).is_none() {
            self.world().violated(&format!("S1: branch {name} of {saga_id} is lost"));
        }
        enlisted
    }

    /// The client's own call, which may be lost; whether it has had its effect for certain.
    fn call(&self, saga: &SagaId, step: &StepId, op: Op, tokens: &[(LockKey, Token)]) -> bool {
        if self.chance.is(0.05) {
            return false;
        }
        let refuses = self.chance.is(0.05);
        let call = Arrival { saga, step, op, tokens, refuses, keeps_refusals: true };
        let said = self.world().books(|books| books.arrive(call));
        self.world().log(("client calls", saga, step, op, said));
        said == Said::Done
    }

    /// Commits or rolls back, once or more often, or falls silent.
    async fn decide(
        &self,
        saga_id: &SagaId,
        is_prepared: bool,
        has_nested: bool,
        known: &mut Known,
    ) {
        let mut wants_commit = known.all_done && self.chance.is(0.8);
        if is_prepared {
            // Its own transaction counts, unless it was asked before it came to that; and it does not
            // come to that before it has its keys.
            wants_commit &= self.is_running(saga_id).await;
            wants_commit = self.world().books(|books| {
                if wants_commit {
                    books.commit_locally(saga_id)
                } else {
                    books.is_committed_locally(saga_id)
                }
            });
        }
        if self.chance.is(if is_prepared { 0.5 } else { 0.1 }) {
            return self.world().seen("client fell silent");
        }
        let command = if wants_commit { Command::Commit } else { Command::Cancel };
        for _ in 0..=self.chance.below(3) {
            let Some(detail) = self.command(saga_id, &command).await else {
                if wants_commit && is_prepared && !self.may_be_refused(saga_id) {
                    self.world().violated(&format!("{saga_id} refuses what its client committed"));
                }
                return;
            };
            let decision = detail.saga.decision();
            if wants_commit && !has_nested && decision != Some(Decision::Commit) {
                self.world().violated(&format!("{saga_id} took a commit and decided {decision:?}"));
            }
            if known.told.is_some() && known.told != decision {
                self.world().violated(&format!("{saga_id} was told two decisions"));
            }
            known.told = decision.or(known.told);
        }
    }

    async fn is_running(&self, saga_id: &SagaId) -> bool {
        let detail = self.until_answered(async |engine| engine.saga(saga_id).await.ok()).await;
        detail.is_some_and(|detail| detail.saga.waits_for_client())
    }

    /// Whether a saga may refuse to commit: it waits for its keys, or is gone.
    fn may_be_refused(&self, saga_id: &SagaId) -> bool {
        self.world().watch(|watch| {
            watch
                .saga(saga_id)
                .is_none_or(|saga| saga.decision != Some(Decision::Abort) || saga.is_deleted)
        })
    }
}

fn call(path: &str) -> Value {
    json!({ "path": path, "timeout": "1s", "retry": {
        "max_attempts": 30, "initial": "100ms", "factor": 2, "max": "2s" } })
}
