//! Headers that nobody expects, and calls that are not ours.

use http::HeaderMap;

use crate::answer::Answer;
use crate::case::Case;
use crate::desk::Desk;
use crate::effect::same;
use crate::headers::{Signing, put};
use crate::notes::Notes;

/// One way to be unreadable: a name for people, and headers to set or, where empty, to leave out.
type Strange = (&'static str, &'static [(&'static str, &'static str)]);

const UNREADABLE: [Strange; 3] = [
    (
        "unreadable details",
        &[
            ("saga-attempt", "minus one"),
            ("saga-deadline", "yesterday"),
            ("saga-fencing-token", "not a number"),
            ("traceparent", "00-zz-zz-zz"),
            ("idempotency-key", "\"unended"),
        ],
    ),
    ("an unknown operation", &[("saga-operation", "dance")]),
    ("no Saga-Id", &[("saga-id", "")]),
];

/// Unknown, unreadable and missing headers.
pub(super) async fn headers(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    for (what, strange) in UNREADABLE {
        let case = Case::open(desk, notes).await?;
        let parcel = case.parcel(desk.forward_op()).and_then(|mut parcel| {
            alter(&mut parcel.headers, strange)?;
            Ok(parcel)
        });
        let answer = case.deliver(desk.forward_op(), parcel).await;
        notes.see(format!("{what}: {answer}"));
        notes.require(!answer.crashed(), format!("{what}: the call {}", answer.told()));
        if answer.succeeded() && desk.step().undo.is_some() {
            let undone = case.until(desk.undo_op(), Answer::succeeded).await;
            let left = case.change(|change| same(change, 0.0)).await;
            notes.require(
                undone.succeeded() && left.is_none_or(|change| same(change, 0.0)),
                format!("{what}: the call took effect where its undo does not find it"),
            );
        }
        case.clean().await;
    }
    let case = Case::open(desk, notes).await?;
    let parcel = case.parcel(desk.forward_op()).and_then(|mut parcel| {
        alter(&mut parcel.headers, &[("saga-from-the-future", "1; x=?0"), ("x-unknown", "?")])?;
        Ok(parcel)
    });
    let answer = case.deliver(desk.forward_op(), parcel).await;
    notes.see(format!("unknown headers: {answer}"));
    let why = format!("unknown headers: the call {}", answer.told());
    notes.require(answer.succeeded(), why);
    case.effect_is_once().await;
    case.clean().await;
    Some(())
}

fn alter(headers: &mut HeaderMap, strange: &[(&str, &str)]) -> Result<(), String> {
    for (name, value) in strange {
        if value.is_empty() {
            headers.remove(*name);
        } else {
            put(headers, name, value)?;
        }
    }
    Ok(())
}

/// Calls that are not signed, or not by us.
pub(super) async fn signatures(desk: &Desk<'_>, notes: &Notes) -> Option<()> {
    for (what, signing) in [
        ("unsigned", Signing::Missing),
        ("wrong secret", Signing::WrongSecret),
        ("altered", Signing::OtherBody),
        ("an hour old", Signing::TooOld),
    ] {
        let case = Case::open(desk, notes).await?;
        let parcel = case.signed_parcel(desk.forward_op(), signing);
        let answer = case.deliver(desk.forward_op(), parcel).await;
        notes.see(format!("{what}: {answer}"));
        notes.require(answer.refused(), format!("{what}: the call {}", answer.told()));
        case.effect_is_none().await;
        case.clean().await;
    }
    Some(())
}
