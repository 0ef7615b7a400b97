//! New sagas, and batches of further facts and new sagas in one statement.

use std::collections::HashSet;

use amends_ports::store::{AcceptOutcome, NewSaga};
use sqlx::postgres::PgRow;

use super::append::{Appends, Headers, appended};
use super::lease::{Leases, fenced};
use super::lock::NewTickets;
use super::pool::Query;
use super::unlisted::listing;
use super::{Failure, Time, row};

/// Makes sagas from parameters $17 to $35 as well; takes an idempotency key only for a saga whose
/// id is not there. Both `IN (…) IS TRUE` keep the planner from making a join of it: a hash of the
/// ids serves.
macro_rules! made {
    () => {
        concat!(
            ", new AS MATERIALIZED (
    SELECT * FROM unnest($17::text[], $18::int[], $19::text[], $20::text[], $21::bigint[],
            $22::text[], $23::text[], $24::text[], $25::text[], $26::timestamptz[],
            $27::text[], $28::bool[], $29::text[], $30::text[],
            $31::timestamptz[], $32::timestamptz[], $33::timestamptz[],
            $34::int[], $35::text[])
        WITH ORDINALITY AS n (saga_id, partition, definition, definition_name, definition_version,
            labels, lock_keys, idempotency_key, request_digest, created_at,
            status, paused, step, reason, updated_at, ended_at, wake_at,
            record_count, records, position)
    WHERE (SELECT ahead FROM go)
), keyed AS (
    INSERT INTO idempotency (idempotency_key, saga_id)
    SELECT n.idempotency_key, n.saga_id FROM new n
    WHERE n.idempotency_key IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM saga s WHERE s.saga_id = n.saga_id)
    ORDER BY n.idempotency_key COLLATE \"C\", n.position
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING saga_id
), made AS (
    INSERT INTO saga (saga_id, partition, definition, definition_name, definition_version,
        labels, lock_keys, idempotency_key, request_digest, created_at,
        status, paused, step, reason, updated_at, ended_at, wake_at, listed)
    SELECT n.saga_id, n.partition, n.definition, n.definition_name, n.definition_version,
        n.labels::jsonb, n.lock_keys::text[], n.idempotency_key, n.request_digest, n.created_at,
        n.status, n.paused, n.step, n.reason, n.updated_at, n.ended_at, n.wake_at, true
    FROM new n
    WHERE n.idempotency_key IS NULL OR (n.saga_id IN (SELECT k.saga_id FROM keyed k)) IS TRUE
    ORDER BY n.saga_id COLLATE \"C\"
    ON CONFLICT (saga_id) DO NOTHING
    RETURNING saga_id, idempotency_key, created_at, labels, lock_keys
), ",
            listing!("made"),
            ", begun AS (
    INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
    SELECT n.partition, n.saga_id, 0, n.record_count, n.records
    FROM new n
    WHERE n.record_count > 0 AND (n.saga_id IN (SELECT m.saga_id FROM made m)) IS TRUE
)"
        )
    };
}

/// What became of it: whether the leases hold, whether the appended chunks follow, which sagas
/// were made, unless all. A key that was taken for a saga which another transaction has made
/// meanwhile must not stay: the division by zero voids the statement, to be done again.
macro_rules! answer {
    () => {
        "
SELECT f.holds, s.follows,
    CASE WHEN (SELECT count(*) FROM made) < cardinality($17::text[])
        THEN ARRAY(SELECT saga_id FROM made) END,
    1 / ((SELECT count(*) FROM keyed) = (SELECT count(idempotency_key) FROM made))::int
FROM fence f, sound s"
    };
}

/// Appends, and makes sagas without lock keys, in one statement.
pub(super) const BATCH: &str = fenced!(appended!(), made!(), answer!());

/// The same with lock keys: their tickets are parameters $36 to $39.
pub(super) const BATCH_WITH_TICKETS: &str = fenced!(
    appended!(),
    made!(),
    ", ticket AS (
    INSERT INTO lock_ticket (lock_key, ticket, saga_id, partition)
    SELECT t.lock_key, t.ticket, t.saga_id, t.partition
    FROM unnest($36::text[], $37::bigint[], $38::text[], $39::int[])
        AS t (lock_key, ticket, saga_id, partition)
    WHERE (t.saga_id IN (SELECT m.saga_id FROM made m)) IS TRUE
)",
    answer!()
);

/// What was there already, by id or by idempotency key.
pub(super) const EXISTING: &str = "\
SELECT n.position, coalesce(own.saga_id, other.saga_id),
    CASE WHEN own.saga_id IS NULL THEN other.request_digest ELSE own.request_digest END
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (position, saga_id, idempotency_key)
LEFT JOIN saga own ON own.saga_id = n.saga_id
LEFT JOIN idempotency i ON i.idempotency_key = n.idempotency_key
LEFT JOIN saga other ON other.saga_id = i.saga_id
WHERE own.saga_id IS NOT NULL OR other.saga_id IS NOT NULL";

/// All accepts of a batch as parameters.
#[derive(Debug, Default)]
pub(super) struct Accepts<'b> {
    saga_ids: Vec<&'b str>,
    partitions: Vec<i32>,
    definitions: Vec<&'b str>,
    definition_names: Vec<&'b str>,
    definition_versions: Vec<Option<i64>>,
    labels: Vec<Option<String>>,
    lock_keys: Vec<Option<String>>,
    idempotency_keys: Vec<Option<&'b str>>,
    request_digests: Vec<&'b str>,
    created_at: Vec<Time>,
    headers: Headers<'b>,
    /// Statuses of those whose keys are granted at once.
    granted: Vec<Option<&'static str>>,
    counts: Vec<i32>,
    records: Vec<&'b str>,
}

