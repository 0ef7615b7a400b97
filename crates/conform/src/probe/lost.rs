//! Answers that never arrive.

use crate::case::Case;
use crate::desk::Desk;
use crate::notes::Notes;
use crate::wire::Cut;

/// A call cut off, then repeated; once for each moment at which it can be cut.
pub(super) async fn answer(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    for when in [Cut::AfterSending, Cut::AsTheAnswerBegins] {
        let case = Case::open(desk, notes).await?;
        case.cut(desk.forward_op(), when).await;
        case.must(desk.forward_op()).await;
        case.effect_is_once().await;
        case.clean().await;
        notes.next_round();
        if !notes.is_good() {
            break;
        }
    }
    Some(())
}

/// An undo cut off, then repeated; once for each moment at which it can be cut.
pub(super) async fn undo_answer(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    for when in [Cut::AfterSending, Cut::AsTheAnswerBegins] {
        let case = Case::open(desk, notes).await?;
        if case.must(desk.forward_op()).await.is_some() {
            case.cut(desk.undo_op(), when).await;
            case.must(desk.undo_op()).await;
            case.effect_is_none().await;
        }
        case.clean().await;
        notes.next_round();
        if !notes.is_good() {
            break;
        }
    }
    Some(())
}
