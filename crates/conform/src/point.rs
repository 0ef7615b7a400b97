//! The points of a probe: what is done, what the contract expects, and what to do otherwise.

use serde::Serialize;

/// One thing that the contract asks of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// The operations work at all; without it nothing else can be judged.
    Works,
    /// A repeated forward call.
    RepeatedCall,
    /// A repeated undo.
    RepeatedUndo,
    /// An undo whose forward call never came.
    UndoWithoutCall,
    /// A forward call that comes after its undo.
    CallAfterUndo,
    /// A repetition of a forward call that was undone.
    LateRepetition,
    /// The same forward call several times at once.
    CallsAtOnce,
    /// The same undo several times at once.
    UndosAtOnce,
    /// A forward call whose answer is lost.
    LostAnswer,
    /// An undo whose answer is lost.
    LostUndoAnswer,
    /// An undo that comes while the forward call is still at work.
    UndoMeanwhile,
    /// A repeated confirm.
    RepeatedConfirm,
    /// A confirm after the cancel.
    ConfirmAfterCancel,
    /// A cancel after the confirm.
    CancelAfterConfirm,
    /// Fencing tokens lower and higher than one seen.
    Fencing,
    /// Headers that are unknown or unreadable.
    StrangeHeaders,
    /// Calls that are not signed, or not by us.
    Signature,
}

/// The texts of a point.
pub(crate) struct Texts {
    pub(crate) done: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) advice: &'static str,
}

impl Point {
    /// All points, in the order they are probed.
    pub const ALL: [Self; 17] = [
        Self::Works,
        Self::RepeatedCall,
        Self::RepeatedUndo,
        Self::UndoWithoutCall,
        Self::CallAfterUndo,
        Self::LateRepetition,
        Self::CallsAtOnce,
        Self::UndosAtOnce,
        Self::LostAnswer,
        Self::LostUndoAnswer,
        Self::UndoMeanwhile,
        Self::RepeatedConfirm,
        Self::ConfirmAfterCancel,
        Self::CancelAfterConfirm,
        Self::Fencing,
        Self::StrangeHeaders,
        Self::Signature,
    ];

