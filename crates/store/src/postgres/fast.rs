//! The usual batch in one statement that is as short as it can be.
//!
//! It takes for granted that all new sagas are new and all facts follow. If not, the database
//! refuses it whole: a saga, key or chunk that is there breaks a primary key, and a chunk that does
//! not follow on its saga's last one has no `first_seq`, which must not be NULL. Then the statements
//! of [`super::accept`] and [`super::append`] come, which tell what is there. So this one needs
//! neither `ON CONFLICT`, which costs each row a look-up more, nor to hand ids from part to part. A
//! row that changes without facts is only written so where the end of its journal is known.
//!
//! Its arrays are taken apart in lists of columns: in `FROM` each would get a buffer of its own.

use amends_ports::store::Batch;

use super::accept::Accepts;
use super::append::{Chunks, Rows};
use super::ends::Ends;
use super::idle::token_floor;
use super::lease::{Leases, fenced};
use super::lock::NewTickets;
use super::pool::Query;

/// Appends chunks ($3 to $7) and brings rows up to date ($8 to $16), if all leases hold. The
/// parameter named says which chunks are known to follow: the others are looked after.
macro_rules! chunks_and_rows {
    ($known:literal) => {
        concat!(
            ", chunk AS (
    INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
    SELECT j.partition, j.saga_id,
        CASE WHEN j.is_known OR j.first_seq = (
            SELECT c.first_seq + c.record_count FROM saga_journal c
            WHERE c.partition = j.partition AND c.saga_id = j.saga_id
            ORDER BY c.first_seq DESC
            LIMIT 1
        ) THEN j.first_seq END,
        j.record_count, j.records
    FROM (
        SELECT unnest($3::int[]) AS partition, unnest($4::text[]) AS saga_id,
            unnest($5::bigint[]) AS first_seq, unnest($6::int[]) AS record_count,
            unnest($7::text[]) AS records, unnest(",
            $known,
            "::bool[]) AS is_known
    ) j
    WHERE (SELECT holds FROM fence)
), header AS (
    UPDATE saga s SET
        status = h.status, paused = h.paused, step = h.step, reason = h.reason,
        updated_at = h.updated_at, ended_at = h.ended_at, wake_at = h.wake_at
    FROM (
        SELECT unnest($8::int[]) AS partition, unnest($9::text[]) AS saga_id,
            unnest($10::text[]) AS status, unnest($11::bool[]) AS paused,
            unnest($12::text[]) AS step, unnest($13::text[]) AS reason,
            unnest($14::timestamptz[]) AS updated_at, unnest($15::timestamptz[]) AS ended_at,
            unnest($16::timestamptz[]) AS wake_at
    ) h
    WHERE s.saga_id = h.saga_id AND s.partition = h.partition AND (SELECT holds FROM fence)
)"
        )
    };
}

/// Makes rows of new sagas ($17 to $33, and `more` columns), and of their labels.
macro_rules! new_rows {
    ($more:expr, $status:expr, $wake_at:expr) => {
        concat!(
            ", made AS (
    INSERT INTO saga (saga_id, partition, definition, definition_name, definition_version,
        labels, lock_keys, idempotency_key, request_digest, created_at,
        status, paused, step, reason, updated_at, ended_at, wake_at, listed)
    SELECT n.saga_id, n.partition, n.definition, n.definition_name, n.definition_version,
        n.labels::jsonb, n.lock_keys::text[], n.idempotency_key, n.request_digest, n.created_at,
        ",
            $status,
            ", n.paused, n.step, n.reason, n.updated_at, n.ended_at, ",
            $wake_at,
            ", true
    FROM (
        SELECT unnest($17::text[]) AS saga_id, unnest($18::int[]) AS partition,
            unnest($19::text[]) AS definition, unnest($20::text[]) AS definition_name,
            unnest($21::bigint[]) AS definition_version, unnest($22::text[]) AS labels,
            unnest($23::text[]) AS lock_keys, unnest($24::text[]) AS idempotency_key,
            unnest($25::text[]) AS request_digest, unnest($26::timestamptz[]) AS created_at,
            unnest($27::text[]) AS status, unnest($28::bool[]) AS paused,
            unnest($29::text[]) AS step, unnest($30::text[]) AS reason,
            unnest($31::timestamptz[]) AS updated_at, unnest($32::timestamptz[]) AS ended_at,
            unnest($33::timestamptz[]) AS wake_at",
            $more,
            "
    ) n
    WHERE (SELECT holds FROM fence)
), labelled AS (
    INSERT INTO saga_label (name, value, created_at, saga_id)
    SELECT l.key, l.value, n.created_at, n.saga_id
    FROM (
        SELECT unnest($17::text[]) AS saga_id, unnest($22::text[]) AS labels,
            unnest($26::timestamptz[]) AS created_at
    ) n
    CROSS JOIN LATERAL jsonb_each_text(n.labels::jsonb) l
    WHERE (SELECT holds FROM fence)
)"
        )
    };
}

