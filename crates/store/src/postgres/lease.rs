//! Coordinators and their leases.
//!
//! A write holds its lease rows `FOR KEY SHARE`: a renewal goes beside it, a taker (`FOR UPDATE`)
//! waits for it and bars the next one.

use std::time::Duration;

use amends_ports::failpoint;
use amends_ports::store::{CoordinatorId, Epoch, Error, Lease, Member};
use sqlx::postgres::PgRow;

use super::pool::Query;
use super::{Failure, PostgresStore, row, version};

/// Says that a coordinator lives and renews what it holds, if it reads the journal format in force
/// ($5: what it reads) and may use the schema ($6: the newest migration that it knows). Whoever
/// raises the format waits for it, and it for them. Answers format, oldest reader and its leases,
/// one at least, without a partition if it has none.
pub(super) const HEARTBEAT: &str = "\
WITH fact AS (
    SELECT name, value::bigint AS number FROM meta
    WHERE name IN ('journal_format', 'oldest_reader')
    ORDER BY name
    FOR SHARE
), version AS (
    SELECT max(number) FILTER (WHERE name = 'journal_format') AS journal_format,
        max(number) FILTER (WHERE name = 'oldest_reader') AS oldest_reader
    FROM fact
), fit AS (
    SELECT journal_format FROM version WHERE journal_format <= $5 AND oldest_reader <= $6
), me AS (
    INSERT INTO coordinator (coordinator_id, address, draining, expires_at, journal_format)
    SELECT $1, $2, $3, clock_timestamp() + $4 * INTERVAL '1 microsecond', $5 FROM fit
    ON CONFLICT (coordinator_id) DO UPDATE SET
        address = excluded.address, draining = excluded.draining, expires_at = excluded.expires_at
), renewed AS (
    UPDATE partition_lease l SET
        expires_at = greatest(l.expires_at, clock_timestamp() + $4 * INTERVAL '1 microsecond')
    FROM fit WHERE l.owner = $1
    RETURNING l.partition, l.epoch
)
SELECT v.journal_format, v.oldest_reader, r.partition, r.epoch
FROM version v LEFT JOIN renewed r ON true";

/// All that live.
pub(super) const MEMBERS: &str = "\
SELECT c.coordinator_id, c.address, c.draining, count(l.partition)
FROM coordinator c
LEFT JOIN partition_lease l ON l.owner = c.coordinator_id AND l.expires_at > now()
WHERE c.expires_at > now()
GROUP BY c.coordinator_id
ORDER BY c.draining, c.coordinator_id";

/// Takes free partitions.
pub(super) const ACQUIRE: &str = "\
WITH free AS (
    SELECT partition FROM partition_lease
    WHERE owner IS NULL OR expires_at <= now()
    ORDER BY partition
    LIMIT $2
    FOR UPDATE
)
UPDATE partition_lease l SET
    owner = $1, epoch = l.epoch + 1,
    expires_at = clock_timestamp() + $3 * INTERVAL '1 microsecond'
FROM free f WHERE l.partition = f.partition
RETURNING l.partition, l.epoch";

/// Raises the epochs of leases that are held.
pub(super) const RAISE: &str = "\
WITH mine AS (
    SELECT l.partition
    FROM unnest($2::int[], $3::bigint[]) AS b (partition, epoch)
    JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch AND l.owner = $1
    ORDER BY l.partition
    FOR UPDATE OF l
)
UPDATE partition_lease l SET
    epoch = l.epoch + 1, expires_at = clock_timestamp() + $4 * INTERVAL '1 microsecond'
FROM mine m WHERE l.partition = m.partition
RETURNING l.partition, l.epoch";

/// Gives leases back.
pub(super) const RELEASE: &str = "\
WITH mine AS (
    SELECT l.partition
    FROM unnest($1::int[], $2::bigint[]) AS b (partition, epoch)
    JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch
    WHERE l.owner IS NOT NULL
    ORDER BY l.partition
    FOR NO KEY UPDATE OF l
)
UPDATE partition_lease l SET owner = NULL, expires_at = NULL
FROM mine m WHERE l.partition = m.partition";

/// Forgets a coordinator, and those that died long ago.
pub(super) const LEAVE: &str = "\
DELETE FROM coordinator
WHERE coordinator_id = $1 OR expires_at < now() - INTERVAL '1 hour'";

/// Those of some leases that are not the newest.
pub(super) const STALE: &str = "\
SELECT b.partition
FROM unnest($1::int[], $2::bigint[]) AS b (partition, epoch)
LEFT JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch
    AND l.owner IS NOT NULL
WHERE l.partition IS NULL
ORDER BY b.partition";

/// The start of every statement that is true under some leases only: `held` are those of $1
/// (partitions) and $2 (epochs) that are the newest, locked until the transaction ends; `fence`
/// says whether those are all.
macro_rules! fenced {
    ($($rest:expr),+ $(,)?) => {
        concat!(
            "WITH held AS (
    SELECT l.partition
    FROM unnest($1::int[], $2::bigint[]) AS b (partition, epoch)
    JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch
    WHERE l.owner IS NOT NULL
    ORDER BY l.partition
    FOR KEY SHARE OF l
), fence AS (
    SELECT count(*) = cardinality($1::int[]) AS holds FROM held
)",
            $($rest),+
        )
    };
}
pub(super) use fenced;

