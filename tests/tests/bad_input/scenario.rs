//! A bad input that takes more than one request.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use crate::stage::Stage;

/// A story with a good end.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// Its number on the list.
    pub(crate) line: u8,
    /// What is bad.
    pub(crate) input: &'static str,
    /// The right answer, in words.
    pub(crate) answer: &'static str,
    /// Plays it; an error says what was different.
    pub(crate) run: fn(Arc<Stage>) -> LocalBoxFuture<'static, anyhow::Result<()>>,
}

/// A scenario: number, input, answer, and the function that plays it.
macro_rules! scenario {
    ($line:literal, $input:literal, $answer:literal, $run:path) => {
        $crate::scenario::Scenario {
            line: $line,
            input: $input,
            answer: $answer,
            run: |stage| Box::pin($run(stage)),
        }
    };
}

pub(crate) use scenario;