impl<'b> Accepts<'b> {
    pub(super) fn of(accepts: impl IntoIterator<Item = &'b NewSaga>) -> Self {
        let mut all = Self::default();
        for new in accepts {
            all.push(new);
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.saga_ids.is_empty()
    }

    /// One a saga: its status if its keys are granted at once.
    pub(super) fn granted(&self) -> &[Option<&'static str>] {
        &self.granted
    }

    fn push(&mut self, new: &'b NewSaga) {
        // A map of texts is always JSON.
        let labels = (!new.labels.is_empty())
            .then(|| serde_json::to_string(&new.labels).unwrap_or_default());
        self.saga_ids.push(new.saga_id.as_str());
        self.partitions.push(i32::from(new.partition.0));
        self.definitions.push(&new.definition.0);
        self.definition_names.push(new.definition_name.as_str());
        self.definition_versions.push(new.definition_version.map(i64::from));
        self.labels.push(labels);
        self.lock_keys.push((!new.lock_keys.is_empty()).then(|| array_of(new)));
        self.idempotency_keys.push(new.idempotency_key.as_deref());
        self.request_digests.push(&new.request_digest);
        self.created_at.push(new.created_at.into());
        self.headers.push(&new.header);
        self.granted.push(new.grant.as_ref().map(|grant| grant.status.as_str()));
        self.counts.push(new.record_count.cast_signed());
        self.records.push(&new.records);
    }

    pub(super) fn query<'q>(
        &'q self,
        leases: &'q Leases,
        appends: &'q Appends<'b>,
        tickets: &'q NewTickets<'b>,
    ) -> Query<'q> {
        let has_tickets = !tickets.keys.is_empty();
        let query = sqlx::query(if has_tickets { BATCH_WITH_TICKETS } else { BATCH });
        let query = self.bind_rows(appends.bind(leases.bind(query)));
        let query = query.bind(&self.counts).bind(&self.records);
        if has_tickets { tickets.bind(query) } else { query }
    }

    /// Binds seventeen parameters: the rows, without their first facts.
    pub(super) fn bind_rows<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        let query = query
            .bind(&self.saga_ids)
            .bind(&self.partitions)
            .bind(&self.definitions)
            .bind(&self.definition_names)
            .bind(&self.definition_versions)
            .bind(&self.labels)
            .bind(&self.lock_keys)
            .bind(&self.idempotency_keys)
            .bind(&self.request_digests)
            .bind(&self.created_at);
        self.headers.bind(query)
    }
}

/// Lock keys as PostgreSQL writes an array of texts.
fn array_of(new: &NewSaga) -> String {
    let mut text = String::from("{");
    for key in &new.lock_keys {
        text.push_str(if text.len() == 1 { "\"" } else { ",\"" });
        for character in key.as_str().chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// One an accept: whether its saga was made, as the statements above answer.
pub(super) fn made(answer: &PgRow, accepts: &[NewSaga]) -> Result<Vec<bool>, Failure> {
    Ok(match row::get::<Option<Vec<String>>>(answer, 2)? {
        None => vec![true; accepts.len()],
        Some(ids) => {
            let ids: HashSet<String> = ids.into_iter().collect();
            accepts.iter().map(|new| ids.contains(new.saga_id.as_str())).collect()
        }
    })
}

/// The accepts that made nothing, as parameters.
#[derive(Debug)]
pub(super) struct Refused<'b> {
    positions: Vec<i64>,
    saga_ids: Vec<&'b str>,
    idempotency_keys: Vec<Option<&'b str>>,
}

impl<'b> Refused<'b> {
    pub(super) fn new(accepts: &'b [NewSaga], made: &[bool]) -> Option<Self> {
        let refused: Vec<(i64, &NewSaga)> =
            (0..).zip(accepts).zip(made).filter(|(_, made)| !**made).map(|(new, _)| new).collect();
        (!refused.is_empty()).then(|| Self {
            positions: refused.iter().map(|(position, _)| *position).collect(),
            saga_ids: refused.iter().map(|(_, new)| new.saga_id.as_str()).collect(),
            idempotency_keys: refused
                .iter()
                .map(|(_, new)| new.idempotency_key.as_deref())
                .collect(),
        })
    }

    pub(super) fn query(&self) -> Query<'_> {
        sqlx::query(EXISTING)
            .bind(&self.positions)
            .bind(&self.saga_ids)
            .bind(&self.idempotency_keys)
    }

    /// Puts what was there into `outcomes`. False if one is there no more.
    pub(super) fn fill(
        &self,
        rows: &[PgRow],
        outcomes: &mut [Option<AcceptOutcome>],
    ) -> Result<bool, Failure> {
        for found in rows {
            let position = usize::try_from(row::count(found, 0)?).unwrap_or(usize::MAX);
            let saga_id = row::saga_id(found, 1)?;
            let request_digest = row::get(found, 2)?;
            if let Some(outcome) = outcomes.get_mut(position) {
                *outcome = Some(AcceptOutcome::Exists { saga_id, request_digest });
            }
        }
        Ok(rows.len() == self.positions.len())
    }
}
