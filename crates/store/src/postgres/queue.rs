//! Who holds lock keys and who waits for them.

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};
use amends_ports::store::{
    Error, Lease, LockHolder, LockPlace, LockQueue, LockSummary, PLACES_MAX, SagaLock,
};
use sqlx::postgres::PgRow;

use super::idle::token_floor;
use super::list::status_of;
use super::{Failure, PostgresStore, row};
use crate::queue::{ROWS_MAX, Ticket, beyond, queue_of};

/// What [`ticket`] reads: of a fence `f`, a ticket `t` and its saga `s`; tickets are counted to $1.
macro_rules! place_columns {
    () => {
        concat!(
            "f.lock_key, greatest(f.token, ",
            token_floor!(),
            "),
    (SELECT count(*) FROM (
        SELECT FROM lock_ticket w WHERE w.lock_key = f.lock_key LIMIT $1
    ) w),
    t.token, t.saga_id, t.partition, s.definition_name, s.status, t.taken_at"
        )
    };
}

/// The first $5 keys in use from $2 on, after $3 and before $4, each with its first ticket. Goes
/// from key to key, past the queues, however long they are.
pub(super) const LOCKS: &str = concat!(
    "WITH RECURSIVE page (lock_key, number) AS (
    (
        SELECT t.lock_key, 1::bigint FROM lock_ticket t
        WHERE t.lock_key >= $2 AND t.lock_key > $3 AND t.lock_key < $4
        ORDER BY t.lock_key
        LIMIT 1
    )
    UNION ALL
    SELECT next.lock_key, p.number + 1
    FROM page p
    CROSS JOIN LATERAL (
        SELECT t.lock_key FROM lock_ticket t
        WHERE t.lock_key > p.lock_key AND t.lock_key < $4
        ORDER BY t.lock_key
        LIMIT 1
    ) next
    WHERE p.number < $5
)
SELECT ",
    place_columns!(),
    "
FROM page p
JOIN lock_fence f ON f.lock_key = p.lock_key
CROSS JOIN LATERAL (
    SELECT h.token, h.saga_id, h.partition, h.taken_at FROM lock_ticket h
    WHERE h.lock_key = p.lock_key
    ORDER BY h.ticket
    LIMIT 1
) t
JOIN saga s ON s.saga_id = t.saga_id
ORDER BY p.lock_key"
);

/// The first $3 tickets of the key $2.
pub(super) const LOCK: &str = concat!(
    "SELECT ",
    place_columns!(),
    "
FROM lock_fence f
CROSS JOIN LATERAL (
    SELECT h.ticket, h.token, h.saga_id, h.partition, h.taken_at FROM lock_ticket h
    WHERE h.lock_key = $2
    ORDER BY h.ticket
    LIMIT $3
) t
JOIN saga s ON s.saga_id = t.saga_id
WHERE f.lock_key = $2
ORDER BY t.ticket"
);

/// The tickets of the saga $1, with how many stand before each, up to $2, and who holds the key.
pub(super) const PLACES: &str = "\
SELECT t.lock_key, t.token,
    (SELECT count(*) FROM (
        SELECT FROM lock_ticket b WHERE b.lock_key = t.lock_key AND b.ticket < t.ticket LIMIT $2
    ) b),
    CASE WHEN first.token IS NOT NULL THEN first.saga_id END
FROM lock_ticket t
CROSS JOIN LATERAL (
    SELECT h.saga_id, h.token FROM lock_ticket h
    WHERE h.lock_key = t.lock_key
    ORDER BY h.ticket
    LIMIT 1
) first
WHERE t.saga_id = $1
ORDER BY t.lock_key";

/// Granted tickets of the first $4 live sagas after $3 that have any, in the partition $1 under the
/// epoch $2.
pub(super) const HOLDERS: &str = "\
WITH page AS (
    SELECT t.saga_id
    FROM lock_ticket t
    WHERE t.partition = $1 AND t.token IS NOT NULL AND t.saga_id > $3
        AND EXISTS (
            SELECT 1 FROM partition_lease l
            WHERE l.partition = $1 AND l.epoch = $2 AND l.owner IS NOT NULL
        )
        AND EXISTS (
            SELECT 1 FROM saga s
            WHERE s.saga_id = t.saga_id AND (s.ended_at IS NULL) IS TRUE
        )
    GROUP BY t.saga_id
    ORDER BY t.saga_id
    LIMIT $4
)
SELECT t.saga_id, t.lock_key, t.token
FROM page p
JOIN lock_ticket t ON t.saga_id = p.saga_id
WHERE (t.token IS NULL) IS FALSE
ORDER BY t.saga_id, t.lock_key";

