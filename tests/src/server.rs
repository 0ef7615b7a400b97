//! One coordinator as a process of its own, on a port that it keeps from start to start.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use amends_testbed::{Child, Namespace, on_free_port};
use anyhow::Context as _;
use tempfile::TempDir;

use crate::{Client, amends, until};

/// Longest wait for a server that starts: debug builds on busy machines are slow.
const START_MAX: Duration = Duration::from_mins(1);
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
    program: PathBuf,
    options: ServerOptions,
    /// Environment variables of its next starts.
    environment: Vec<(&'static str, String)>,
    port: u16,
    home: TempDir,
    /// The network that it is alone in, if it is not in the machine's.
    network: Option<Arc<Namespace>>,
}

impl Server {
    /// Starts one and waits until it takes requests.
    ///
    /// # Errors
    ///
    /// It ends at once or is not ready within a minute; with its log.
    pub async fn start(options: ServerOptions) -> anyhow::Result<Self> {
        Self::start_as(&amends()?, options).await
    }

    /// Starts one of another release, whose binary this is.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start_as(program: &Path, options: ServerOptions) -> anyhow::Result<Self> {
        Self::begin(program, options, None).await
    }

    /// Starts one in a network of its own.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start_within(
        network: Arc<Namespace>,
        options: ServerOptions,
    ) -> anyhow::Result<Self> {
        Self::begin(&amends()?, options, Some(network)).await
    }

    async fn begin(
        program: &Path,
        options: ServerOptions,
        network: Option<Arc<Namespace>>,
    ) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("amends-server-").tempdir()?;
        let program = program.to_owned();
        let environment = Vec::new();
        let mut server =
            Self { process: None, program, options, environment, port: 0, home, network };
        on_free_port(async |port| {
            server.process = None;
            server.port = port;
            server.launch()?;
            server.until_ready().await
        })
        .await?;
        Ok(server)
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    fn address(&self) -> SocketAddr {
        let host = self.network.as_ref().map_or(Ipv4Addr::LOCALHOST, |network| network.inner());
        (host, self.port).into()
    }

    /// A client of it alone.
    ///
    /// # Errors
    ///
    /// None that a test could cause.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url())
    }

    /// The release that the next start is of.
    pub fn become_release(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Starts its process on the port it had, and returns at once.
    ///
    /// # Errors
    ///
    /// It runs, or can't be started.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.process.is_none(), "the server runs");
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = match &self.network {
            Some(network) => network.command(&self.program),
            None => Command::new(&self.program),
        };
        command
            .arg("serve")
            .args(["--listen", &self.address().to_string(), "--data-dir"])
            .arg(self.home.path().join("data"))
            .current_dir(self.home.path())
            .env_clear()
            // For whatever starts it in its network.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.environment.iter().cloned())
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

    /// Sets a key for its next starts, over the one it has.
    pub fn set(&mut self, key: &'static str, value: &'static str) {
        self.options.settings.retain(|(own, _)| *own != key);
        self.options.settings.push((key, value));
    }

    /// Sets an environment variable for its next starts.
    pub fn set_variable(&mut self, name: &'static str, value: String) {
        self.environment.push((name, value));
    }

    /// Its resident memory, in KiB.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        let process = self.process.as_ref().context("the server does not run")?;
        let text = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(number.parse()?)
    }

    /// How many file descriptors it has open.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn open_files(&self) -> anyhow::Result<u64> {
        let process = self.process.as_ref().context("the server does not run")?;
        let files = fs::read_dir(format!("/proc/{}/fd", process.id()))?;
        Ok(files.count() as u64)
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
        if !std::thread::panicking() {
            return;
        }
        let mut text = self.log_tail();
        if std::env::var_os("AMENDS_TEST_KEEP").is_some() {
            self.home.disable_cleanup(true);
            text += "\nAMENDS_TEST_KEEP: all of it stays in ";
            text += &self.home.path().display().to_string();
        }
        // What can't be shown, since the disk is full, must not hide what failed.
        let _ = std::panic::catch_unwind(|| eprintln!("{text}"));
    }
}
