//! The three participants as processes of their own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use amends_testbed::Child;
use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::books::Books;
use crate::participants::Kind;
use crate::plan::Plan;

/// How long a process may take to start.
const START_MAX: Duration = Duration::from_secs(30);

/// The running participants; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Fleet {
    exe: PathBuf,
    books: Books,
    services: BTreeMap<Kind, Service>,
}

#[derive(Debug)]
struct Service {
    process: Child,
    url: String,
}

impl Fleet {
    /// Starts all three by `exe demo-participant …` on free ports, with the troubles of `plan`.
    ///
    /// # Errors
    ///
    /// One doesn't start.
    pub(crate) async fn start(exe: PathBuf, books: Books, plan: &Plan) -> anyhow::Result<Self> {
        let mut fleet = Self { exe, books, services: BTreeMap::new() };
        for kind in Kind::ALL {
            let troubles = plan.troubles.get(&kind).cloned().unwrap_or_default();
            troubles.write(&fleet.books.troubles_path(kind))?;
            let service = fleet.launch(kind, 0).await?;
            fleet.services.insert(kind, service);
        }
        Ok(fleet)
    }

    /// Where each participant listens.
    pub(crate) fn urls(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.services.iter().map(|(kind, service)| (*kind, service.url.as_str()))
    }

    /// Kills one with SIGKILL and, after `downtime`, starts it again on the same port.
    ///
    /// # Errors
    ///
    /// It doesn't start again.
    pub(crate) async fn kill_and_restart(
        &mut self,
        kind: Kind,
        downtime: Duration,
    ) -> anyhow::Result<()> {
        let mut killed = self.services.remove(&kind).context("the participant doesn't run")?;
        killed.process.kill()?;
        let port = killed.url.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("no port in {}", killed.url))?;
        sleep(downtime).await;
        let service = self.launch(kind, port).await?;
        self.services.insert(kind, service);
        Ok(())
    }

    async fn launch(&self, kind: Kind, port: u16) -> anyhow::Result<Service> {
        let mut command = Command::new(&self.exe);
        command.args(["demo-participant", kind.name(), "--port", &port.to_string(), "--db"]);
        command.arg(self.books.path(kind)).arg("--troubles").arg(self.books.troubles_path(kind));
        let (process, url) = start(&mut command).await?;
        Ok(Service { process, url })
    }
}

/// Starts a program that says its URL on the first line of its output and ends with its input.
///
/// # Errors
///
/// It can't be started, or says nothing in time.
pub(crate) async fn start(command: &mut Command) -> anyhow::Result<(Child, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Child::spawn(command)?;
    let output = process.take_stdout().context("standard output was not piped")?;
    let first_line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map(|_| line)
    });
    let name = command.get_program().display();
    let line = tokio::time::timeout(START_MAX, first_line)
        .await
        .with_context(|| format!("{name} said nothing for {START_MAX:?}"))???;
    let url = line.trim().to_owned();
    anyhow::ensure!(!url.is_empty(), "{name} ended at once; what it said stands above");
    Ok((process, url))
}

/// Waits until `GET {url}{path}` is answered with success.
///
/// # Errors
///
/// It isn't within the time that a start may take.
pub(crate) async fn wait_for(url: &str, path: &str) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let start = Instant::now();
    loop {
        let answer = http.get(format!("{url}{path}")).send().await;
        if answer.as_ref().is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        anyhow::ensure!(start.elapsed() < START_MAX, "{url}{path} is not ready: {answer:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Whether `exe` can be run at all: a clear error before anything is started.
pub(crate) fn check_exe(exe: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(exe.is_file(), "{} is no program to start participants with", exe.display());
    Ok(())
}
