//! One batch in one transaction: one text of statements, then the tokens, then the commit.

use amends_core::SagaId;
use amends_core::saga::Token;
use amends_ports::failpoint;
use amends_ports::store::{
    AcceptOutcome, Append, Batch, Header, Lease, NewSaga, Partition, Successor, Tickets, Wake,
    WriteError, Written,
};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::SqliteStore;
use super::accept::Submissions;
use super::failure::Failure;
use super::load::going_on;
use super::row::{partition, saga_id};
use super::statement::{NOTE_GRANTS, Step, TAKE_TOKENS};
use super::writer::Transaction;
use crate::queue::SUCCESSORS_MAX;

/// `wake_us` of a saga that only something that happens wakes.
pub(super) const PARKED: i64 = i64::MAX;

/// `wake_us` of a header.
pub(super) const fn wake_us(header: &Header) -> Option<i64> {
    match (header.ended_at, header.wake) {
        (Some(_), _) | (None, Wake::InMemory) => None,
        (None, Wake::At(at)) => Some(at.0),
        (None, Wake::Parked) => Some(PARKED),
    }
}

/// A lease as the statements read it.
#[derive(Serialize)]
pub(super) struct LeaseJson {
    partition: u16,
    epoch: u64,
}

/// Leases as the statements read them.
pub(super) fn leases_json(leases: &[Lease]) -> Result<String, Failure> {
    let json = |lease: &Lease| LeaseJson { partition: lease.partition.0, epoch: lease.epoch.0 };
    json_array(leases.iter().map(json))
}

pub(super) fn json_array<T: Serialize>(items: impl Iterator<Item = T>) -> Result<String, Failure> {
    let items: Vec<T> = items.collect();
    serde_json::to_string(&items).map_err(|error| Failure::NotWritten(error.into()))
}

#[derive(Serialize)]
struct FactsJson<'a> {
    saga_id: &'a str,
    partition: u16,
    from: u64,
    record_count: u32,
    records: &'a str,
}

#[derive(Serialize)]
struct HeaderJson<'a> {
    saga_id: &'a str,
    partition: u16,
    /// Number of the fact that comes after this write.
    next: u64,
    status: &'static str,
    paused: bool,
    step: Option<&'a str>,
    reason: Option<&'a str>,
    updated_us: i64,
    ended_us: Option<i64>,
    wake_us: Option<i64>,
}

/// A saga whose tickets go.
#[derive(Serialize)]
struct ReleaseJson<'a> {
    saga_id: &'a str,
    /// Its turn at the end of the queues, if it gets one, from 1.
    turn: Option<u64>,
}

#[derive(Serialize)]
struct GrantJson<'a> {
    saga_id: &'a str,
    /// The token of its first key.
    first: u64,
    /// The status that goes with them; none if it stays.
    status: Option<&'static str>,
    /// Number of the first fact that goes with them; none if none does.
    from: Option<u32>,
    record_count: Option<u32>,
    records: Option<String>,
}

#[derive(Serialize)]
struct SettleJson<'a> {
    inbox_id: &'a str,
    result: &'a str,
}

/// A batch as text: the statements that it needs, and their parameters.
struct Plan<'a> {
    steps: Vec<Step>,
    submissions: Submissions<'a>,
    leases: String,
    facts: String,
    facts_count: u64,
    headers: String,
    headers_count: u64,
    releases: String,
    grants: String,
    settles: String,
}

