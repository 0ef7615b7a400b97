//! Sagas into memory, one saga, its journal.

use std::collections::HashMap;

use amends_core::SagaId;
use amends_core::definition::Digest;
use amends_core::saga::{Record, UnreadableFact};
use amends_ports::SagaSummary;
use amends_ports::failpoint;
use amends_ports::store::{JournalPage, Lease, Partition, StoredSaga};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::SqliteStore;
use super::batch::{json_array, leases_json};
use super::failure::Failure;
use super::row::{self, add_records, corrupt, partition, saga_id, summary_columns};
use crate::version::report_unreadable;

const RECOVER: &str = "SELECT s.saga_no, s.saga_id, s.partition, s.definition
     FROM json_each($1) AS l
     CROSS JOIN partition_lease AS p ON p.partition = l.value ->> 'partition'
         AND p.epoch = l.value ->> 'epoch' AND p.owner IS NOT NULL
     CROSS JOIN saga AS s ON s.partition = p.partition
     WHERE s.ended_us IS NULL AND s.wake_us IS NULL AND s.saga_id > $2
     ORDER BY s.saga_id LIMIT $3";

const OF_KEY: &str = "SELECT saga_id FROM saga WHERE idempotency_key = $1";

const DUE: &str = "SELECT s.saga_no, s.saga_id, s.partition, s.definition
     FROM json_each($1) AS l
     CROSS JOIN partition_lease AS p ON p.partition = l.value ->> 'partition'
         AND p.epoch = l.value ->> 'epoch' AND p.owner IS NOT NULL
     CROSS JOIN saga AS s ON s.partition = p.partition
     WHERE s.wake_us IS NOT NULL AND s.wake_us <= $2
     ORDER BY s.wake_us LIMIT $3";

const ONE: &str = "SELECT s.saga_no, s.saga_id, s.partition, s.definition
     FROM saga AS s
     JOIN json_each($1) AS l ON l.value ->> 'partition' = s.partition
     JOIN partition_lease AS p ON p.partition = s.partition
         AND p.epoch = l.value ->> 'epoch' AND p.owner IS NOT NULL
     WHERE s.saga_id = $2 AND s.wake_us IS NOT NULL";

/// Those of some sagas that are not paused, and how many lock keys each has.
const GOING_ON: &str = "SELECT s.saga_no, s.saga_id, s.partition, s.definition,
         json_array_length(s.lock_keys)
     FROM json_each($1) AS n CROSS JOIN saga AS s ON s.saga_id = n.value WHERE s.paused = 0";

const CLAIM: &str =
    "UPDATE saga SET wake_us = NULL WHERE saga_no IN (SELECT value FROM json_each($1))";

const JOURNALS: &str = "SELECT j.saga_no, j.records FROM saga_journal AS j
     WHERE j.saga_no IN (SELECT value FROM json_each($1)) ORDER BY j.saga_no, j.first_seq";

const SUMMARY: &str =
    concat!("SELECT ", summary_columns!(), " FROM saga AS s WHERE s.saga_id = $1");

/// Chunks that hold facts from number `$2` on, no more of them than facts are asked for.
const CHUNKS: &str = "SELECT j.first_seq, j.records FROM saga_journal AS j
     WHERE j.saga_no = $1 AND j.first_seq >= coalesce(
         (SELECT max(b.first_seq) FROM saga_journal AS b
          WHERE b.saga_no = $1 AND b.first_seq <= $2), 0)
     ORDER BY j.first_seq LIMIT $3";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[RECOVER, DUE, ONE, GOING_ON, CLAIM, JOURNALS, SUMMARY, CHUNKS];

/// A saga whose journal is still to be read.
struct Found {
    saga_no: i64,
    saga: StoredSaga,
}

impl Found {
    fn read(row: &SqliteRow) -> Result<Self, Failure> {
        let saga = StoredSaga {
            saga_id: saga_id(row.try_get(1)?)?,
            partition: partition(row.try_get(2)?)?,
            definition: Digest(row.try_get(3)?),
            records: Vec::new(),
        };
        Ok(Self { saga_no: row.try_get(0)?, saga })
    }

