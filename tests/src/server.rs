//! One coordinator as a process of its own, on a port that it keeps from start to start.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use amends_testbed::{Child, free_port};
use anyhow::Context as _;
use tempfile::TempDir;

use crate::{Client, amends, until};

/// Longest wait for a server that starts: debug builds on busy machines are slow.
const START_MAX: Duration = Duration::from_mins(1);
/// Ports tried when others take them first.
const STARTS_MAX: u32 = 5;
/// Lines of the log that a failed test shows.
const TAIL_LINES: usize = 60;

/// How a coordinator is set up.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// URL of its database; without one, an embedded one in a folder of its own.
    pub database: Option<String>,
    /// URLs of its Redis masters; without any, lock keys are not guarded.
    pub redis: Vec<String>,
    /// Further configuration: `("engine.lease-ttl", "2s")`.
    pub settings: Vec<(&'static str, &'static str)>,
}

/// A coordinator. Dropped while a test fails, it shows the end of its log, and keeps
/// its folder where `AMENDS_TEST_KEEP` is set.
#[derive(Debug)]
pub struct Server {
    process: Option<Child>,
    options: ServerOptions,
    port: u16,
    home: TempDir,
}

impl Server {
    /// Starts one and waits until it takes requests.
    ///
    /// # Errors
    ///
    /// It ends at once or is not ready within a minute; with its log.
    pub async fn start(options: ServerOptions) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("amends-server-").tempdir()?;
        let mut server = Self { process: None, options, port: 0, home };
        let mut last = None;
        for _ in 0..STARTS_MAX {
            server.port = free_port()?;
            server.launch()?;
            match server.until_ready().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
            server.process = None;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried")))
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client of it alone.
    ///
    /// # Errors
    ///
    /// None that a test could cause.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url())
    }

    /// Starts its process on the port it had, and returns at once.
    ///
    /// # Errors
    ///
    /// It runs, or can't be started.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.process.is_none(), "the server runs");
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(amends()?);
        command
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.port), "--data-dir"])
            .arg(self.home.path().join("data"))
            .current_dir(self.home.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(database) = &self.options.database {
            command.args(["--database", database]);
        }
        if !self.options.redis.is_empty() {
            command.args(["--redis", &self.options.redis.join(",")]);
        }
        for (key, value) in &self.options.settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        self.process = Some(Child::spawn(&mut command)?);
        Ok(())
    }

    /// Waits until it takes requests.
    ///
    /// # Errors
    ///
    /// It has ended, or is not ready within a minute; with its log.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        let client = self.client()?;
        let look = async || match self.exit_status() {
            Ok(None) => client
                .get("/readyz")
                .await
                .ok()
                .filter(|answer| answer.status == 200)
                .map(|_| Ok(())),
            Ok(Some(status)) => Some(Err(anyhow::anyhow!("the server ended: {status}"))),
            Err(error) => Some(Err(error)),
        };
        let ready = until("a server to be ready", START_MAX, look).await;
        ready.flatten().with_context(|| self.log_tail())
    }

    /// Sends SIGKILL and waits for its end.
    ///
    /// # Errors
    ///
    /// It did not run: a test that kills the dead proves nothing.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        let status = process.exit_status()?;
        anyhow::ensure!(status.is_none(), "the server ended by itself: {status:?}");
        process.kill()
    }

    /// Sends a signal by its name without `SIG`.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        self.process.as_mut().context("the server does not run")?.signal(name)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It still runs after `limit`, or did not run.
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let status = self.process.as_mut().context("the server does not run")?.wait(limit).await?;
        self.process = None;
        Ok(status)
    }

    /// Everything it has logged, of all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.process.as_mut().context("the server does not run")?.exit_status()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(TAIL_LINES);
        let tail: Vec<&str> = log.lines().skip(skipped).collect();
        format!("log of {}, its end:\n{}", self.url(), tail.join("\n"))
    }

    /// The folder of its embedded database.
    pub fn data_dir(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "what a failed test has to show")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
            if std::env::var_os("AMENDS_TEST_KEEP").is_some() {
                self.home.disable_cleanup(true);
                eprintln!("AMENDS_TEST_KEEP: all of it stays in {}", self.home.path().display());
            }
        }
    }
}
