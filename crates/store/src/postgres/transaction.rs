//! Batches that need several statements: those with lock keys, and answers to the inbox.
//!
//! The keys are locked first; only a later statement sees what others did to their queues before.

use amends_core::SagaId;
use amends_core::saga::Token;
use amends_ports::failpoint;
use amends_ports::store::{AcceptOutcome, Batch, NewSaga, Settle, Tickets, Written};
use sqlx::postgres::PgRow;

use super::accept::{Accepts, made};
use super::append::{Appends, Chunks, TELL};
use super::fast::Fast;
use super::inbox::SETTLE;
use super::lease::{FENCE, Leases};
use super::lock::{
    FOLLOW, Followers, GRANT, LOCK_HEADS, NewTickets, RELEASE, REQUEUE, RESERVE, granted_at_once,
    ids, note_followers, tokens_of,
};
use super::pool::Session;
use super::write::{DELETED_MEANWHILE, Stop, check, outcomes};
use super::{Failure, PostgresStore, row};

pub(super) async fn transaction(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
    store: &PostgresStore,
) -> Result<Written, Stop> {
    let is_usual = !(batch.appends.is_empty() && batch.accepts.is_empty())
        && batch.appends.iter().all(|append| append.tickets != Tickets::Requeue);
    let ends = store.generation.ends();
    if is_usual && Fast::may_write(batch, ends) && store.guesses.may_guess() {
        let fast = Fast::new(batch, ends);
        begin(session).await?;
        let written = fast_statements(session, batch, leases, &fast).await;
        match end(session, written).await {
            Err(Stop::Nothing(failure)) if failure.is_wrong_guess() => store.guesses.wrong(),
            result => return result,
        }
    }
    begin(session).await?;
    let written = statements(session, batch, leases).await;
    end(session, written).await
}

async fn begin(session: &mut Session<'_>) -> Result<(), Stop> {
    session.execute("BEGIN").await.map_err(Stop::before_commit)
}

/// Commits, or rolls back.
async fn end(session: &mut Session<'_>, written: Result<Written, Stop>) -> Result<Written, Stop> {
    match written {
        Ok(written) => {
            failpoint!("postgres.batch.before-commit");
            session.execute("COMMIT").await.map_err(Stop::at_commit)?;
            failpoint!("postgres.batch.after-commit");
            Ok(written)
        }
        Err(stop) => Err(roll_back(session, stop).await),
    }
}

/// Ends a transaction that shall not be. If the end can't be heard of, the connection is closed
/// with the failure that this answers then.
async fn roll_back(session: &mut Session<'_>, stop: Stop) -> Stop {
    if let Stop::Conflict(failure) | Stop::Nothing(failure) = &stop
        && failure.spoils_connection()
    {
        return stop;
    }
    match session.execute("ROLLBACK").await {
        Ok(()) => stop,
        Err(failure) => Stop::Nothing(match failure {
            Failure::Lost(source) | Failure::Unreachable(source) => Failure::Lost(source),
            other @ (Failure::Conflict(_)
            | Failure::Refused(_)
            | Failure::Corrupt(_)
            | Failure::Unfit(_)) => Failure::Lost(other.into_source()),
        }),
    }
}

/// All statements between begin and commit, where the usual is taken for granted: new sagas are
/// new, and facts follow.
async fn fast_statements(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
    fast: &Fast<'_>,
) -> Result<Written, Stop> {
    let (tickets, keys) = reserve(session, batch).await.map_err(Stop::before_commit)?;
    let released = with_tickets(batch, Tickets::Release);
    let query = fast.query_with_tickets(leases, &tickets, &released);
    let rows = session.fetch(query).await.map_err(Stop::before_commit)?;
    let answer = check(&rows)?;
    failpoint!("postgres.batch.written");
    let mut granted = granted_at_once(answer).map_err(Stop::Nothing)?;
    let created =
        |new: &NewSaga| AcceptOutcome::Created { tokens: granted.remove(new.saga_id.as_str()) };
    let accepts = batch.accepts.iter().map(created).collect();
    let mut written = Written { accepts, ..Written::default() };
    lock_and_follow(session, batch, &keys, answer, &mut written)
        .await
        .map_err(Stop::before_commit)?;
    grant(session, batch, asked(batch).collect(), &mut written)
        .await
        .map_err(Stop::before_commit)?;
    settle(session, &batch.settles).await.map_err(Stop::before_commit)?;
    Ok(written)
}

