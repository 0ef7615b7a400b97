//! Checks of what expressions name: it must be known where it stands.

use super::check::index_of;
use super::draft::{Draft, Place, Use};
use super::field::Reader;
use super::suggest::suggestion;
use super::{FaultCode, Graph};
use crate::expression::Reference;

/// Reports every name that cannot be known where it is read.
pub(super) fn check(reader: &mut Reader, draft: &Draft, graph: Option<&Graph>) {
    for one in &draft.uses {
        let Err(why) = check_use(one, draft, graph) else { continue };
        let repeated =
            reader.faults.iter().any(|fault| fault.pointer == one.pointer && fault.detail == why);
        if !repeated {
            reader.fault(&one.pointer, FaultCode::UnknownReference, why);
        }
    }
}

fn check_use(one: &Use, draft: &Draft, graph: Option<&Graph>) -> Result<(), String> {
    let reference = &one.reference;
    match reference.root.as_str() {
        "input" => Ok(()),
        "saga" => check_saga(reference, one.place),
        "steps" if one.place == Place::LockKey => Err(lock_only()),
        "steps" => check_steps(reference, one.place, draft, graph),
        "step" if !one.place.is_operation() => {
            Err("step.key is known in operations only".to_owned())
        }
        "step" => check_member(reference, 0, &["key"]),
        "forward" if !matches!(one.place, Place::Undo(_)) => {
            Err("forward is known in compensation and cancel only".to_owned())
        }
        "forward" => check_member(reference, 0, &["outcome", "output"]),
        other => {
            let known = ["input", "steps", "saga", "step", "forward"];
            Err(format!("there is no {other:?} to read{}", suggestion(other, known)))
        }
    }
}

fn check_saga(reference: &Reference, place: Place) -> Result<(), String> {
    if place == Place::LockKey && !reference.is_within("saga", &["id"]) {
        return Err(lock_only());
    }
    check_member(reference, 0, &["id", "labels"])
}

fn lock_only() -> String {
    "lock keys are known before the first step: they can read input and saga.id only".to_owned()
}

/// The member at `place` of the path, if it is written out, must be one of `known`.
fn check_member(reference: &Reference, place: usize, known: &[&str]) -> Result<(), String> {
    match reference.path.get(place) {
        Some(member) if !known.contains(&member.as_str()) => {
            let hint = suggestion(member, known.iter().copied());
            Err(format!("{reference} does not exist: there is no {member:?}{hint}"))
        }
        _ => Ok(()),
    }
}

fn check_steps(
    reference: &Reference,
    place: Place,
    draft: &Draft,
    graph: Option<&Graph>,
) -> Result<(), String> {
    let Some(id) = reference.step_id() else {
        return Err("after steps stands the id of a step, such as steps.ID.output".to_owned());
    };
    let named = draft.index_of(id).ok_or_else(|| unknown_step(id, draft))?;
    check_member(reference, 1, &["output", "status"])?;
    let (Some(step), Some(graph)) = (place.step(), graph) else { return Ok(()) };
    let is_own = step == named && matches!(place, Place::Undo(_) | Place::Confirm(_));
    if is_own || graph.is_before(index_of(named), index_of(step)) {
        return Ok(());
    }
    let detail = if step == named {
        format!("{id} reads its own output, which is not there yet")
    } else {
        format!("{id} may not be done by then; add it to after, or put it before this step")
    };
    Err(detail)
}

fn unknown_step(id: &str, draft: &Draft) -> String {
    let longer = draft.ids().find(|other| other.starts_with(&format!("{id}-")));
    match longer {
        Some(longer) => {
            format!("there is no step {id:?}; an id with '-' is written steps[\"{longer}\"]")
        }
        None => format!("there is no step {id:?}{}", suggestion(id, draft.ids())),
    }
}