/// Checks and locks leases, and does nothing else. Answers whether they hold, and true.
pub(super) const FENCE: &str = fenced!(" SELECT holds, true FROM fence");

/// Leases as two parameters, in order of partition.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub(super) partitions: Vec<i32>,
    pub(super) epochs: Vec<i64>,
}

impl Leases {
    /// Binds two parameters.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query.bind(&self.partitions).bind(&self.epochs)
    }

    pub(super) fn new(leases: &[Lease]) -> Self {
        let mut sorted = leases.to_vec();
        sorted.sort_by_key(|lease| lease.partition);
        Self {
            partitions: sorted.iter().map(|lease| i32::from(lease.partition.0)).collect(),
            // Epochs come from this table, whose column holds no more.
            epochs: sorted.iter().map(|lease| lease.epoch.0.cast_signed()).collect(),
        }
    }
}

impl PostgresStore {
    pub(super) async fn heartbeat_of(
        &self,
        me: &CoordinatorId,
        address: &str,
        draining: bool,
        ttl: Duration,
    ) -> Result<(Vec<Member>, Vec<Lease>), Error> {
        let renew = || {
            sqlx::query(HEARTBEAT)
                .bind(&me.0)
                .bind(address)
                .bind(draining)
                .bind(micros(ttl))
                .bind(i64::from(self.version.formats().read.0))
                .bind(self.version.newest_migration())
        };
        failpoint!("postgres.renew.before");
        let rows = self.control.fetch(renew).await?;
        failpoint!("postgres.renew.after");
        let first = rows.first().ok_or_else(|| Failure::Corrupt("no version".to_owned()))?;
        self.version.hear(version::stored(first, 0)?).map_err(Error::Outdated)?;
        let leases = leases_of(&rows, 2)?;
        self.raise_format().await?;
        let rows = self.control.fetch(|| sqlx::query(MEMBERS)).await?;
        let members = rows.iter().map(member_of).collect::<Result<_, _>>()?;
        Ok((members, leases))
    }

    pub(super) async fn acquire_for(
        &self,
        me: &CoordinatorId,
        limit: u16,
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let take = || sqlx::query(ACQUIRE).bind(&me.0).bind(i64::from(limit)).bind(micros(ttl));
        failpoint!("postgres.acquire.before");
        let taken = self.control.fetch(take).await?;
        failpoint!("postgres.acquire.after");
        Ok(leases_of(&taken, 0)?)
    }

    pub(super) async fn raise(
        &self,
        me: &CoordinatorId,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>, Error> {
        let leases = Leases::new(leases);
        let raise = || leases.bind(sqlx::query(RAISE).bind(&me.0)).bind(micros(ttl));
        failpoint!("postgres.raise.before");
        let raised = self.control.fetch(raise).await?;
        failpoint!("postgres.raise.after");
        Ok(leases_of(&raised, 0)?)
    }

    pub(super) async fn give_back(&self, leases: &[Lease]) -> Result<(), Error> {
        let leases = Leases::new(leases);
        let release = || leases.bind(sqlx::query(RELEASE));
        failpoint!("postgres.release.before");
        self.control.fetch(release).await?;
        failpoint!("postgres.release.after");
        Ok(())
    }

    pub(super) async fn forget(&self, me: &CoordinatorId) -> Result<(), Error> {
        failpoint!("postgres.leave.before");
        self.control.fetch(|| sqlx::query(LEAVE).bind(&me.0)).await?;
        failpoint!("postgres.leave.after");
        Ok(())
    }
}

/// A duration as a number of microseconds, at most a thousand years.
fn micros(duration: Duration) -> i64 {
    const MAX: i64 = 31_557_600_000_000_000;
    i64::try_from(duration.as_micros()).unwrap_or(MAX).min(MAX)
}

/// Leases in two columns from `first`; rows without a partition are passed over.
fn leases_of(rows: &[PgRow], first: usize) -> Result<Vec<Lease>, Failure> {
    let lease = |columns: &PgRow| {
        if row::get::<Option<i32>>(columns, first)?.is_none() {
            return Ok(None);
        }
        let epoch = Epoch(row::count(columns, first + 1)?);
        Ok(Some(Lease { partition: row::partition(columns, first)?, epoch }))
    };
    let leases = rows.iter().map(lease).collect::<Result<Vec<_>, Failure>>()?;
    let mut leases: Vec<Lease> = leases.into_iter().flatten().collect();
    leases.sort_by_key(|lease| lease.partition);
    Ok(leases)
}

fn member_of(columns: &PgRow) -> Result<Member, Failure> {
    Ok(Member {
        id: CoordinatorId(row::get(columns, 0)?),
        address: row::get(columns, 1)?,
        draining: row::get(columns, 2)?,
        partitions: u16::try_from(row::count(columns, 3)?).unwrap_or(u16::MAX),
    })
}
