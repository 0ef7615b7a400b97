//! From a journal to a chart: a row for each call with its attempts, waits and ends.

use std::time::Duration;

use amends_core::definition::{Branch, Definition};
use amends_core::saga::{Decision, Event, Op, OutcomeKind, Record};
use amends_core::{StepIndex, Timestamp};

use crate::look::Look;
use crate::moment::fine;
use crate::scale::Scale;

/// Ticks closer than this (in ten-thousandths of the axis) would run into each other.
const TICKS_APART: u64 = 900;

/// The chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) rows: Vec<Row>,
    /// Decision, cancel, pause, takeover.
    pub(crate) marks: Vec<Mark>,
    pub(crate) ticks: Vec<Mark>,
    /// Silences that are drawn shorter than they were.
    pub(crate) cuts: Vec<Bar>,
    /// From the first fact to the last, or to now.
    pub(crate) total: String,
}

/// What happened to one call, or to the saga in its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) step: String,
    pub(crate) op: &'static str,
    pub(crate) bars: Vec<Bar>,
    /// `2 attempts · 31 ms`.
    pub(crate) summary: String,
}

/// One span of a row; `x` and `width` are percentages of the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) width: String,
    /// Right end, as a percentage.
    pub(crate) end: String,
    /// `attempt`, `pending`, `wait`, `stuck` or `queue`.
    pub(crate) kind: &'static str,
    pub(crate) look: Look,
    pub(crate) is_open: bool,
    pub(crate) title: String,
}

/// A moment on the axis; `x` is a percentage of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) x: String,
    pub(crate) tone: &'static str,
    /// Which way its text goes, so that it stays in the picture: `start` or `end`.
    pub(crate) anchor: &'static str,
    pub(crate) text: String,
    /// Time since the start of the axis.
    pub(crate) when: String,
}

/// A span in real time.
#[derive(Clone, Debug)]
struct Piece {
    kind: &'static str,
    from: Timestamp,
    to: Option<Timestamp>,
    look: Look,
    text: String,
}

#[derive(Debug)]
struct Line {
    call: Option<(StepIndex, Op)>,
    pieces: Vec<Piece>,
}

impl Line {
    fn close(&mut self, at: Timestamp) {
        for piece in self.pieces.iter_mut().filter(|piece| piece.to.is_none()) {
            piece.to = Some(at);
        }
    }

    fn open(&mut self, kind: &'static str, from: Timestamp, look: Look, text: String) {
        self.close(from);
        self.pieces.push(Piece { kind, from, to: None, look, text });
    }
}

impl Timeline {
    /// The chart of `records` as it is at the time `now`. The records may be the end of a journal.
    pub(crate) fn new(definition: &Definition, records: &[Record], now: Timestamp) -> Self {
        let mut facts = Facts::default();
        for record in records {
            facts.take(record);
            if let Event::BranchEnlisted { branch } = &record.event {
                facts.enlisted(definition, branch, record.at);
            }
        }
        let from = records.first().map_or(now, |record| record.at);
        let last = records.iter().map(|record| record.at).max().unwrap_or(now);
        let to = if facts.is_ended { last } else { last.max(now) };
        let pieces = facts.lines.iter().flat_map(|line| &line.pieces);
        let busy: Vec<_> = pieces
            .filter(|piece| matches!(piece.kind, "attempt" | "pending"))
            .map(|piece| (piece.from, piece.to.unwrap_or(to)))
            .collect();
        let scale = Scale::new(from, to, &busy);
        let row = |line: &Line| line.row(definition, &scale, to);
        let mark = |place: u64, tone, text, when| Mark {
            x: percent(place),
            tone,
            anchor: if place > 7_000 { "end" } else { "start" },
            text,
            when,
        };
        let cuts = scale.cuts().into_iter().map(|(x, width, length)| Bar {
            x: percent(x),
            width: percent(width),
            end: percent(x + width),
            kind: "cut",
            look: Look::new("idle", "dot", "quiet"),
            is_open: false,
            title: format!("{} without a call in flight, drawn short", fine(length)),
        });
        // Their words stand to the right of the tick, so one at the end would be cut off.
        let ticks =
            scale.ticks(TICKS_APART).into_iter().filter(|(x, _)| *x <= 10_000 - TICKS_APART);
        Self {
            rows: facts.lines.iter().map(row).collect(),
            marks: facts
                .marks
                .into_iter()
                .map(|(at, tone, text)| {
                    mark(scale.place(at), tone, text, format!("+{}", fine(at.since(from))))
                })
                .collect(),
            ticks: ticks
                .map(|(x, offset)| Mark {
                    anchor: "start",
                    ..mark(x, "idle", fine_tick(offset), String::new())
                })
                .collect(),
            cuts: cuts.collect(),
            total: fine(to.since(from)),
        }
    }
}

