//! The picture of a saga's steps: an SVG made here, and the same as a list.

use amends_core::definition::{Step, StepKind};
use amends_core::saga::{CallState, Decision, Op, Saga};
use askama::Template;

use crate::layout::{BOX_HEIGHT, BOX_WIDTH, Direction, layout};
use crate::look::Look;
use crate::step_state::{of_call, of_step, operations};

/// Most characters of a step's name that fit into its box.
const NAME_CHARS_MAX: usize = 20;
/// Most characters of the line below it.
const LINE_CHARS_MAX: usize = 29;

/// The graph of one saga, drawn once for wide and once for narrow screens.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) across: Picture,
    pub(crate) down: Picture,
    /// The same in words, in the definition's order.
    pub(crate) list: Vec<String>,
}

impl Graph {
    /// Of the steps as they stand now.
    pub(crate) fn new(saga: &Saga) -> Self {
        let list = saga.definition().indices().map(|index| sentence(saga, index)).collect();
        Self {
            across: Picture::new(saga, Direction::Across),
            down: Picture::new(saga, Direction::Down),
            list,
        }
    }
}

/// One drawing.
#[derive(Debug, Template)]
#[template(path = "graph.svg.html", ext = "html")]
pub(crate) struct Picture {
    /// Tells two drawings on a page apart.
    name: &'static str,
    width: i32,
    height: i32,
    box_width: i32,
    box_height: i32,
    nodes: Vec<Node>,
    lines: Vec<Edge>,
}

#[derive(Debug)]
struct Node {
    x: i32,
    y: i32,
    id: String,
    name: String,
    look: Look,
    line: String,
    pivot: bool,
    kind: &'static str,
    /// Confirm and undo: one after the other along the lower edge.
    after: Vec<After>,
    title: String,
}

#[derive(Debug)]
struct After {
    x: i32,
    op: &'static str,
    look: Look,
    is_idle: bool,
}

#[derive(Debug)]
struct Edge {
    path: String,
    is_taken: bool,
    is_back: bool,
}

impl Picture {
    fn new(saga: &Saga, direction: Direction) -> Self {
        let definition = saga.definition();
        let after: Vec<Vec<usize>> = definition
            .indices()
            .map(|index| definition.graph.after(index).iter().map(|step| step.get()).collect())
            .collect();
        let picture = layout(&after, direction);
        let nodes = definition
            .indices()
            .zip(&picture.corners)
            .map(|(index, (x, y))| node(saga, index, *x, *y))
            .collect();
        let is_undone = |step: usize| saga.steps()[step].undo.state != CallState::Idle;
        let is_started = |step: usize| saga.steps()[step].forward.state != CallState::Idle;
        let mut lines = Vec::new();
        for line in picture.lines {
            lines.push(Edge { path: line.forward, is_taken: is_started(line.to), is_back: false });
            let is_back = saga.decision() == Some(Decision::Abort) && is_undone(line.from);
            if is_back {
                lines.push(Edge { path: line.backward, is_taken: true, is_back });
            }
        }
        Self {
            name: match direction {
                Direction::Across => "across",
                Direction::Down => "down",
            },
            width: picture.width,
            height: picture.height,
            box_width: BOX_WIDTH,
            box_height: BOX_HEIGHT,
            nodes,
            lines,
        }
    }
}

fn node(saga: &Saga, index: amends_core::StepIndex, x: i32, y: i32) -> Node {
    let (step, state) = (saga.definition().step(index), saga.step(index));
    let look = of_step(saga, index);
    let ops = operations(saga, index);
    let mut offset = 14;
    let after = ops.iter().skip(1).map(|op| {
        let call = state.call(*op);
        let part = After {
            x: offset,
            op: op.as_str(),
            look: of_call(step, *op, &call.state),
            is_idle: call.state == CallState::Idle,
        };
        offset += if *op == Op::Confirm { 84 } else { 0 };
        part
    });
    let after = after.collect();
    let line = format!("{} · {}", look.word, whom(step));
    Node {
        x,
        y,
        id: step.id.to_string(),
        name: shortened(step.id.as_str(), NAME_CHARS_MAX),
        look,
        line: shortened(&line, LINE_CHARS_MAX),
        pivot: step.pivot,
        kind: match step.kind {
            _ if step.nested.is_some() => "saga",
            StepKind::Saga => "",
            StepKind::Tcc => "TCC",
        },
        after,
        title: sentence(saga, index),
    }
}

/// Whom a step calls; of a nested saga, its definition.
pub(crate) fn whom(step: &Step) -> &str {
    match &step.nested {
        Some(nested) => nested.definition_name.as_str(),
        None => step.participant.as_str(),
    }
}

/// A step and all that is known of it, in words.
fn sentence(saga: &Saga, index: amends_core::StepIndex) -> String {
    let definition = saga.definition();
    let step = definition.step(index);
    let mut text = format!(
        "{} ({}, {}{}{}): {}",
        step.id,
        match step.kind {
            _ if step.nested.is_some() => "nested saga",
            StepKind::Saga => "saga step",
            StepKind::Tcc => "TCC step",
        },
        whom(step),
        if step.pivot { ", pivot" } else { "" },
        if step.optional { ", optional" } else { "" },
        of_step(saga, index).word,
    );
    let after = definition.graph.after(index);
    if !after.is_empty() {
        let names: Vec<&str> =
            after.iter().map(|step| definition.step(*step).id.as_str()).collect();
        text.push_str("; after ");
        text.push_str(&names.join(", "));
    }
    for op in operations(saga, index).into_iter().skip(1) {
        let word = of_call(step, op, &saga.step(index).call(op).state).word;
        for part in ["; ", op.as_str(), " ", word] {
            text.push_str(part);
        }
    }
    text
}

fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}