    fn read_all(rows: &[SqliteRow]) -> Result<Vec<Self>, Failure> {
        rows.iter().map(Self::read).collect()
    }
}

fn numbers(found: &[Found]) -> Result<String, Failure> {
    json_array(found.iter().map(|own| own.saga_no))
}

/// Reads the journals, in the order of `found`. Sagas whose journals can't be read are left out
/// and reported: none of them must keep the others from being driven.
async fn with_journals(
    connection: &mut SqliteConnection,
    found: Vec<Found>,
) -> Result<Vec<StoredSaga>, Failure> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(JOURNALS).bind(numbers(&found)?).fetch_all(connection).await?;
    let mut journals: HashMap<i64, Journal> = HashMap::with_capacity(found.len());
    for row in rows {
        let journal = journals.entry(row.try_get(0)?).or_insert_with(|| Ok(Vec::new()));
        if let Ok(records) = journal
            && let Err(error) = add_records(records, row.try_get(1)?)
        {
            *journal = Err(error);
        }
    }
    let mut sagas = Vec::with_capacity(found.len());
    for Found { saga_no, saga } in found {
        match journals.remove(&saga_no).unwrap_or_else(|| Ok(Vec::new())) {
            Ok(records) => sagas.push(StoredSaga { records, ..saga }),
            Err(error) => report_unreadable(&saga.saga_id, &error),
        }
    }
    Ok(sagas)
}

/// Those of some sagas that go on with their lock keys, as the running transaction sees them, and how
/// many keys each has. Those that are paused or can't be read do not.
pub(super) async fn going_on(
    connection: &mut SqliteConnection,
    saga_ids: &[SagaId],
) -> Result<Vec<(StoredSaga, usize)>, Failure> {
    if saga_ids.is_empty() {
        return Ok(Vec::new());
    }
    let saga_ids = json_array(saga_ids.iter().map(SagaId::as_str))?;
    let rows = sqlx::query(GOING_ON).bind(saga_ids).fetch_all(&mut *connection).await?;
    let mut keys: HashMap<SagaId, usize> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let count: i64 = row.try_get(4)?;
        keys.insert(saga_id(row.try_get(1)?)?, usize::try_from(count).unwrap_or_default());
    }
    let sagas = with_journals(connection, Found::read_all(&rows)?).await?;
    let with_count = |saga: StoredSaga| {
        let count = keys.get(&saga.saga_id).copied().unwrap_or_default();
        (saga, count)
    };
    Ok(sagas.into_iter().map(with_count).collect())
}

/// The facts of a saga, or the first that can't be read.
type Journal = Result<Vec<Record>, UnreadableFact>;