/// Takes the lock keys of new sagas down, for lists.
macro_rules! new_lock_keys {
    () => {
        ", locking AS (
    INSERT INTO saga_lock_key (lock_key, created_at, saga_id)
    SELECT k.lock_key, n.created_at, n.saga_id
    FROM (
        SELECT unnest($17::text[]) AS saga_id, unnest($23::text[]) AS lock_keys,
            unnest($26::timestamptz[]) AS created_at
    ) n
    CROSS JOIN LATERAL unnest(n.lock_keys::text[]) k (lock_key)
    WHERE (SELECT holds FROM fence)
)"
    };
}

/// Whether a new saga has no keys or waits for them.
macro_rules! waits {
    () => {
        "n.lock_keys IS NULL OR (n.saga_id IN (SELECT w.saga_id FROM waits w)) IS TRUE"
    };
}

/// Takes idempotency keys ($34) for new sagas ($35).
macro_rules! new_keys {
    () => {
        ", keyed AS (
    INSERT INTO idempotency (idempotency_key, saga_id)
    SELECT k.idempotency_key, k.saga_id
    FROM (
        SELECT unnest($34::text[]) AS idempotency_key, unnest($35::text[]) AS saga_id
    ) k
    WHERE (SELECT holds FROM fence)
)"
    };
}

/// Appends alone. This and the others answer as those of [`super::accept`] do: whether the leases
/// hold, that the chunks follow, and that all sagas were made.
pub(super) const FAST_APPEND: &str =
    fenced!(chunks_and_rows!("$17"), "\nSELECT holds, true, NULL::text[] FROM fence");

/// Appends, and makes sagas without idempotency keys.
pub(super) const FAST_BATCH: &str = fenced!(
    chunks_and_rows!("$34"),
    new_rows!("", "n.status", "n.wake_at"),
    "\nSELECT holds, true, NULL::text[] FROM fence"
);

/// Appends, and makes sagas, some with idempotency keys.
pub(super) const FAST_BATCH_WITH_KEYS: &str = fenced!(
    chunks_and_rows!("$36"),
    new_rows!("", "n.status", "n.wake_at"),
    new_keys!(),
    "\nSELECT holds, true, NULL::text[] FROM fence"
);

/// The same in a transaction that has locked all its keys: takes the tickets of the sagas $41
/// away, and gives those of new sagas ($36 to $40), with tokens and the status $43 where all keys of
/// the saga are free, and with the facts that tell of it ($44 to $47). What is first now in a queue
/// may be a saga of another owner; it is to be woken by a later statement, since this one may bring
/// its row up to date as well, and would do one of both only. Answers these sagas, whether they have
/// no keys but those that were freed, and what was granted.
pub(super) const FAST_BATCH_WITH_TICKETS: &str = fenced!(
    chunks_and_rows!("$42"),
    ", ticket AS MATERIALIZED (
    SELECT t.lock_key, t.ticket, t.saga_id, t.partition, t.may_take,
        t.before, t.after, t.first_seq, t.record_count,
        1 + greatest(f.token, ",
    token_floor!(),
    ") AS token
    FROM (
        SELECT unnest($36::text[]) AS lock_key, unnest($37::bigint[]) AS ticket,
            unnest($38::text[]) AS saga_id, unnest($39::int[]) AS partition,
            unnest($40::bool[]) AS may_take, unnest($44::text[]) AS before,
            unnest($45::text[]) AS after, unnest($46::bigint[]) AS first_seq,
            unnest($47::int[]) AS record_count
    ) t
    JOIN lock_fence f ON f.lock_key = t.lock_key
), waits AS MATERIALIZED (
    SELECT t.saga_id FROM ticket t
    WHERE NOT t.may_take OR EXISTS (
        SELECT 1 FROM lock_ticket other
        WHERE other.lock_key = t.lock_key AND other.ticket < t.ticket
            AND (other.saga_id = ANY($41::text[])) IS FALSE
    )
), gone AS (
    DELETE FROM lock_ticket WHERE saga_id = ANY($41::text[]) RETURNING lock_key, ticket
), head AS (
    SELECT DISTINCT first.saga_id
    FROM (SELECT g.lock_key, min(g.ticket) AS ticket FROM gone g GROUP BY g.lock_key) f
    CROSS JOIN LATERAL (
        SELECT t.saga_id, t.ticket FROM lock_ticket t
        WHERE t.lock_key = f.lock_key AND (t.saga_id = ANY($41::text[])) IS FALSE
        ORDER BY t.ticket
        LIMIT 1
    ) first
    WHERE first.ticket > f.ticket
), taken AS (
    INSERT INTO lock_ticket (lock_key, ticket, saga_id, partition, token)
    SELECT t.lock_key, t.ticket, t.saga_id, t.partition,
        CASE WHEN (t.saga_id IN (SELECT w.saga_id FROM waits w)) IS FALSE THEN t.token END
    FROM ticket t
), raised AS (
    UPDATE lock_fence f SET token = t.token
    FROM ticket t
    WHERE f.lock_key = t.lock_key AND (t.saga_id IN (SELECT w.saga_id FROM waits w)) IS FALSE
    RETURNING t.saga_id, t.lock_key, t.token
), told AS (
    INSERT INTO saga_journal (partition, saga_id, first_seq, record_count, records)
    SELECT t.partition, t.saga_id, t.first_seq, t.record_count,
        string_agg(t.before || t.token || t.after, '' ORDER BY t.lock_key COLLATE \"C\")
    FROM ticket t
    WHERE t.first_seq IS NOT NULL AND (t.saga_id IN (SELECT w.saga_id FROM waits w)) IS FALSE
    GROUP BY t.partition, t.saga_id, t.first_seq, t.record_count
)",
    new_rows!(
        ", unnest($43::text[]) AS granted",
        concat!("CASE WHEN ", waits!(), " THEN n.status ELSE n.granted END"),
        concat!("CASE WHEN ", waits!(), " THEN n.wake_at END")
    ),
    new_lock_keys!(),
    new_keys!(),
    "
SELECT f.holds, true, ARRAY(SELECT h.saga_id FROM head h),
    NOT EXISTS (
        SELECT 1 FROM head h JOIN lock_ticket t ON t.saga_id = h.saga_id
        WHERE (t.lock_key IN (SELECT g.lock_key FROM gone g)) IS FALSE
    ),
    g.saga_ids, g.keys, g.tokens
FROM fence f, (
    SELECT array_agg(r.saga_id) AS saga_ids, array_agg(r.lock_key) AS keys,
        array_agg(r.token) AS tokens
    FROM raised r
) g"
);

/// A batch as parameters.
#[derive(Debug)]
pub(super) struct Fast<'b> {
    chunks: Chunks<'b>,
    /// One a chunk: whether it is known to follow.
    known: Vec<bool>,
    rows: Rows<'b>,
    accepts: Accepts<'b>,
    keys: Vec<&'b str>,
    keyed: Vec<&'b str>,
}

