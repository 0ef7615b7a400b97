//! A child process that ends with the value that holds it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;

/// Time between two looks at a process that is expected to end.
const POLL_EVERY: Duration = Duration::from_millis(5);

/// A running process; dropping it sends SIGKILL and waits.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
}

impl Child {
    /// Starts `command`.
    ///
    /// # Errors
    ///
    /// If the program can't be started; the error names it.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let inner = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { inner })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Its standard output, if it was piped and not taken yet.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.inner.stdout.take()
    }

    /// Its standard error, if it was piped and not taken yet.
    pub fn take_stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.inner.stderr.take()
    }

    /// How it ended; none while it runs.
    ///
    /// # Errors
    ///
    /// If the system can't say.
    pub fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.inner.try_wait()?)
    }

    /// Sends a signal, by its name without `SIG`: `TERM`, `STOP`, `CONT`, `KILL`.
    ///
    /// # Errors
    ///
    /// If the process is gone or the signal has no such name.
    pub fn signal(&mut self, name: &str) -> anyhow::Result<()> {
        // Until it is waited for, its id cannot name another process.
        anyhow::ensure!(self.exit_status()?.is_none(), "process {} has ended", self.id());
        let status = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status()
            .context("cannot run kill")?;
        anyhow::ensure!(status.success(), "kill -s {name} {} failed: {status}", self.id());
        Ok(())
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// If it still runs after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let id = self.id();
        let ended = async {
            loop {
                if let Some(status) = self.exit_status()? {
                    return Ok(status);
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        tokio::time::timeout(limit, ended)
            .await
            .with_context(|| format!("process {id} still runs after {limit:?}"))?
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.inner.kill()?;
        self.inner.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nothing is left to do about a process that cannot be killed.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_child_is_gone() {
        let child = Child::spawn(Command::new("sleep").arg("600")).unwrap();
        let proc = std::path::PathBuf::from(format!("/proc/{}", child.id()));
        drop(child);
        assert!(!proc.exists());
    }

    #[tokio::test]
    async fn a_signal_ends_it_and_a_second_is_refused() {
        let mut child = Child::spawn(Command::new("sleep").arg("600")).unwrap();
        child.signal("TERM").unwrap();
        assert!(!child.wait(Duration::from_secs(10)).await.unwrap().success());
        assert!(child.signal("TERM").is_err());
    }

    #[tokio::test]
    async fn waiting_has_a_limit() {
        let mut child = Child::spawn(Command::new("sleep").arg("600")).unwrap();
        assert!(child.wait(Duration::from_millis(20)).await.is_err());
    }
}