impl<'a> Plan<'a> {
    fn new(batch: &'a Batch) -> Result<Self, Failure> {
        check_covered(batch)?;
        let with_facts = || batch.appends.iter().filter(|append| append.record_count > 0);
        let facts = json_array(with_facts().map(|append| FactsJson {
            saga_id: append.saga_id.as_str(),
            partition: append.partition.0,
            from: append.from,
            record_count: append.record_count,
            records: &append.records,
        }))?;
        let with_header =
            || batch.appends.iter().filter_map(|append| Some((append, append.header.as_ref()?)));
        let headers = json_array(with_header().map(|(append, header)| HeaderJson {
            saga_id: append.saga_id.as_str(),
            partition: append.partition.0,
            next: append.from + u64::from(append.record_count),
            status: header.status.as_str(),
            paused: header.paused,
            step: header.step.as_ref().map(amends_core::StepId::as_str),
            reason: header.reason.as_deref(),
            updated_us: header.updated_at.0,
            ended_us: header.ended_at.map(|at| at.0),
            wake_us: wake_us(header),
        }))?;
        let settle = |own: &'a amends_ports::store::Settle| SettleJson {
            inbox_id: &own.id.0,
            result: &own.result,
        };
        let submissions = Submissions::new(&batch.accepts)?;
        Ok(Self {
            steps: steps(batch, &submissions),
            submissions,
            leases: leases_json(&batch.leases)?,
            facts,
            facts_count: with_facts().count() as u64,
            headers,
            headers_count: with_header().count() as u64,
            releases: json_array(releases(batch).into_iter())?,
            grants: json_array(batch.grants.iter().map(|grant| grant.saga_id.as_str()))?,
            settles: json_array(batch.settles.iter().map(settle))?,
        })
    }

    /// Whether every statement changed as much as it should.
    fn check_changes(&self, changed: &[u64]) -> Result<(), Failure> {
        for (step, changed) in self.steps.iter().zip(changed) {
            let expected = match step {
                Step::Facts => self.facts_count,
                Step::Headers => self.headers_count,
                Step::Begin
                | Step::Leases
                | Step::Forget
                | Step::Freed
                | Step::Release
                | Step::Requeue
                | Step::RaiseRequeued
                | Step::Wake
                | Step::Accept
                | Step::Exists
                | Step::Labels
                | Step::LockKeys
                | Step::Tickets
                | Step::RaiseNew
                | Step::FirstFacts
                | Step::GrantAccepted
                | Step::Grant
                | Step::Settle => continue,
            };
            if *changed != expected {
                return Err(Failure::not_written(format!(
                    "{} of {expected} sagas do not exist or their facts do not follow on what is \
                     stored",
                    expected.abs_diff(*changed)
                )));
            }
        }
        Ok(())
    }
}

/// The sagas whose tickets go, with the turns of those that get new ones.
fn releases(batch: &Batch) -> Vec<ReleaseJson<'_>> {
    let mut turns = 1_u64..;
    let mut releases = Vec::new();
    for Append { saga_id, tickets, .. } in &batch.appends {
        let turn = match tickets {
            Tickets::Keep => continue,
            Tickets::Release => None,
            Tickets::Requeue => turns.next(),
        };
        releases.push(ReleaseJson { saga_id: saga_id.as_str(), turn });
    }
    releases
}

/// The statements that `batch` needs, in order.
fn steps(batch: &Batch, submissions: &Submissions<'_>) -> Vec<Step> {
    let has_facts = batch.appends.iter().any(|append| append.record_count > 0);
    let has_headers = batch.appends.iter().any(|append| append.header.is_some());
    let has_releases = batch.appends.iter().any(|append| append.tickets != Tickets::Keep);
    let has_requeues = batch.appends.iter().any(|append| append.tickets == Tickets::Requeue);
    let is_needed = |step: &Step| match step {
        Step::Begin => true,
        Step::Leases => !batch.leases.is_empty(),
        Step::Facts => has_facts,
        Step::Headers => has_headers,
        Step::Forget | Step::Freed | Step::Release | Step::Wake => has_releases,
        Step::Accept | Step::Exists | Step::FirstFacts => !batch.accepts.is_empty(),
        Step::Labels => submissions.has_labels,
        Step::Requeue | Step::RaiseRequeued => has_requeues,
        Step::LockKeys | Step::Tickets | Step::RaiseNew | Step::GrantAccepted => {
            submissions.has_lock_keys
        }
        Step::Grant => !batch.grants.is_empty(),
        Step::Settle => !batch.settles.is_empty(),
    };
    Step::ALL.into_iter().filter(is_needed).collect()
}

