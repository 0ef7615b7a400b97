//! Calls that come twice.

use crate::case::Case;
use crate::desk::Desk;
use crate::effect::same;
use crate::notes::Notes;

/// A call and its undo; learns by how much one call moves the measured number.
pub(super) async fn works(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    let works = works_in(desk, notes, &case).await;
    case.clean().await;
    works
}

async fn works_in(desk: &Desk<'_>, notes: &Notes, case: &Case<'_>) -> Option<()> {
    case.must(desk.forward_op()).await?;
    if let Some(change) = case.change(|change| !same(change, 0.0)).await {
        desk.unit.set(Some(change).filter(|change| !same(*change, 0.0)));
        notes.see(if desk.unit.get().is_some() {
            format!("effect {change:+}")
        } else {
            "no effect to be seen".to_owned()
        });
    }
    if desk.step().undo.is_some() {
        case.must(desk.undo_op()).await?;
        case.effect_is_none().await;
    }
    Some(())
}

/// The same call twice.
pub(super) async fn call(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    let first = case.must(desk.forward_op()).await;
    if let Some(first) = first {
        let second = case.forward().await;
        let why = format!("the first answer was {first}, the second {}", second.with_reason());
        notes.require(second.succeeded(), why);
        notes.require(
            !second.succeeded() || second == first,
            "the second answer is another one than the first",
        );
        case.effect_is_once().await;
    }
    case.clean().await;
    Some(())
}

/// The undo twice.
pub(super) async fn undo(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    if case.must(desk.forward_op()).await.is_some() && case.must(desk.undo_op()).await.is_some() {
        case.must(desk.undo_op()).await;
        case.effect_is_none().await;
    }
    case.clean().await;
    Some(())
}
