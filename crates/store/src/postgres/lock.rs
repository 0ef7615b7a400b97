//! Tickets of lock keys.
//!
//! Whoever changes a queue locks the `lock_fence` rows of its keys first, all of a transaction in
//! order of key, and looks at the queues in a later statement, which sees what others committed
//! before. So a new ticket and the end of its holder can't miss each other, and two sagas stand in
//! the same order in every queue that they share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};
use amends_ports::store::{Batch, NewSaga, Successor, Written};
use sqlx::postgres::PgRow;

use super::idle::token_floor;
use super::load::{is_same_saga, saga_of};
use super::pool::Query;
use super::{Failure, row};
use crate::queue::SUCCESSORS_MAX;
use crate::version::report_unreadable;

/// Locks the keys of $1 (one an intended ticket) and of the sagas $2 and $3, and sets tickets aside
/// for $3, then for $1. Raises the tokens of $3. Answers the last ticket of each key.
pub(super) const RESERVE: &str = "\
INSERT INTO lock_fence (lock_key, last_ticket, token)
SELECT k.lock_key, sum(k.tickets), sum(k.raises)
FROM (
    SELECT a.lock_key COLLATE \"C\" AS lock_key, 1 AS tickets, 0 AS raises
    FROM unnest($1::text[]) AS a (lock_key)
    UNION ALL
    SELECT t.lock_key, 0, 0 FROM unnest($2::text[]) AS b (saga_id)
    JOIN lock_ticket t ON t.saga_id = b.saga_id
    UNION ALL
    SELECT t.lock_key, 1, 1 FROM unnest($3::text[]) AS c (saga_id)
    JOIN lock_ticket t ON t.saga_id = c.saga_id
) k
GROUP BY k.lock_key
ORDER BY k.lock_key
ON CONFLICT (lock_key) DO UPDATE SET
    last_ticket = lock_fence.last_ticket + excluded.last_ticket,
    token = lock_fence.token + excluded.token
RETURNING lock_key, last_ticket";

/// Moves the sagas $1 to the tickets that [`RESERVE`] has set aside for them, below those for new
/// sagas, whose keys are $2. Answers the tickets that they had.
pub(super) const REQUEUE: &str = "\
WITH turn AS (
    SELECT t.lock_key, t.ticket, f.last_ticket
        - (SELECT count(*) FROM unnest($2::text[]) AS a (lock_key) WHERE a.lock_key = t.lock_key)
        + row_number() OVER (PARTITION BY t.lock_key ORDER BY b.position)
        - count(*) OVER (PARTITION BY t.lock_key) AS next
    FROM unnest($1::text[]) WITH ORDINALITY AS b (saga_id, position)
    JOIN lock_ticket t ON t.saga_id = b.saga_id
    JOIN lock_fence f ON f.lock_key = t.lock_key
)
UPDATE lock_ticket t SET ticket = n.next, token = NULL, taken_at = now()
FROM turn n WHERE t.lock_key = n.lock_key AND t.ticket = n.ticket
RETURNING t.lock_key, n.ticket";

/// Takes the tickets of the sagas $1 away, and locks the sagas that moved up to the head of a
/// queue by that, or by the moves from the tickets of the keys $2 with the numbers $3. `IS TRUE`, here and below, hides the condition from the planner: it might else
/// read all of a partial index that has it, where the primary key leads to the few rows.
pub(super) const RELEASE: &str = "\
WITH gone AS (
    DELETE FROM lock_ticket WHERE saga_id = ANY($1::text[]) RETURNING lock_key, ticket
), freed AS (
    SELECT a.lock_key, min(a.ticket) AS ticket
    FROM (
        SELECT g.lock_key, g.ticket FROM gone g
        UNION ALL
        SELECT m.lock_key COLLATE \"C\", m.ticket
        FROM unnest($2::text[], $3::bigint[]) AS m (lock_key, ticket)
    ) a
    GROUP BY a.lock_key
), head AS (
    SELECT DISTINCT first.saga_id
    FROM freed f
    CROSS JOIN LATERAL (
        SELECT t.saga_id, t.ticket FROM lock_ticket t
        WHERE t.lock_key = f.lock_key AND t.saga_id <> ALL($1::text[])
        ORDER BY t.ticket
        LIMIT 1
    ) first
    WHERE first.ticket > f.ticket
)
SELECT s.saga_id
FROM head h JOIN saga s ON s.saga_id = h.saga_id
WHERE (s.ended_at IS NULL) IS TRUE
ORDER BY s.saga_id
FOR NO KEY UPDATE OF s";

