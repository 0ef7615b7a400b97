//! The demo's participants as processes, each with books of its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use amends_demo::Books;
use amends_demo::participants::Kind;
use amends_testbed::Child;
use amends_tests::amends;
use anyhow::Context as _;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

/// How long a process may take to start.
const START_MAX: Duration = Duration::from_secs(30);

/// The running participants; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Fleet {
    books: Books,
    ports: BTreeMap<Kind, u16>,
    running: BTreeMap<Kind, Child>,
}

impl Fleet {
    /// Starts all of them on these ports.
    ///
    /// # Errors
    ///
    /// One does not start.
    pub(crate) async fn start(books: Books, ports: BTreeMap<Kind, u16>) -> anyhow::Result<Self> {
        let mut fleet = Self { books, ports, running: BTreeMap::new() };
        for kind in Kind::ALL {
            fleet.launch(kind).await?;
        }
        Ok(fleet)
    }

    /// Their books.
    pub(crate) const fn books(&self) -> &Books {
        &self.books
    }

    /// The highest fencing token that any of them has seen.
    ///
    /// # Errors
    ///
    /// Their books can't be read.
    pub(crate) async fn highest_token(&self) -> anyhow::Result<u64> {
        let mut highest = 0;
        for kind in Kind::ALL {
            let options =
                SqliteConnectOptions::new().filename(self.books.path(kind)).read_only(true);
            let mut books = options.connect().await?;
            let token: Option<i64> = sqlx::query_scalar("SELECT max(token) FROM amends_fence")
                .fetch_one(&mut books)
                .await?;
            highest = highest.max(token.unwrap_or_default().cast_unsigned());
        }
        Ok(highest)
    }

    /// Sends SIGKILL and waits for its end.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub(crate) fn kill(&mut self, kind: Kind) -> anyhow::Result<()> {
        self.running.remove(&kind).context("the participant does not run")?.kill()
    }

    /// Starts one on the port that it has.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub(crate) async fn launch(&mut self, kind: Kind) -> anyhow::Result<()> {
        let port = self.ports.get(&kind).context("a participant without a port")?;
        let mut command = Command::new(amends()?);
        command
            .args(["demo-participant", kind.name(), "--port", &port.to_string(), "--db"])
            .arg(self.books.path(kind))
            .arg("--troubles")
            .arg(self.books.troubles_path(kind))
            // Its standard input is its leash: it ends with us.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Child::spawn(&mut command)?;
        let output = process.take_stdout().context("standard output was not piped")?;
        let first_line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(START_MAX, first_line)
            .await
            .with_context(|| format!("{} said nothing for {START_MAX:?}", kind.name()))???;
        anyhow::ensure!(line.trim().ends_with(&format!(":{port}")), "{}: {line}", kind.name());
        self.running.insert(kind, process);
        Ok(())
    }

    /// Sends a signal by its name without `SIG`.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub(crate) fn signal(&mut self, kind: Kind, name: &str) -> anyhow::Result<()> {
        self.running.get_mut(&kind).context("the participant does not run")?.signal(name)
    }
}
