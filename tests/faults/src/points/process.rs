//! The coordinator that is killed.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use amends_testbed::{Child, free_port};
use anyhow::Context as _;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Time between two looks at whether it lives.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest time in which it must have left after SIGTERM.
const LEAVE_MAX: Duration = Duration::from_secs(20);

const SETTINGS: [&str; 8] = [
    "engine.lease-ttl=1s",
    "engine.poll-every=50ms",
    "engine.park-after=100ms",
    "engine.retention=1h",
    "server.drain-timeout=2s",
    "database.partitions=4",
    "database.connections-max=4",
    "telemetry.log-filter=info",
];

/// What a start is told of points.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// Nothing.
    Live,
    /// To note each that it comes to, in this file.
    Note(PathBuf),
    /// To die at the point of this name, when it comes there for this time.
    Die(String, u32),
}

/// A coordinator on a port that it keeps from start to start.
#[derive(Debug)]
pub(super) struct Coordinator {
    binary: PathBuf,
    database: String,
    port: u16,
    home: TempDir,
    child: Option<Child>,
    /// When it died at its point.
    pub(super) died_at: Option<Instant>,
}

/// The build of `amends` that has points: what `cargo build --features failpoints --target-dir
/// target/failpoints` makes; or the one that `AMENDS_FAILPOINTS_BINARY` names.
///
/// # Errors
///
/// It is not there.
pub(super) fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("AMENDS_FAILPOINTS_BINARY") {
        return Ok(path.into());
    }
    // target/PROFILE/amends, or below another target folder.
    let plain = amends_tests::amends()?;
    let folder = plain.parent().context("a binary without a folder")?;
    let (profile, target) = (folder.file_name(), folder.parent());
    let (profile, target) = profile.zip(target).context("a binary in no target folder")?;
    let path = target.join("failpoints").join(profile).join("amends");
    anyhow::ensure!(path.is_file(), "{} is missing: `make faults` builds it", path.display());
    Ok(path)
}

impl Coordinator {
    /// One over this database; it does not run yet.
    pub(super) fn new(binary: &Path, database: String) -> anyhow::Result<Self> {
        Ok(Self {
            binary: binary.to_owned(),
            database,
            port: free_port()?,
            home: tempfile::Builder::new().prefix("amends-points-").tempdir()?,
            child: None,
            died_at: None,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn launch(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--database", &self.database])
            .arg("--data-dir")
            .arg(self.home.path())
            .current_dir(self.home.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        match plan {
            Plan::Live => &mut command,
            Plan::Note(path) => command.env("AMENDS_FAILPOINT_LOG", path),
            Plan::Die(name, hit) => command.env("AMENDS_FAILPOINT", format!("{name}:{hit}")),
        };
        self.child = Some(Child::spawn(&mut command)?);
        Ok(())
    }

    /// Starts it again once it has died at its point. Never ends but when it ends otherwise.
    pub(super) async fn keep_running(&mut self) -> anyhow::Error {
        loop {
            sleep(LOOK_EVERY).await;
            match self.exit_status() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    if let Err(error) = self.again(status) {
                        return error;
                    }
                }
                Err(error) => return error,
            }
        }
    }

    /// Asks it to leave and waits until it has, without an error. If it dies at its point
    /// meanwhile it is started again and asked again.
    pub(super) async fn leave(&mut self) -> anyhow::Result<()> {
        loop {
            if self.exit_status()?.is_none() {
                // It may die in between.
                let _ = self.child.as_mut().context("no process")?.signal("TERM");
            }
            let status = self.child.as_mut().context("no process")?.wait(LEAVE_MAX).await;
            let status = status.with_context(|| self.log_tail())?;
            if status.success() {
                return Ok(());
            }
            self.again(status)?;
            self.until_up().await?;
        }
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.take().context("no process")?.kill()
    }

    fn again(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        let is_first = self.died_at.is_none();
        anyhow::ensure!(
            status.signal() == Some(9) && is_first,
            "the coordinator ended: {status}\n{}",
            self.log_tail()
        );
        self.died_at = Some(Instant::now());
        self.launch(&Plan::Live)
    }

    /// Waits until it can be told to leave: a process that only starts has no handler yet.
    async fn until_up(&mut self) -> anyhow::Result<()> {
        let client = amends_tests::Client::new(&self.url())?;
        let up = amends_tests::until("a coordinator to be up", LEAVE_MAX, async || {
            client.get("/readyz").await.ok().filter(|answer| answer.status == 200)
        });
        up.await.map(drop)
    }

    fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.as_mut().context("no process")?.exit_status()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let skipped = log.lines().count().saturating_sub(40);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}
