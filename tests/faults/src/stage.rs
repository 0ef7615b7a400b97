//! Everything that takes part, as processes: coordinators, their database, their masters, the
//! participants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amends_demo::participants::Kind;
use amends_demo::{Books, Coordinator, PLACE_ORDER, Plan};
use amends_testbed::{DiskLimit, Namespace, Postgres, PostgresOptions, Redis, Standby, free_port};
use amends_tests::{Client, Server, ServerOptions};
use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::fleet::Fleet;
use crate::links::Links;

/// How many coordinators there are.
pub(crate) const COORDINATORS: usize = 3;
/// Which of them is in a network of its own where [`Setup::Apart`] is.
pub(crate) const APART: usize = 0;
/// How many Redis masters there are: as many as bear the loss of one.
pub(crate) const MASTERS: usize = 3;
/// Life of a lease.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// Size of a small disk.
const DISK_BYTES: u64 = 160 << 20;

/// What is said to each coordinator.
const SETTINGS: [(&str, &str); 5] = [
    ("engine.lease-ttl", "2s"),
    ("locks.ttl", "2s"),
    ("database.connect-timeout", "2s"),
    ("telemetry.log-filter", "info"),
    // One that listens elsewhere than on the loopback address would not call any.
    ("targets.allow-private", "yes"),
];

/// How the database of a stage is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setup {
    /// One PostgreSQL.
    Plain,
    /// With a standby that each commit waits for.
    Synchronous,
    /// With a standby that no commit waits for.
    Asynchronous,
    /// Its data on a small disk.
    SmallData,
    /// Its log of changes on a small disk.
    SmallWal,
    /// One coordinator in a network of its own.
    Apart,
}

impl Setup {
    fn postgres(self) -> PostgresOptions {
        let disk = match self {
            Self::Plain | Self::Synchronous | Self::Asynchronous | Self::Apart => None,
            Self::SmallData => Some(DiskLimit::Data(DISK_BYTES)),
            Self::SmallWal => Some(DiskLimit::Wal(DISK_BYTES / 2)),
        };
        let options = PostgresOptions { durable: true, disk, ..PostgresOptions::default() };
        // Segments that are kept for later would keep a full disk from being felt.
        options.setting("min_wal_size", "32MB").setting("wal_recycle", "off")
    }

    async fn standby(self, primary: &Postgres) -> anyhow::Result<Option<Standby>> {
        Ok(match self {
            Self::Synchronous => Some(Standby::synchronous(primary).await?),
            Self::Asynchronous => Some(Standby::asynchronous(primary).await?),
            Self::Plain | Self::SmallData | Self::SmallWal | Self::Apart => None,
        })
    }
}

/// The processes; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The coordinators.
    pub(crate) servers: Vec<Server>,
    /// Their database.
    pub(crate) postgres: Postgres,
    /// Its standby, until that is promoted.
    pub(crate) standby: Option<Standby>,
    /// The Redis masters.
    pub(crate) masters: Vec<Redis>,
    /// The ways between them.
    pub(crate) links: Links,
    /// Whether it must not be used again.
    pub(crate) is_spent: bool,
    /// The participants.
    pub(crate) fleet: Fleet,
    /// The network of the coordinator [`APART`], if it has one.
    pub(crate) network: Option<Arc<Namespace>>,
    ports: BTreeMap<Kind, u16>,
    scenes: u32,
    home: TempDir,
}