    /// Its name, as reports write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::RepeatedCall => "repeated-call",
            Self::RepeatedUndo => "repeated-undo",
            Self::UndoWithoutCall => "undo-without-call",
            Self::CallAfterUndo => "call-after-undo",
            Self::LateRepetition => "late-repetition",
            Self::CallsAtOnce => "calls-at-once",
            Self::UndosAtOnce => "undos-at-once",
            Self::LostAnswer => "lost-answer",
            Self::LostUndoAnswer => "lost-undo-answer",
            Self::UndoMeanwhile => "undo-meanwhile",
            Self::RepeatedConfirm => "repeated-confirm",
            Self::ConfirmAfterCancel => "confirm-after-cancel",
            Self::CancelAfterConfirm => "cancel-after-confirm",
            Self::Fencing => "fencing",
            Self::StrangeHeaders => "strange-headers",
            Self::Signature => "signature",
        }
    }

    /// Whether it needs an undo.
    pub(crate) const fn needs_undo(self) -> bool {
        match self {
            Self::RepeatedUndo
            | Self::UndoWithoutCall
            | Self::CallAfterUndo
            | Self::LateRepetition
            | Self::UndosAtOnce
            | Self::LostUndoAnswer
            | Self::UndoMeanwhile
            | Self::ConfirmAfterCancel
            | Self::CancelAfterConfirm => true,
            Self::Works
            | Self::RepeatedCall
            | Self::CallsAtOnce
            | Self::LostAnswer
            | Self::RepeatedConfirm
            | Self::Fencing
            | Self::StrangeHeaders
            | Self::Signature => false,
        }
    }

    /// Whether it is about confirms.
    pub(crate) const fn is_about_confirm(self) -> bool {
        matches!(self, Self::RepeatedConfirm | Self::ConfirmAfterCancel | Self::CancelAfterConfirm)
    }

    pub(crate) const fn texts(self) -> Texts {
        let (done, expected, advice) = match self {
            Self::Works => (
                "a call, then its undo",
                "both succeed; effect once, then none",
                "Make the plain way work first, or give an input that the participant accepts; \
                 nothing else can be judged before.",
            ),
            Self::RepeatedCall => (
                "the same call twice",
                "the same answer twice; effect once",
                "Keep the answer under the Idempotency-Key, in the transaction of the work, and \
                 give it again.",
            ),
            Self::RepeatedUndo => (
                "a call, then its undo twice",
                "both undos succeed; no effect",
                "Record the undo under its own Idempotency-Key; answer 2xx without doing it again.",
            ),
            Self::UndoWithoutCall => (
                "an undo whose call never came",
                "succeeds; no effect",
                "Answer 2xx when there is nothing to undo, and do nothing but remember it.",
            ),
            Self::CallAfterUndo => (
                "an undo, then its call",
                "the call is refused (409); no effect",
                "Let the undo take the row of its forward call, so that a late call finds it \
                 taken and is answered 409.",
            ),
            Self::LateRepetition => (
                "a call, its undo, the call again",
                "no second effect; the first answer, or refused",
                "Keep the record of the call after its undo: a repetition must find it.",
            ),
            Self::CallsAtOnce => (
                "the same call four times at once",
                "one answer for all, or try again; effect once",
                "Insert the key under a unique index in the work's own transaction; who comes \
                 second waits for it, or is answered 5xx, never 4xx.",
            ),
            Self::UndosAtOnce => (
                "a call, then its undo four times at once",
                "all succeed or are told to try again; no effect",
                "Insert the undo's key under a unique index in the transaction that undoes.",
            ),
            Self::LostAnswer => (
                "a call cut off before its answer was read, then repeated",
                "succeeds; effect once",
                "Commit the record together with the work, so that the repeated call finds both \
                 or neither.",
            ),
            Self::LostUndoAnswer => (
                "an undo cut off before its answer was read, then repeated",
                "succeeds; no effect",
                "Commit the record of the undo together with what it undoes.",
            ),
            Self::UndoMeanwhile => (
                "an undo while its call is at work, then the call again",
                "the undo succeeds in the end; no effect is left",
                "Let call and undo meet at one row: the undo waits for the call's commit, or takes \
                 its turn away.",
            ),
            Self::RepeatedConfirm => (
                "a try, then its confirm twice",
                "both confirms succeed; the effect of one",
                "Record the confirm under its own Idempotency-Key; answer 2xx without doing it \
                 again.",
            ),
            Self::ConfirmAfterCancel => (
                "a try, its cancel, then a confirm",
                "the confirm is refused; no effect",
                "Confirm only what is still held; answer 409 otherwise.",
            ),
            Self::CancelAfterConfirm => (
                "a try, its confirm, then a cancel",
                "the cancel is refused; the confirm's effect stays",
                "Cancel only what is still held; answer 409 once it is confirmed.",
            ),
            Self::Fencing => (
                "a token, then a lower and a higher one",
                "the lower is refused without effect, the higher accepted",
                "Keep the highest Saga-Fencing-Token for each of Saga-Lock-Keys and answer 409 to \
                 a lower one.",
            ),
            Self::StrangeHeaders => (
                "headers that are unknown, unreadable or missing",
                "unknown ones are passed over; no crash, no effect that can't be undone",
                "Pass over headers you don't know; answer 400 when one that you need is missing or \
                 unreadable.",
            ),
            Self::Signature => (
                "calls unsigned, wrongly signed, altered and too old",
                "all refused; no effect",
                "Check webhook-signature over id, timestamp and body before anything else; answer \
                 401 if none fits or the timestamp is more than five minutes off.",
            ),
        };
        Texts { done, expected, advice }
    }
}
