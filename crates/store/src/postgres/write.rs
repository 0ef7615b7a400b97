//! One batch, one transaction.
//!
//! A batch that has nothing to do with lock keys and the inbox is one statement that commits
//! itself; any other is a transaction with only the statements that it needs.

use amends_core::SagaId;
use amends_core::saga::Token;
use amends_ports::failpoint;
use amends_ports::store::{AcceptOutcome, Batch, Partition, Settle, Tickets, WriteError, Written};
use sqlx::postgres::PgRow;

use super::accept::{Accepts, Refused, made};
use super::append::Appends;
use super::fast::Fast;
use super::guess::Guesses;
use super::inbox::SETTLE;
use super::lease::{FENCE, Leases, STALE};
use super::lock::{GRANT, NewTickets, RELEASE, REQUEUE, RESERVE, WAKE, ids, tokens_of};
use super::pool::Session;
use super::{Failure, PostgresStore, row};

/// Why an attempt came to nothing, or may have.
enum Stop {
    /// A lease is not the newest; nothing was written.
    Fenced,
    /// Another transaction was in the way; nothing was written.
    Conflict(Failure),
    /// Nothing was written.
    Nothing(Failure),
    /// It may have been written.
    Unknown(Failure),
}

impl Stop {
    /// For a failure before the commit was sent.
    fn before_commit(failure: Failure) -> Self {
        if matches!(failure, Failure::Conflict(_)) {
            Self::Conflict(failure)
        } else {
            Self::Nothing(failure)
        }
    }

    /// For a failure of a commit, or of a statement that commits itself.
    fn at_commit(failure: Failure) -> Self {
        match failure {
            Failure::Lost(_) | Failure::Corrupt(_) => Self::Unknown(failure),
            Failure::Conflict(_)
            | Failure::Refused(_)
            | Failure::Unreachable(_)
            | Failure::Unfit(_) => Self::before_commit(failure),
        }
    }
}

impl PostgresStore {
    pub(super) async fn write_batch(&self, batch: &Batch) -> Result<Written, WriteError> {
        let leases = Leases::new(&batch.leases);
        let mut retries = self.hot.retries();
        loop {
            match self.attempt(batch, &leases).await {
                Ok(written) => {
                    self.generation.remember(batch, &written);
                    return Ok(written);
                }
                Err(Stop::Conflict(_)) if retries.again().await => {}
                Err(Stop::Fenced) => return Err(self.fenced(batch, &leases).await),
                Err(Stop::Conflict(failure) | Stop::Nothing(failure)) => {
                    return Err(WriteError::Unavailable(failure.into_source()));
                }
                Err(Stop::Unknown(failure)) => {
                    return Err(WriteError::OutcomeUnknown(failure.into_source()));
                }
            }
        }
    }

    async fn attempt(&self, batch: &Batch, leases: &Leases) -> Result<Written, Stop> {
        let mut session = self.hot.session().await.map_err(Stop::Nothing)?;
        let result = match Shape::of(batch) {
            Shape::Appends | Shape::Plain => {
                in_one_statement(&mut session, batch, leases, &self.guesses).await
            }
            Shape::Mixed => transaction(&mut session, batch, leases).await,
        };
        match &result {
            Ok(_) | Err(Stop::Fenced) => session.keep(),
            Err(Stop::Conflict(failure) | Stop::Nothing(failure) | Stop::Unknown(failure)) => {
                session.keep_unless_spoilt(Some(failure));
            }
        }
        result
    }

    /// Says which leases are not the newest; all, if that can't be found out.
    async fn fenced(&self, batch: &Batch, leases: &Leases) -> WriteError {
        let query = || leases.bind(sqlx::query(STALE));
        let stale: Result<Vec<Partition>, Failure> = match self.hot.fetch(query).await {
            Ok(rows) => rows.iter().map(|lease| row::partition(lease, 0)).collect(),
            Err(failure) => Err(failure),
        };
        WriteError::Fenced(match stale {
            Ok(stale) if !stale.is_empty() => stale,
            Ok(_) | Err(_) => batch.leases.iter().map(|lease| lease.partition).collect(),
        })
    }
}

