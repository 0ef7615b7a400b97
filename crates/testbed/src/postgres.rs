//! A PostgreSQL server of one's own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{Child, free_port};

/// Longest time a start, a stop or a statement of the testbed itself may take.
const LIMIT: Duration = Duration::from_mins(1);
/// Time between two looks at a server that starts.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// Ports tried when others take them first.
const STARTS_MAX: u32 = 5;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether a commit is on disk before it is answered (`fsync`). Without it a crash of the
    /// server still loses nothing, a crash of the machine may.
    pub durable: bool,
    /// Most connections at once.
    pub max_connections: u16,
    /// Further settings by name, such as `default_transaction_isolation`.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { durable: false, max_connections: 100, settings: Vec::new() }
    }
}

/// A running server with an empty database `amends`; dropping it kills it and deletes its files.
#[derive(Debug)]
pub struct Postgres {
    // In this order: the server goes before its files.
    server: Option<Child>,
    home: TempDir,
    _template: Arc<TempDir>,
    binaries: Binaries,
    options: PostgresOptions,
    port: u16,
}

impl Postgres {
    /// Starts a server that does not wait for the disk.
    ///
    /// # Errors
    ///
    /// If there are no binaries, or the server does not start within a minute; with its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(PostgresOptions::default()).await
    }

    /// Starts a server with these options.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub async fn start_with(options: PostgresOptions) -> anyhow::Result<Self> {
        let binaries = Binaries::find()?;
        let template = template(&binaries).await?;
        let home = binaries.make_home("amends-postgres-")?;
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(data_of(&template)).arg(home.path());
        run(&mut copy).await?;
        let mut postgres =
            Self { server: None, home, _template: template, binaries, options, port: 0 };
        postgres.start_on_a_free_port().await?;
        postgres.create_database("amends").await?;
        Ok(postgres)
    }

    /// URL of the database `amends`, for a superuser.
    pub fn url(&self) -> String {
        self.url_of("amends")
    }

    /// URL of a database, for a superuser.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the server; none while it is stopped.
    pub fn process_id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Makes an empty database and answers its URL.
    ///
    /// # Errors
    ///
    /// If there is one with this name.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<String> {
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\"")).await?;
        Ok(self.url_of(name))
    }

    /// Runs SQL by `psql` and answers what it printed, unaligned and without headings.
    ///
    /// # Errors
    ///
    /// With what `psql` said.
    pub async fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.binaries.dir.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .arg(self.url_of(database));
        run(&mut psql).await
    }

    /// Kills the server as a crash would (SIGQUIT: no checkpoint) and starts it again on the same
    /// port, where it recovers.
    ///
    /// # Errors
    ///
    /// If it does not come back.
    pub async fn restart_immediate(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Kills the server as a crash would; its files stay.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal("QUIT")?;
            server.wait(LIMIT).await?;
        }
        Ok(())
    }

    /// Starts a stopped server on the port it had.
    ///
    /// # Errors
    ///
    /// If it does not start, or somebody took the port.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.server.is_none(), "the server runs");
        self.launch().await
    }

    async fn start_on_a_free_port(&mut self) -> anyhow::Result<()> {
        let mut last = None;
        for _ in 0..STARTS_MAX {
            self.port = free_port()?;
            match self.launch().await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried")))
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let log = self.home.path().join("log");
        let mut server = Child::spawn(&mut self.command(&log)?)?;
        tokio::time::timeout(LIMIT, self.until_ready(&mut server))
            .await
            .context("the server is not ready after a minute")
            .flatten()
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        self.server = Some(server);
        let data = self.psql("postgres", "SHOW data_directory").await?;
        anyhow::ensure!(
            Path::new(data.trim()) == data_of(&self.home),
            "another server answers on port {}",
            self.port
        );
        Ok(())
    }

    /// Waits until the file in which a server says how it fares shows this one as ready. It is
    /// written by the process that holds the port.
    async fn until_ready(&self, server: &mut Child) -> anyhow::Result<()> {
        let file = data_of(&self.home).join("postmaster.pid");
        let id = server.id().to_string();
        loop {
            if let Some(status) = server.exit_status()? {
                anyhow::bail!("the server ended: {status}");
            }
            let text = fs::read_to_string(&file).unwrap_or_default();
            let mut lines = text.lines();
            if lines.next() == Some(&id) && lines.any(|line| line.trim() == "ready") {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn command(&self, log: &Path) -> anyhow::Result<Command> {
        let mut command = self.binaries.command("postgres");
        command.arg("-D").arg(data_of(&self.home)).arg("-p").arg(self.port.to_string());
        let connections = self.options.max_connections.to_string();
        let durable = if self.options.durable { "on" } else { "off" };
        let fixed = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_connections", &connections),
            ("fsync", durable),
            ("full_page_writes", durable),
            ("timezone", "UTC"),
        ];
        let further = self.options.settings.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in fixed.into_iter().chain(further) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(self.home.path());
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT first: the server takes its children with it. The child's own drop would leave
        // them to notice by themselves.
        if let Some(server) = &mut self.server
            && server.signal("QUIT").is_ok()
        {
            for _ in 0..200 {
                if !matches!(server.exit_status(), Ok(None)) {
                    break;
                }
                std::thread::sleep(POLL_EVERY);
            }
        }
    }
}

/// Where the programs are and how they are run.
#[derive(Clone, Debug)]
struct Binaries {
    dir: PathBuf,
    /// Owner that files must have and programs must run as: set if we are root, whom the server
    /// refuses to serve.
    owner: Option<(u32, u32)>,
}

impl Binaries {
    fn find() -> anyhow::Result<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut dirs: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
        dirs.sort();
        dirs.reverse();
        let path = std::env::var_os("PATH").unwrap_or_default();
        dirs.extend(std::env::split_paths(&path));
        let dir = dirs
            .into_iter()
            .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
            .context("no PostgreSQL server found; on Debian: apt-get install postgresql")?;
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        let owner = if is_root { Some((id_of("-u")?, id_of("-g")?)) } else { None };
        Ok(Self { dir, owner })
    }

    fn make_home(&self, prefix: &str) -> anyhow::Result<TempDir> {
        let home = tempfile::Builder::new().prefix(prefix).tempdir()?;
        if let Some((user, group)) = self.owner {
            chown(home.path(), Some(user), Some(group))?;
        }
        Ok(home)
    }

    /// A command for the program, as its owner. `setpriv` becomes the program: same process id.
    fn command(&self, program: &str) -> Command {
        let program = self.dir.join(program);
        let Some((user, group)) = self.owner else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={user}"), format!("--regid={group}")])
            .args(["--init-groups", "--"])
            .arg(program);
        command
    }
}

/// An initialised data directory, made once while any server of this process lives: copying it
/// takes a tenth of the time that `initdb` takes.
async fn template(binaries: &Binaries) -> anyhow::Result<Arc<TempDir>> {
    static TEMPLATE: Mutex<Weak<TempDir>> = Mutex::const_new(Weak::new());
    let mut template = TEMPLATE.lock().await;
    if let Some(template) = template.upgrade() {
        return Ok(template);
    }
    let home = binaries.make_home("amends-initdb-")?;
    let mut initdb = binaries.command("initdb");
    initdb
        .args(["-A", "trust", "--no-sync", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
        .arg(data_of(&home))
        .current_dir(home.path());
    run(&mut initdb).await?;
    let home = Arc::new(home);
    *template = Arc::downgrade(&home);
    Ok(home)
}

fn data_of(home: &TempDir) -> PathBuf {
    home.path().join("data")
}

/// The user's or group's number of the user `postgres`.
fn id_of(flag: &str) -> anyhow::Result<u32> {
    let output = Command::new("id").args([flag, "postgres"]).output()?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .context("PostgreSQL refuses to run as root, and there is no user `postgres` to run it as")
}

/// Runs a command to its end and answers what it printed.
async fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null());
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("")));
    let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output())
        .await
        .with_context(|| format!("{name} still runs after {LIMIT:?}"))?
        .with_context(|| format!("cannot run {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name} failed: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_servers_live_apart_and_go_when_dropped() {
        let (one, two) = tokio::join!(Postgres::start(), Postgres::start());
        let (one, two) = (one.unwrap(), two.unwrap());
        one.psql("amends", "CREATE TABLE t (n INT)").await.unwrap();
        assert!(two.psql("amends", "SELECT * FROM t").await.is_err());
        assert_eq!(one.psql("amends", "SHOW fsync").await.unwrap().trim(), "off");
        let (home, url) = (two.home.path().to_owned(), two.url());
        drop(two);
        assert!(!home.exists());
        assert!(one.url() != url);
    }

    #[tokio::test]
    async fn an_immediate_restart_keeps_what_was_committed() {
        let options = PostgresOptions {
            durable: true,
            settings: vec![("default_transaction_isolation".to_owned(), "serializable".to_owned())],
            ..PostgresOptions::default()
        };
        let mut postgres = Postgres::start_with(options).await.unwrap();
        let before = postgres.process_id();
        postgres.psql("amends", "CREATE TABLE t AS SELECT 42 AS n").await.unwrap();
        postgres.restart_immediate().await.unwrap();
        assert!(before != postgres.process_id());
        assert_eq!(postgres.psql("amends", "SELECT n FROM t").await.unwrap().trim(), "42");
        let level = postgres.psql("amends", "SHOW transaction_isolation").await.unwrap();
        assert_eq!(level.trim(), "serializable");
        assert!(postgres.create_database("amends").await.is_err(), "it is there already");
    }
}
