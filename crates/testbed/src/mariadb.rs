//! A MariaDB server of one's own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{Child, free_port};

/// Longest time a start, a stop or a statement of the testbed itself may take.
const LIMIT: Duration = Duration::from_mins(1);
/// Time between two looks at a server that starts.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// Ports tried when others take them first.
const STARTS_MAX: u32 = 5;

/// A running server with an empty database `amends`, which does not wait for the disk; dropping it
/// kills it and deletes its files.
#[derive(Debug)]
pub struct MariaDb {
    // In this order: the server goes before its files.
    server: Option<Child>,
    home: TempDir,
    binaries: Binaries,
    settings: Vec<String>,
    port: u16,
}

impl MariaDb {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// If there are no binaries, or the server does not start within a minute; with its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with further arguments, such as `--innodb-lock-wait-timeout=1`.
    ///
    /// # Errors
    ///
    /// As [`MariaDb::start`].
    pub async fn start_with(settings: &[&str]) -> anyhow::Result<Self> {
        let binaries = Binaries::find()?;
        let home = binaries.make_home("amends-mariadb-")?;
        let mut install = binaries.command("mariadb-install-db");
        install
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data_of(&home).display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--skip-name-resolve", "--innodb-log-file-size=8M"])
            .current_dir(home.path());
        run(&mut install).await?;
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut mariadb = Self { server: None, home, binaries, settings, port: 0 };
        mariadb.start_on_a_free_port().await?;
        mariadb.create_database("amends").await?;
        Ok(mariadb)
    }

    /// URL of the database `amends`, for a user who may do everything.
    pub fn url(&self) -> String {
        self.url_of("amends")
    }

    /// URL of a database, for a user who may do everything.
    pub fn url_of(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database and answers its URL.
    ///
    /// # Errors
    ///
    /// If there is one with this name.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<String> {
        self.sql(&format!("CREATE DATABASE `{name}`")).await?;
        Ok(self.url_of(name))
    }

    /// Runs SQL by the `mariadb` client and answers what it printed, tab by tab, without headings.
    ///
    /// # Errors
    ///
    /// With what the client said.
    pub async fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut client = Command::new(self.binaries.of("mariadb"));
        client
            .args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "root", "-N", "-B"])
            .arg(format!("--port={}", self.port))
            .args(["-e", sql]);
        run(&mut client).await
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
        Ok(())
    }

    /// Waits until a server with our files answers on the port.
    async fn until_ready(&self, server: &mut Child) -> anyhow::Result<()> {
        let ours = data_of(&self.home);
        loop {
            if let Some(status) = server.exit_status()? {
                anyhow::bail!("the server ended: {status}");
            }
            if let Ok(data) = self.sql("SELECT @@datadir").await {
                let is_ours = Path::new(data.trim()) == ours;
                anyhow::ensure!(is_ours, "another server answers on port {}", self.port);
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn command(&self, log: &Path) -> anyhow::Result<Command> {
        let mut command = self.binaries.command("mariadbd");
        // No socket file: a server that Debian's package runs keeps its own.
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--socket="])
            .args(["--skip-name-resolve", "--innodb-log-file-size=8M"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"])
            .args(["--innodb-fast-shutdown=2", "--performance-schema=OFF", "--skip-log-bin"])
            .arg(format!("--datadir={}", data_of(&self.home).display()))
            .arg(format!("--pid-file={}", self.home.path().join("pid").display()))
            .arg(format!("--port={}", self.port))
            .args(&self.settings);
        let log = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(self.home.path());
        Ok(command)
    }
}

/// Where the programs are and how they are run.
#[derive(Clone, Debug)]
struct Binaries {
    dirs: Vec<PathBuf>,
    /// Owner that files must have and programs must run as: set if we are root, whom the server
    /// refuses to serve.
    owner: Option<(u32, u32)>,
}

impl Binaries {
    fn find() -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps the server where an ordinary user's path does not lead.
        let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        dirs.push(PathBuf::from("/usr/sbin"));
        let has = |program: &str| dirs.iter().any(|dir| dir.join(program).exists());
        anyhow::ensure!(
            has("mariadbd") && has("mariadb-install-db") && has("mariadb"),
            "no MariaDB server found; on Debian: apt-get install mariadb-server"
        );
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        let owner = if is_root { Some((id_of("-u")?, id_of("-g")?)) } else { None };
        Ok(Self { dirs, owner })
    }

    fn make_home(&self, prefix: &str) -> anyhow::Result<TempDir> {
        let home = tempfile::Builder::new().prefix(prefix).tempdir()?;
        if let Some((user, group)) = self.owner {
            chown(home.path(), Some(user), Some(group))?;
        }
        Ok(home)
    }

    fn of(&self, program: &str) -> PathBuf {
        let mut places = self.dirs.iter().map(|dir| dir.join(program));
        places.find(|place| place.exists()).unwrap_or_else(|| PathBuf::from(program))
    }

    /// A command for the program, as its owner. `setpriv` becomes the program: same process id.
    fn command(&self, program: &str) -> Command {
        let program = self.of(program);
        let Some((user, group)) = self.owner else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={user}"), format!("--regid={group}")])
            .args(["--init-groups", "--"])
            .arg(program);
        command
    }
}

fn data_of(home: &TempDir) -> PathBuf {
    home.path().join("data")
}

/// The user's or group's number of the user `mysql`.
fn id_of(flag: &str) -> anyhow::Result<u32> {
    let output = Command::new("id").args([flag, "mysql"]).output()?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .context("MariaDB refuses to run as root, and there is no user `mysql` to run it as")
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
        let (one, two) = tokio::join!(MariaDb::start(), MariaDb::start());
        let (one, two) = (one.unwrap(), two.unwrap());
        one.sql("CREATE TABLE amends.t (n INT)").await.unwrap();
        assert!(two.sql("SELECT * FROM amends.t").await.is_err());
        assert!(one.create_database("amends").await.is_err(), "it is there already");
        let (home, port) = (two.home.path().to_owned(), two.port());
        drop(two);
        assert!(!home.exists());
        assert!(one.port() != port);
    }

    #[tokio::test]
    async fn a_setting_is_obeyed() {
        let mariadb = MariaDb::start_with(&["--innodb-lock-wait-timeout=7"]).await.unwrap();
        let seen = mariadb.sql("SELECT @@innodb_lock_wait_timeout").await.unwrap();
        assert_eq!(seen.trim(), "7");
    }
}