/// What a batch needs.
enum Shape {
    /// Nothing but appends.
    Appends,
    /// Appends and new sagas without lock keys.
    Plain,
    /// A transaction of several statements.
    Mixed,
}

impl Shape {
    fn of(batch: &Batch) -> Self {
        if !batch.grants.is_empty()
            || !batch.settles.is_empty()
            || batch.appends.iter().any(|append| append.tickets != Tickets::Keep)
            || batch.accepts.iter().any(|new| !new.lock_keys.is_empty())
        {
            Self::Mixed
        } else if batch.accepts.is_empty() {
            Self::Appends
        } else {
            Self::Plain
        }
    }
}

async fn in_one_statement(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
    guesses: &Guesses,
) -> Result<Written, Stop> {
    if batch.accepts.is_empty() {
        failpoint!("postgres.append.before-commit");
        let rows = one_statement(session, batch, leases, guesses).await?;
        failpoint!("postgres.append.after-commit");
        check(&rows)?;
        return Ok(Written::default());
    }
    failpoint!("postgres.accept.before-commit");
    let rows = one_statement(session, batch, leases, guesses).await?;
    failpoint!("postgres.accept.after-commit");
    let answer = check(&rows)?;
    // Some are made and committed: from here on no error may say that nothing was written.
    let is_new = made(answer, &batch.accepts).map_err(Stop::Unknown)?;
    let accepts = outcomes(session, batch, &is_new).await.map_err(Stop::Unknown)?;
    let accepts =
        accepts.ok_or_else(|| Stop::Unknown(Failure::Conflict(DELETED_MEANWHILE.into())))?;
    Ok(Written { accepts, ..Written::default() })
}

/// By the short statement; by the careful one if that was refused, or was not long ago.
async fn one_statement(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
    guesses: &Guesses,
) -> Result<Vec<PgRow>, Stop> {
    if guesses.may_guess()
        && let Some(fast) = Fast::new(batch)
    {
        match session.fetch(fast.query(leases)).await {
            Err(failure) if failure.is_wrong_guess() => guesses.wrong(),
            answer => return answer.map_err(Stop::at_commit),
        }
    }
    let appends = Appends::new(&batch.appends);
    if batch.accepts.is_empty() {
        return session.fetch(appends.query(leases)).await.map_err(Stop::at_commit);
    }
    let (accepts, tickets) = (Accepts::of(&batch.accepts), NewTickets::default());
    session.fetch(accepts.query(leases, &appends, &tickets)).await.map_err(Stop::at_commit)
}

const DELETED_MEANWHILE: &str = "a saga that stood in the way of a new one was deleted meanwhile";

