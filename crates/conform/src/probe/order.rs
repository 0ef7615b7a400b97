//! Calls that come in another order than they were made.

use crate::answer::Answer;
use crate::case::Case;
use crate::desk::Desk;
use crate::notes::Notes;

/// An undo whose call never came.
pub(super) async fn undo_without_call(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    case.must(desk.undo_op()).await;
    case.effect_is_none().await;
    case.clean().await;
    Some(())
}

/// An undo, then its call.
pub(super) async fn call_after_undo(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    if case.must(desk.undo_op()).await.is_some() {
        let late = case.forward().await;
        let why = format!("the late {} {}", desk.forward_op(), late.told());
        notes.require(late.refused(), why);
        case.effect_is_none().await;
    }
    case.clean().await;
    Some(())
}

/// A call, its undo, the call again.
pub(super) async fn late_repetition(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    let first = case.must(desk.forward_op()).await;
    if let Some(first) = first
        && case.must(desk.undo_op()).await.is_some()
    {
        let late = case.forward().await;
        is_known(notes, &late, Some(&first));
        case.effect_is_none().await;
    }
    case.clean().await;
    Some(())
}

/// Requires that a repetition after the undo was refused, or is the `first` answer again.
pub(super) fn is_known(notes: &Notes, late: &Answer, first: Option<&Answer>) {
    let known = late.refused() || first == Some(late);
    let why = if late.succeeded() {
        "the repeated call was taken for a new one".to_owned()
    } else {
        format!("the repeated call {}", late.told())
    };
    notes.require(known, why);
}
