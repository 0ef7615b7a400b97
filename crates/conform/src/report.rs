//! The report: what was done, expected and seen, and what to do about it.

use serde::Serialize;

use crate::point::Point;

/// What a point came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Answers and effects are as the contract says.
    Pass,
    /// The answers are; effects could not be seen.
    AnswersOnly,
    /// Something is not.
    Fail,
    /// It could not be judged.
    Unknown,
    /// It does not apply, or was not asked for.
    Skipped,
}

/// One point of one operation.
#[derive(Clone, Debug, Serialize)]
pub struct PointReport {
    /// Which.
    pub point: Point,
    /// What was done.
    pub done: &'static str,
    /// What the contract expects.
    pub expected: &'static str,
    /// What was seen.
    pub seen: String,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it is no pass.
    pub why: Option<String>,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

/// One step's operations.
#[derive(Clone, Debug, Serialize)]
pub struct OperationReport {
    /// The step's id.
    pub step: String,
    /// The participant's name.
    pub participant: String,
    /// Its base URLs.
    pub urls: Vec<String>,
    /// Its operations, such as `action POST /reservations`.
    pub operations: Vec<String>,
    /// How effects were seen; none where they were not.
    pub effect: Option<String>,
    /// Each point in turn.
    pub points: Vec<PointReport>,
}

/// How many points came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Passed.
    pub pass: u32,
    /// Passed as far as answers show.
    pub answers_only: u32,
    /// Failed.
    pub fail: u32,
    /// Not to be judged.
    pub unknown: u32,
    /// Left out.
    pub skipped: u32,
}

/// Everything that a run has found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the ids of its sandbox sagas begin with.
    pub run: String,
    /// Whether nothing failed and nothing was unclear.
    pub passed: bool,
    /// How many points came to what.
    pub summary: Summary,
    /// Each step that was probed.
    pub operations: Vec<OperationReport>,
    /// Sandbox sagas whose effect may still be there, each with why.
    pub left_behind: Vec<String>,
}

impl Report {
    /// Of the operations of run `run`, some of whose sagas were left behind.
    pub fn new(run: String, operations: Vec<OperationReport>, left_behind: Vec<String>) -> Self {
        let mut summary = Summary::default();
        for point in operations.iter().flat_map(|operation| &operation.points) {
            *match point.verdict {
                Verdict::Pass => &mut summary.pass,
                Verdict::AnswersOnly => &mut summary.answers_only,
                Verdict::Fail => &mut summary.fail,
                Verdict::Unknown => &mut summary.unknown,
                Verdict::Skipped => &mut summary.skipped,
            } += 1;
        }
        let judged = summary.pass + summary.answers_only > 0;
        let passed = judged && summary.fail == 0 && summary.unknown == 0;
        Self { run, passed, summary, operations, left_behind }
    }
}