/// Locks those of the sagas $1 that live.
pub(super) const LOCK_HEADS: &str = "\
SELECT s.saga_id FROM saga s
WHERE s.saga_id = ANY($1::text[]) AND (s.ended_at IS NULL) IS TRUE
ORDER BY s.saga_id
FOR NO KEY UPDATE OF s";

/// Of the sagas $1 that are first in all their queues, grants those of $2 their keys that are in a
/// partition of $3, are not paused and need no other keys than $4, which are locked, and takes them
/// into memory; wakes the others. Answers them all, those in memory with their chunks and tokens.
pub(super) const FOLLOW: &str = concat!(
    "WITH first AS (
    SELECT s.saga_id, s.partition, s.definition,
        s.saga_id = ANY($2::text[]) AND s.partition = ANY($3::int[])
            AND s.lock_keys <@ $4::text[] AND NOT s.paused AS is_next
    FROM saga s
    WHERE s.saga_id = ANY($1::text[]) AND (s.ended_at IS NULL) IS TRUE
        AND NOT EXISTS (
            SELECT 1 FROM lock_ticket mine
            JOIN lock_ticket other ON other.lock_key = mine.lock_key AND other.ticket < mine.ticket
            WHERE mine.saga_id = s.saga_id
        )
), moved AS (
    UPDATE saga s SET wake_at = CASE WHEN f.is_next THEN NULL ELSE now() END
    FROM first f WHERE s.saga_id = f.saga_id
), raised AS (
    UPDATE lock_fence f SET token = 1 + greatest(f.token, ",
    token_floor!(),
    ")
    FROM first n JOIN lock_ticket t ON t.saga_id = n.saga_id
    WHERE n.is_next AND f.lock_key = t.lock_key
    RETURNING n.saga_id, f.lock_key, t.ticket, f.token
), noted AS (
    UPDATE lock_ticket t SET token = r.token
    FROM raised r WHERE t.lock_key = r.lock_key AND t.ticket = r.ticket
)
SELECT f.saga_id, f.partition, f.definition, j.records,
    (SELECT array_agg(r.token ORDER BY r.lock_key) FROM raised r WHERE r.saga_id = f.saga_id)
FROM first f
LEFT JOIN saga_journal j ON f.is_next AND j.partition = f.partition AND j.saga_id = f.saga_id
ORDER BY f.saga_id, j.first_seq"
);

/// Raises the tokens of all keys of those of the sagas $1 that are first in all their queues, notes
/// them on the tickets, and takes these sagas into memory, with the statuses $2 where there is one.
pub(super) const GRANT: &str = concat!(
    "WITH first AS (
    SELECT t.saga_id, t.lock_key, t.ticket
    FROM unnest($1::text[]) AS w (saga_id)
    JOIN lock_ticket t ON t.saga_id = w.saga_id
    WHERE NOT EXISTS (
        SELECT 1 FROM lock_ticket mine
        JOIN lock_ticket other ON other.lock_key = mine.lock_key AND other.ticket < mine.ticket
        WHERE mine.saga_id = w.saga_id
    )
), loaded AS (
    UPDATE saga s SET wake_at = NULL, status = coalesce(w.status, s.status)
    FROM unnest($1::text[], $2::text[]) AS w (saga_id, status)
    WHERE s.saga_id = w.saga_id AND (w.saga_id IN (SELECT saga_id FROM first)) IS TRUE
        AND (s.ended_at IS NULL) IS TRUE
), raised AS (
    UPDATE lock_fence f SET token = 1 + greatest(f.token, ",
    token_floor!(),
    ")
    FROM first WHERE f.lock_key = first.lock_key
    RETURNING first.saga_id, first.lock_key, first.ticket, f.token
)
UPDATE lock_ticket t SET token = r.token
FROM raised r WHERE t.lock_key = r.lock_key AND t.ticket = r.ticket
RETURNING r.saga_id, r.lock_key, r.token"
);

