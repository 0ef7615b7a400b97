//! Whether a call runs, decided in one transaction of the database.
//!
//! Rows are taken in one order: the forward operation's, the call's own, the fences by key. So two
//! calls never wait for each other.

use std::time::Duration;

use super::dialect::{Rounds, SqlStore};
use super::row::{Content, Key, Row, State};
use super::{Error, Forward, told};
use crate::participant::{Answer, Call, Op};

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Decision {
    /// The handler runs.
    Run(Turn),
    /// The handler does not run; the answer was recorded just now, and is to be committed.
    Recorded(Answer),
    /// The handler does not run, and nothing was written that must stay.
    Told(Answer),
}

/// The right to run and to settle.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) round: i64,
    pub(crate) forward: Option<Forward>,
}

/// What an undo found in its forward operation's row.
enum Before {
    /// Nothing took effect, and nothing will.
    Nothing,
    /// Something did or may have.
    Something(Forward),
}

/// Decides whether `call` runs. `hold_ms`: how long its turn is nobody else's, once committed.
///
/// # Errors
///
/// [`Error::Busy`] if somebody else has the turn; roll back.
pub(crate) async fn decide<DB: SqlStore>(
    tx: &mut DB::Connection,
    call: &Call,
    hold_ms: i64,
) -> Result<Decision, Error> {
    let before = match call.op.undoes() {
        Some(forward) => Some(claim_forward::<DB>(tx, call, forward).await?),
        None => None,
    };
    let own = Key::new(call, call.op);
    let is_new = DB::claim(tx, own, Content::started(hold_ms)).await?;
    let (round, before) = if is_new {
        (1, close_forward::<DB>(tx, before).await?)
    } else {
        let row = read::<DB>(tx, own).await?;
        let round = row.round;
        let held_ms = row.held_ms;
        if let Some(answer) = row.told() {
            return Ok(Decision::Told(answer));
        }
        if held_ms > 0 {
            return Err(busy(held_ms));
        }
        let rounds = Rounds::next(round);
        if !DB::change(tx, own, Content::started(hold_ms), rounds).await? {
            return Err(Error::busy());
        }
        (rounds.to, before.map(resumed))
    };
    let stale = first_stale::<DB>(tx, call).await?;
    if let Some(Before::Nothing) = before {
        let answer = told::nothing_to_undo();
        let content = Content::settled(State::Succeeded, &answer);
        DB::change(tx, own, content, Rounds::same(round)).await?;
        return Ok(Decision::Recorded(answer));
    }
    if let Some(key) = stale {
        return Ok(Decision::Told(told::stale_token(key)));
    }
    let forward = before.and_then(|before| match before {
        Before::Nothing => None,
        Before::Something(forward) => Some(forward),
    });
    Ok(Decision::Run(Turn { round, forward }))
}

/// The forward operation's row. If it was not there, it is now, and the operation too late.
async fn claim_forward<'c, DB: SqlStore>(
    tx: &mut DB::Connection,
    call: &'c Call,
    forward: Op,
) -> Result<(Key<'c>, Row), Error> {
    let key = Key::new(call, forward);
    DB::claim(tx, key, Content::undone()).await?;
    Ok((key, read::<DB>(tx, key).await?))
}

/// What there is to undo, for an undo that comes for the first time. A forward call that was never
/// settled is too late from now on.
async fn close_forward<DB: SqlStore>(
    tx: &mut DB::Connection,
    forward: Option<(Key<'_>, Row)>,
) -> Result<Option<Before>, Error> {
    let Some((key, row)) = forward else { return Ok(None) };
    Ok(Some(match row.state {
        State::Undone | State::Refused => Before::Nothing,
        State::Succeeded => Before::Something(succeeded(row)),
        State::Started if row.held_ms > 0 => return Err(busy(row.held_ms)),
        State::Started => {
            if !DB::change(tx, key, Content::undone(), Rounds::same(row.round)).await? {
                return Err(Error::busy());
            }
            Before::Something(Forward::Unknown)
        }
    }))
}

/// What there is to undo, for an undo that was begun before: it had something to undo then.
fn resumed((_, row): (Key<'_>, Row)) -> Before {
    Before::Something(match row.state {
        State::Succeeded => succeeded(row),
        State::Started | State::Refused | State::Undone => Forward::Unknown,
    })
}

fn succeeded(row: Row) -> Forward {
    row.answer.map_or(Forward::Unknown, Forward::Succeeded)
}

/// Raises the tokens of all the call's lock keys; answers a key for which a higher one was seen.
async fn first_stale<'c, DB: SqlStore>(
    tx: &mut DB::Connection,
    call: &'c Call,
) -> Result<Option<&'c str>, Error> {
    for fence in &call.fencing_tokens {
        if DB::raise(tx, &fence.key, fence.token).await? > fence.token {
            return Ok(Some(&fence.key));
        }
    }
    Ok(None)
}

async fn read<DB: SqlStore>(tx: &mut DB::Connection, key: Key<'_>) -> Result<Row, Error> {
    // Gone between the insert and this: swept, or rolled back under a lower isolation.
    DB::read(tx, key).await?.ok_or_else(Error::busy)
}

fn busy(held_ms: i64) -> Error {
    let held = Duration::from_millis(held_ms.unsigned_abs());
    // Whole seconds, as `Retry-After` counts; and soon enough for one that ends before its hold.
    Error::Busy { retry_after: held.clamp(Duration::from_secs(1), Duration::from_secs(5)) }
}
