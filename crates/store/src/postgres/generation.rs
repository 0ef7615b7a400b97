//! Which server answers, and whether it has lost what another one answered.
//!
//! A standby that takes over without having heard everything goes back in time: epochs and tokens
//! that were given out already would be given out again, and two coordinators could both drive a
//! saga under one epoch. A promoted server, like a restored backup, writes on a new timeline, so
//! each new connection asks for it before it is used. The first that meets an unknown one raises
//! every epoch and the floor of all tokens far above what can have been lost, in one transaction
//! that also notes the server; nobody owns anything then, and everybody reads anew.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use amends_core::SagaId;
use amends_ports::failpoint;
use amends_ports::store::{AcceptOutcome, Batch, Partition, Written};
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;

use super::ends::Ends;
use super::{Failure, row};

/// Facts whose survival is checked after a failover.
const RECENT_MAX: usize = 16_384;
/// Lost sagas that are named.
const NAMED_MAX: usize = 20;

/// The identifier of the data, and the timeline that is written; none on a standby.
pub(super) const SERVER: &str = "\
SELECT system_identifier, CASE WHEN NOT pg_is_in_recovery()
    THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END
FROM pg_control_system()";

/// Notes the server $1 where none is noted.
pub(super) const NOTE: &str =
    "INSERT INTO meta (name, value) VALUES ('server', $1) ON CONFLICT (name) DO NOTHING";

/// The server that is noted, kept so until the transaction ends.
pub(super) const NOTED: &str = "SELECT value FROM meta WHERE name = 'server' FOR UPDATE";

/// Raises all epochs, frees all partitions.
pub(super) const RAISE_EPOCHS: &str = "\
UPDATE partition_lease SET epoch = epoch + 1000000000, owner = NULL, expires_at = NULL";

/// Raises the floor of all tokens above every one that may have been given out, and notes the
/// server $1.
pub(super) const RAISE_TOKENS: &str = "\
WITH top AS (
    SELECT coalesce(max(token), 0) AS token FROM lock_fence
), raised AS (
    INSERT INTO meta (name, value)
    SELECT 'lock_token_floor', (token + 1000000000)::text FROM top
    ON CONFLICT (name) DO UPDATE SET
        value = (greatest(meta.value::bigint + 1000000000, excluded.value::bigint))::text
)
UPDATE meta SET value = $1 WHERE name = 'server'";

/// Those of some sagas (partitions $1, ids $2) whose journals have fewer facts than $3.
pub(super) const SHORTER: &str = "\
SELECT b.saga_id
FROM unnest($1::int[], $2::text[], $3::bigint[]) AS b (partition, saga_id, facts)
WHERE coalesce((
    SELECT c.first_seq + c.record_count FROM saga_journal c
    WHERE c.partition = b.partition AND c.saga_id = b.saga_id
    ORDER BY c.first_seq DESC
    LIMIT 1
), 0) < b.facts";

/// A server's data and the timeline that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Server {
    system: i64,
    timeline: i64,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.system, self.timeline)
    }
}

/// The server that this coordinator works with, and what it has been told last.
#[derive(Debug, Default)]
pub(super) struct Generation {
    known: Mutex<Option<Server>>,
    /// One connection at a time finds out about a new server.
    changing: tokio::sync::Mutex<()>,
    recent: Mutex<VecDeque<(Partition, SagaId, u64)>>,
    /// Only what this server has been told.
    ends: Ends,
}

