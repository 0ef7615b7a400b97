//! Sagas into memory.
//!
//! What is due is read first and claimed then, in two statements: a claim whose answer is lost can
//! so be told from one that never was. Sagas of such claims are kept in mind ([`InDoubt`]) and set
//! free again before the next claim; else nobody would have them in memory while the store says
//! that somebody has.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use amends_core::SagaId;
use amends_ports::failpoint;
use amends_ports::store::{Error, Lease, StoredSaga};
use sqlx::postgres::PgRow;

use super::lease::{Leases, fenced};
use super::lock::ids;
use super::{Failure, PostgresStore, row};
use crate::version::report_unreadable;

/// Sagas that are due in the partitions of some leases, with their journals, the longest due
/// first.
pub(super) const DUE: &str = "\
WITH due AS (
    SELECT d.saga_id, d.partition, d.definition, d.wake_at
    FROM unnest($1::int[], $2::bigint[]) AS b (partition, epoch)
    JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch
        AND l.owner IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT s.saga_id, s.partition, s.definition, s.wake_at
        FROM saga s
        WHERE s.partition = l.partition AND s.wake_at <= now()
        ORDER BY s.wake_at
        LIMIT $3
    ) d
    ORDER BY d.wake_at, d.saga_id
    LIMIT $3
)
SELECT d.saga_id, d.partition, d.definition, j.records
FROM due d
JOIN saga_journal j ON j.partition = d.partition AND j.saga_id = d.saga_id
ORDER BY d.wake_at, d.saga_id, j.first_seq";

/// One saga, if it is live and not in memory.
pub(super) const PARKED: &str = "\
SELECT s.saga_id, s.partition, s.definition, j.records
FROM saga s
JOIN saga_journal j ON j.partition = s.partition AND j.saga_id = s.saga_id
WHERE s.saga_id = $3 AND s.wake_at IS NOT NULL
    AND EXISTS (
        SELECT 1 FROM unnest($1::int[], $2::bigint[]) AS b (partition, epoch)
        JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch
            AND l.owner IS NOT NULL
        WHERE l.partition = s.partition
    )
ORDER BY j.first_seq";

/// Claims sagas for memory. `IS FALSE` hides the condition from the planner, as in the statements
/// of lock keys.
pub(super) const CLAIM: &str = fenced!(
    "
UPDATE saga s SET wake_at = NULL
WHERE s.saga_id = ANY($3::text[]) AND (s.wake_at IS NULL) IS FALSE
    AND s.partition IN (SELECT h.partition FROM held h)
RETURNING s.saga_id"
);

/// Sets sagas free whose claim is in doubt. Touches them in any case: it so waits for a claim that
/// is still running.
pub(super) const UNCLAIM: &str = fenced!(
    "
UPDATE saga s SET wake_at = coalesce(s.wake_at, now())
WHERE s.saga_id = ANY($3::text[]) AND (s.ended_at IS NULL) IS TRUE
    AND s.partition IN (SELECT h.partition FROM held h)"
);

/// What the last owner of a partition had in memory, with journals, in order of id.
pub(super) const RECOVER: &str = "\
WITH page AS (
    SELECT s.saga_id, s.partition, s.definition
    FROM saga s
    WHERE s.partition = $1 AND s.ended_at IS NULL AND s.wake_at IS NULL AND s.saga_id > $3
        AND EXISTS (
            SELECT 1 FROM partition_lease l
            WHERE l.partition = $1 AND l.epoch = $2 AND l.owner IS NOT NULL
        )
    ORDER BY s.saga_id
    LIMIT $4
)
SELECT p.saga_id, p.partition, p.definition, j.records
FROM page p
JOIN saga_journal j ON j.partition = p.partition AND j.saga_id = p.saga_id
ORDER BY p.saga_id, j.first_seq";

/// Sagas of claims whose answer was lost.
#[derive(Debug, Default)]
pub(super) struct InDoubt(Mutex<BTreeSet<SagaId>>);

impl InDoubt {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeSet<SagaId>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A claim on its way. Dropped before its answer has come, it leaves its sagas in doubt.
struct Claim<'s> {
    doubts: &'s InDoubt,
    saga_ids: Vec<SagaId>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let saga_ids = std::mem::take(&mut self.saga_ids);
        self.doubts.with(|doubts| doubts.extend(saga_ids));
    }
}

impl PostgresStore {
    pub(super) async fn due(&self, leases: &[Lease], limit: u16) -> Result<Vec<StoredSaga>, Error> {
        let leases = Leases::new(leases);
        self.settle_doubts(&leases).await?;
        let query = || leases.bind(sqlx::query(DUE)).bind(i64::from(limit));
        let rows = self.hot.fetch(query).await?;
        Ok(self.claim(&leases, Loaded::read(&rows)?).await?)
    }

    pub(super) async fn parked(
        &self,
        leases: &[Lease],
        saga_id: &SagaId,
    ) -> Result<Option<StoredSaga>, Error> {
        let leases = Leases::new(leases);
        self.settle_doubts(&leases).await?;
        let query = || leases.bind(sqlx::query(PARKED)).bind(saga_id.as_str());
        let rows = self.hot.fetch(query).await?;
        Ok(self.claim(&leases, Loaded::read(&rows)?).await?.pop())
    }

