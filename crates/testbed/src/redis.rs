//! A Redis server of one's own.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Child, free_port};

/// Longest time a start or stop may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks at a server that starts.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// Ports tried when others take them first.
const STARTS_MAX: u32 = 5;

/// A running server that keeps nothing on disk; dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    server: Option<Child>,
    home: TempDir,
    port: u16,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Errors
    ///
    /// If `redis-server` is not installed or does not start within half a minute.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a server with further arguments, such as `--maxmemory-policy allkeys-lru`.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub async fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("amends-redis-").tempdir()?;
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut redis = Self { server: None, home, port: 0, arguments };
        let mut last = None;
        for _ in 0..STARTS_MAX {
            redis.port = free_port()?;
            match redis.launch().await {
                Ok(()) => return Ok(redis),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried")))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it: what it held is lost.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.kill())
    }

    /// Starts it again, empty, on the port it had.
    ///
    /// # Errors
    ///
    /// If it runs, or does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.server.is_none(), "the server runs");
        self.launch().await
    }

    /// Stops its process in its tracks (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.server.as_mut().context("the server is stopped")?.signal("STOP")
    }

    /// Lets a paused one go on.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.server.as_mut().context("the server is stopped")?.signal("CONT")
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("redis-server");
        command
            .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(self.home.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = Child::spawn(&mut command)?;
        tokio::time::timeout(LIMIT, until_ready(&mut server, self.port))
            .await
            .context("redis-server is not ready after half a minute")??;
        self.server = Some(server);
        Ok(())
    }
}

/// Waits until the process that was started answers on the port, and no other.
async fn until_ready(server: &mut Child, port: u16) -> anyhow::Result<()> {
    loop {
        if let Some(status) = server.exit_status()? {
            anyhow::bail!("redis-server ended: {status}");
        }
        if let Ok(id) = process_id(port).await {
            anyhow::ensure!(id == server.id(), "another server answers on port {port}");
            return Ok(());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The process id that the server on this port says it has.
async fn process_id(port: u16) -> anyhow::Result<u32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"INFO server\r\nQUIT\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let id = text.lines().find_map(|line| line.strip_prefix("process_id:"));
    Ok(id.context("no process id in the answer")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_stops_and_comes_back() {
        let mut redis = Redis::start().await.unwrap();
        let first = process_id(redis.port()).await.unwrap();
        redis.stop().unwrap();
        assert!(process_id(redis.port()).await.is_err());
        redis.start_again().await.unwrap();
        assert!(process_id(redis.port()).await.unwrap() != first);
    }

    #[tokio::test]
    async fn a_paused_server_does_not_answer_until_resumed() {
        let mut redis = Redis::start().await.unwrap();
        redis.pause().unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(50), process_id(redis.port()));
        assert!(silent.await.is_err());
        redis.resume().unwrap();
        assert!(process_id(redis.port()).await.is_ok());
    }
}
