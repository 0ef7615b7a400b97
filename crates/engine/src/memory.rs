//! Memory that sagas take: about what it is, counted as they grow and go, so that new ones can be
//! refused before there is none left.
//!
//! What is under way always gets what it needs. Not counted: answers on their way to a saga, which
//! are bounded in number and length, and what is kept of definitions, which has its own bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amends_core::Json;
use amends_core::definition::{Branch, BranchCall, BranchWork};
use amends_core::saga::{Call, Saga};

use crate::kept;

/// What a saga takes besides its payloads: its task, its queue of messages, its state.
const SAGA_BYTES: usize = 4 * 1024;

/// What a step or branch takes besides its payloads.
const STEP_BYTES: usize = 512;

/// What becomes of a byte of JSON: it is kept as text and, once an expression has asked for it, as
/// a value. From two for long texts to twenty for lists of small numbers.
const BYTES_PER_BYTE: usize = 4;

/// What all sagas take that are in memory here, or on their way there.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    taken: Arc<AtomicUsize>,
}

/// What one of them takes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    taken: Arc<AtomicUsize>,
    /// Of the definition, which does not change.
    definition: usize,
    bytes: usize,
}

impl Memory {
    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes what a new saga with this input needs, up to `bytes_max` in all; a lone one is always
    /// let in.
    pub(crate) fn admit(&self, input: &Json, bytes_max: usize) -> Option<Share> {
        let share = self.reserve(input);
        (self.taken() <= bytes_max.max(share.bytes)).then_some(share)
    }

    /// Takes what a new saga with this input needs, whatever is taken already.
    pub(crate) fn reserve(&self, input: &Json) -> Share {
        self.share(0, SAGA_BYTES + of_json(input))
    }

    /// Takes what a saga needs that is driven from now on.
    pub(crate) fn hold(&self, saga: &Saga) -> Share {
        let definition = saga.definition();
        // It is shared with all sagas that run it just now, and is kept for others.
        let users = Arc::strong_count(definition).max(1);
        let definition = kept::estimate(definition.source.as_str()) / users;
        self.share(definition, definition + of_saga(saga))
    }

    fn share(&self, definition: usize, bytes: usize) -> Share {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Share { taken: Arc::clone(&self.taken), definition, bytes }
    }
}

impl Share {
    /// Counts what the saga takes by now.
    pub(crate) fn update(&mut self, saga: &Saga) {
        let bytes = self.definition + of_saga(saga);
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn of_saga(saga: &Saga) -> usize {
    let steps = saga.steps().iter();
    let calls = steps.flat_map(|step| [&step.forward, &step.confirm, &step.undo]);
    SAGA_BYTES
        + of_json(&saga.accepted().input)
        + saga.steps().len() * STEP_BYTES
        + calls.map(of_call).sum::<usize>()
        + saga.branches().iter().map(of_branch).sum::<usize>()
}

fn of_call(call: &Call) -> usize {
    let problem = call.problem.as_ref();
    call.output.as_ref().map_or(0, of_json)
        + problem.map_or(0, |own| own.detail.len() + own.body.as_ref().map_or(0, of_json))
}

fn of_branch(branch: &Branch) -> usize {
    let of = |call: &BranchCall| call.path.len() + call.body.as_ref().map_or(0, of_json);
    match &branch.work {
        BranchWork::Compensation { compensation, .. } => of(compensation),
        BranchWork::Tcc { confirm, cancel, .. } => of(confirm) + of(cancel),
        BranchWork::Message { action, .. } => of(action),
        BranchWork::Saga(nested) => of_json(&nested.input),
    }
}

fn of_json(json: &Json) -> usize {
    json.as_str().len() * BYTES_PER_BYTE
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn json(bytes: usize) -> Json {
        Json::parse(&format!("{:?}", "x".repeat(bytes - 2))).unwrap()
    }

    #[test]
    fn what_is_taken_is_given_back_and_never_passes_the_bound() {
        let memory = Memory::default();
        let mut shares = Vec::new();
        while let Some(share) = memory.admit(&json(KIB), 100 * KIB) {
            shares.push(share);
            assert!(memory.taken() <= 100 * KIB);
        }
        assert_eq!(shares.len(), 100 / 8);
        let under_way = memory.reserve(&json(100 * KIB));
        assert!(memory.taken() > 400 * KIB);
        drop((shares, under_way));
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn a_lone_saga_is_let_in_whatever_it_takes() {
        let memory = Memory::default();
        let alone = memory.admit(&json(100 * KIB), 10 * KIB).unwrap();
        assert!(memory.admit(&json(KIB), 10 * KIB).is_none());
        drop(alone);
        assert!(memory.admit(&json(KIB), 10 * KIB).is_some());
    }
}