impl Generation {
    /// Remembers what was committed.
    pub(super) fn remember(&self, batch: &Batch, written: &Written) {
        let made = batch.accepts.iter().zip(&written.accepts).filter_map(|(new, outcome)| {
            let AcceptOutcome::Created { tokens } = outcome else { return None };
            Some((new.partition, new.saga_id.clone(), new.fact_count(tokens.is_some())))
        });
        let appended = batch.appends.iter().map(|append| {
            let facts = append.from + u64::from(append.record_count);
            (append.partition, append.saga_id.clone(), facts)
        });
        self.ends.remember(batch, written);
        let mut recent = lock(&self.recent);
        recent.extend(made.chain(appended));
        let excess = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..excess);
    }

    /// Where journals end.
    pub(super) fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Makes sure that a new connection leads to the server that is known, or makes its server
    /// the one that is known.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let Some(server) = server_of(connection).await? else { return Ok(()) };
        if *lock(&self.known) == Some(server) {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        let known = *lock(&self.known);
        if known == Some(server) {
            return Ok(());
        }
        if let Some(known) = known
            && known.system == server.system
            && known.timeline > server.timeline
        {
            let (old, new) = (server.timeline, known.timeline);
            return Err(Failure::Unreachable(
                format!(
                    "the server writes timeline {old}, but timeline {new} exists: it was replaced \
                     and must not be written to"
                )
                .into(),
            ));
        }
        let is_raised = raise(connection, server).await?;
        self.ends.forget();
        if known.is_some() || is_raised {
            self.report(connection, server).await?;
        }
        *lock(&self.known) = Some(server);
        Ok(())
    }

    /// Says what the new server does not know, as far as this coordinator can tell.
    async fn report(&self, connection: &mut PgConnection, server: Server) -> Result<(), Failure> {
        let recent: BTreeMap<(Partition, SagaId), u64> = {
            let recent = lock(&self.recent);
            recent.iter().map(|(at, saga, facts)| ((*at, saga.clone()), *facts)).collect()
        };
        let (mut partitions, mut sagas, mut facts) = (Vec::new(), Vec::new(), Vec::new());
        for ((partition, saga_id), count) in &recent {
            partitions.push(i32::from(partition.0));
            sagas.push(saga_id.as_str());
            facts.push(count.cast_signed());
        }
        let query = sqlx::query(SHORTER).bind(&partitions).bind(&sagas).bind(&facts);
        let rows = connection.fetch_all(query).await.map_err(Failure::of)?;
        let lost = rows.iter().map(|saga| row::get(saga, 0)).collect::<Result<Vec<&str>, _>>()?;
        let (timeline, checked) = (server.timeline, recent.len());
        if lost.is_empty() {
            tracing::warn!(
                timeline,
                checked,
                "the database has failed over to a new timeline; nothing is missing of what this \
                 coordinator wrote last. All partitions are taken anew"
            );
        } else {
            tracing::error!(
                timeline,
                checked,
                lost = lost.len(),
                sagas = lost[..lost.len().min(NAMED_MAX)].join(" "),
                "the database has failed over to a new timeline and has LOST facts that were \
                 committed: sagas are missing, or go on from an earlier state. Epochs and fencing \
                 tokens were raised, all partitions are taken anew. Compare the named sagas with \
                 their participants, and use a synchronous standby (docs/operations.md, Failover)"
            );
        }
        lock(&self.recent).clear();
        Ok(())
    }
}

/// Who answers; nobody in particular if it is a standby, which takes no writes anyway, or a
/// database that does not say.
async fn server_of(connection: &mut PgConnection) -> Result<Option<Server>, Failure> {
    let answer = match connection.fetch_one(sqlx::query(SERVER)).await.map_err(Failure::of) {
        Err(Failure::Refused(error)) => {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "the database does not say which timeline it writes");
            return Ok(None);
        }
        answer => answer?,
    };
    let system = row::get(&answer, 0)?;
    Ok(row::get::<Option<i64>>(&answer, 1)?.map(|timeline| Server { system, timeline }))
}

/// Notes the server. If another one was noted, raises epochs and tokens. Answers whether it was.
async fn raise(connection: &mut PgConnection, server: Server) -> Result<bool, Failure> {
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(Failure::of)?;
    let name = server.to_string();
    connection.execute(sqlx::query(NOTE).bind(&name)).await.map_err(Failure::of)?;
    let noted = connection.fetch_one(sqlx::query(NOTED)).await.map_err(Failure::of)?;
    let noted: String = row::get(&noted, 0)?;
    let is_other = noted != name;
    if is_other {
        connection.execute(RAISE_EPOCHS).await.map_err(Failure::of)?;
        connection.execute(sqlx::query(RAISE_TOKENS).bind(&name)).await.map_err(Failure::of)?;
    }
    failpoint!("postgres.server.before-commit");
    connection.execute("COMMIT").await.map_err(Failure::of)?;
    failpoint!("postgres.server.after-commit");
    Ok(is_other)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
