//! Forgetting lock keys that nobody uses.
//!
//! A key's row in `lock_fence` holds its token, and tokens grow for ever. The transaction that
//! forgets a key raises the floor of all tokens to that key's, and a grant goes above both its row
//! and the floor. A later grant of the key has locked a row that was made after the old one was
//! gone, and reads the floor in a later statement still: so it sees this floor. A serializable
//! transaction has one view for all its statements, but comes before or after the other one as a
//! whole. With `repeatable read` neither is true: the store's connections never use it.

use amends_ports::failpoint;
use amends_ports::store::Error;

use super::pool::Session;
use super::{Failure, PostgresStore, row};

/// A number that no token of a forgotten key has exceeded.
macro_rules! token_floor {
    () => {
        "(SELECT coalesce(max(m.value::bigint), 0) FROM meta m WHERE m.name = 'lock_token_floor')"
    };
}
pub(super) use token_floor;

/// Locks up to $1 keys that nobody holds or waits for, as far as it can be seen before they are
/// locked. Those that somebody else has locked are not idle.
pub(super) const IDLE: &str = "\
SELECT f.lock_key FROM lock_fence f
WHERE NOT EXISTS (SELECT 1 FROM lock_ticket t WHERE t.lock_key = f.lock_key)
ORDER BY f.lock_key
LIMIT $1
FOR UPDATE OF f SKIP LOCKED";

/// Forgets those of the locked keys $1 that nobody holds or waits for, and raises the floor of all
/// tokens to theirs. Answers how many.
pub(super) const FORGET: &str = "\
WITH gone AS (
    DELETE FROM lock_fence f
    WHERE f.lock_key = ANY($1::text[])
        AND NOT EXISTS (SELECT 1 FROM lock_ticket t WHERE t.lock_key = f.lock_key)
    RETURNING f.token
), floor AS (
    INSERT INTO meta (name, value)
    SELECT 'lock_token_floor', max(g.token)::text FROM gone g HAVING count(*) > 0
    ON CONFLICT (name) DO UPDATE SET
        value = greatest(meta.value::bigint, excluded.value::bigint)::text
)
SELECT count(*) FROM gone";

impl PostgresStore {
    pub(super) async fn forget_idle(&self, limit: u16) -> Result<u64, Error> {
        let mut retries = self.hot.retries();
        loop {
            let mut session = self.hot.session().await?;
            let forgotten = forget(&mut session, limit).await;
            let end = if forgotten.is_ok() { "COMMIT" } else { "ROLLBACK" };
            failpoint!("postgres.forget.before-commit");
            let is_over = session.execute(end).await;
            failpoint!("postgres.forget.after-commit");
            session.keep_unless_spoilt(is_over.as_ref().err());
            match forgotten.and_then(|count| is_over.map(|()| count)) {
                Err(Failure::Conflict(_)) if retries.again().await => {}
                answer => return Ok(answer?),
            }
        }
    }
}

/// All statements before the commit. The second one looks again, now that nobody can come.
async fn forget(session: &mut Session<'_>, limit: u16) -> Result<u64, Failure> {
    session.execute("BEGIN").await?;
    let rows = session.fetch(sqlx::query(IDLE).bind(i64::from(limit))).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let keys = rows.iter().map(|idle| row::get(idle, 0)).collect::<Result<Vec<&str>, _>>()?;
    let answer = session.fetch(sqlx::query(FORGET).bind(&keys)).await?;
    let answer = answer.first().ok_or_else(|| Failure::Corrupt("no answer row".to_owned()))?;
    row::count(answer, 0)
}
