//! The report of `amends conform`, for people.

use std::collections::BTreeMap;

use amends_conform::{OperationReport, PointReport, Report, Verdict};
use comfy_table::{Attribute, Cell, Color};

use super::screen::{Screen, cell};
use crate::failure::Failure;

/// Shows `report`: a table for each step, what to do about it, and what it comes to.
pub(crate) fn show(report: &Report, screen: &mut Screen) -> Result<(), Failure> {
    let answer = serde_json::to_value(report).unwrap_or_default();
    screen.show(&answer, |screen| {
        for operation in &report.operations {
            show_operation(operation, screen)?;
        }
        if !report.left_behind.is_empty() {
            screen.line("Left behind, since nothing could undo it:")?;
            for saga in &report.left_behind {
                screen.line(&format!("  {saga}"))?;
            }
            screen.line("")?;
        }
        screen.line(&summary(report))
    })
}

fn show_operation(operation: &OperationReport, screen: &mut Screen) -> Result<(), Failure> {
    let OperationReport { step, participant, urls, operations, effect, .. } = operation;
    screen.line(&format!("{step}: {}", operations.join(", ")))?;
    screen.line(&format!("  {participant} at {}", urls.join(", ")))?;
    screen.line(&match effect {
        Some(effect) => format!("  effects are seen by {effect}"),
        None => "  effects can't be seen, so answers alone are judged; show them with --effect"
            .to_owned(),
    })?;
    screen.line("")?;
    let (left_out, probed): (Vec<&PointReport>, Vec<&PointReport>) =
        operation.points.iter().partition(|point| point.verdict == Verdict::Skipped);
    let is_seen =
        |point: &&&PointReport| point.verdict != Verdict::Unknown || !point.seen.is_empty();
    let rows = probed.iter().filter(is_seen).map(|point| row(point)).collect();
    screen.table(&["result", "point", "done", "expected", "seen"], rows, "nothing was probed")?;
    screen.line("")?;
    for point in probed.iter().filter(|point| point.verdict == Verdict::Fail) {
        screen.line(&format!("  {}: {}.", point.point.as_str(), text(point.why.as_deref())))?;
        screen.line(&format!("    {}", text(point.advice)))?;
    }
    show_grouped("not judged", probed.iter().copied(), Verdict::Unknown, screen)?;
    show_grouped("left out", left_out.iter().copied(), Verdict::Skipped, screen)?;
    screen.line("")
}

/// Points with the same reason stand on one line.
fn show_grouped<'a>(
    title: &str,
    points: impl Iterator<Item = &'a PointReport>,
    verdict: Verdict,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for point in points.filter(|point| point.verdict == verdict) {
        groups.entry(text(point.why.as_deref())).or_default().push(point.point.as_str());
    }
    for (why, names) in groups {
        screen.line(&format!("  {title}: {} ({why})", names.join(", ")))?;
    }
    Ok(())
}

fn row(point: &PointReport) -> Vec<Cell> {
    vec![
        result(point.verdict),
        cell(point.point.as_str()),
        cell(point.done),
        cell(point.expected),
        cell(&point.seen),
    ]
}

fn result(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Pass => cell("pass").fg(Color::Green),
        Verdict::AnswersOnly => cell("answers").fg(Color::Cyan),
        Verdict::Fail => cell("FAIL").fg(Color::Red).add_attribute(Attribute::Bold),
        Verdict::Unknown => cell("unknown").fg(Color::Yellow),
        Verdict::Skipped => cell("left out"),
    }
}

fn summary(report: &Report) -> String {
    let summary = report.summary;
    let counts = [
        (summary.pass, "passed"),
        (summary.answers_only, "right as far as answers show"),
        (summary.fail, "failed"),
        (summary.unknown, "not judged"),
        (summary.skipped, "left out"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("{}: {}", report.run, counts.join(", "))
}

fn text(text: Option<&str>) -> &str {
    text.unwrap_or_default()
}
