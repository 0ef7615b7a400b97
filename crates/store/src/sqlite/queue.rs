//! Who holds lock keys and who waits for them.

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId, Timestamp};
use amends_ports::store::{
    Lease, LockHolder, LockPlace, LockQueue, LockSummary, PLACES_MAX, SagaLock,
};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::batch::leases_json;
use super::failure::Failure;
use super::row::{corrupt, definition_name, partition, saga_id};
use crate::queue::{ROWS_MAX, Ticket, beyond, queue_of};

/// What [`ticket`] reads: of a ticket `t`, its saga `s` and the last token `m`; tickets are counted
/// to $1.
macro_rules! ticket_columns {
    () => {
        "t.lock_key, m.value,
         (SELECT count(*) FROM (
             SELECT 1 FROM lock_ticket AS w WHERE w.lock_key = t.lock_key LIMIT $1)),
         t.token, t.saga_id, t.partition, s.definition_name, s.status, t.taken_us"
    };
}

/// The first $5 keys in use from $2 on, after $3 and before $4, each with its first ticket. Goes
/// from key to key, past the queues, however long they are.
const LOCKS: &str = concat!(
    "WITH RECURSIVE page (lock_key, number) AS (
         SELECT (SELECT min(t.lock_key) FROM lock_ticket AS t
             WHERE t.lock_key >= $2 AND t.lock_key > $3 AND t.lock_key < $4), 1
         UNION ALL
         SELECT (SELECT min(t.lock_key) FROM lock_ticket AS t
             WHERE t.lock_key > p.lock_key AND t.lock_key < $4), p.number + 1
         FROM page AS p WHERE p.lock_key IS NOT NULL AND p.number < $5)
     SELECT ",
    ticket_columns!(),
    " FROM page AS p
     CROSS JOIN lock_ticket AS t ON t.lock_key = p.lock_key AND t.ticket = (
         SELECT min(h.ticket) FROM lock_ticket AS h WHERE h.lock_key = p.lock_key)
     CROSS JOIN saga AS s ON s.saga_no = t.saga_no
     CROSS JOIN meta AS m ON m.name = 'last_token'
     ORDER BY p.lock_key"
);

/// The first $3 tickets of the key $2.
const LOCK: &str = concat!(
    "SELECT ",
    ticket_columns!(),
    " FROM lock_ticket AS t
     CROSS JOIN saga AS s ON s.saga_no = t.saga_no
     CROSS JOIN meta AS m ON m.name = 'last_token'
     WHERE t.lock_key = $2 ORDER BY t.ticket LIMIT $3"
);

/// The tickets of the saga $1, with how many stand before each, up to $2, and who holds the key.
const PLACES: &str = "SELECT t.lock_key, t.token,
         (SELECT count(*) FROM (SELECT 1 FROM lock_ticket AS b
             WHERE b.lock_key = t.lock_key AND b.ticket < t.ticket LIMIT $2)),
         (SELECT CASE WHEN h.token IS NOT NULL THEN h.saga_id END FROM lock_ticket AS h
             WHERE h.lock_key = t.lock_key ORDER BY h.ticket LIMIT 1)
     FROM saga AS s CROSS JOIN lock_ticket AS t ON t.saga_no = s.saga_no
     WHERE s.saga_id = $1 ORDER BY t.lock_key";

/// Granted tickets of the first $3 live sagas after $2 that have any, under the leases $1.
pub(super) const HOLDERS: &str = "WITH page AS MATERIALIZED (
         SELECT t.saga_id FROM json_each($1) AS l
         CROSS JOIN partition_lease AS o ON o.partition = l.value ->> 'partition'
             AND o.epoch = l.value ->> 'epoch' AND o.owner IS NOT NULL
         CROSS JOIN lock_ticket AS t ON t.partition = o.partition
         CROSS JOIN saga AS s ON s.saga_no = t.saga_no
         WHERE t.token IS NOT NULL AND t.saga_id > $2 AND s.ended_us IS NULL
         GROUP BY t.saga_id ORDER BY t.saga_id LIMIT $3)
     SELECT s.saga_id, t.lock_key, t.token FROM page AS p
     CROSS JOIN saga AS s ON s.saga_id = p.saga_id
     CROSS JOIN lock_ticket AS t ON t.saga_no = s.saga_no
     WHERE t.token IS NOT NULL ORDER BY s.saga_id, t.lock_key";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LOCKS, LOCK, PLACES, HOLDERS];

