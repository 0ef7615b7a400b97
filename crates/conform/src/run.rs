//! A whole run: what must be there first, each step in turn, and the report.

use std::collections::BTreeMap;

use amends_core::{Json, SagaId, StepIndex, Timestamp};

use crate::agenda::{in_order, lock_keys, needed};
use crate::case::Case;
use crate::desk::Desk;
use crate::effect::same;
use crate::notes::Notes;
use crate::plan::{Error, Plan};
use crate::point::Point;
use crate::report::{OperationReport, Report};
use crate::step::probe_step;
use crate::wire::Wire;

/// What a run gets from outside: its name and its clock.
#[derive(Debug)]
pub struct Sandbox {
    /// What the ids of its sagas begin with; different for every run.
    pub run: String,
    /// The time of day, for deadlines and signatures.
    pub now: fn() -> Timestamp,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Sandbox {
    /// A sandbox whose sagas' ids begin with `run`.
    pub fn new(run: String, now: fn() -> Timestamp) -> Self {
        Self { run, now, labels: BTreeMap::new() }
    }
}

/// Probes every step of `plan` whose participant has an address; `watch` is told what is at hand.
///
/// # Errors
///
/// [`Error`]: nothing was probed.
pub async fn probe(
    plan: &Plan,
    sandbox: &Sandbox,
    watch: impl Fn(&str, Point),
) -> Result<Report, Error> {
    plan.check()?;
    let wire = Wire::new(plan.limits.timeout);
    for url in plan.participants.values().flatten() {
        let wrong = |reason| Error::Unreachable { url: url.to_string(), reason };
        wire.knock(url).await.map_err(wrong)?;
    }
    let run = Run { plan, sandbox, wire: &wire, lock_keys: lock_keys(plan)? };
    let (reports, left_behind) = run.steps(&watch).await?;
    if reports.is_empty() {
        let text = "none of the steps has a participant with an address; nothing was probed";
        return Err(Error::Plan(text.to_owned()));
    }
    Ok(Report::new(sandbox.run.clone(), reports, left_behind))
}

struct Run<'a> {
    plan: &'a Plan,
    sandbox: &'a Sandbox,
    wire: &'a Wire,
    lock_keys: Vec<String>,
}

/// A forward call that was made for the sake of its output, to be undone at the end.
struct Prepared {
    index: StepIndex,
    outputs: BTreeMap<String, Json>,
    saga: SagaId,
    output: Json,
}

impl Run<'_> {
    async fn steps(
        &self,
        watch: &impl Fn(&str, Point),
    ) -> Result<(Vec<OperationReport>, Vec<String>), Error> {
        let needed = needed(self.plan);
        let (mut reports, mut left_behind) = (Vec::new(), Vec::new());
        let (mut outputs, mut prepared) = (self.plan.outputs.clone(), Vec::new());
        for index in in_order(self.plan) {
            let step = self.plan.definition.step(index);
            let name = step.id.as_str();
            let known = outputs.clone();
            let Some(desk) = self.desk(index, &known) else { continue };
            if self.plan.steps.is_empty() || self.plan.steps.iter().any(|wanted| wanted == name) {
                check_effect(&desk).await?;
                reports.push(probe_step(&desk, |point| watch(name, point)).await);
                left_behind.append(&mut desk.left_behind.borrow_mut());
            }
            if needed.contains(name)
                && !outputs.contains_key(name)
                && let Some(done) = prepare(&desk, &mut left_behind).await
            {
                outputs.insert(name.to_owned(), done.output.clone());
                prepared.push(done);
            }
        }
        for done in prepared.into_iter().rev() {
            let Some(desk) = self.desk(done.index, &done.outputs) else { continue };
            let notes = Notes::default();
            Case::resume(&desk, &notes, done.saga, done.output).clean().await;
            left_behind.append(&mut desk.left_behind.borrow_mut());
        }
        Ok((reports, left_behind))
    }

    fn desk<'b>(
        &'b self,
        index: StepIndex,
        outputs: &'b BTreeMap<String, Json>,
    ) -> Option<Desk<'b>> {
        let step = self.plan.definition.step(index);
        let urls = self.plan.participants.get(step.participant.as_str())?;
        let run = (self.plan, self.sandbox, self.wire);
        Some(Desk::new(run, index, urls, &self.lock_keys, outputs))
    }
}

/// Makes the forward call for the steps that read its output.
async fn prepare(desk: &Desk<'_>, left_behind: &mut Vec<String>) -> Option<Prepared> {
    let notes = Notes::default();
    let case = Case::open(desk, &notes).await?;
    case.forward().await;
    let Some(output) = case.output() else {
        case.clean().await;
        left_behind.append(&mut desk.left_behind.borrow_mut());
        return None;
    };
    Some(Prepared { index: desk.index, outputs: desk.outputs.clone(), saga: case.saga, output })
}

/// Whether the effect can be seen where it was said to be seen, before any call is made.
async fn check_effect(desk: &Desk<'_>) -> Result<(), Error> {
    let in_step =
        |why| Error::Plan(format!("the effect of step {} can't be seen: {why}", desk.step().id));
    let first = desk.measure().await.map_err(in_step)?;
    let second = desk.measure().await.map_err(in_step)?;
    match (first, second) {
        (Some(first), Some(second)) if !same(first, second) => {
            Err(in_step(format!("it changed from {first} to {second} without a call of ours")))
        }
        _ => Ok(()),
    }
}
