//! Fencing tokens: one that is lower than one seen comes from a saga that has lost its locks.

use crate::answer::Answer;
use crate::case::Case;
use crate::desk::Desk;
use crate::notes::Notes;

/// How often the first token is doubled until it is high enough: earlier runs and real sagas have
/// left theirs.
const DOUBLINGS_MAX: u32 = 40;

/// A token, then a lower and a higher one.
pub(super) async fn tokens(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let seen = accepted(desk, notes).await?;

    let mut stale = Case::open(desk, notes).await?;
    stale.token = Some(seen - 1);
    let answer = stale.once(desk.forward_op()).await;
    notes.see(format!("token {}: {answer}", seen - 1));
    notes.require(answer.refused(), format!("the lower token {}", answer.told()));
    stale.effect_is_none().await;
    stale.clean().await;

    let mut newer = Case::open(desk, notes).await?;
    newer.token = Some(seen + 1);
    let answer = newer.forward().await;
    notes.see(format!("with token {}", seen + 1));
    let why = format!("the higher token {}", answer.told());
    notes.require(answer.succeeded(), why);
    newer.effect_is_once().await;
    newer.clean().await;
    Some(())
}

/// The first token that is high enough, found with a saga of its own each.
async fn accepted(desk: &Desk<'_>, notes: &Notes) -> Option<u64> {
    let mut last = None;
    for token in (1..=DOUBLINGS_MAX).map(|doublings| 1_u64 << doublings) {
        let mut case = Case::open(desk, notes).await?;
        case.token = Some(token);
        let answer = case.until(desk.forward_op(), Answer::refused).await;
        case.clean().await;
        if answer.succeeded() {
            notes.see(format!("token {token}: {answer}"));
            return Some(token);
        }
        let hopeless = !answer.refused();
        last = Some(answer);
        if hopeless {
            break;
        }
    }
    let answer = last.map(|answer| answer.with_reason()).unwrap_or_default();
    notes.require(false, format!("no token was accepted; the last answer was {answer}"));
    None
}
