//! The points, a function each, grouped by what goes wrong on the way.

mod confirm;
mod fence;
mod lost;
mod order;
mod race;
mod repeat;
mod strange;

use crate::desk::Desk;
use crate::notes::Notes;
use crate::point::Point;

/// Probes `point` and writes down what it shows.
pub(crate) async fn run(point: Point, desk: &Desk<'_>, notes: &Notes) {
    let done = match point {
        Point::Works => repeat::works(desk, notes).await,
        Point::RepeatedCall => repeat::call(desk, notes).await,
        Point::RepeatedUndo => repeat::undo(desk, notes).await,
        Point::UndoWithoutCall => order::undo_without_call(desk, notes).await,
        Point::CallAfterUndo => order::call_after_undo(desk, notes).await,
        Point::LateRepetition => order::late_repetition(desk, notes).await,
        Point::CallsAtOnce => race::calls(desk, notes).await,
        Point::UndosAtOnce => race::undos(desk, notes).await,
        Point::LostAnswer => lost::answer(desk, notes).await,
        Point::LostUndoAnswer => lost::undo_answer(desk, notes).await,
        Point::UndoMeanwhile => race::undo_meanwhile(desk, notes).await,
        Point::RepeatedConfirm => confirm::repeated(desk, notes).await,
        Point::ConfirmAfterCancel => confirm::after_cancel(desk, notes).await,
        Point::CancelAfterConfirm => confirm::then_cancel(desk, notes).await,
        Point::Fencing => fence::tokens(desk, notes).await,
        Point::StrangeHeaders => strange::headers(desk, notes).await,
        Point::Signature => strange::signatures(desk, notes).await,
    };
    // A point that stops early has said why in its notes.
    let _: Option<()> = done;
}
