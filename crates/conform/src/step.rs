//! All points of one step, and what the report says of it.

use amends_core::SagaId;
use amends_core::definition::{Operation, StepKind};
use amends_core::expression::{Scope, ScopeStep};
use amends_core::saga::Op;

use crate::desk::Desk;
use crate::notes::Notes;
use crate::point::Point;
use crate::probe::run as run_point;
use crate::report::{OperationReport, PointReport, Verdict};

/// Probes every point that applies; `watch` is told which is at hand.
pub(crate) async fn probe_step(desk: &Desk<'_>, watch: impl Fn(Point)) -> OperationReport {
    let mut report = heading(desk);
    let mut works = true;
    for point in Point::ALL {
        if let Some(why) = left_out(desk, point) {
            report.points.push(unjudged(point, Verdict::Skipped, why));
            continue;
        }
        if !works {
            let why = "the plain way does not work".to_owned();
            report.points.push(unjudged(point, Verdict::Unknown, why));
            continue;
        }
        watch(point);
        let notes = Notes::default();
        run_point(point, desk, &notes).await;
        if point == Point::Works {
            works = notes.is_good();
            if desk.sees_effects() && desk.unit.get().is_none() {
                notes.unclear("one call does not move the measured number: is it the right one?");
                desk.effect.replace(None);
            }
        }
        let (verdict, seen, why) = notes.close();
        let texts = point.texts();
        report.points.push(PointReport {
            point,
            done: texts.done,
            expected: texts.expected,
            seen,
            verdict,
            why,
            advice: (verdict == Verdict::Fail).then_some(texts.advice),
        });
    }
    report
}

fn heading(desk: &Desk<'_>) -> OperationReport {
    let step = desk.step();
    let operations = Op::ALL.into_iter().filter_map(|op| {
        let operation = step.operation(op)?;
        let path = path_in_words(desk, operation);
        Some(format!("{op} {} {path}", operation.method))
    });
    OperationReport {
        step: step.id.to_string(),
        participant: step.participant.to_string(),
        urls: desk.urls.iter().map(|url| url.as_str().trim_end_matches('/').to_owned()).collect(),
        operations: operations.collect(),
        effect: desk.effect.borrow().as_ref().map(ToString::to_string),
        points: Vec::new(),
    }
}

/// The path with `{saga}` for the saga's id, as far as it can be rendered without outputs.
fn path_in_words(desk: &Desk<'_>, operation: &Operation) -> String {
    let Ok(saga) = SagaId::new("SAGA") else { return String::new() };
    let steps = desk.outputs.iter().map(|(id, output)| ScopeStep {
        id,
        status: "succeeded",
        output: Some(output),
    });
    let scope = Scope {
        saga_id: &saga,
        labels: &desk.sandbox.labels,
        input: &desk.plan.input,
        steps: steps.collect(),
        step_key: None,
        forward: None,
    };
    operation.path.render(&scope).map_or("…".to_owned(), |path| path.replace("SAGA", "{saga}"))
}

fn unjudged(point: Point, verdict: Verdict, why: String) -> PointReport {
    let texts = point.texts();
    PointReport {
        point,
        done: texts.done,
        expected: texts.expected,
        seen: String::new(),
        verdict,
        why: Some(why),
        advice: None,
    }
}

/// Why `point` is not probed, if it is not.
fn left_out(desk: &Desk<'_>, point: Point) -> Option<String> {
    let step = desk.step();
    let plan = desk.plan;
    let why = if plan.skip.contains(&point) {
        "left out as asked"
    } else if point.is_about_confirm() && step.kind == StepKind::Saga {
        "the step has no confirm"
    } else if step.undo.is_none() && !plan.keep_effects {
        "nothing undoes this step; add --keep-effects to probe it and let its effects stay"
    } else if point.needs_undo() && step.undo.is_none() {
        "the step has no undo"
    } else if point == Point::Fencing && desk.lock_keys.is_empty() {
        "no lock keys; add --lock-key KEY if its sagas hold any"
    } else if point == Point::Signature && plan.secret.is_none() {
        "no signing secret; add --secret"
    } else {
        return None;
    };
    Some(why.to_owned())
}