impl Stage {
    /// Starts all of it.
    ///
    /// # Errors
    ///
    /// Something does not start.
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("amends-faults-").tempdir()?;
        let network = (setup == Setup::Apart).then(Namespace::create).transpose()?.map(Arc::new);
        let postgres = Postgres::start_with(setup.postgres()).await?;
        let standby = setup.standby(&postgres).await?;
        let mut masters = Vec::with_capacity(MASTERS);
        for _ in 0..MASTERS {
            masters.push(Redis::start_on_own_clock().await?);
        }
        let mut ports = BTreeMap::new();
        for kind in Kind::ALL {
            ports.insert(kind, free_port()?);
        }
        let links = Links::start(COORDINATORS, &postgres, &masters, &ports).await?;
        let doors = links.doors(network.as_deref()).await?;
        let mut servers = Vec::with_capacity(COORDINATORS);
        for (index, door) in doors.coordinators.into_iter().enumerate() {
            let options = ServerOptions {
                database: Some(format!("postgres://postgres@{}/amends", door.postgres)),
                redis: door.masters.iter().map(|master| format!("redis://{master}/")).collect(),
                settings: SETTINGS.to_vec(),
            };
            servers.push(match &network {
                Some(network) if index == APART => {
                    Server::start_within(Arc::clone(network), options).await?
                }
                Some(_) | None => Server::start(options).await?,
            });
        }
        let empty = Plan::new(&amends_demo::Workload { sagas: 1, seed: 1, concurrency: 1 }, "none");
        let fleet = open(&home.path().join("none"), &empty, &ports).await?;
        let stage = Self {
            servers,
            postgres,
            standby,
            masters,
            links,
            is_spent: false,
            fleet,
            network,
            ports,
            scenes: 0,
            home,
        };
        stage.tell(&doors.participants).await?;
        Ok(stage)
    }

    /// Registers the participants and the definition.
    async fn tell(&self, participants: &BTreeMap<Kind, SocketAddr>) -> anyhow::Result<()> {
        let coordinator = Coordinator::new(self.urls())?;
        for (kind, address) in participants {
            coordinator.register(kind.name(), &format!("http://{address}")).await?;
        }
        coordinator.define(&definition()).await
    }

    /// A name that no other scene on this stage has.
    pub(crate) fn next_run(&mut self, name: &str) -> String {
        self.scenes += 1;
        format!("{name}-{}", self.scenes)
    }

    /// Gives the participants fresh books, with what `plan` needs in them.
    ///
    /// # Errors
    ///
    /// One does not start.
    pub(crate) async fn open_books(&mut self, plan: &Plan) -> anyhow::Result<()> {
        for kind in Kind::ALL {
            self.fleet.kill(kind)?;
        }
        self.fleet = open(&self.home.path().join(&plan.run), plan, &self.ports).await?;
        Ok(())
    }

    /// Where the coordinators are.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }

    /// A client of each coordinator.
    ///
    /// # Errors
    ///
    /// None that a fault could cause.
    pub(crate) fn clients(&self) -> anyhow::Result<Vec<Client>> {
        self.servers.iter().map(Server::client).collect()
    }

    /// Waits until each coordinator takes requests.
    ///
    /// # Errors
    ///
    /// One has ended, or does not within a minute; with its log.
    pub(crate) async fn until_ready(&mut self) -> anyhow::Result<()> {
        for (index, server) in self.servers.iter_mut().enumerate() {
            server.until_ready().await.with_context(|| format!("coordinator {index}"))?;
        }
        Ok(())
    }

    /// Runs SQL as somebody whom no setting of the database hinders.
    ///
    /// # Errors
    ///
    /// With what the server said.
    pub(crate) async fn sql(&self, sql: &str) -> anyhow::Result<()> {
        let free = [
            ("default_transaction_read_only", "off"),
            ("default_transaction_isolation", "read committed"),
            ("statement_timeout", "0"),
            ("lock_timeout", "0"),
        ];
        let options = self.postgres.url().parse::<PgConnectOptions>()?.options(free);
        let mut connection = options.connect().await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Everything that the coordinators have logged.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.servers.iter().map(Server::log).collect()
    }

    /// Writes the logs beside the books and keeps the folder; where it is.
    pub(crate) fn keep(&mut self) -> PathBuf {
        for (index, log) in self.logs().iter().enumerate() {
            // What can't be written is not worth hiding the fault for.
            let _ = std::fs::write(self.home.path().join(format!("coordinator-{index}.log")), log);
        }
        let _ = std::fs::write(self.home.path().join("postgres.log"), self.postgres.log());
        self.home.disable_cleanup(true);
        self.home.path().to_owned()
    }
}

/// The demo's definition, for whom an outage may last longer than the demo's do.
fn definition() -> String {
    PLACE_ORDER.replace("max_attempts: 10,", "max_attempts: 100,").replace("max: 2s,", "max: 1s,")
}

async fn open(dir: &Path, plan: &Plan, ports: &BTreeMap<Kind, u16>) -> anyhow::Result<Fleet> {
    let books = Books::open(dir.to_owned(), plan).await?;
    for kind in Kind::ALL {
        let troubles = plan.troubles.get(&kind).cloned().unwrap_or_default();
        troubles.write(&books.troubles_path(kind))?;
    }
    Fleet::start(books, ports.clone()).await
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_patient() {
        let definition = super::definition();
        assert!(definition.contains("max_attempts: 100,") && definition.contains("max: 1s,"));
    }
}