impl SqliteStore {
    pub(super) async fn in_memory(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Failure> {
        let mut connection = self.readers.acquire().await?;
        let limit = usize::from(limit);
        let mut after = after.map_or("", SagaId::as_str).to_owned();
        let mut sagas = Vec::new();
        // A page that lacks unreadable sagas is filled up: a short one means that there are no
        // more.
        loop {
            let wanted = i64::try_from(limit - sagas.len()).unwrap_or(i64::MAX);
            let query = sqlx::query(RECOVER).bind(leases_json(&[lease])?).bind(after.clone());
            let rows = query.bind(wanted).fetch_all(&mut *connection).await?;
            let found = Found::read_all(&rows)?;
            let Some(last) = found.last() else { return Ok(sagas) };
            after = last.saga.saga_id.as_str().to_owned();
            let page = found.len();
            let readable = with_journals(&mut connection, found).await?;
            let is_whole = readable.len() == page;
            sagas.extend(readable);
            if is_whole || sagas.len() >= limit {
                return Ok(sagas);
            }
        }
    }

    pub(super) async fn claim_what_is_due(
        &self,
        leases: &[Lease],
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Failure> {
        let leases = leases_json(leases)?;
        let due = || sqlx::query(DUE).bind(leases.clone()).bind(self.now_us()).bind(limit);
        // Asked often, mostly for nothing: the writer is left alone then.
        if due().fetch_optional(&self.readers).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut transaction = self.writer.begin().await?;
        let rows = due().fetch_all(transaction.connection()).await?;
        let found = Found::read_all(&rows)?;
        sqlx::query(CLAIM).bind(numbers(&found)?).execute(transaction.connection()).await?;
        let sagas = with_journals(transaction.connection(), found).await?;
        failpoint!("sqlite.claim-due.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.claim-due.after-commit");
        Ok(sagas)
    }

    pub(super) async fn claim_by_name(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Failure> {
        let mut transaction = self.writer.begin().await?;
        let rows = sqlx::query(ONE)
            .bind(leases_json(leases)?)
            .bind(saga_id.as_str().to_owned())
            .fetch_all(transaction.connection())
            .await?;
        let found = Found::read_all(&rows)?;
        sqlx::query(CLAIM).bind(numbers(&found)?).execute(transaction.connection()).await?;
        let mut sagas = with_journals(transaction.connection(), found).await?;
        failpoint!("sqlite.claim-one.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.claim-one.after-commit");
        Ok(sagas.pop())
    }

    async fn row(
        &self,
        connection: &mut SqliteConnection,
        saga_id: &SagaId,
    ) -> Result<Option<row::SagaRow>, Failure> {
        let row = sqlx::query(SUMMARY)
            .bind(saga_id.as_str().to_owned())
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(row::saga).transpose()
    }

    pub(super) async fn whole(
        &self,
        saga_id: &SagaId,
    ) -> Result<Option<(SagaSummary, StoredSaga)>, Failure> {
        let mut connection = self.readers.acquire().await?;
        // Two reads in one snapshot: the row and the journal fit each other.
        let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
        let Some(row) = self.row(&mut transaction, saga_id).await? else { return Ok(None) };
        let mut saga = StoredSaga {
            saga_id: saga_id.clone(),
            partition: row.partition,
            definition: row.definition,
            records: Vec::new(),
        };
        let chunks: Vec<(i64, String)> = sqlx::query_as(JOURNALS)
            .bind(json_array([row.saga_no].into_iter())?)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.rollback().await?;
        for (_, text) in chunks {
            add_records(&mut saga.records, &text)
                .map_err(|error| corrupt(format!("saga {saga_id}: {error}")))?;
        }
        Ok(Some((row.summary, saga)))
    }

    pub(super) async fn row_of(
        &self,
        saga_id: &SagaId,
    ) -> Result<Option<(Partition, SagaSummary)>, Failure> {
        let mut connection = self.readers.acquire().await?;
        let row = self.row(&mut connection, saga_id).await?;
        Ok(row.map(|row| (row.partition, row.summary)))
    }

    pub(super) async fn id_of_key(&self, key: &str) -> Result<Option<SagaId>, Failure> {
        let mut connection = self.readers.acquire().await?;
        let found =
            sqlx::query(OF_KEY).bind(key.to_owned()).fetch_optional(&mut *connection).await?;
        let id = found.map(|found| found.try_get::<String, _>(0)).transpose()?;
        id.map(|id| saga_id(&id)).transpose()
    }

    pub(super) async fn journal_page(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Failure> {
        let mut connection = self.readers.acquire().await?;
        let Some(row) = self.row(&mut connection, saga_id).await? else { return Ok(None) };
        // One chunk more than facts: so whether there are more is seen, too.
        let chunks: Vec<(i64, String)> = sqlx::query_as(CHUNKS)
            .bind(row.saga_no)
            .bind(i64::try_from(from).unwrap_or(i64::MAX))
            .bind(i64::from(limit) + 1)
            .fetch_all(&mut *connection)
            .await?;
        let first = chunks.first().map_or(0, |(first, _)| u64::try_from(*first).unwrap_or(0));
        let mut all: Vec<Record> = Vec::new();
        for (_, text) in chunks {
            let next = first + u64::try_from(all.len()).unwrap_or(u64::MAX);
            let read = Record::read_all(next, &text);
            all.extend(read.map_err(|error| corrupt(format!("saga {saga_id}: {error}")))?);
        }
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut wanted: Vec<Record> = all.into_iter().skip(skipped).collect();
        let more = wanted.len() > usize::from(limit);
        wanted.truncate(usize::from(limit));
        Ok(Some(JournalPage { from, records: wanted, more }))
    }
}
