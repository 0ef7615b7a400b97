//! From a URL to a store whose schema is the one that this release needs.

use amends_ports::failpoint;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

use super::failure::is_in_the_way;
use super::generation::Generation;
use super::guess::Guesses;
use super::load::InDoubt;
use super::pool::{Pool, Session};
use super::{Failure, PostgresOptions, PostgresStore, row, version};
use crate::OpenError;
use crate::migrations::{POSTGRES, migrator};
use crate::version::Version;

/// Connections that serve leases and nothing else.
const CONTROL_CONNECTIONS: u32 = 2;
/// Pause before a migration is tried again.
const MIGRATION_PAUSE: Duration = Duration::from_secs(1);
/// Longest time for one statement of a migration, and for the wait until another coordinator is done
/// with them; large tables take their time. The server gives up itself, so that nothing goes on
/// there that nobody waits for.
const STATEMENT_MAX: Duration = Duration::from_mins(10);
/// Longest time for all migrations, also where the server does not answer any more.
const MIGRATIONS_MAX: Duration = Duration::from_hours(1);

/// Makes the database's own facts, unless they are there.
pub(super) const INITIALISE: &str = "\
INSERT INTO meta (name, value) VALUES
    ('partitions', $1::int::text),
    ('participants_revision', '0'),
    ('secret', encode(sha256(convert_to(
        concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')), 'hex'))
ON CONFLICT (name) DO NOTHING";

/// Makes the lease of each partition, unless it is there.
pub(super) const INITIALISE_LEASES: &str = "\
INSERT INTO partition_lease (partition)
SELECT generate_series(0, value::int - 1) FROM meta WHERE name = 'partitions'
ON CONFLICT (partition) DO NOTHING";

/// One of the database's own facts.
pub(super) const FACT: &str = "SELECT value FROM meta WHERE name = $1";

/// What the server would lose.
pub(super) const DURABILITY: &str = "\
SELECT current_setting('fsync'), current_setting('synchronous_commit')";

/// The isolation of transactions that don't ask for any.
pub(super) const ISOLATION: &str = "SELECT current_setting('default_transaction_isolation')";

impl PostgresStore {
    /// Connects to the database at `url` and brings its schema to this release. Any number of
    /// coordinators may do so at once.
    ///
    /// The URL may name several hosts, `postgres://user@a:5432,b:5432/name`: the first that is
    /// not a standby is used, at every new connection.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self, OpenError> {
        let hosts = hosts(url)?;
        let pool = |settings: &[(&str, String)], connections_max| {
            let with = |host: &PgConnectOptions| host.clone().options(settings.to_vec());
            Pool::new(hosts.iter().map(with).collect(), connections_max, &options)
        };
        let patient =
            [("lock_timeout", "0".to_owned()), ("statement_timeout", millis(STATEMENT_MAX))];
        let setup = pool(&patient, 1);
        let generation = Arc::<Generation>::default();
        let version = Version::new(options.formats, POSTGRES);
        let partitions = prepare(&setup, &options, &version, &generation).await?;
        let mut common = settings(&options);
        common.extend(isolation(&setup).await?);
        let hot = [&common[..], &fixed_plans()].concat();
        let lists = [&common[..], &ordered_plans()].concat();
        let checked = |settings: &[_], max| pool(settings, max).checked_by(&generation);
        Ok(Self {
            writes: checked(&hot, options.connections_max),
            hot: checked(&hot, options.connections_max),
            lists: checked(&lists, options.list_connections_max),
            control: checked(&common, CONTROL_CONNECTIONS),
            generation,
            version,
            partitions,
            in_doubt: InDoubt::default(),
            guesses: Guesses::default(),
        })
    }

    pub(super) async fn fact(&self, name: &'static str) -> Result<String, Failure> {
        let rows = self.control.fetch(|| sqlx::query(FACT).bind(name)).await?;
        let fact = rows.first().ok_or_else(|| Failure::Corrupt(format!("there is no {name}")))?;
        row::get(fact, 0)
    }
}

/// Every host of a URL with all else that it says.
fn hosts(url: &str) -> Result<Vec<PgConnectOptions>, OpenError> {
    // The library's own error may repeat the URL, and with it the password.
    let wrong = || OpenError::Url("is not of the form postgres://user@host:port/name".to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, list) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(user, list)| (&authority[..=user.len()], list));
    let one = |host: &str| -> Result<PgConnectOptions, OpenError> {
        let options: PgConnectOptions =
            format!("{scheme}://{user}{host}{tail}").parse().map_err(|_| wrong())?;
        Ok(options.application_name("amends").disable_statement_logging())
    };
    list.split(',').map(one).collect()
}

/// Settings of every connection.
fn settings(options: &PostgresOptions) -> Vec<(&'static str, String)> {
    vec![
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(options.lock_timeout)),
        // A coordinator that died in a transaction must not keep its partitions locked.
        ("idle_in_transaction_session_timeout", millis(options.statement_timeout)),
        ("jit", "off".to_owned()),
    ]
}

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// Settings for the statements that run per saga and per batch. Each has one good plan: from its
/// parameters through indexes. Left to itself the server plans anew for every batch, or keeps a
/// plan that it made while the tables were small.
fn fixed_plans() -> [(&'static str, String); 4] {
    [
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("enable_seqscan", "off".to_owned()),
        ("enable_hashjoin", "off".to_owned()),
        ("enable_mergejoin", "off".to_owned()),
    ]
}

/// Settings for lists, whose pages are read from indexes in order ([`super::page`]). What can't be
/// had otherwise is sorted all the same.
fn ordered_plans() -> [(&'static str, String); 3] {
    ["enable_seqscan", "enable_bitmapscan", "enable_sort"].map(|name| (name, "off".to_owned()))
}

/// Settings of the connections that run [`super::HOT`]: for tests of its plans.
#[doc(hidden)]
pub fn hot_settings() -> Vec<(&'static str, String)> {
    [&settings(&PostgresOptions::default())[..], &fixed_plans()].concat()
}

/// Checks the server, runs the migrations, answers how many partitions there are.
async fn prepare(
    setup: &Pool,
    options: &PostgresOptions,
    version: &Version,
    generation: &Generation,
) -> Result<u16, OpenError> {
    let mut session = setup.session().await.map_err(unavailable)?;
    if !options.allow_lost_commits {
        check_durability(&mut session).await?;
    }
    failpoint!("postgres.migrate.before");
    migrate(&mut session).await?;
    failpoint!("postgres.migrate.after");
    // A new session, since the migrations took their time.
    session.keep();
    let mut session = setup.session().await.map_err(unavailable)?;
    check_version(&mut session, version).await?;
    let partitions = i32::from(options.partitions.max(1));
    session.fetch(sqlx::query(INITIALISE).bind(partitions)).await.map_err(unavailable)?;
    failpoint!("postgres.initialise.between");
    session.fetch(sqlx::query(INITIALISE_LEASES)).await.map_err(unavailable)?;
    failpoint!("postgres.initialise.after");
    generation.check(session.connection()).await.map_err(unavailable)?;
    let rows = session.fetch(sqlx::query(FACT).bind("partitions")).await.map_err(unavailable)?;
    let stored = rows.first().map(|fact| row::get::<&str>(fact, 0)).transpose();
    let stored = stored.map_err(unavailable)?.and_then(|text| text.parse().ok());
    stored.ok_or_else(|| OpenError::Schema("it does not say how many partitions it has".into()))
}

/// What to ask for in place of `repeatable read`, under which locks and floors of lock keys could
/// be missed. Statements that each see what was committed before, or serializable transactions,
/// serve.
async fn isolation(setup: &Pool) -> Result<Option<(&'static str, String)>, OpenError> {
    let rows = setup.fetch(|| sqlx::query(ISOLATION)).await.map_err(unavailable)?;
    let level = rows.first().map(|answer| row::get::<&str>(answer, 0)).transpose();
    let is_fit = level.map_err(unavailable)? != Some("repeatable read");
    Ok((!is_fit).then(|| ("default_transaction_isolation", "read committed".to_owned())))
}

async fn check_durability(session: &mut Session<'_>) -> Result<(), OpenError> {
    let rows = session.fetch(sqlx::query(DURABILITY)).await.map_err(unavailable)?;
    for (column, setting) in ["fsync", "synchronous_commit"].into_iter().enumerate() {
        let value = rows.first().map(|answer| row::get::<String>(answer, column)).transpose();
        let value = value.map_err(unavailable)?.unwrap_or_default();
        if value == "off" {
            return Err(OpenError::NotDurable { setting, value });
        }
    }
    Ok(())
}

/// Brings the schema on. What somebody else is in the way of is tried again.
async fn migrate(session: &mut Session<'_>) -> Result<(), OpenError> {
    let migrator = migrator(POSTGRES);
    let run = async {
        loop {
            match migrator.run_direct(None, session.connection(), false).await {
                Err(MigrateError::ExecuteMigration(error, migration)) if is_in_the_way(&error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(
                        error,
                        migration,
                        "the schema can't be brought on while somebody reads or writes the sagas \
                         for long; trying again"
                    );
                    tokio::time::sleep(MIGRATION_PAUSE).await;
                }
                done => return done,
            }
        }
    };
    timeout(MIGRATIONS_MAX, run)
        .await
        .map_err(|_| OpenError::Schema(format!("not done after {MIGRATIONS_MAX:?}").into()))?
        .map_err(|error| OpenError::Schema(error.into()))
}

async fn check_version(session: &mut Session<'_>, version: &Version) -> Result<(), OpenError> {
    let (done, stored) = version::read(session).await.map_err(unavailable)?;
    version.hear(stored).map_err(OpenError::Outdated)?;
    let known = version.newest_migration();
    if done > known {
        tracing::info!(
            done,
            known,
            "a newer release has brought the schema on, and says that this one can use it"
        );
    }
    Ok(())
}

fn unavailable(failure: Failure) -> OpenError {
    OpenError::Unavailable(failure.into_source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_of_a_url_gets_all_the_rest() {
        let hosts = hosts("postgres://u:p%40@a:1,b:2/name?sslmode=disable").unwrap();
        let seen: Vec<_> =
            hosts.iter().map(|h| (h.get_host(), h.get_port(), h.get_database())).collect();
        assert_eq!(seen, [("a", 1, Some("name")), ("b", 2, Some("name"))]);
        assert!(hosts.iter().all(|h| h.get_username() == "u"));
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        let error = hosts("postgres://u:secret@a:port/name").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