/// Tickets to be given, as parameters: one a saga and key.
#[derive(Debug, Default)]
pub(super) struct NewTickets<'b> {
    pub(super) keys: Vec<&'b str>,
    numbers: Vec<i64>,
    saga_ids: Vec<&'b str>,
    partitions: Vec<i32>,
    /// Whether the saga asks for its keys at once, and no saga before it in the batch has one of
    /// them.
    may_take: Vec<bool>,
    told: ToldFacts<'b>,
}

/// Facts of new sagas that tell of their grants, as parameters: what stands before the token of each
/// ticket, between those of one saga commas, and after it. Empty for those without such facts.
#[derive(Debug, Default)]
pub(super) struct ToldFacts<'b> {
    before: Vec<&'b str>,
    after: Vec<&'b str>,
    /// Number of the first fact.
    from: Vec<Option<i64>>,
    counts: Vec<i32>,
}

impl<'b> ToldFacts<'b> {
    /// Adds the tickets of a saga.
    fn push(&mut self, new: &'b NewSaga) {
        let facts = new.grant_facts();
        for n in 0..new.lock_keys.len() {
            let (is_first, is_last) = (n == 0, n + 1 == new.lock_keys.len());
            let (before, after) = facts.map_or(("", ""), |facts| (&*facts.before, &*facts.after));
            self.before.push(if is_first { before } else { "" });
            self.after.push(if is_last { after } else { "," });
            self.from.push(facts.map(|_| i64::from(new.record_count)));
            self.counts.push(facts.map_or(0, |facts| facts.record_count.cast_signed()));
        }
    }

    /// Binds four parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query.bind(&self.before).bind(&self.after).bind(&self.from).bind(&self.counts)
    }
}

impl<'b> NewTickets<'b> {
    /// The tickets that these sagas need, without their numbers.
    pub(super) fn wanted(accepts: &'b [NewSaga]) -> Self {
        let mut wanted = Self::default();
        let mut seen: HashSet<&str> = HashSet::new();
        for new in accepts {
            let keys = || new.lock_keys.iter().map(LockKey::as_str);
            let may_take = new.grant.is_some() && !keys().any(|key| seen.contains(key));
            seen.extend(keys());
            for key in keys() {
                wanted.keys.push(key);
                wanted.saga_ids.push(new.saga_id.as_str());
                wanted.partitions.push(i32::from(new.partition.0));
                wanted.may_take.push(may_take);
            }
            wanted.told.push(new);
        }
        wanted
    }

    /// Numbers them by what [`RESERVE`] answered: in each queue in the order of the batch.
    pub(super) fn number(&mut self, rows: &[PgRow]) -> Result<(), Failure> {
        let mut next: HashMap<&str, i64> = HashMap::with_capacity(rows.len());
        for key in rows {
            next.insert(row::get(key, 0)?, row::get::<i64>(key, 1)? + 1);
        }
        for key in &self.keys {
            if let Some(next) = next.get_mut(key) {
                *next -= 1;
            }
        }
        for key in &self.keys {
            let number = next.get_mut(key).ok_or_else(|| {
                Failure::Corrupt(format!("no tickets were set aside for {key:?}"))
            })?;
            self.numbers.push(*number);
            *number += 1;
        }
        Ok(())
    }

