//! A PostgreSQL server of one's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use super::PostgresOptions;
use super::files::{copy, programs, template};
use crate::program::{LIMIT, POLL_EVERY, Programs, data_of, run};
use crate::{Child, SmallDisk, family, on_free_port};

/// A running server with an empty database `amends`; dropping it kills it and deletes its files.
#[derive(Debug)]
pub struct Postgres {
    // In this order: the server goes before its disk, that before its files.
    server: Option<Child>,
    disk: Option<SmallDisk>,
    pub(super) home: TempDir,
    pub(super) template: Arc<TempDir>,
    pub(super) programs: Programs,
    pub(super) options: PostgresOptions,
    is_paused: bool,
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
    /// As [`Postgres::start`]; and [`crate::NotPermitted`] if there shall be a small disk and we may
    /// not mount one.
    pub async fn start_with(options: PostgresOptions) -> anyhow::Result<Self> {
        let programs = programs()?;
        let template = template(&programs).await?;
        let home = programs.make_home("amends-postgres-")?;
        let disk = copy(&template, &home, &programs, options.disk).await?;
        let mut postgres = Self::over(home, template, programs, options);
        postgres.disk = disk;
        postgres.start_on_a_free_port().await?;
        postgres.create_database("amends").await?;
        Ok(postgres)
    }

    /// A server that does not run yet, over files that are there.
    pub(super) fn over(
        home: TempDir,
        template: Arc<TempDir>,
        programs: Programs,
        options: PostgresOptions,
    ) -> Self {
        Self {
            server: None,
            disk: None,
            home,
            template,
            programs,
            options,
            is_paused: false,
            port: 0,
        }
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
        let mut psql = Command::new(self.programs.of("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .arg(self.url_of(database));
        run(&mut psql).await
    }

    /// Stops the server as a crash would (SIGQUIT: no checkpoint) and starts it again on the same
    /// port, where it recovers.
    ///
    /// # Errors
    ///
    /// If it does not come back.
    pub async fn restart_immediate(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Shuts the server down in order (SIGINT: sessions are ended, then a checkpoint) and starts it
    /// again on the same port.
    ///
    /// # Errors
    ///
    /// If it does not come back.
    pub async fn restart_fast(&mut self) -> anyhow::Result<()> {
        self.end_by("INT").await?;
        self.start_again().await
    }

    /// Stops the server as a crash would (SIGQUIT); its files stay.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end_by("QUIT").await
    }

    /// Kills the server and all its processes (SIGKILL); answers when they are gone. Its files
    /// stay.
    ///
    /// # Errors
    ///
    /// If they do not go.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.is_paused = false;
        if let Some(mut server) = self.server.take()
            && server.exit_status()?.is_none()
        {
            family::kill(&mut server).await?;
        }
        Ok(())
    }

    /// Stops all its processes in their tracks (SIGSTOP): connections stay open, new ones are taken
    /// by the kernel, and nothing answers.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub async fn pause(&mut self) -> anyhow::Result<()> {
        let server = self.server.as_mut().context("the server is stopped")?;
        self.is_paused = true;
        family::pause(server).await
    }

    /// Lets a paused one go on.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.is_paused = false;
        family::resume(self.server.as_mut().context("the server is stopped")?)
    }

    /// Waits until the server has ended by itself, as it does when it can't write its log of
    /// changes.
    ///
    /// # Errors
    ///
    /// If it still runs after `limit`, or did not run.
    pub async fn until_ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let status = self.server.as_mut().context("the server is stopped")?.wait(limit).await?;
        self.server = None;
        Ok(status)
    }

    /// Its small disk, if the options give it one.
    ///
    /// # Errors
    ///
    /// If they don't.
    pub fn disk(&self) -> anyhow::Result<&SmallDisk> {
        self.disk.as_ref().context("the server stands on the machine's disk")
    }

    /// What it has written to its log since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    async fn end_by(&mut self, signal: &str) -> anyhow::Result<()> {
        if self.is_paused {
            self.resume()?;
        }
        if let Some(mut server) = self.server.take()
            && server.exit_status()?.is_none()
        {
            server.signal(signal)?;
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

    pub(super) async fn start_on_a_free_port(&mut self) -> anyhow::Result<()> {
        on_free_port(async |port| {
            self.port = port;
            self.launch().await
        })
        .await
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let log = self.log_file();
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
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(data_of(&self.home)).arg("-p").arg(self.port.to_string());
        command.args(self.options.arguments());
        let log = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir(self.home.path());
        Ok(command)
    }

    fn log_file(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// Frees the shared memory of a server that was killed, which the next one over its files would
    /// do.
    fn free_memory(&self) {
        let file = data_of(&self.home).join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap_or_default();
        if let Some(id) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            // Nothing is lost but a few bytes if that fails.
            let _ = Command::new("ipcrm").args(["-m", id]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.is_paused {
            // It can still be killed, as follows.
            let _ = self.resume();
        }
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
        self.server = None;
        self.free_memory();
    }
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