/// What the records say so far.
#[derive(Debug, Default)]
struct Facts {
    lines: Vec<Line>,
    marks: Vec<(Timestamp, &'static str, String)>,
    /// Calls that the client makes, before the decision.
    with_client: Vec<(StepIndex, Op)>,
    is_ended: bool,
}

impl Facts {
    fn line(&mut self, call: Option<(StepIndex, Op)>) -> &mut Line {
        let index = self.lines.iter().position(|line| line.call == call).unwrap_or_else(|| {
            self.lines.push(Line { call, pieces: Vec::new() });
            self.lines.len() - 1
        });
        &mut self.lines[index]
    }

    fn mark(&mut self, at: Timestamp, tone: &'static str, text: &str) {
        self.marks.push((at, tone, text.to_owned()));
    }

    /// What the client calls itself is with the client until the decision.
    fn enlisted(&mut self, definition: &Definition, branch: &Branch, at: Timestamp) {
        if let (Some(step), Some(op)) =
            (definition.index_of(branch.id.as_str()), branch.client_op())
        {
            self.with_client.push((step, op));
            let look = Look::new("active", "person", "with client");
            let text = "with the client".to_owned();
            self.line(Some((step, op))).open("pending", at, look, text);
        }
    }

    fn decided(&mut self, at: Timestamp, tone: &'static str, text: &str) {
        for call in std::mem::take(&mut self.with_client) {
            self.line(Some(call)).close(at);
        }
        self.mark(at, tone, text);
    }

