//! One saga: what it is, where it stands, how it came there, and what may be asked of it.

use amends_core::definition::{Mode, Starts, Step, StepKind};
use amends_core::saga::{Call, CallState, Decision, Op, Record, Saga};
use amends_core::{SagaId, StepIndex, Timestamp};
use amends_engine::SagaDetail;
use amends_ports::store::SagaLock;
use askama::Template;

use crate::command::{CommandForm, StepCommands, on_saga, on_steps};
use crate::filter::query_text;
use crate::graph::{Graph, whom};
use crate::journal::Entry;
use crate::look::Look;
use crate::moment::{Moment, exact, fine};
use crate::page::Frame;
use crate::payload::Payload;
use crate::saga_locks::{self, KeyRow};
use crate::step_state::{of_call, of_step, operations};
use crate::timeline::Timeline;

/// Most bytes of one payload on the page.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// Facts of a page of the journal.
pub(crate) const JOURNAL_FACTS: u64 = 100;

#[derive(Debug, Template)]
#[template(path = "saga.html")]
pub(crate) struct SagaPage {
    frame: Frame,
    now: Timestamp,
    id: String,
    definition: String,
    version: Option<u32>,
    is_interactive: bool,
    /// The deadline of an interactive transaction whose client has the next word.
    with_client: bool,
    client_until: Option<Moment>,
    /// The saga and the branch of it that this one is.
    parent: Option<(String, String)>,
    look: Look,
    paused: bool,
    is_ended: bool,
    explanation: String,
    notice: Option<Notice>,
    commands: Vec<CommandForm>,
    step_commands: Vec<StepCommands>,
    took: String,
    times: Vec<(&'static str, Moment)>,
    decision: &'static str,
    reason: String,
    keys: Vec<KeyRow>,
    labels: Vec<(String, String)>,
    trace_id: String,
    fact_count: u64,
    graph: Graph,
    timeline: Timeline,
    timeline_from: u64,
    steps: Vec<StepRow>,
    payloads: Vec<(&'static str, Payload)>,
    end_problem: String,
    journal: Vec<Entry>,
    journal_pages: Vec<(&'static str, String)>,
    refresh_link: String,
}

/// What became of what somebody asked.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) tone: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) text: String,
}

/// A part of a journal with the number of its first fact.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) from: u64,
    pub(crate) records: Vec<Record>,
}

/// What a page is made from.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) detail: SagaDetail,
    /// The newest facts, for the timeline.
    pub(crate) newest: Part,
    /// The page of the journal that was asked for.
    pub(crate) journal: Part,
    /// Whether that page was asked for by number, rather than the newest one.
    pub(crate) is_numbered: bool,
    pub(crate) notice: Option<Notice>,
    /// The lock keys that it has or waits for.
    pub(crate) locks: Vec<SagaLock>,
}

#[derive(Debug)]
struct StepRow {
    id: String,
    participant: String,
    /// The saga that the step is.
    nested: String,
    look: Look,
    marks: Vec<&'static str>,
    calls: Vec<CallLine>,
    problems: Vec<ProblemLine>,
    output: Option<Payload>,
}

#[derive(Debug)]
struct CallLine {
    op: &'static str,
    look: Look,
    is_idle: bool,
    words: String,
}

#[derive(Debug)]
struct ProblemLine {
    op: &'static str,
    words: String,
    body: Option<Payload>,
}

impl SagaPage {
    /// The page of a saga as it is at the time `now`.
    pub(crate) fn new(frame: Frame, now: Timestamp, shown: Shown) -> Self {
        let saga = &*shown.detail.saga;
        let (definition, accepted) = (saga.definition(), saga.accepted());
        let until = saga.ended_at().unwrap_or(now);
        let origin = saga.accepted_at();
        let entries = (shown.journal.from..).zip(&shown.journal.records);
        Self {
            now,
            id: saga.id().to_string(),
            definition: accepted.definition_name.to_string(),
            version: accepted.definition_version,
            is_interactive: saga.mode() == Mode::Interactive,
            with_client: saga.waits_for_client(),
            client_until: saga
                .deadline_at()
                .filter(|_| saga.waits_for_client() && !saga.is_past_deadline())
                .map(|at| Moment::new(at, now)),
            parent: accepted
                .parent
                .as_ref()
                .map(|parent| (parent.saga_id.to_string(), parent.branch.to_string())),
            look: Look::of_status(saga.status()),
            paused: saga.is_paused() && !saga.status().is_terminal(),
            is_ended: saga.status().is_terminal(),
            explanation: amends_engine::explain(saga, &shown.locks),
            commands: on_saga(saga, now),
            step_commands: on_steps(saga),
            took: fine(until.since(origin)),
            times: times(saga, shown.detail.updated_at, now),
            decision: saga.decision().map_or("", Decision::as_str),
            reason: saga.reason().unwrap_or_default().to_owned(),
            keys: saga_locks::rows(saga, &shown.locks),
            labels: labels(saga),
            trace_id: trace_id(accepted.traceparent.as_deref()),
            fact_count: saga.fact_count(),
            graph: Graph::new(saga),
            timeline: Timeline::new(definition, &shown.newest.records, now),
            timeline_from: shown.newest.from,
            steps: definition.indices().map(|index| StepRow::new(saga, index, now)).collect(),
            payloads: payloads(saga),
            end_problem: saga
                .end_problem()
                .map(|problem| problem.detail.clone())
                .unwrap_or_default(),
            journal: entries
                .map(|(seq, record)| Entry::new(definition, origin, seq, record))
                .collect(),
            journal_pages: journal_pages(saga.id(), &shown.journal, saga.fact_count()),
            refresh_link: if shown.is_numbered {
                journal_link(saga.id(), shown.journal.from)
            } else {
                format!("/console/sagas/{}", saga.id())
            },
            notice: shown.notice,
            frame,
        }
    }
}