/// Whether every change is under a lease of its partition.
fn check_covered(batch: &Batch) -> Result<(), Failure> {
    let appends = batch.appends.iter().map(|append| append.partition);
    let grants = batch.grants.iter().map(|grant| grant.partition);
    match appends.chain(grants).find(|partition| !batch.is_under(*partition)) {
        None => Ok(()),
        Some(Partition(partition)) => Err(Failure::not_written(format!(
            "the batch changes sagas of partition {partition} without its lease"
        ))),
    }
}

/// What the statements answered.
#[derive(Default)]
struct Answers {
    stale: Vec<Partition>,
    exists: Vec<(usize, SagaId, String)>,
    granted_at_once: Vec<usize>,
    granted: Vec<(usize, usize)>,
    woken: Vec<(Partition, SagaId)>,
}

impl Answers {
    fn take(&mut self, step: Step, row: &SqliteRow) -> Result<(), Failure> {
        match step {
            Step::Leases => self.stale.push(partition(row.try_get(0)?)?),
            Step::Exists => {
                self.exists.push((index(row, 0)?, saga_id(row.try_get(1)?)?, row.try_get(2)?));
            }
            Step::GrantAccepted => self.granted_at_once.push(index(row, 0)?),
            Step::Grant => self.granted.push((index(row, 0)?, index(row, 1)?)),
            Step::Wake => {
                self.woken.push((partition(row.try_get(0)?)?, saga_id(row.try_get(1)?)?));
            }
            Step::Begin
            | Step::Facts
            | Step::Headers
            | Step::Forget
            | Step::Freed
            | Step::Release
            | Step::Requeue
            | Step::RaiseRequeued
            | Step::Accept
            | Step::Labels
            | Step::LockKeys
            | Step::Tickets
            | Step::RaiseNew
            | Step::FirstFacts
            | Step::Settle => {}
        }
        Ok(())
    }
}

fn index(row: &SqliteRow, column: usize) -> Result<usize, Failure> {
    let number: i64 = row.try_get(column)?;
    usize::try_from(number).map_err(|_| Failure::Corrupt(format!("{number} is no index")))
}

impl SqliteStore {
    pub(super) async fn write_batch(&self, batch: &Batch) -> Result<Written, WriteError> {
        let plan = Plan::new(batch)?;
        let mut transaction = self.writer.enter().await?;
        let answers = self.run(&plan, &mut transaction).await;
        let answers = match answers {
            Ok(answers) if answers.stale.is_empty() => answers,
            Ok(answers) => {
                transaction.roll_back().await;
                return Err(WriteError::Fenced(answers.stale));
            }
            Err(failure) => {
                transaction.roll_back().await;
                return Err(failure.into());
            }
        };
        let written = match written(&plan, batch, answers, &mut transaction).await {
            Ok(written) => written,
            Err(failure) => {
                transaction.roll_back().await;
                return Err(failure.into());
            }
        };
        failpoint!("sqlite.batch.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.batch.after-commit");
        Ok(written)
    }

    async fn run(
        &self,
        plan: &Plan<'_>,
        transaction: &mut Transaction<'_>,
    ) -> Result<Answers, Failure> {
        let sql: String = plan.steps.iter().map(|step| step.sql()).collect();
        let mut answers = Answers::default();
        let text = sqlx::query(AssertSqlSafe(sql))
            .bind(plan.leases.as_str())
            .bind(plan.facts.as_str())
            .bind(plan.headers.as_str())
            .bind(plan.releases.as_str())
            .bind(plan.submissions.sagas.as_str())
            .bind(plan.submissions.facts.as_str())
            .bind(plan.grants.as_str())
            .bind(plan.settles.as_str())
            .bind(self.now_us());
        let take = |statement: usize, row: SqliteRow| {
            plan.steps.get(statement).map_or(Ok(()), |step| answers.take(*step, &row))
        };
        let changed = transaction.run(text, take).await?;
        if answers.stale.is_empty() {
            plan.check_changes(&changed)?;
        }
        Ok(answers)
    }
}

