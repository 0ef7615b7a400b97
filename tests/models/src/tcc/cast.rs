//! Who takes part in the model of interactive transactions, how much may happen, and what goes
//! wrong.

use amends_core::definition::{Branch, BranchCall, BranchWork, Digest, NestedSaga};
use amends_core::saga::Parent;
use amends_core::{DefinitionName, Json, ParticipantName, SagaId, StepId};
use serde_json::json;

use crate::machine::Machine;

/// Something to be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A commit that is asked for again forgets the confirms that are under way.
    ConfirmDropped,
    /// The deadline of a nested saga undoes it although it has done its part.
    ChildExpiresPrepared,
    /// A branch is taken in although the transaction is decided.
    EnlistAfterDecision,
    /// An undo that finds no nested saga leaves nothing that a late start would find.
    NoTombstone,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Takeovers of the transaction or its nested saga.
    pub takeovers: u8,
    /// Attempts of forward calls, and of confirms and undos.
    pub attempts: (u32, u32),
}

/// The transaction and its nested saga.
pub(super) fn machines(bounds: Bounds) -> (Machine, Machine) {
    let (forward, other) = bounds.attempts;
    let document = json!({ "name": "p", "mode": "interactive" });
    let mut parent = Machine::new(&document, forward, other);
    parent.branches = branches();
    let path = json!({ "path": "/x" });
    let step = json!({
        "id": "x", "participant": "p", "try": path, "confirm": path, "cancel": path
    });
    let child = Machine::new(&json!({ "name": "c", "steps": [step] }), forward, other);
    let child = child.accepting(|accepted| {
        accepted.saga_id = SagaId::new("s.n").unwrap();
        let (saga_id, branch) = (SagaId::new("s").unwrap(), StepId::new("n").unwrap());
        accepted.parent = Some(Parent { saga_id, branch });
    });
    (parent, child)
}

fn branches() -> Vec<Branch> {
    let call = || BranchCall {
        method: "POST".to_owned(),
        path: "/x".to_owned(),
        body: None,
        headers: Vec::new(),
        timeout: None,
        retry: None,
    };
    let participant = ParticipantName::new("p").unwrap();
    let tcc = BranchWork::Tcc { participant, confirm: call(), cancel: call() };
    let nested = BranchWork::Saga(NestedSaga {
        saga_id: SagaId::new("s.n").unwrap(),
        definition: Digest("0".repeat(64)),
        definition_name: DefinitionName::new("c").unwrap(),
        definition_version: None,
        input: Json::null(),
    });
    let branch = |id, work| Branch { id: StepId::new(id).unwrap(), after: None, work };
    vec![branch("b", tcc), branch("n", nested)]
}