impl<'b> Fast<'b> {
    pub(super) fn new(batch: &'b Batch, ends: &Ends) -> Self {
        // In the order in which all transactions take them, so that none waits for another in
        // turns.
        let mut news: Vec<_> = batch.accepts.iter().collect();
        news.sort_unstable_by_key(|new| &new.saga_id);
        let mut keys: Vec<_> = batch
            .accepts
            .iter()
            .filter_map(|new| Some((new.idempotency_key.as_deref()?, new.saga_id.as_str())))
            .collect();
        keys.sort_unstable();
        let facts = || batch.appends.iter().filter(|append| append.record_count > 0);
        let mut known = ends.follow(facts());
        let mut chunks = Chunks::with_capacity(batch.appends.len() + news.len());
        let mut rows = Rows::default();
        facts().for_each(|append| chunks.push_append(append));
        batch.appends.iter().for_each(|append| rows.push(append));
        for new in &news {
            chunks.push_first(new);
        }
        known.resize(chunks.len(), true);
        let (keys, keyed) = keys.into_iter().unzip();
        Self { chunks, known, rows, accepts: Accepts::of(news), keys, keyed }
    }

    /// Whether it can be told that rows which change without facts are those of their journals' ends.
    pub(super) fn may_write(batch: &Batch, ends: &Ends) -> bool {
        let bare = batch.appends.iter().filter(|append| append.record_count == 0);
        ends.follow(bare).into_iter().all(|is_known| is_known)
    }

    pub(super) fn query<'q>(&'q self, leases: &'q Leases) -> Query<'q> {
        if self.accepts.is_empty() {
            let query = self.bind_appends(leases.bind(sqlx::query(FAST_APPEND)));
            return query.bind(&self.known);
        }
        if self.keys.is_empty() {
            let query = self.bind_appends(leases.bind(sqlx::query(FAST_BATCH)));
            return self.accepts.bind_rows(query).bind(&self.known);
        }
        let query = self.bind_appends(leases.bind(sqlx::query(FAST_BATCH_WITH_KEYS)));
        self.bind_news(query).bind(&self.known)
    }

    /// For a transaction that has locked the keys of these tickets and of the sagas that give
    /// theirs back.
    pub(super) fn query_with_tickets<'q>(
        &'q self,
        leases: &'q Leases,
        tickets: &'q NewTickets<'b>,
        released: &'q [&'b str],
    ) -> Query<'q> {
        let query = self.bind_appends(leases.bind(sqlx::query(FAST_BATCH_WITH_TICKETS)));
        let query = tickets.bind_with_takers(self.bind_news(query)).bind(released);
        tickets.bind_told(query.bind(&self.known).bind(self.accepts.granted()))
    }

    fn bind_appends<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.rows.bind(self.chunks.bind(query))
    }

    fn bind_news<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.accepts.bind_rows(query).bind(&self.keys).bind(&self.keyed)
    }
}