/// A saga that is granted its keys: the place for its tokens, how many, its id, and if it is new
/// what it was made with.
type Wanted<'a> = (&'a mut Option<Vec<Token>>, usize, &'a SagaId, Option<&'a NewSaga>);

/// Gives tokens to what was granted, and says what became of each part.
async fn written(
    plan: &Plan<'_>,
    batch: &Batch,
    answers: Answers,
    transaction: &mut Transaction<'_>,
) -> Result<Written, Failure> {
    let mut woken = answers.woken;
    let may_follow = |(partition, saga_id): &&(Partition, SagaId)| {
        batch.may_follow(*partition, saga_id.as_str())
    };
    let next = woken.iter().filter(may_follow).take(SUCCESSORS_MAX);
    let next: Vec<SagaId> = next.map(|(_, id)| id.clone()).collect();
    let next = going_on(transaction.connection(), &next).await?;
    woken.retain(|(_, saga_id)| next.iter().all(|(saga, _)| saga.saga_id != *saga_id));
    let mut next_tokens: Vec<Option<Vec<Token>>> = vec![None; next.len()];
    let mut accepts = plan.submissions.outcomes(answers.exists);
    let mut grants: Vec<Option<Vec<Token>>> = vec![None; batch.grants.len()];
    let wanted: Vec<Wanted<'_>> = {
        let mut places: Vec<_> = accepts.iter_mut().map(Some).collect();
        let at_once = answers.granted_at_once.into_iter().filter_map(|index| {
            let AcceptOutcome::Created { tokens } = places.get_mut(index)?.take()? else {
                return None;
            };
            let new = batch.accepts.get(index)?;
            Some((tokens, new.lock_keys.len(), &new.saga_id, Some(new)))
        });
        let mut wanted: Vec<_> = at_once.collect();
        let mut places: Vec<_> = grants.iter_mut().map(Some).collect();
        wanted.extend(answers.granted.into_iter().filter_map(|(index, keys)| {
            Some((places.get_mut(index)?.take()?, keys, &batch.grants.get(index)?.saga_id, None))
        }));
        let successors = next.iter().zip(&mut next_tokens);
        wanted.extend(successors.map(|((saga, keys), place)| (place, *keys, &saga.saga_id, None)));
        wanted
    };
    let count: usize = wanted.iter().map(|(_, keys, ..)| keys).sum();
    if count > 0 {
        let mut next = take_tokens(transaction, count).await?;
        let mut granted = Vec::with_capacity(wanted.len());
        for (place, keys, saga_id, new) in wanted {
            let end = next + keys as u64;
            let tokens: Vec<Token> = (next..end).map(Token).collect();
            let facts = new.and_then(NewSaga::grant_facts);
            granted.push(GrantJson {
                saga_id: saga_id.as_str(),
                first: next,
                status: new.and_then(|new| Some(new.grant.as_ref()?.status.as_str())),
                from: new.filter(|_| facts.is_some()).map(|new| new.record_count),
                record_count: facts.map(|facts| facts.record_count),
                records: facts.map(|facts| facts.records(&tokens)),
            });
            *place = Some(tokens);
            next = end;
        }
        let granted = json_array(granted.into_iter())?;
        transaction.run(sqlx::query(NOTE_GRANTS).bind(granted), |_, _| Ok(())).await?;
        failpoint!("sqlite.batch.granted");
    }
    let successor = |((saga, _), tokens): (_, Option<_>)| Successor {
        saga,
        tokens: tokens.unwrap_or_default(),
    };
    let successors = next.into_iter().zip(next_tokens).map(successor).collect();
    Ok(Written { accepts, grants, woken, successors })
}

/// The first of `count` tokens that follow one another and were never given.
async fn take_tokens(transaction: &mut Transaction<'_>, count: usize) -> Result<u64, Failure> {
    let count = i64::try_from(count).map_err(|error| Failure::NotWritten(error.into()))?;
    let last: i64 =
        sqlx::query_scalar(TAKE_TOKENS).bind(count).fetch_one(transaction.connection()).await?;
    u64::try_from(last - count + 1).map_err(|_| Failure::Corrupt("tokens ran out".to_owned()))
}
