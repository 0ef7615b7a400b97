//! A MariaDB server of one's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::program::{LIMIT, POLL_EVERY, Programs, data_of, run};
use crate::{Child, on_free_port};

/// A running server with an empty database `amends`, which does not wait for the disk; dropping it
/// kills it and deletes its files.
#[derive(Debug)]
pub struct MariaDb {
    // In this order: the server goes before its files.
    server: Option<Child>,
    home: TempDir,
    programs: Programs,
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
        let programs = programs()?;
        let home = programs.make_home("amends-mariadb-")?;
        let mut install = programs.command("mariadb-install-db");
        // Not the common directory for temporary files: a server that starts clears it of others'.
        install
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data_of(&home).display()))
            .arg(format!("--tmpdir={}", home.path().display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--skip-name-resolve", "--innodb-log-file-size=8M"])
            .current_dir(home.path());
        run(&mut install).await?;
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut mariadb = Self { server: None, home, programs, settings, port: 0 };
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
        let mut client = Command::new(self.programs.of("mariadb"));
        client
            .args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "root", "-N", "-B"])
            .arg(format!("--port={}", self.port))
            .args(["-e", sql]);
        run(&mut client).await
    }

    async fn start_on_a_free_port(&mut self) -> anyhow::Result<()> {
        on_free_port(async |port| {
            self.port = port;
            self.launch().await
        })
        .await
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
        let mut command = self.programs.command("mariadbd");
        // No socket file: a server that Debian's package runs keeps its own.
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--socket="])
            .args(["--skip-name-resolve", "--innodb-log-file-size=8M"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M"])
            .args(["--innodb-fast-shutdown=2", "--performance-schema=OFF", "--skip-log-bin"])
            .arg(format!("--datadir={}", data_of(&self.home).display()))
            .arg(format!("--tmpdir={}", self.home.path().display()))
            .arg(format!("--pid-file={}", self.home.path().join("pid").display()))
            .arg(format!("--port={}", self.port))
            .args(&self.settings);
        let log = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(self.home.path());
        Ok(command)
    }
}

fn programs() -> anyhow::Result<Programs> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps the server where an ordinary user's path does not lead.
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    dirs.push(PathBuf::from("/usr/sbin"));
    let has = |program: &str| dirs.iter().any(|dir| dir.join(program).exists());
    anyhow::ensure!(
        has("mariadbd") && has("mariadb-install-db") && has("mariadb"),
        "no MariaDB server found; on Debian: apt-get install mariadb-server"
    );
    Programs::new(dirs, "mysql")
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