impl SqliteStore {
    pub(super) async fn lock_list(
        &self,
        prefix: Option<&str>,
        after: Option<&LockKey>,
        limit: u16,
    ) -> Result<Vec<LockSummary>, Failure> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let prefix = prefix.unwrap_or_default();
        let rows = sqlx::query(LOCKS)
            .bind(ROWS_MAX)
            .bind(prefix.to_owned())
            .bind(after.map_or("", LockKey::as_str).to_owned())
            .bind(beyond(prefix))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|first| Ok(ticket(first)?.summary())).collect()
    }

    pub(super) async fn lock_queue(
        &self,
        key: &LockKey,
        limit: u16,
    ) -> Result<Option<LockQueue>, Failure> {
        let rows = sqlx::query(LOCK)
            .bind(ROWS_MAX)
            .bind(key.as_str().to_owned())
            .bind(u32::from(limit) + 1)
            .fetch_all(&self.readers)
            .await?;
        Ok(queue_of(rows.iter().map(ticket).collect::<Result<_, _>>()?, limit))
    }

    pub(super) async fn places_of(&self, saga_id: &SagaId) -> Result<Vec<SagaLock>, Failure> {
        let rows = sqlx::query(PLACES)
            .bind(saga_id.as_str().to_owned())
            .bind(PLACES_MAX)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(saga_lock).collect()
    }

    pub(super) async fn holders(
        &self,
        lease: Lease,
        after: Option<&SagaId>,
        limit: u16,
    ) -> Result<Vec<LockHolder>, Failure> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(HOLDERS)
            .bind(leases_json(&[lease])?)
            .bind(after.map_or("", SagaId::as_str).to_owned())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let mut holders: Vec<LockHolder> = Vec::new();
        for (text, key, number) in rows {
            if holders.last().is_none_or(|last| last.saga_id.as_str() != text) {
                let saga_id = saga_id(&text)?;
                holders.push(LockHolder { saga_id, keys: Vec::new(), tokens: Vec::new() });
            }
            let Some(holder) = holders.last_mut() else { continue };
            holder.keys.push(lock_key(&key)?);
            holder.tokens.push(token(number)?);
        }
        Ok(holders)
    }
}

/// Reads `ticket_columns!`.
fn ticket(row: &SqliteRow) -> Result<Ticket, Failure> {
    Ok(Ticket {
        key: lock_key(row.try_get(0)?)?,
        fence: token(row.try_get(1)?)?,
        count: row.try_get(2)?,
        token: row.try_get::<Option<i64>, _>(3)?.map(token).transpose()?,
        place: LockPlace {
            saga_id: saga_id(row.try_get(4)?)?,
            partition: partition(row.try_get(5)?)?,
            definition_name: definition_name(row.try_get(6)?)?,
            status: row.try_get::<&str, _>(7)?.parse().map_err(corrupt)?,
            since: Timestamp(row.try_get(8)?),
        },
    })
}

fn saga_lock(row: &SqliteRow) -> Result<SagaLock, Failure> {
    Ok(SagaLock {
        key: lock_key(row.try_get(0)?)?,
        token: row.try_get::<Option<i64>, _>(1)?.map(token).transpose()?,
        ahead: row.try_get(2)?,
        holder: row.try_get::<Option<&str>, _>(3)?.map(saga_id).transpose()?,
    })
}

fn lock_key(text: &str) -> Result<LockKey, Failure> {
    LockKey::new(text).map_err(|error| corrupt(format!("the lock key {text:?} {error}")))
}

fn token(number: i64) -> Result<Token, Failure> {
    u64::try_from(number).map(Token).map_err(|_| corrupt(format!("token {number}")))
}
