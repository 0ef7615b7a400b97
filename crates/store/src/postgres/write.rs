//! One batch, one transaction.
//!
//! A batch that has nothing to do with lock keys and the inbox is one statement that commits
//! itself; any other is a transaction with only the statements that it needs.

use amends_ports::failpoint;
use amends_ports::store::{AcceptOutcome, Batch, Partition, Tickets, WriteError, Written};
use sqlx::postgres::PgRow;

use super::accept::{Accepts, Refused, made};
use super::append::Appends;
use super::fast::Fast;
use super::lease::{Leases, STALE};
use super::lock::NewTickets;
use super::pool::Session;
use super::transaction::transaction;
use super::{Failure, PostgresStore, row};

/// Why an attempt came to nothing, or may have.
pub(super) enum Stop {
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
    pub(super) fn before_commit(failure: Failure) -> Self {
        if matches!(failure, Failure::Conflict(_)) {
            Self::Conflict(failure)
        } else {
            Self::Nothing(failure)
        }
    }

    /// For a failure of a commit, or of a statement that commits itself.
    pub(super) fn at_commit(failure: Failure) -> Self {
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
        let mut retries = self.writes.retries();
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
        let mut session = self.writes.session().await.map_err(Stop::Nothing)?;
        let result = if needs_transaction(batch) {
            transaction(&mut session, batch, leases, self).await
        } else {
            in_one_statement(&mut session, batch, leases, self).await
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
        let stale: Result<Vec<Partition>, Failure> = match self.writes.fetch(query).await {
            Ok(rows) => rows.iter().map(|lease| row::partition(lease, 0)).collect(),
            Err(failure) => Err(failure),
        };
        WriteError::Fenced(match stale {
            Ok(stale) if !stale.is_empty() => stale,
            Ok(_) | Err(_) => batch.leases.iter().map(|lease| lease.partition).collect(),
        })
    }
}

/// Whether a batch is more than appends and new sagas without lock keys.
fn needs_transaction(batch: &Batch) -> bool {
    !batch.grants.is_empty()
        || !batch.settles.is_empty()
        || batch.appends.iter().any(|append| append.tickets != Tickets::Keep)
        || batch.accepts.iter().any(|new| !new.lock_keys.is_empty())
}

async fn in_one_statement(
    session: &mut Session<'_>,
    batch: &Batch,
    leases: &Leases,
    store: &PostgresStore,
) -> Result<Written, Stop> {
    if batch.accepts.is_empty() {
        failpoint!("postgres.append.before-commit");
        let rows = one_statement(session, batch, leases, store).await?;
        failpoint!("postgres.append.after-commit");
        check(&rows)?;
        return Ok(Written::default());
    }
    failpoint!("postgres.accept.before-commit");
    let rows = one_statement(session, batch, leases, store).await?;
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
    store: &PostgresStore,
) -> Result<Vec<PgRow>, Stop> {
    let ends = store.generation.ends();
    if Fast::may_write(batch, ends) && store.guesses.may_guess() {
        let fast = Fast::new(batch, ends);
        match session.fetch(fast.query(leases)).await {
            Err(failure) if failure.is_wrong_guess() => store.guesses.wrong(),
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

pub(super) const DELETED_MEANWHILE: &str =
    "a saga that stood in the way of a new one was deleted meanwhile";

/// Reads the start of the answer to [`FENCE`] and to what appends.
pub(super) fn check(rows: &[PgRow]) -> Result<&PgRow, Stop> {
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

/// What became of each accept, without tokens; none if what was in the way is there no more.
pub(super) async fn outcomes(
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