fn times(saga: &Saga, updated_at: Timestamp, now: Timestamp) -> Vec<(&'static str, Moment)> {
    let accepted = saga.accepted();
    let ended = saga.ended_at();
    let start = accepted.start_at.filter(|at| *at > saga.accepted_at());
    let deadline = saga.deadline_at().filter(|_| ended.is_none());
    let all = [
        ("Accepted", Some(saga.accepted_at())),
        ("Starts", start.filter(|at| *at > now)),
        ("Deadline", deadline),
        ("Last change", Some(updated_at).filter(|_| ended.is_none())),
        ("Ended", ended),
    ];
    all.into_iter().filter_map(|(name, at)| Some((name, Moment::new(at?, now)))).collect()
}

fn labels(saga: &Saga) -> Vec<(String, String)> {
    let link = |text: &str| format!("/console/sagas?label={}", query_text(text));
    let labels = saga.accepted().labels.iter().map(|(name, value)| format!("{name}:{value}"));
    labels.map(|text| (text.clone(), link(&text))).collect()
}

/// The second field of a `traceparent` (W3C Trace Context, section 3.2).
fn trace_id(traceparent: Option<&str>) -> String {
    traceparent.and_then(|text| text.split('-').nth(1)).unwrap_or_default().to_owned()
}

fn payloads(saga: &Saga) -> Vec<(&'static str, Payload)> {
    let input = ("input", Payload::new(&saga.accepted().input, PAYLOAD_BYTES_MAX));
    let output = saga.output().map(|output| ("output", Payload::new(output, PAYLOAD_BYTES_MAX)));
    [Some(input), output].into_iter().flatten().collect()
}

fn journal_link(id: &SagaId, from: u64) -> String {
    format!("/console/sagas/{id}?journal={from}")
}

fn journal_pages(id: &SagaId, shown: &Part, count: u64) -> Vec<(&'static str, String)> {
    let end = shown.from + u64::try_from(shown.records.len()).unwrap_or(0);
    let link = |from: u64| format!("{}#journal", journal_link(id, from));
    let mut pages = Vec::new();
    if shown.from > 0 {
        pages.push(("First", link(0)));
        pages.push(("Earlier", link(shown.from.saturating_sub(JOURNAL_FACTS))));
    }
    if end < count {
        pages.push(("Later", link(end)));
        pages.push(("Newest", format!("/console/sagas/{id}#journal")));
    }
    pages
}

impl StepRow {
    fn new(saga: &Saga, index: StepIndex, now: Timestamp) -> Self {
        let (step, state) = (saga.definition().step(index), saga.step(index));
        let ops = operations(saga, index);
        let nested = step.nested.as_ref();
        Self {
            id: step.id.to_string(),
            participant: whom(step).to_owned(),
            nested: nested.map(|nested| nested.saga_id.to_string()).unwrap_or_default(),
            look: of_step(saga, index),
            marks: marks(step),
            calls: ops.iter().map(|op| CallLine::new(step, *op, state.call(*op), now)).collect(),
            problems: ops.iter().filter_map(|op| ProblemLine::new(*op, state.call(*op))).collect(),
            output: state
                .forward
                .output
                .as_ref()
                .map(|output| Payload::new(output, PAYLOAD_BYTES_MAX)),
        }
    }
}

/// What is particular to a step, in words.
fn marks(step: &Step) -> Vec<&'static str> {
    let is_nested = step.nested.is_some();
    let marks = [
        (step.starts == Starts::ByClient, "called by the client"),
        (step.starts == Starts::AfterCommit, "message"),
        (step.starts == Starts::WhenSilent, "check-back"),
        (is_nested, "nested saga"),
        (step.pivot && step.starts != Starts::WhenSilent, "pivot"),
        (step.kind == StepKind::Tcc && !is_nested, "TCC"),
        (step.optional, "optional"),
        (step.when.is_some(), "conditional"),
        (step.undo.is_none() && step.starts == Starts::InOrder, "no undo"),
    ];
    marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word).collect()
}

impl CallLine {
    fn new(step: &Step, op: Op, call: &Call, now: Timestamp) -> Self {
        let look = of_call(step, op, &call.state);
        let attempts = match (call.attempts, &call.state) {
            (0, _) | (1, CallState::Succeeded) => None,
            (1, _) => Some("1 attempt".to_owned()),
            (attempts, _) => Some(format!("{attempts} attempts")),
        };
        let next = match &call.state {
            CallState::Waiting { until } => Some(("next attempt", *until)),
            CallState::Pending { until, .. } => Some(("awaited until", *until)),
            CallState::Stuck { until: Some(until) } => Some(("tried again", *until)),
            CallState::Stuck { until: None }
            | CallState::Idle
            | CallState::InFlight
            | CallState::Failed
            | CallState::Succeeded
            | CallState::Refused
            | CallState::GivenUp => None,
        };
        let next = next.map(|(what, until)| {
            format!("{what} {} ({})", Moment::new(until, now).relative, exact(until))
        });
        let words = [Some(look.word.to_owned()), attempts, next];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Self { op: op.as_str(), look, is_idle: call.state == CallState::Idle, words }
    }
}

impl ProblemLine {
    fn new(op: Op, call: &Call) -> Option<Self> {
        let problem = call.problem.as_ref()?;
        let status = problem.status.map(|status| format!(" {status}")).unwrap_or_default();
        let kind = problem.kind.as_str().replace('_', " ");
        Some(Self {
            op: op.as_str(),
            words: format!("{kind}{status}: {}", problem.detail),
            body: problem.body.as_ref().map(|body| Payload::new(body, PAYLOAD_BYTES_MAX)),
        })
    }
}