async fn transaction(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
) -> Result<Written, Stop> {
    session.execute("BEGIN").await.map_err(Stop::before_commit)?;
    match statements(session, batch, leases).await {
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

/// All statements between begin and commit.
async fn statements(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
) -> Result<Written, Stop> {
    let tickets = reserve(session, batch).await.map_err(Stop::before_commit)?;
    // The leases are checked by the first statement that can.
    let mut leases = Some(leases);
    let none = Leases::default();
    let mut written = Written::default();
    if !batch.appends.is_empty() {
        let appends = Appends::new(&batch.appends);
        let query = appends.query(leases.take().unwrap_or(&none));
        let rows = session.fetch(query).await.map_err(Stop::before_commit)?;
        check(&rows)?;
        written.woken = release(session, batch, &tickets).await.map_err(Stop::before_commit)?;
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
    grant(session, batch, &mut written).await.map_err(Stop::before_commit)?;
    settle(session, &batch.settles).await.map_err(Stop::before_commit)?;
    Ok(written)
}

/// Reads the start of the answer to [`FENCE`] and to what appends.
fn check(rows: &[PgRow]) -> Result<&PgRow, Stop> {
    let answer = rows.first().ok_or_else(|| Failure::Corrupt("no answer row".to_owned()));
    let answer = answer.map_err(Stop::Unknown)?;
    let flags = || Ok((row::get(answer, 0)?, row::get(answer, 1)?));
    match flags().map_err(Stop::Unknown)? {
        (true, true) => Ok(answer),
        (true, false) => Err(Stop::Nothing(Failure::Unfit(UNSOUND.to_owned()))),
        (false, _) => Err(Stop::Fenced),
    }
}

const UNSOUND: &str = "facts were given that do not follow on those that their saga has";

/// Locks the keys that the batch is about, and numbers the tickets of its new sagas.
async fn reserve<'b>(
    session: &mut Session<'_>,
    batch: &'b Batch,
) -> Result<NewTickets<'b>, Failure> {
    let mut tickets = NewTickets::wanted(&batch.accepts);
    let mut sagas = with_tickets(batch, Tickets::Release);
    sagas.extend(ids(batch.grants.iter().map(|grant| &grant.saga_id)));
    let requeued = with_tickets(batch, Tickets::Requeue);
    if !tickets.keys.is_empty() || !sagas.is_empty() || !requeued.is_empty() {
        let query = sqlx::query(RESERVE).bind(&tickets.keys).bind(&sagas).bind(&requeued);
        let rows = session.fetch(query).await?;
        tickets.number(&rows)?;
        failpoint!("postgres.batch.reserved");
    }
    Ok(tickets)
}

/// The sagas whose tickets meet this end.
fn with_tickets(batch: &Batch, end: Tickets) -> Vec<&str> {
    let changed = batch.appends.iter().filter(|append| append.tickets == end);
    ids(changed.map(|append| &append.saga_id))
}

/// Takes tickets away, or moves them to the end; wakes those who are first by that.
async fn release(
    session: &mut Session<'_>,
    batch: &Batch,
    new: &NewTickets<'_>,
) -> Result<Vec<(Partition, SagaId)>, Failure> {
    let released = with_tickets(batch, Tickets::Release);
    let requeued = with_tickets(batch, Tickets::Requeue);
    if released.is_empty() && requeued.is_empty() {
        return Ok(Vec::new());
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
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let heads = rows.iter().map(|head| row::get(head, 0)).collect::<Result<Vec<&str>, _>>()?;
    let rows = session.fetch(sqlx::query(WAKE).bind(&heads)).await?;
    failpoint!("postgres.batch.woken");
    rows.iter().map(|woken| Ok((row::partition(woken, 0)?, row::saga_id(woken, 1)?))).collect()
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

/// What became of each accept, without tokens; none if what was in the way is there no more.
async fn outcomes(
    session: &mut Session<'_>,
    batch: &Batch,
    is_new: &[bool],
) -> Result<Option<Vec<AcceptOutcome>>, Failure> {
    let created = |made: &bool| made.then_some(AcceptOutcome::Created { tokens: None });
    let mut outcomes: Vec<Option<AcceptOutcome>> = is_new.iter().map(created).collect();
    if let Some(refused) = Refused::new(&batch.accepts, is_new) {
        let rows = session.fetch(refused.query()).await?;
        if !refused.fill(&rows, &mut outcomes)? {
            return Ok(None);
        }
    }
    Ok(outcomes.into_iter().collect())
}

/// Grants the keys of new sagas that ask for it and of those in `batch.grants`, where free.
async fn grant(
    session: &mut Session<'_>,
    batch: &Batch,
    written: &mut Written,
) -> Result<(), Failure> {
    let created = |outcome: &AcceptOutcome| matches!(outcome, AcceptOutcome::Created { .. });
    let new = batch
        .accepts
        .iter()
        .zip(&written.accepts)
        .filter(|(new, outcome)| new.grant && !new.lock_keys.is_empty() && created(outcome));
    let mut sagas = ids(new.map(|(new, _)| &new.saga_id));
    sagas.extend(ids(batch.grants.iter().map(|grant| &grant.saga_id)));
    if sagas.is_empty() {
        return Ok(());
    }
    let rows = session.fetch(sqlx::query(GRANT).bind(&sagas)).await?;
    failpoint!("postgres.batch.granted");
    let mut granted = tokens_of(&rows)?;
    let mut take = |saga_id: &SagaId| -> Option<Vec<Token>> { granted.remove(saga_id.as_str()) };
    for (new, outcome) in batch.accepts.iter().zip(&mut written.accepts) {
        if let AcceptOutcome::Created { tokens } = outcome {
            *tokens = take(&new.saga_id);
        }
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
