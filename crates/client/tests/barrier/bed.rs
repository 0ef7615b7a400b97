//! What a case needs of a store and a form.

use amends_client::barrier::{Error, Forward};
use amends_client::participant::{Answer, Call, FencingToken, Op};
use serde_json::json;

/// A store in one of the two forms, fresh for one case.
pub(crate) trait Bed {
    /// The right to work and to settle.
    type Turn;
    /// Whether work and barrier end together.
    const IN_TRANSACTION: bool;

    /// Lets a call in.
    async fn enter(&self, call: Call) -> Result<Entered<Self::Turn>, Error>;
    /// Does the work that has this name, unless an earlier attempt is known to have done it.
    async fn work(&self, turn: &mut Self::Turn, effect: &str);
    /// Ends the work by an answer.
    async fn settle(&self, turn: Self::Turn, answer: Answer) -> Result<Answer, Error>;
    /// What the turn's undo is told.
    fn forward(&self, turn: &Self::Turn) -> Option<Forward>;
    /// The process dies here.
    async fn crash(&self, turn: Self::Turn);
    /// The connection dies here, if one is held.
    async fn lose_connection(&self, turn: Self::Turn);
    /// How often the work with this name took effect.
    async fn effects(&self, effect: &str) -> i64;
    /// Lets the time pass for which turns are held.
    async fn let_holds_pass(&self);
}

/// What a call met.
#[derive(Debug)]
pub(crate) enum Entered<T> {
    /// Its turn.
    Run(T),
    /// An answer.
    Settled(Answer),
}

impl<T> Entered<T> {
    /// The turn.
    #[track_caller]
    pub(crate) fn turn(self) -> T {
        match self {
            Self::Run(turn) => turn,
            Self::Settled(answer) => panic!("it does not run, it is answered {answer:?}"),
        }
    }

    /// The answer.
    #[track_caller]
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Settled(answer) => answer,
            Self::Run(_) => panic!("it runs"),
        }
    }
}

/// A call of the step `charge` of a saga.
pub(crate) fn call(saga: &str, op: Op) -> Call {
    Call {
        saga: saga.to_owned(),
        step: "charge".to_owned(),
        op,
        attempt: 1,
        forward_outcome: None,
        fencing_tokens: Vec::new(),
        deadline: None,
        callback_url: None,
    }
}

/// A call under lock keys.
pub(crate) fn fenced(saga: &str, op: Op, tokens: &[(&str, i64)]) -> Call {
    let tokens = tokens.iter();
    let mut call = call(saga, op);
    call.fencing_tokens =
        tokens.map(|(key, token)| FencingToken { key: (*key).to_owned(), token: *token }).collect();
    call
}

/// The answer of work that was done.
pub(crate) fn done(effect: &str) -> Answer {
    Answer::created(json!({ "done": effect }))
}

/// A refusal of the handler's own.
pub(crate) fn no() -> Answer {
    Answer::conflict("empty-shelf", "nothing is left")
}

/// What a call's work is called.
pub(crate) fn effect_of(call: &Call) -> String {
    call.idempotency_key()
}

/// One attempt whose handler does its work.
pub(crate) async fn attempt<B: Bed>(bed: &B, call: Call) -> Result<Answer, Error> {
    let effect = effect_of(&call);
    match bed.enter(call).await? {
        Entered::Settled(answer) => Ok(answer),
        Entered::Run(mut turn) => {
            bed.work(&mut turn, &effect).await;
            bed.settle(turn, done(&effect)).await
        }
    }
}

/// One attempt whose handler gives this answer, without work.
pub(crate) async fn answered<B: Bed>(bed: &B, call: Call, answer: Answer) -> Result<Answer, Error> {
    match bed.enter(call).await? {
        Entered::Settled(answer) => Ok(answer),
        Entered::Run(turn) => bed.settle(turn, answer).await,
    }
}

/// The word for programs in a problem document.
pub(crate) fn code(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    body["code"].as_str().unwrap_or_default().to_owned()
}