impl PostgresStore {
    pub(super) async fn lock_list(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Error> {
        let prefix = prefix.unwrap_or_default();
        // No key has a control character, and the database takes no text with this one.
        if limit == 0 || prefix.contains('\0') {
            return Ok(Vec::new());
        }
        let end = beyond(prefix);
        let query = || {
            sqlx::query(LOCKS)
                .bind(i64::from(ROWS_MAX))
                .bind(prefix)
                .bind(after.map_or("", LockKey::as_str))
                .bind(&end)
                .bind(i64::from(limit))
        };
        let rows = self.hot.fetch(query).await?;
        let tickets = rows.iter().map(ticket).collect::<Result<Vec<_>, _>>()?;
        Ok(tickets.into_iter().map(Ticket::summary).collect())
    }

    pub(super) async fn lock_queue(
        &self,
        key: &LockKey,
        limit: u16,
    ) -> Result<Option<LockQueue>, Error> {
        let query = || {
            sqlx::query(LOCK)
                .bind(i64::from(ROWS_MAX))
                .bind(key.as_str())
                .bind(i64::from(limit) + 1)
        };
        let rows = self.hot.fetch(query).await?;
        Ok(queue_of(rows.iter().map(ticket).collect::<Result<_, _>>()?, limit))
    }

    pub(super) async fn places_of(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Error> {
        let query = || sqlx::query(PLACES).bind(saga_id.as_str()).bind(i64::from(PLACES_MAX));
        let rows = self.hot.fetch(query).await?;
        Ok(rows.iter().map(saga_lock).collect::<Result<_, _>>()?)
    }

    pub(super) async fn holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Error> {
        let query = || {
            sqlx::query(HOLDERS)
                .bind(i32::from(lease.partition.0))
                .bind(lease.epoch.0.cast_signed())
                .bind(after.map_or("", |saga_id| saga_id.as_str()))
                .bind(i64::from(limit))
        };
        let rows = self.hot.fetch(query).await?;
        let mut holders: Vec<LockHolder> = Vec::new();
        for ticket in &rows {
            let saga_id = row::saga_id(ticket, 0)?;
            if holders.last().is_none_or(|last| last.saga_id != saga_id) {
                holders.push(LockHolder { saga_id, keys: Vec::new(), tokens: Vec::new() });
            }
            let Some(holder) = holders.last_mut() else { continue };
            holder.keys.push(row::name(ticket, 1, LockKey::new)?);
            holder.tokens.push(Token(row::count(ticket, 2)?));
        }
        Ok(holders)
    }
}

/// Reads `place_columns!`.
fn ticket(columns: &PgRow) -> Result<Ticket, Failure> {
    Ok(Ticket {
        key: row::name(columns, 0, LockKey::new)?,
        fence: Token(row::count(columns, 1)?),
        count: u32::try_from(row::count(columns, 2)?).unwrap_or(ROWS_MAX),
        token: token(columns, 3)?,
        place: LockPlace {
            saga_id: row::saga_id(columns, 4)?,
            partition: row::partition(columns, 5)?,
            definition_name: row::definition_name(columns, 6)?,
            status: status_of(columns, 7)?,
            since: row::time(columns, 8)?,
        },
    })
}

fn saga_lock(columns: &PgRow) -> Result<SagaLock, Failure> {
    let holder = row::get::<Option<&str>>(columns, 3)?;
    Ok(SagaLock {
        key: row::name(columns, 0, LockKey::new)?,
        token: token(columns, 1)?,
        ahead: u32::try_from(row::count(columns, 2)?).unwrap_or(u32::MAX),
        holder: holder.map(|_| row::saga_id(columns, 3)).transpose()?,
    })
}

fn token(columns: &PgRow, column: usize) -> Result<Option<Token>, Failure> {
    let token = row::get::<Option<i64>>(columns, column)?;
    Ok(token.map(|token| Token(token.cast_unsigned())))
}
