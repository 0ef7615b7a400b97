//! Further facts of sagas, and their rows.

use amends_core::{SagaId, StepId};
use amends_ports::store::{Append, Header, NewSaga, Partition};

use super::Time;
use super::lease::{Leases, fenced};
use super::pool::Query;

/// Appends chunks to journals and brings rows up to date, from parameters $3 to $16, if all leases
/// hold and each chunk, also one without facts, follows on the last one of its saga: `go.ahead` says
/// so.
macro_rules! appended {
    () => {
        ", sound AS (
    SELECT NOT EXISTS (
        SELECT 1
        FROM unnest($3::int[], $4::text[], $5::bigint[]) AS j (partition, saga_id, first_seq)
        WHERE j.first_seq IS DISTINCT FROM (
            SELECT c.first_seq + c.record_count FROM saga_journal c
            WHERE c.partition = j.partition AND c.saga_id = j.saga_id
            ORDER BY c.first_seq DESC
            LIMIT 1
        )
    ) AS follows
), go AS (
    SELECT f.holds AND s.follows AS ahead FROM fence f, sound s
), appended AS (
    INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
    SELECT j.partition, j.saga_id, j.first_seq, j.record_count, j.records
    FROM unnest($3::int[], $4::text[], $5::bigint[], $6::int[], $7::text[])
        AS j (partition, saga_id, first_seq, record_count, records)
    WHERE j.record_count > 0 AND (SELECT ahead FROM go)
), header AS (
    UPDATE saga s SET
        status = h.status, paused = h.paused, step = h.step, reason = h.reason,
        updated_at = h.updated_at, ended_at = h.ended_at, wake_at = h.wake_at
    FROM unnest($8::int[], $9::text[], $10::text[], $11::bool[], $12::text[], $13::text[],
            $14::timestamptz[], $15::timestamptz[], $16::timestamptz[])
        AS h (partition, saga_id, status, paused, step, reason, updated_at, ended_at, wake_at)
    WHERE s.saga_id = h.saga_id AND s.partition = h.partition AND (SELECT ahead FROM go)
)"
    };
}
pub(super) use appended;

/// Appends alone. Answers whether the leases hold, and whether the chunks follow.
pub(super) const APPEND: &str =
    fenced!(appended!(), "\nSELECT f.holds, s.follows FROM fence f, sound s");

/// Appends the chunks $1 to $5, which are known to follow.
pub(super) const TELL: &str = "\
INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::int[], $5::text[])";

/// Chunks of journals as parameters.
#[derive(Debug, Default)]
pub(super) struct Chunks<'b> {
    partitions: Vec<i32>,
    saga_ids: Vec<&'b str>,
    firsts: Vec<i64>,
    counts: Vec<i32>,
    records: Vec<&'b str>,
}

/// What rows say besides what never changes, as parameters.
#[derive(Debug, Default)]
pub(super) struct Headers<'b> {
    statuses: Vec<&'static str>,
    paused: Vec<bool>,
    steps: Vec<Option<&'b str>>,
    reasons: Vec<Option<&'b str>>,
    updated_at: Vec<Time>,
    ended_at: Vec<Option<Time>>,
    wake_at: Vec<Option<Time>>,
}

/// Rows that change, as parameters.
#[derive(Debug, Default)]
pub(super) struct Rows<'b> {
    partitions: Vec<i32>,
    saga_ids: Vec<&'b str>,
    headers: Headers<'b>,
}

/// All appends of a batch as parameters.
#[derive(Debug, Default)]
pub(super) struct Appends<'b> {
    chunks: Chunks<'b>,
    rows: Rows<'b>,
}

impl<'b> Headers<'b> {
    pub(super) fn push(&mut self, header: &'b Header) {
        let wake_at = if header.ended_at.is_some() { None } else { Time::of_wake(header.wake) };
        self.statuses.push(header.status.as_str());
        self.paused.push(header.paused);
        self.steps.push(header.step.as_ref().map(StepId::as_str));
        self.reasons.push(header.reason.as_deref());
        self.updated_at.push(header.updated_at.into());
        self.ended_at.push(header.ended_at.map(Time::from));
        self.wake_at.push(wake_at);
    }

    /// Binds seven parameters, in the order of the fields.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(&self.statuses)
            .bind(&self.paused)
            .bind(&self.steps)
            .bind(&self.reasons)
            .bind(&self.updated_at)
            .bind(&self.ended_at)
            .bind(&self.wake_at)
    }
}

impl<'b> Chunks<'b> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            partitions: Vec::with_capacity(capacity),
            saga_ids: Vec::with_capacity(capacity),
            firsts: Vec::with_capacity(capacity),
            counts: Vec::with_capacity(capacity),
            records: Vec::with_capacity(capacity),
        }
    }

    /// Adds further facts; without any, where they would begin.
    pub(super) fn push_append(&mut self, append: &'b Append) {
        let (partition, from) = (append.partition, append.from.cast_signed());
        self.push(partition, &append.saga_id, from, append.record_count, &append.records);
    }

    /// Adds the first facts of a saga, if there are any.
    pub(super) fn push_first(&mut self, new: &'b NewSaga) {
        if new.record_count > 0 {
            self.push(new.partition, &new.saga_id, 0, new.record_count, &new.records);
        }
    }

    pub(super) fn push(
        &mut self,
        at: Partition,
        saga_id: &'b SagaId,
        first: i64,
        count: u32,
        records: &'b str,
    ) {
        self.partitions.push(i32::from(at.0));
        self.saga_ids.push(saga_id.as_str());
        self.firsts.push(first);
        self.counts.push(count.cast_signed());
        self.records.push(records);
    }

    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Binds five parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(&self.partitions)
            .bind(&self.saga_ids)
            .bind(&self.firsts)
            .bind(&self.counts)
            .bind(&self.records)
    }
}

impl<'b> Rows<'b> {
    /// Adds the saga's row, if it changes.
    pub(super) fn push(&mut self, append: &'b Append) {
        if let Some(header) = &append.header {
            self.partitions.push(i32::from(append.partition.0));
            self.saga_ids.push(append.saga_id.as_str());
            self.headers.push(header);
        }
    }

    /// Binds nine parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.headers.bind(query.bind(&self.partitions).bind(&self.saga_ids))
    }
}

impl<'b> Appends<'b> {
    pub(super) fn new(appends: &'b [Append]) -> Self {
        let mut all = Self { chunks: Chunks::with_capacity(appends.len()), rows: Rows::default() };
        for append in appends {
            all.chunks.push_append(append);
            all.rows.push(append);
        }
        all
    }

    pub(super) fn query<'q>(&'q self, leases: &'q Leases) -> Query<'q> {
        self.bind(leases.bind(sqlx::query(APPEND)))
    }

    /// Binds fourteen parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.rows.bind(self.chunks.bind(query))
    }
}