    /// Those that are in memory from now on. What can't be read counts as in memory, too: it would
    /// be due for ever otherwise, and keep others from their turn. The next owner finds it.
    async fn claim(
        &self,
        leases: &Leases,
        Loaded { mut sagas, unreadable, .. }: Loaded,
    ) -> Result<Vec<StoredSaga>, Failure> {
        let all = || sagas.iter().map(|saga| &saga.saga_id).chain(&unreadable);
        if all().next().is_none() {
            return Ok(sagas);
        }
        let mut claim = Claim { doubts: &self.in_doubt, saga_ids: all().cloned().collect() };
        let saga_ids = ids(all());
        let query = || leases.bind(sqlx::query(CLAIM)).bind(&saga_ids);
        failpoint!("postgres.claim.before");
        let answer = self.hot.fetch(query).await;
        failpoint!("postgres.claim.after");
        if !matches!(answer, Err(Failure::Lost(_) | Failure::Corrupt(_))) {
            claim.saga_ids.clear();
        }
        let claimed: BTreeSet<SagaId> =
            answer?.iter().map(|found| row::saga_id(found, 0)).collect::<Result<_, _>>()?;
        sagas.retain(|saga| claimed.contains(&saga.saga_id));
        Ok(sagas)
    }

    async fn settle_doubts(&self, leases: &Leases) -> Result<(), Failure> {
        let doubted = self.in_doubt.with(|doubts| doubts.clone());
        if doubted.is_empty() {
            return Ok(());
        }
        let saga_ids = ids(&doubted);
        let query = || leases.bind(sqlx::query(UNCLAIM)).bind(&saga_ids);
        failpoint!("postgres.unclaim.before");
        self.hot.fetch(query).await?;
        failpoint!("postgres.unclaim.after");
        self.in_doubt.with(|doubts| doubts.retain(|saga_id| !doubted.contains(saga_id)));
        Ok(())
    }

    pub(super) async fn left_behind(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<StoredSaga>, Error> {
        let limit = usize::from(limit);
        let (mut sagas, mut after) = (Vec::new(), after.cloned());
        // A page that lacks unreadable sagas is filled up: a short one means that there are no
        // more.
        loop {
            let wanted = i64::try_from(limit - sagas.len()).unwrap_or(i64::MAX);
            let page = self.left_behind_page(lease, after.as_ref(), wanted).await?;
            sagas.extend(page.sagas);
            after = page.last;
            if page.unreadable.is_empty() || sagas.len() >= limit || after.is_none() {
                return Ok(sagas);
            }
        }
    }

    async fn left_behind_page(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: i64,
    ) -> Result<Loaded, Failure> {
        let query = || {
            sqlx::query(RECOVER)
                .bind(i32::from(lease.partition.0))
                .bind(lease.epoch.0.cast_signed())
                .bind(after.map_or("", |saga_id| saga_id.as_str()))
                .bind(limit)
        };
        Loaded::read(&self.hot.fetch(query).await?)
    }
}

/// What rows of chunks hold.
#[derive(Debug, Default)]
struct Loaded {
    sagas: Vec<StoredSaga>,
    /// The last saga, readable or not.
    last: Option<SagaId>,
    /// Sagas left out because they can't be read: each was reported in the log. One that can't be
    /// read must not keep its whole partition from being driven.
    unreadable: Vec<SagaId>,
}

impl Loaded {
    /// Reads rows of id, partition, definition and a chunk of facts, each saga's together.
    fn read(rows: &[PgRow]) -> Result<Self, Failure> {
        let mut loaded = Self::default();
        for chunks in rows.chunk_by(is_same_saga) {
            let saga_id = row::saga_id(&chunks[0], 0)?;
            loaded.last = Some(saga_id.clone());
            match saga_of(chunks) {
                Ok(saga) => loaded.sagas.push(saga),
                Err(failure) => {
                    report_unreadable(&saga_id, &*failure.into_source());
                    loaded.unreadable.push(saga_id);
                }
            }
        }
        Ok(loaded)
    }
}

/// Whether two rows that begin with an id are of one saga.
pub(super) fn is_same_saga(a: &PgRow, b: &PgRow) -> bool {
    matches!((row::get::<&str>(a, 0), row::get::<&str>(b, 0)), (Ok(a), Ok(b)) if a == b)
}

/// One saga from its chunks, of which there is at least one.
pub(super) fn saga_of(chunks: &[PgRow]) -> Result<StoredSaga, Failure> {
    let first = chunks.first().ok_or_else(|| Failure::Corrupt("an empty journal".to_owned()))?;
    let saga_id = row::saga_id(first, 0)?;
    let mut records = Vec::new();
    for chunk in chunks {
        row::add_records(&saga_id, &mut records, chunk, 3)?;
    }
    Ok(StoredSaga {
        saga_id,
        partition: row::partition(first, 1)?,
        definition: row::digest(first, 2)?,
        records,
    })
}
