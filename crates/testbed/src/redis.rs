//! A Redis server of one's own.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clock::OwnClock;
use crate::{Child, on_free_port};

/// Longest time a start or stop may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks at a server that starts.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A running server that keeps nothing on disk; dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    server: Option<Child>,
    home: TempDir,
    port: u16,
    arguments: Vec<String>,
    /// Set if its clock can be moved.
    clock: Option<OwnClock>,
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

    /// Starts a server with further arguments, such as `--maxmemory-policy allkeys-lru` or
    /// `--requirepass secret`. It keeps a plain port beside any other (`--tls-port`).
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub async fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::begin(arguments, None).await
    }

    /// Starts a server whose clock can be moved ([`Redis::move_clock`]).
    ///
    /// # Errors
    ///
    /// As [`Redis::start`], and if there is no C compiler.
    pub async fn start_on_own_clock() -> anyhow::Result<Self> {
        Self::begin(&[], Some(OwnClock::new()?)).await
    }

    /// Puts its clock so many seconds before (or, if negative, behind) the machine's.
    ///
    /// # Errors
    ///
    /// It was not started by [`Redis::start_on_own_clock`].
    pub fn move_clock(&mut self, seconds: i64) -> anyhow::Result<()> {
        self.clock.as_ref().context("the server runs on the machine's clock")?.move_to(seconds)
    }

    async fn begin(arguments: &[&str], clock: Option<OwnClock>) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("amends-redis-").tempdir()?;
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut redis = Self { server: None, home, port: 0, arguments, clock };
        on_free_port(async |port| {
            redis.port = port;
            redis.launch().await
        })
        .await?;
        Ok(redis)
    }

    /// Its URL, with the password of the default user if it has one.
    pub fn url(&self) -> String {
        let login = self.password().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}/", self.port)
    }

    /// Runs one command, as the default user, on a connection of its own; answers the reply as it
    /// came over the wire.
    ///
    /// # Errors
    ///
    /// If the server does not run, or answers with an error.
    pub async fn command(&self, words: &[&str]) -> anyhow::Result<String> {
        let reply = tokio::time::timeout(LIMIT, ask(self.port, self.password(), words))
            .await
            .context("the server did not answer within half a minute")??;
        anyhow::ensure!(!reply.starts_with('-'), "{words:?}: {reply}");
        Ok(reply)
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

    /// Of the default user.
    fn password(&self) -> Option<&str> {
        let place = self.arguments.iter().position(|argument| argument == "--requirepass")?;
        self.arguments.get(place + 1).map(String::as_str)
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
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        let mut server = Child::spawn(&mut command)?;
        tokio::time::timeout(LIMIT, until_ready(&mut server, self.port, self.password()))
            .await
            .context("redis-server is not ready after half a minute")??;
        self.server = Some(server);
        Ok(())
    }
}

/// Waits until the process that was started answers on the port, and no other.
async fn until_ready(server: &mut Child, port: u16, password: Option<&str>) -> anyhow::Result<()> {
    loop {
        if let Some(status) = server.exit_status()? {
            anyhow::bail!("redis-server ended: {status}");
        }
        if let Ok(id) = process_id(port, password).await {
            anyhow::ensure!(id == server.id(), "another server answers on port {port}");
            return Ok(());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// The process id that the server on this port says it has.
async fn process_id(port: u16, password: Option<&str>) -> anyhow::Result<u32> {
    let text = ask(port, password, &["INFO", "server"]).await?;
    let id = text.lines().find_map(|line| line.strip_prefix("process_id:"));
    Ok(id.context("no process id in the answer")?.trim().parse()?)
}

/// One command's reply.
async fn ask(port: u16, password: Option<&str>, words: &[&str]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let login = password.map(|password| encode(&["AUTH", password])).unwrap_or_default();
    let commands = format!("{login}{}{}", encode(words), encode(&["QUIT"]));
    stream.write_all(commands.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let ok = "+OK\r\n";
    let reply = if password.is_some() { text.strip_prefix(ok).unwrap_or(&text) } else { &text };
    Ok(reply.strip_suffix(ok).unwrap_or(reply).to_owned())
}

fn encode(words: &[&str]) -> String {
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n{}", words.len(), words.iter().map(word).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_clock_is_moved_while_it_runs() {
        let mut redis = Redis::start_on_own_clock().await.unwrap();
        redis.command(&["SET", "k", "v", "PX", "60000"]).await.unwrap();
        assert_eq!(redis.command(&["GET", "k"]).await.unwrap(), "$1\r\nv\r\n");
        redis.move_clock(120).unwrap();
        assert_eq!(redis.command(&["GET", "k"]).await.unwrap(), "$-1\r\n");
    }

    #[tokio::test]
    async fn it_answers_stops_and_comes_back() {
        let mut redis = Redis::start().await.unwrap();
        let first = process_id(redis.port(), None).await.unwrap();
        redis.stop().unwrap();
        assert!(process_id(redis.port(), None).await.is_err());
        redis.start_again().await.unwrap();
        assert!(process_id(redis.port(), None).await.unwrap() != first);
    }

    #[tokio::test]
    async fn a_paused_server_does_not_answer_until_resumed() {
        let mut redis = Redis::start().await.unwrap();
        redis.pause().unwrap();
        let silent =
            tokio::time::timeout(Duration::from_millis(50), process_id(redis.port(), None));
        assert!(silent.await.is_err());
        redis.resume().unwrap();
        assert!(process_id(redis.port(), None).await.is_ok());
    }

    #[tokio::test]
    async fn commands_are_run_with_the_password() {
        let redis = Redis::start_with(&["--requirepass", "secret"]).await.unwrap();
        assert_eq!(redis.command(&["SET", "a key", "1"]).await.unwrap(), "+OK\r\n");
        assert_eq!(redis.command(&["GET", "a key"]).await.unwrap(), "$1\r\n1\r\n");
        assert!(redis.command(&["GET"]).await.is_err());
        assert!(redis.url().starts_with("redis://:secret@127.0.0.1:"));
    }
}