    fn take(&mut self, record: &Record) {
        let at = record.at;
        match &record.event {
            Event::Accepted(accepted) => {
                if !accepted.lock_keys.is_empty() || accepted.start_at.is_some() {
                    let look = Look::new("idle", "clock", "queued");
                    self.line(None).open("queue", at, look, "in the queue".to_owned());
                }
            }
            Event::Started => {
                if !self.lines.is_empty() {
                    self.line(None).close(at);
                }
            }
            Event::CallStarted { step, op, attempt } => {
                let text = format!("attempt {attempt}");
                let look = Look::of_open_attempt(*op);
                self.line(Some((*step, *op))).open("attempt", at, look, text);
            }
            Event::CallAnswered { step, op, answer, .. } => {
                let detail = answer.problem.as_ref().map(|problem| problem.detail.as_str());
                self.line(Some((*step, *op))).answered(at, answer.outcome, detail);
            }
            Event::CallPending { step, op, .. } => {
                let look = Look::of_outcome(OutcomeKind::Pending);
                let text = "waits to be completed".to_owned();
                self.line(Some((*step, *op))).open("pending", at, look, text);
            }
            Event::RetryScheduled { step, op, until } => {
                let look = Look::new("warn", "retry", "waits");
                let text = format!("waits {} for the next attempt", fine(until.since(at)));
                self.line(Some((*step, *op))).open("wait", at, look, text);
            }
            Event::CallStuck { step, op, .. } => {
                let look = Look::new("bad", "alert", "stuck");
                let text = "needs an operator".to_owned();
                self.line(Some((*step, *op))).open("stuck", at, look, text);
            }
            Event::CallResolved { step, op, succeeded, .. } => {
                let outcome =
                    if *succeeded { OutcomeKind::Succeeded } else { OutcomeKind::Refused };
                let text = "resolved by an operator".to_owned();
                let line = self.line(Some((*step, *op)));
                line.open("attempt", at, Look::of_outcome(outcome), text);
                line.close(at);
            }
            Event::CallGivenUp { step, op } => self.line(Some((*step, *op))).close(at),
            Event::Decided { decision: Decision::Commit, .. } => {
                self.decided(at, "good", "commit");
            }
            Event::Decided { decision: Decision::Abort, .. } => {
                self.decided(at, "undo", "abort");
            }
            Event::CommitRequested { .. } => self.mark(at, "good", "commit asked"),
            Event::DeadlineExtended { .. } => self.mark(at, "idle", "more time"),
            Event::LockReleased { .. } => self.mark(at, "warn", "lock keys taken away"),
            Event::DeadlinePassed => self.mark(at, "warn", "deadline"),
            Event::LockWaitPassed => self.mark(at, "warn", "waited too long"),
            Event::CancelRequested { .. } => self.mark(at, "undo", "cancel asked"),
            Event::Paused { .. } => self.mark(at, "idle", "paused"),
            Event::Resumed { .. } => self.mark(at, "idle", "resumed"),
            Event::Recovered { .. } => self.mark(at, "warn", "taken over"),
            Event::Ended { .. } => {
                self.is_ended = true;
                for line in &mut self.lines {
                    line.close(at);
                }
            }
            Event::LockGranted { .. }
            | Event::BranchEnlisted { .. }
            | Event::StepSkipped { .. }
            | Event::RetryForced { .. } => {}
        }
    }
}

impl Line {
    /// Ends what is open with this outcome; an answer whose start is not in the records, or that
    /// never left, is a moment of its own.
    fn answered(&mut self, at: Timestamp, outcome: OutcomeKind, detail: Option<&str>) {
        let look = Look::of_outcome(outcome);
        if !self.pieces.iter().any(|piece| piece.to.is_none()) {
            self.open("attempt", at, look, "not sent".to_owned());
        }
        self.close(at);
        if let Some(piece) = self.pieces.last_mut() {
            piece.look = look;
            piece.text.push_str(", ");
            piece.text.push_str(look.word);
            if let Some(detail) = detail {
                piece.text.push_str(": ");
                piece.text.push_str(detail);
            }
        }
    }

    fn row(&self, definition: &Definition, scale: &Scale, end: Timestamp) -> Row {
        let bars = self.pieces.iter().map(|piece| {
            let to = piece.to.unwrap_or(end);
            let (x, right) = (scale.place(piece.from), scale.place(to));
            Bar {
                x: percent(x),
                width: percent(right - x),
                end: percent(right),
                kind: piece.kind,
                look: piece.look,
                is_open: piece.to.is_none(),
                title: format!("{} ({})", piece.text, fine(to.since(piece.from))),
            }
        });
        let bars = bars.collect();
        let spent = |kinds: &[&str]| -> Duration {
            let pieces = self.pieces.iter().filter(|piece| kinds.contains(&piece.kind));
            pieces.map(|piece| piece.to.unwrap_or(end).since(piece.from)).sum()
        };
        let Some((step, op)) = self.call else {
            let summary = fine(spent(&["queue"]));
            return Row { step: "queue".to_owned(), op: "", bars, summary };
        };
        let attempts = self.pieces.iter().filter(|piece| piece.kind == "attempt").count();
        let mut summary = fine(spent(&["attempt", "pending"]));
        if attempts > 1 {
            summary = format!("{attempts} attempts · {summary}");
        }
        Row { step: definition.step(step).id.to_string(), op: op.as_str(), bars, summary }
    }
}

fn percent(ten_thousandths: u64) -> String {
    format!("{}.{:02}%", ten_thousandths / 100, ten_thousandths % 100)
}

/// A round number needs no fraction.
fn fine_tick(offset: Duration) -> String {
    fine(offset).replace(".00 s", " s").replace(".0 ms", " ms").replace(" min 0 s", " min")
}
