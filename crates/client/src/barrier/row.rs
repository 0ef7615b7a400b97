//! A row of the barrier: what is known of one operation of one step.

use http::StatusCode;

use super::told;
use crate::participant::{Answer, Call, Op};

/// What a row is found by.
#[derive(Clone, Copy, Debug)]
pub struct Key<'c> {
    pub(crate) saga: &'c str,
    pub(crate) step: &'c str,
    pub(crate) op: Op,
}

impl<'c> Key<'c> {
    pub(crate) fn new(call: &'c Call, op: Op) -> Self {
        Self { saga: &call.saga, step: &call.step, op }
    }
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It was let in and has not been settled.
    Started,
    /// It took effect.
    Succeeded,
    /// The handler refused it.
    Refused,
    /// A forward operation whose undo came before it was settled: it is too late.
    Undone,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Undone => "undone",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Started, Self::Succeeded, Self::Refused, Self::Undone];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

/// What is written into a row.
#[derive(Clone, Copy, Debug)]
pub struct Content<'c> {
    pub(crate) state: State,
    pub(crate) answer: Option<&'c Answer>,
    /// How long nobody else may take a started operation over.
    pub(crate) hold_ms: i64,
}

impl<'c> Content<'c> {
    pub(crate) fn started(hold_ms: i64) -> Self {
        Self { state: State::Started, answer: None, hold_ms }
    }

    pub(crate) fn undone() -> Self {
        Self { state: State::Undone, answer: None, hold_ms: 0 }
    }

    pub(crate) fn settled(state: State, answer: &'c Answer) -> Self {
        Self { state, answer: Some(answer), hold_ms: 0 }
    }

    pub(crate) fn status(&self) -> Option<i32> {
        self.answer.map(|answer| i32::from(answer.status.as_u16()))
    }

    pub(crate) fn content_type(&self) -> Option<&'c str> {
        self.answer.and_then(|answer| answer.content_type.as_deref())
    }

    pub(crate) fn body(&self) -> Option<&'c [u8]> {
        self.answer.map(|answer| &*answer.body)
    }
}

/// A row as the database has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub(crate) state: State,
    pub(crate) answer: Option<Answer>,
    /// How often it was started; whoever settles must have been the last.
    pub(crate) round: i64,
    /// How long it is held yet; not above 0 if anybody may take it over.
    pub(crate) held_ms: i64,
}

/// The columns of a row, in the order of every dialect's query.
pub(crate) type Columns = (String, Option<i32>, Option<String>, Option<Vec<u8>>, i64, i64);

impl Row {
    pub(crate) fn from_columns(columns: Columns) -> sqlx::Result<Self> {
        let (state, status, content_type, body, round, held_ms) = columns;
        let state = State::from_word(&state)
            .ok_or_else(|| sqlx::Error::Decode(format!("no state is named {state:?}").into()))?;
        let status = status.map(|status| {
            let status =
                u16::try_from(status).ok().and_then(|code| StatusCode::from_u16(code).ok());
            status.ok_or_else(|| sqlx::Error::Decode("a recorded status is out of range".into()))
        });
        let answer = status.transpose()?.map(|status| Answer {
            status,
            content_type,
            body: body.unwrap_or_default().into(),
        });
        Ok(Self { state, answer, round, held_ms })
    }

    /// What a repetition is answered; none while it is not settled.
    pub(crate) fn told(self) -> Option<Answer> {
        match self.state {
            State::Started => None,
            State::Undone => Some(told::undone_before()),
            State::Succeeded | State::Refused => self.answer,
        }
    }
}
