//! New sagas.

use std::collections::HashSet;

use amends_ports::store::{AcceptOutcome, NewSaga};
use sqlx::postgres::PgRow;

use super::append::Headers;
use super::lease::{Leases, fenced};
use super::lock::NewTickets;
use super::pool::Query;
use super::{Failure, Time, row};

/// Rows of new sagas from parameters $3 to $21.
macro_rules! new_rows {
    () => {
        ", new AS MATERIALIZED (
    SELECT * FROM unnest($3::text[], $4::int[], $5::text[], $6::text[], $7::bigint[],
            $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[],
            $13::text[], $14::bool[], $15::text[], $16::text[],
            $17::timestamptz[], $18::timestamptz[], $19::timestamptz[],
            $20::int[], $21::text[])
        WITH ORDINALITY AS n (saga_id, partition, definition, definition_name, definition_version,
            labels, lock_keys, idempotency_key, request_digest, created_at,
            status, paused, step, reason, updated_at, ended_at, wake_at,
            record_count, records, position)
    WHERE (SELECT holds FROM fence)
)"
    };
}

/// Inserts rows and journals of those among `new` that the condition lets pass and whose id is
/// new. `IN (…) IS TRUE` keeps the planner from making a join of it: a hash of the ids serves.
macro_rules! made_rows {
    ($condition:literal) => {
        concat!(
            ", made AS (
    INSERT INTO saga (saga_id, partition, definition, definition_name, definition_version,
        labels, lock_keys, idempotency_key, request_digest, created_at,
        status, paused, step, reason, updated_at, ended_at, wake_at)
    SELECT n.saga_id, n.partition, n.definition, n.definition_name, n.definition_version,
        n.labels::jsonb, n.lock_keys::text[], n.idempotency_key, n.request_digest, n.created_at,
        n.status, n.paused, n.step, n.reason, n.updated_at, n.ended_at, n.wake_at
    FROM new n WHERE ",
            $condition,
            "
    ORDER BY n.saga_id COLLATE \"C\"
    ON CONFLICT (saga_id) DO NOTHING
    RETURNING saga_id
), journal AS (
    INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
    SELECT n.partition, n.saga_id, 0, n.record_count, n.records
    FROM new n
    WHERE n.record_count > 0 AND (n.saga_id IN (SELECT m.saga_id FROM made m)) IS TRUE
)"
        )
    };
}

/// Makes sagas without idempotency keys and lock keys, if all leases hold. Answers whether they
/// do, how many idempotency keys were taken (none), how many sagas were made, and which, unless
/// all.
pub(super) const ACCEPT_PLAIN: &str = fenced!(
    new_rows!(),
    made_rows!("true"),
    "
SELECT (SELECT holds FROM fence), 0::bigint, (SELECT count(*) FROM made),
    CASE WHEN (SELECT count(*) FROM made) < cardinality($3::text[])
        THEN ARRAY(SELECT saga_id FROM made) END"
);

/// The same for any sagas. A key is taken only for a saga whose id is not there; if one is taken
/// and its saga is not made all the same, the transaction has to be done again.
pub(super) const ACCEPT: &str = fenced!(
    new_rows!(),
    ", keyed AS (
    INSERT INTO idempotency (idempotency_key, saga_id)
    SELECT n.idempotency_key, n.saga_id FROM new n
    WHERE n.idempotency_key IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM saga s WHERE s.saga_id = n.saga_id)
    ORDER BY n.idempotency_key COLLATE \"C\", n.position
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING saga_id
)",
    made_rows!(
        "n.idempotency_key IS NULL OR (n.saga_id IN (SELECT k.saga_id FROM keyed k)) IS TRUE"
    ),
    ", ticket AS (
    INSERT INTO lock_ticket (lock_key, ticket, saga_id, partition)
    SELECT t.lock_key, t.ticket, t.saga_id, t.partition
    FROM unnest($22::text[], $23::bigint[], $24::text[], $25::int[])
        AS t (lock_key, ticket, saga_id, partition)
    WHERE (t.saga_id IN (SELECT m.saga_id FROM made m)) IS TRUE
)
SELECT (SELECT holds FROM fence), (SELECT count(*) FROM keyed), (SELECT count(*) FROM made),
    CASE WHEN (SELECT count(*) FROM made) < cardinality($3::text[])
        THEN ARRAY(SELECT saga_id FROM made) END"
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
    counts: Vec<i32>,
    records: Vec<&'b str>,
}

impl<'b> Accepts<'b> {
    pub(super) fn new(accepts: &'b [NewSaga]) -> Self {
        let mut all = Self::default();
        for new in accepts {
            all.push(new);
        }
        all
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
        self.counts.push(new.record_count.cast_signed());
        self.records.push(&new.records);
    }

    pub(super) fn query<'q>(
        &'q self,
        leases: &'q Leases,
        tickets: Option<&'q NewTickets<'b>>,
    ) -> Query<'q> {
        let query = sqlx::query(if tickets.is_some() { ACCEPT } else { ACCEPT_PLAIN })
            .bind(&leases.partitions)
            .bind(&leases.epochs)
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
        let query = self.headers.bind(query).bind(&self.counts).bind(&self.records);
        match tickets {
            Some(tickets) => tickets.bind(query),
            None => query,
        }
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

/// What the statements above answer.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) holds: bool,
    keyed: i64,
    /// One an accept: whether its saga was made.
    pub(super) is_new: Vec<bool>,
}

impl Made {
    pub(super) fn read(rows: &[PgRow], accepts: &[NewSaga]) -> Result<Self, Failure> {
        let answer = rows.first().ok_or_else(|| Failure::Corrupt("no answer row".to_owned()))?;
        let made = match row::get::<Option<Vec<String>>>(answer, 3)? {
            None => vec![true; accepts.len()],
            Some(ids) => {
                let ids: HashSet<String> = ids.into_iter().collect();
                accepts.iter().map(|new| ids.contains(new.saga_id.as_str())).collect()
            }
        };
        Ok(Self { holds: row::get(answer, 0)?, keyed: row::get(answer, 1)?, is_new: made })
    }

    /// Whether a key was taken for a saga that another transaction made meanwhile.
    pub(super) fn has_lost_a_race(&self, accepts: &[NewSaga]) -> bool {
        let with_key = accepts
            .iter()
            .zip(&self.is_new)
            .filter(|(new, made)| **made && new.idempotency_key.is_some())
            .count();
        self.keyed != i64::try_from(with_key).unwrap_or(i64::MAX)
    }
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
