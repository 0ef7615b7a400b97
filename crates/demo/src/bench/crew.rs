//! The coordinators that a bench has started over one database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use amends_testbed::Child;
use anyhow::Context as _;

use super::start;

/// Longest time in which a coordinator that is asked to leave must have left.
const LEAVE_MAX: Duration = Duration::from_mins(2);

/// Coordinators over one database; dropping it kills them.
#[derive(Debug)]
pub(super) struct Crew {
    exe: PathBuf,
    /// Where their logs lie.
    dir: PathBuf,
    database: String,
    /// Configuration of each, as `engine.lease-ttl=5s`.
    settings: Vec<String>,
    members: Vec<Member>,
    started: usize,
}

/// One of them.
#[derive(Debug)]
struct Member {
    child: Child,
    /// `host:port`.
    address: String,
}

impl Crew {
    /// Nobody, over the database at this URL.
    pub(super) fn over(exe: &Path, dir: &Path, database: String, settings: Vec<String>) -> Self {
        let (exe, dir) = (exe.to_owned(), dir.to_owned());
        Self { exe, dir, database, settings, members: Vec::new(), started: 0 }
    }

    /// URL of their database.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Starts one more.
    pub(super) async fn join(&mut self) -> anyhow::Result<()> {
        self.started += 1;
        let log = self.dir.join(format!("coordinator-{}.log", self.started));
        let started = start::coordinator(&self.exe, &self.database, &log, &self.settings).await?;
        let (child, address) = started;
        self.members.push(Member { child, address });
        Ok(())
    }

    /// Asks the last one to leave, and waits until it has.
    pub(super) async fn leave(&mut self) -> anyhow::Result<()> {
        let mut last = self.members.pop().context("no coordinator is left")?;
        last.child.signal("TERM")?;
        let status = last.child.wait(LEAVE_MAX).await?;
        anyhow::ensure!(status.success(), "a coordinator that was asked to leave: {status}");
        Ok(())
    }

    /// Kills the last one.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.members.pop().context("no coordinator is left")?.child.kill()
    }

    /// Where each listens, as `host:port`.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.members.iter().map(|member| member.address.clone()).collect()
    }

    /// Process id of the first.
    pub(super) fn process(&self) -> Option<u32> {
        self.members.first().map(|member| member.child.id())
    }
}
