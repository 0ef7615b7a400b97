//! Connections to one database, and statements on them.
//!
//! Not the library's own pool: that one sends a ping after every use, and hands a connection on
//! that a dropped future left in the middle of a transaction. Here a connection is used again
//! only if its last use came to a clean end; otherwise it is closed.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Executor as _, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::generation::Generation;
use super::{Failure, PostgresOptions, row};

/// A statement with its parameters.
pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// A connection that was idle for longer is not trusted: firewalls forget quiet ones.
const IDLE_MAX: Duration = Duration::from_mins(5);
/// How much longer than the server the client waits for an answer.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// How often a transaction is done again that another one was in the way of.
const CONFLICTS_MAX: u32 = 20;
/// Longest pause before the third time, in microseconds; twice as long before each further one.
const PAUSE_FIRST: u64 = 2_000;
/// Longest pause before any, in microseconds.
const PAUSE_MAX: u64 = 64_000;

/// How often, and until when, a transaction is done again.
#[derive(Debug)]
pub(super) struct Retries {
    left: u32,
    /// Longest pause before the next, in microseconds.
    pause: u64,
    until: Instant,
}

impl Retries {
    /// Whether it is to be done once more. The second time comes at once; then there are pauses of
    /// chance, since who waits for as long as the other meets it again.
    pub(super) async fn again(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        if self.pause > 0 {
            sleep(Duration::from_micros(chance() % self.pause)).await;
        }
        self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        self.left > 0 && Instant::now() < self.until
    }
}

/// Any number; each new `RandomState` has keys of its own.
fn chance() -> u64 {
    RandomState::new().hash_one(())
}

/// Some connections with the same settings.
#[derive(Debug)]
pub(super) struct Pool {
    /// One a host; the first that takes writes is used.
    hosts: Vec<PgConnectOptions>,
    idle: Mutex<Vec<Idle>>,
    permits: Semaphore,
    connect_timeout: Duration,
    acquire_timeout: Duration,
    /// Longest time for one use of a connection.
    use_timeout: Duration,
    /// Asked at every new connection; none while the schema is not there yet.
    generation: Option<Arc<Generation>>,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// One use of a connection. Dropped before [`Session::keep`], it closes the connection, and so
/// rolls back what was not committed.
#[derive(Debug)]
pub(super) struct Session<'p> {
    pool: &'p Pool,
    connection: PgConnection,
    deadline: Instant,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    pub(super) fn new(
        hosts: Vec<PgConnectOptions>,
        connections_max: u32,
        options: &PostgresOptions,
    ) -> Self {
        Self {
            hosts,
            idle: Mutex::default(),
            permits: Semaphore::new(connections_max.max(1) as usize),
            connect_timeout: options.connect_timeout,
            acquire_timeout: options.acquire_timeout,
            use_timeout: options.statement_timeout + ANSWER_GRACE,
            generation: None,
        }
    }

    /// With every new connection checked.
    pub(super) fn checked_by(self, generation: &Arc<Generation>) -> Self {
        Self { generation: Some(Arc::clone(generation)), ..self }
    }

    pub(super) fn retries(&self) -> Retries {
        let until = Instant::now() + self.use_timeout;
        Retries { left: CONFLICTS_MAX, pause: 0, until }
    }

    /// A connection, when one is free.
    pub(super) async fn session(&self) -> Result<Session<'_>, Failure> {
        let permit = timeout(self.acquire_timeout, self.permits.acquire())
            .await
            .map_err(|_| {
                unreachable_because(format!(
                    "no connection was free for {:?}",
                    self.acquire_timeout
                ))
            })?
            .map_err(|error| Failure::Unreachable(error.into()))?;
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let deadline = Instant::now() + self.use_timeout;
        Ok(Session { pool: self, connection, deadline, _permit: permit })
    }

    /// Runs one statement as a transaction of its own and answers its rows, all of them: the
    /// transaction has been committed then. Does it again after a conflict.
    pub(super) async fn fetch<'q>(
        &self,
        query: impl Fn() -> Query<'q>,
    ) -> Result<Vec<PgRow>, Failure> {
        let mut retries = self.retries();
        loop {
            let mut session = self.session().await?;
            let answer = session.fetch(query()).await;
            session.keep_unless_spoilt(answer.as_ref().err());
            match answer {
                Err(Failure::Conflict(_)) if retries.again().await => {}
                other => return other,
            }
        }
    }

    fn take_idle(&self) -> Option<PgConnection> {
        // The one used last: the others may grow old and go.
        let idle = self.idle().pop()?;
        (idle.since.elapsed() < IDLE_MAX).then_some(idle.connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        let mut last = unreachable_because("no host is given".to_owned());
        for host in &self.hosts {
            match timeout(self.connect_timeout, self.connect_to(host)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(failure)) => last = failure,
                Err(_) => {
                    last = unreachable_because(format!(
                        "{}:{} did not let us in within {:?}",
                        host.get_host(),
                        host.get_port(),
                        self.connect_timeout
                    ));
                }
            }
        }
        Err(last)
    }

    async fn connect_to(&self, host: &PgConnectOptions) -> Result<PgConnection, Failure> {
        let unreachable = |error: sqlx::Error| Failure::Unreachable(error.into());
        let mut connection = host.connect().await.map_err(unreachable)?;
        if self.hosts.len() > 1 {
            let query = sqlx::query("SELECT pg_is_in_recovery()");
            let row = connection.fetch_one(query).await.map_err(unreachable)?;
            if row::get::<bool>(&row, 0)? {
                let (host, port) = (host.get_host(), host.get_port());
                return Err(unreachable_because(format!("{host}:{port} is a standby")));
            }
        }
        if let Some(generation) = &self.generation {
            generation.check(&mut connection).await?;
        }
        Ok(connection)
    }
}

impl Session<'_> {
    /// Runs one statement and answers all its rows.
    pub(super) async fn fetch(&mut self, query: Query<'_>) -> Result<Vec<PgRow>, Failure> {
        timeout_at(self.deadline, self.connection.fetch_all(query))
            .await
            .map_err(|_| no_answer(self.pool.use_timeout))?
            .map_err(Failure::of)
    }

    /// Runs one statement that has neither parameters nor rows.
    pub(super) async fn execute(&mut self, sql: &'static str) -> Result<(), Failure> {
        timeout_at(self.deadline, self.connection.execute(sql))
            .await
            .map_err(|_| no_answer(self.pool.use_timeout))?
            .map_err(Failure::of)?;
        Ok(())
    }

    /// The bare connection, for the library's own procedures.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Gives the connection back; no transaction may be open.
    pub(super) fn keep(self) {
        let idle = Idle { connection: self.connection, since: Instant::now() };
        self.pool.idle().push(idle);
    }

    /// Gives the connection back unless this failure speaks against it. Then the idle ones are
    /// closed too: what broke one has most likely broken all.
    pub(super) fn keep_unless_spoilt(self, failure: Option<&Failure>) {
        if failure.is_some_and(Failure::spoils_connection) {
            self.pool.idle().clear();
        } else {
            self.keep();
        }
    }
}

fn unreachable_because(what: String) -> Failure {
    Failure::Unreachable(what.into())
}

fn no_answer(waited: Duration) -> Failure {
    Failure::Lost(format!("the database did not answer within {waited:?}").into())
}
