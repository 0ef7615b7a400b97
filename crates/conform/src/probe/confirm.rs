//! Confirms of TCC steps: twice, too late, and cancels that come after them.

use amends_core::saga::Op;

use crate::case::Case;
use crate::desk::Desk;
use crate::effect::in_words;
use crate::notes::Notes;

/// A try, then its confirm twice.
pub(super) async fn repeated(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    let first = confirmed(&case, notes).await;
    if first.is_some() {
        case.must(Op::Confirm).await;
        stays(&case, first.flatten()).await;
    }
    case.clean().await;
    Some(())
}

/// A try, its cancel, then a confirm.
pub(super) async fn after_cancel(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    if case.must(Op::Try).await.is_some() && case.must(Op::Cancel).await.is_some() {
        let late = case.confirm().await;
        notes.require(late.refused(), format!("the late confirm {}", late.told()));
        case.effect_is_none().await;
    }
    case.clean().await;
    Some(())
}

/// A try, its confirm, then a cancel.
pub(super) async fn then_cancel(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    let first = confirmed(&case, notes).await;
    if first.is_some() {
        let late = case.undo().await;
        notes.require(late.refused(), format!("the late cancel {}", late.told()));
        stays(&case, first.flatten()).await;
    }
    case.clean().await;
    Some(())
}

/// Tries and confirms; by how much the measured number has changed then, if it can be seen.
async fn confirmed(case: &Case<'_>, notes: &Notes) -> Option<Option<f64>> {
    case.must(Op::Try).await?;
    case.effect_is_once().await;
    case.must(Op::Confirm).await?;
    let change = case.change(|_| true).await;
    if let Some(change) = change {
        notes.see(format!("effect {}", in_words(change, None)));
    }
    Some(change)
}

async fn stays(case: &Case<'_>, change: Option<f64>) {
    if let Some(change) = change {
        case.effect_is(change, "that of one confirm").await;
    }
}
