//! Calls that come at the same time.

use std::time::Duration;

use amends_core::saga::Op;
use futures_util::future::{join, join_all};
use tokio::time::sleep;

use crate::answer::{Answer, Outcome};
use crate::case::Case;
use crate::desk::Desk;
use crate::notes::Notes;

use super::order::is_known;

/// How many come at once.
const AT_ONCE: usize = 4;
/// How long after its call the undo leaves; one round each.
const LEADS_MS: [u64; 4] = [0, 1, 5, 25];

/// The same call several times at once.
pub(super) async fn calls(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    let op = desk.forward_op();
    let answers = at_once(&case, op, notes).await;
    let last = case.must(op).await;
    let successes = answers.iter().filter(|answer| answer.succeeded());
    let alike = successes.clone().chain(&last).zip(successes.skip(1).chain(&last));
    notes.require(alike.clone().all(|(one, other)| one == other), "the answers differ");
    notes.require(
        answers.iter().all(|answer| !answer.refused()),
        "one of them was refused, which means that the call had no effect",
    );
    case.effect_is_once().await;
    case.clean().await;
    Some(())
}

/// The same undo several times at once.
pub(super) async fn undos(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    let case = Case::open(desk, notes).await?;
    if case.must(desk.forward_op()).await.is_some() {
        let answers = at_once(&case, desk.undo_op(), notes).await;
        notes.require(
            answers.iter().all(|answer| !answer.refused()),
            "one of them was refused, which would suspend the saga",
        );
        case.must(desk.undo_op()).await;
        case.effect_is_none().await;
    }
    case.clean().await;
    Some(())
}

async fn at_once(case: &Case<'_>, op: Op, notes: &Notes) -> Vec<Answer> {
    let answers = join_all((0..AT_ONCE).map(|_| case.once(op))).await;
    let each: Vec<String> = answers.iter().map(ToString::to_string).collect();
    notes.see(format!("{op} {}", each.join(" ")));
    answers
}

/// The undo while its call is at work, then the call again.
pub(super) async fn undo_meanwhile(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    for lead in LEADS_MS.map(Duration::from_millis) {
        let case = Case::open(desk, notes).await?;
        overtake(desk, notes, &case, lead).await;
        case.clean().await;
        notes.next_round();
        if !notes.is_good() {
            break;
        }
    }
    Some(())
}

async fn overtake(desk: &Desk<'_>, notes: &Notes, case: &Case<'_>, lead: Duration) {
    let forward = case.once(desk.forward_op());
    let undo = async {
        sleep(lead).await;
        // An undo that is refused for now is asked for again, like one that is told to try again.
        case.until(desk.undo_op(), Answer::succeeded).await
    };
    let (first, undone) = join(forward, undo).await;
    let late = case.once(desk.forward_op()).await;
    let (op, undo) = (desk.forward_op(), desk.undo_op());
    notes.see(format!("{op} {first}, {undo} meanwhile {undone}, {op} again {late}"));
    let why = format!("the {undo} {}", undone.told());
    notes.require(undone.succeeded(), why);
    let answered = [Outcome::Succeeded, Outcome::Refused].contains(&first.outcome());
    is_known(notes, &late, answered.then_some(&first));
    case.effect_is_none().await;
}