/// Sees to who is first now. Of a saga that has other keys, too, somebody else may be freeing one:
/// its row is locked first, so that the second one to come sees what the first one did.
async fn lock_and_follow(
    session: &mut Session<'_>,
    batch: &Batch,
    keys: &[String],
    answer: &PgRow,
    written: &mut Written,
) -> Result<(), Failure> {
    let heads: Vec<String> = row::get(answer, 2)?;
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    if !heads.is_empty() && !row::get::<bool>(answer, 3)? {
        session.fetch(sqlx::query(LOCK_HEADS).bind(&heads)).await?;
    }
    follow(session, batch, keys, &heads, written).await
}

/// Grants the sagas that moved up their keys, or wakes them.
async fn follow(
    session: &mut Session<'_>,
    batch: &Batch,
    keys: &[String],
    heads: &[&str],
    written: &mut Written,
) -> Result<(), Failure> {
    if heads.is_empty() {
        return Ok(());
    }
    let followers = Followers::new(batch, heads);
    let query = followers.bind(sqlx::query(FOLLOW)).bind(keys);
    let rows = session.fetch(query).await?;
    failpoint!("postgres.batch.woken");
    note_followers(&rows, written)
}

/// All statements between begin and commit.
async fn statements(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
) -> Result<Written, Stop> {
    let (tickets, keys) = reserve(session, batch).await.map_err(Stop::before_commit)?;
    // The leases are checked by the first statement that can.
    let mut leases = Some(leases);
    let none = Leases::default();
    let mut written = Written::default();
    if !batch.appends.is_empty() {
        let appends = Appends::new(&batch.appends);
        let query = appends.query(leases.take().unwrap_or(&none));
        let rows = session.fetch(query).await.map_err(Stop::before_commit)?;
        check(&rows)?;
        release(session, batch, &tickets, &keys, &mut written)
            .await
            .map_err(Stop::before_commit)?;
    }
    if !batch.accepts.is_empty() {
        let leases = leases.take().unwrap_or(&none);
        written.accepts = accept(session, batch, leases, &tickets).await?;
    }
    if let Some(leases) = leases {
        let query = leases.bind(sqlx::query(FENCE));
        let rows = session.fetch(query).await.map_err(Stop::before_commit)?;
        check(&rows)?;
    }
    let asking = to_be_granted(batch, &written);
    grant(session, batch, asking, &mut written).await.map_err(Stop::before_commit)?;
    settle(session, &batch.settles).await.map_err(Stop::before_commit)?;
    Ok(written)
}

/// Locks the keys that the batch is about, and numbers the tickets of its new sagas; the tickets and
/// the keys.
async fn reserve<'b>(
    session: &mut Session<'_>,
    batch: &'b Batch,
) -> Result<(NewTickets<'b>, Vec<String>), Failure> {
    let mut keys = Vec::new();
    let mut tickets = NewTickets::wanted(&batch.accepts);
    let mut sagas = with_tickets(batch, Tickets::Release);
    sagas.extend(ids(batch.grants.iter().map(|grant| &grant.saga_id)));
    let requeued = with_tickets(batch, Tickets::Requeue);
    if !tickets.keys.is_empty() || !sagas.is_empty() || !requeued.is_empty() {
        let query = sqlx::query(RESERVE).bind(&tickets.keys).bind(&sagas).bind(&requeued);
        let rows = session.fetch(query).await?;
        tickets.number(&rows)?;
        keys = rows.iter().map(|key| row::get(key, 0)).collect::<Result<_, _>>()?;
        failpoint!("postgres.batch.reserved");
    }
    Ok((tickets, keys))
}

/// The sagas whose tickets meet this end.
fn with_tickets(batch: &Batch, end: Tickets) -> Vec<&str> {
    let changed = batch.appends.iter().filter(|append| append.tickets == end);
    ids(changed.map(|append| &append.saga_id))
}

