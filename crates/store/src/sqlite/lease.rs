//! Members and leases.

use std::time::Duration;

use amends_ports::failpoint;
use amends_ports::store::{CoordinatorId, Epoch, Lease, Member};
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::batch::leases_json;
use super::failure::Failure;
use super::row::{corrupt, partition};
use crate::version::Stored;

const VERSION: &str = "SELECT
     (SELECT value FROM meta WHERE name = 'journal_format'),
     (SELECT value FROM meta WHERE name = 'oldest_reader')";

const RAISE_FORMAT: &str = "UPDATE meta SET value = $1
     WHERE name = 'journal_format' AND value < $1 AND NOT EXISTS (
         SELECT 1 FROM coordinator WHERE expires_us > $2 AND journal_format < $1)";

const RENEW_MEMBER: &str =
    "INSERT INTO coordinator (coordinator_id, address, draining, expires_us, journal_format)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (coordinator_id) DO UPDATE SET address = excluded.address,
         draining = excluded.draining, expires_us = excluded.expires_us";

const FORGET_DEAD: &str = "DELETE FROM coordinator WHERE expires_us <= $1";

const RENEW_LEASES: &str =
    "UPDATE partition_lease SET expires_us = max(expires_us, $2) WHERE owner = $1";

const MEMBERS: &str = "SELECT c.coordinator_id, c.address, c.draining,
         (SELECT count(*) FROM partition_lease AS p
          WHERE p.owner = c.coordinator_id AND p.expires_us > $1)
     FROM coordinator AS c ORDER BY c.draining, c.coordinator_id";

const LEASES_OF: &str =
    "SELECT partition, epoch FROM partition_lease WHERE owner = $1 ORDER BY partition";

const ACQUIRE: &str = "UPDATE partition_lease SET owner = $1, epoch = epoch + 1, expires_us = $2
     WHERE partition IN (
         SELECT partition FROM partition_lease WHERE owner IS NULL OR expires_us <= $3
         ORDER BY partition LIMIT $4)
     RETURNING partition, epoch";

const RAISE: &str = "UPDATE partition_lease SET epoch = epoch + 1, expires_us = $2
     FROM json_each($3) AS l
     WHERE partition_lease.partition = l.value ->> 'partition'
       AND partition_lease.epoch = l.value ->> 'epoch' AND partition_lease.owner = $1
     RETURNING partition, epoch";

const RELEASE: &str = "UPDATE partition_lease SET owner = NULL, expires_us = NULL
     FROM json_each($1) AS l
     WHERE partition_lease.partition = l.value ->> 'partition'
       AND partition_lease.epoch = l.value ->> 'epoch'";

const LEAVE: &str = "DELETE FROM coordinator WHERE coordinator_id = $1";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    VERSION,
    RAISE_FORMAT,
    RENEW_MEMBER,
    FORGET_DEAD,
    RENEW_LEASES,
    MEMBERS,
    LEASES_OF,
    ACQUIRE,
    RAISE,
    RELEASE,
    LEAVE,
];

/// What the file says of the releases that may work on it.
pub(super) async fn stored_version(
    connection: &mut SqliteConnection,
) -> Result<Stored, sqlx::Error> {
    let (journal_format, oldest_reader) =
        sqlx::query_as(VERSION).fetch_one(&mut *connection).await?;
    Ok(Stored { journal_format, oldest_reader })
}

/// The moment `ttl` after `now_us`.
fn expiry(now_us: i64, ttl: Duration) -> i64 {
    now_us.saturating_add(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
}

/// Rows of partition and epoch as leases, in order of partition.
fn leases(rows: Vec<(i64, i64)>) -> Result<Vec<Lease>, Failure> {
    let lease = |(number, epoch): (i64, i64)| {
        let epoch = u64::try_from(epoch).map_err(|_| corrupt(format!("epoch {epoch}")))?;
        Ok(Lease { partition: partition(number)?, epoch: Epoch(epoch) })
    };
    let mut leases = rows.into_iter().map(lease).collect::<Result<Vec<_>, Failure>>()?;
    leases.sort_by_key(|lease| lease.partition);
    Ok(leases)
}

impl SqliteStore {
    pub(super) async fn renew(
        &self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
    ) -> Result<(Vec<Member>, Vec<Lease>), Failure> {
        let mut transaction = self.writer.begin().await?;
        let connection = transaction.connection();
        let now = self.now_us();
        let until = expiry(now, ttl);
        let formats = self.version.formats();
        self.version.hear(stored_version(connection).await?).map_err(Failure::Outdated)?;
        sqlx::query(RENEW_MEMBER)
            .bind(me.0.clone())
            .bind(address.to_owned())
            .bind(draining)
            .bind(until)
            .bind(formats.read.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query(FORGET_DEAD).bind(now).execute(&mut *connection).await?;
        sqlx::query(RENEW_LEASES).bind(me.0.clone()).bind(until).execute(&mut *connection).await?;
        if self.version.in_force() < formats.written {
            let raise = sqlx::query(RAISE_FORMAT).bind(formats.written.0).bind(now);
            raise.execute(&mut *connection).await?;
        }
        let members = members(connection, now).await?;
        let mine = sqlx::query_as(LEASES_OF).bind(me.0.clone()).fetch_all(&mut *connection).await?;
        failpoint!("sqlite.renew.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.renew.after-commit");
        Ok((members, leases(mine)?))
    }

    pub(super) async fn take(
        &self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Failure> {
        let mut transaction = self.writer.begin().await?;
        let now = self.now_us();
        let taken = sqlx::query_as(ACQUIRE)
            .bind(me.0.clone())
            .bind(expiry(now, ttl))
            .bind(now)
            .bind(limit)
            .fetch_all(transaction.connection())
            .await?;
        failpoint!("sqlite.acquire.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.acquire.after-commit");
        leases(taken)
    }

    pub(super) async fn raise(
        &self,
        me: &CoordinatorId,
        old: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Failure> {
        let mut transaction = self.writer.begin().await?;
        let raised = sqlx::query_as(RAISE)
            .bind(me.0.clone())
            .bind(expiry(self.now_us(), ttl))
            .bind(leases_json(old)?)
            .fetch_all(transaction.connection())
            .await?;
        failpoint!("sqlite.raise.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.raise.after-commit");
        leases(raised)
    }

    pub(super) async fn give_back(&self, leases: &[Lease]) -> Result<(), Failure> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query(RELEASE).bind(leases_json(leases)?).execute(transaction.connection()).await?;
        failpoint!("sqlite.release.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.release.after-commit");
        Ok(())
    }

    pub(super) async fn forget(&self, me: &CoordinatorId) -> Result<(), Failure> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query(LEAVE).bind(me.0.clone()).execute(transaction.connection()).await?;
        failpoint!("sqlite.leave.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.leave.after-commit");
        Ok(())
    }
}

async fn members(connection: &mut SqliteConnection, now: i64) -> Result<Vec<Member>, Failure> {
    let rows: Vec<(String, String, bool, i64)> =
        sqlx::query_as(MEMBERS).bind(now).fetch_all(connection).await?;
    let member = |(id, address, draining, partitions)| Member {
        id: CoordinatorId(id),
        address,
        draining,
        partitions: u16::try_from(partitions).unwrap_or(u16::MAX),
    };
    Ok(rows.into_iter().map(member).collect())
}