    /// Binds four parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query.bind(&self.keys).bind(&self.numbers).bind(&self.saga_ids).bind(&self.partitions)
    }

    /// Binds the same and who may take its keys.
    pub(super) fn bind_with_takers<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.bind(query).bind(&self.may_take)
    }

    /// Binds four parameters: the facts that tell of grants.
    pub(super) fn bind_told<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.told.bind(query)
    }
}

/// The sagas that moved up, as parameters: all, and those of them that the batch does not name.
pub(super) struct Followers<'b> {
    heads: &'b [&'b str],
    unnamed: Vec<&'b str>,
    partitions: Vec<i32>,
}

impl<'b> Followers<'b> {
    pub(super) fn new(batch: &Batch, heads: &'b [&'b str]) -> Self {
        let unnamed = heads.iter().copied().filter(|head| !batch.names(head));
        Self {
            heads,
            unnamed: unnamed.take(SUCCESSORS_MAX).collect(),
            partitions: batch.successors_in.iter().map(|own| i32::from(own.0)).collect(),
        }
    }

    /// Binds three parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query.bind(self.heads).bind(&self.unnamed).bind(&self.partitions)
    }
}

/// Reads the rows of [`FOLLOW`]. A saga that can't be read stays in memory for its next owner, as
/// with a claim.
pub(super) fn note_followers(rows: &[PgRow], written: &mut Written) -> Result<(), Failure> {
    for chunks in rows.chunk_by(is_same_saga) {
        let saga_id = row::saga_id(&chunks[0], 0)?;
        let Some(tokens) = row::get::<Option<Vec<i64>>>(&chunks[0], 4)? else {
            written.woken.push((row::partition(&chunks[0], 1)?, saga_id));
            continue;
        };
        let tokens = tokens.into_iter().map(|token| Token(token.cast_unsigned())).collect();
        match saga_of(chunks) {
            Ok(saga) => written.successors.push(Successor { saga, tokens }),
            Err(failure) => report_unreadable(&saga_id, &*failure.into_source()),
        }
    }
    Ok(())
}

/// Tokens by saga, in order of its keys, from the rows of [`GRANT`].
pub(super) fn tokens_of(rows: &[PgRow]) -> Result<HashMap<&str, Vec<Token>>, Failure> {
    let mut by_key: BTreeMap<(&str, &str), Token> = BTreeMap::new();
    for granted in rows {
        let key = (row::get(granted, 0)?, row::get(granted, 1)?);
        by_key.insert(key, Token(row::count(granted, 2)?));
    }
    Ok(by_saga(by_key))
}

/// The same from the answer to [`super::fast::FAST_BATCH_WITH_TICKETS`].
pub(super) fn granted_at_once(answer: &PgRow) -> Result<HashMap<String, Vec<Token>>, Failure> {
    let sagas: Option<Vec<String>> = row::get(answer, 4)?;
    let keys: Option<Vec<String>> = row::get(answer, 5)?;
    let tokens: Option<Vec<i64>> = row::get(answer, 6)?;
    let names = sagas.unwrap_or_default().into_iter().zip(keys.unwrap_or_default());
    let tokens = tokens.unwrap_or_default().into_iter().map(|token| Token(token.cast_unsigned()));
    Ok(by_saga(names.zip(tokens).collect()))
}

fn by_saga<T: Ord + Hash>(by_key: BTreeMap<(T, T), Token>) -> HashMap<T, Vec<Token>> {
    let mut tokens: HashMap<T, Vec<Token>> = HashMap::new();
    for ((saga_id, _), token) in by_key {
        tokens.entry(saga_id).or_default().push(token);
    }
    tokens
}

/// Ids as a parameter.
pub(super) fn ids<'b>(sagas: impl IntoIterator<Item = &'b SagaId>) -> Vec<&'b str> {
    sagas.into_iter().map(SagaId::as_str).collect()
}