/// Takes tickets away, or moves them to the end; sees to those who are first by that.
async fn release(
    session: &mut Session<'_>,
    batch: &Batch,
    new: &NewTickets<'_>,
    locked: &[String],
    written: &mut Written,
) -> Result<(), Failure> {
    let released = with_tickets(batch, Tickets::Release);
    let requeued = with_tickets(batch, Tickets::Requeue);
    if released.is_empty() && requeued.is_empty() {
        return Ok(());
    }
    let mut moved = Vec::new();
    if !requeued.is_empty() {
        moved = session.fetch(sqlx::query(REQUEUE).bind(&requeued).bind(&new.keys)).await?;
        failpoint!("postgres.batch.requeued");
    }
    let keys = moved.iter().map(|old| row::get(old, 0)).collect::<Result<Vec<&str>, _>>()?;
    let numbers = moved.iter().map(|old| row::get(old, 1)).collect::<Result<Vec<i64>, _>>()?;
    let query = sqlx::query(RELEASE).bind(&released).bind(&keys).bind(&numbers);
    let rows = session.fetch(query).await?;
    failpoint!("postgres.batch.released");
    let heads = rows.iter().map(|head| row::get(head, 0)).collect::<Result<Vec<&str>, _>>()?;
    follow(session, batch, locked, &heads, written).await
}

async fn accept(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
    tickets: &NewTickets<'_>,
) -> Result<Vec<AcceptOutcome>, Stop> {
    let (appends, accepts) = (Appends::default(), Accepts::of(&batch.accepts));
    let query = accepts.query(leases, &appends, tickets);
    let rows = session.fetch(query).await.map_err(Stop::before_commit)?;
    let is_new = made(check(&rows)?, &batch.accepts).map_err(Stop::Nothing)?;
    let outcomes = outcomes(session, batch, &is_new).await.map_err(Stop::before_commit)?;
    outcomes.ok_or_else(|| Stop::Conflict(Failure::Conflict(DELETED_MEANWHILE.into())))
}

/// A saga that asks for its keys, and its status if it gets them; none: as it is.
type Asking<'b> = (&'b str, Option<&'static str>);

fn asked(batch: &Batch) -> impl Iterator<Item = Asking<'_>> {
    batch.grants.iter().map(|grant| (grant.saga_id.as_str(), None))
}

/// New sagas that were made and ask for their keys at once, and those in `batch.grants`.
fn to_be_granted<'b>(batch: &'b Batch, written: &Written) -> Vec<Asking<'b>> {
    let created = |outcome: &AcceptOutcome| matches!(outcome, AcceptOutcome::Created { .. });
    let new = batch
        .accepts
        .iter()
        .zip(&written.accepts)
        .filter(|(new, outcome)| !new.lock_keys.is_empty() && created(outcome))
        .filter_map(|(new, _)| {
            Some((new.saga_id.as_str(), Some(new.grant.as_ref()?.status.as_str())))
        });
    new.chain(asked(batch)).collect()
}

/// Grants the keys of these sagas, where free.
async fn grant(
    session: &mut Session<'_>,
    batch: &Batch,
    asking: Vec<Asking<'_>>,
    written: &mut Written,
) -> Result<(), Failure> {
    if asking.is_empty() {
        return Ok(());
    }
    let (sagas, statuses): (Vec<_>, Vec<_>) = asking.into_iter().unzip();
    let rows = session.fetch(sqlx::query(GRANT).bind(&sagas).bind(&statuses)).await?;
    failpoint!("postgres.batch.granted");
    let mut granted = tokens_of(&rows)?;
    let mut take = |saga_id: &SagaId| -> Option<Vec<Token>> { granted.remove(saga_id.as_str()) };
    let mut told = Chunks::default();
    let mut texts = Vec::new();
    for (new, outcome) in batch.accepts.iter().zip(&mut written.accepts) {
        if let AcceptOutcome::Created { tokens: tokens @ None } = outcome {
            *tokens = take(&new.saga_id);
            texts.extend(tokens.iter().filter_map(|tokens| {
                let facts = new.grant_facts()?;
                Some((new, facts.record_count, facts.records(tokens)))
            }));
        }
    }
    for (new, count, records) in &texts {
        told.push(new.partition, &new.saga_id, i64::from(new.record_count), *count, records);
    }
    if !texts.is_empty() {
        session.fetch(told.bind(sqlx::query(TELL))).await?;
    }
    written.grants = batch.grants.iter().map(|grant| take(&grant.saga_id)).collect();
    Ok(())
}

async fn settle(session: &mut Session<'_>, settles: &[Settle]) -> Result<(), Failure> {
    if settles.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = settles.iter().map(|settle| settle.id.0.as_str()).collect();
    let results: Vec<&str> = settles.iter().map(|settle| settle.result.as_str()).collect();
    session.fetch(sqlx::query(SETTLE).bind(&ids).bind(&results)).await?;
    failpoint!("postgres.batch.settled");
    Ok(())
}
