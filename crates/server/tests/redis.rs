//! `amends serve --redis` and `amends demo --redis`, with real masters: what is refused, what is
//! said, and that masters which are away keep nothing from starting.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use amends_testbed::Redis;
use serde_json::Value;
use tempfile::TempDir;

/// A server that came up, and where; killed when dropped.
struct Server {
    process: Child,
    url: String,
    /// Whoever can't write its lines ends.
    _out: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    command
}

impl Server {
    fn start(folder: &TempDir, redis: &str) -> Self {
        let mut process = command(folder, &["serve", "--listen", "127.0.0.1:0", "--redis", redis])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("amends listens on ").unwrap();
        Self { process, url: format!("http://{address}"), _out: out }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What it has said on standard error, once it is killed.
    fn log(mut self) -> String {
        self.process.kill().unwrap();
        let mut log = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

/// Exit status and standard error of a server that does not start.
fn refused(redis: &str, more: &[&str]) -> (i32, String) {
    let folder = TempDir::new().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--redis", redis];
    let output = command(&folder, &[&serve, more].concat()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A URL at which nobody listens.
fn nowhere() -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("redis://{address}/")
}

#[test]
fn masters_that_can_not_be_are_refused_by_the_name_of_their_key() {
    for (redis, more, part) in [
        ("", &[][..], "`locks.redis` names no Redis master"),
        ("http://a", &[], "`locks.redis`: URL 1 is no URL of a Redis master"),
        ("redis://a,b", &[], "`locks.redis`: URL 2 is no URL of a Redis master"),
        ("redis://:hunter2@", &[], "`locks.redis`: URL 1 is no URL"),
        ("redis://a:1,redis://:hunter2@a:1/2", &[], "are the same master"),
        ("redis://a", &["--set", "locks.ttl=10ms"], "`locks.ttl`: a guard can't live for 10ms"),
        ("redis://a", &["--set", "locks.node-timeout=2s"], "`locks.node-timeout`: 2s is no"),
        ("redis://a", &["--set", "locks.tls-cert-file=x.pem"], "`locks.tls-key-file` must be"),
    ] {
        let (status, err) = refused(redis, more);
        assert_eq!(status, 2, "{redis}: {err}");
        assert!(err.contains(part), "{redis}: {part:?} is not in {err}");
        assert!(!err.contains("hunter2"), "{err}");
    }
}

#[tokio::test]
async fn two_names_of_one_master_are_refused() {
    let master = Redis::start().await.unwrap();
    let twice = format!("{},redis://localhost:{}", master.url(), master.port());
    let (status, err) = refused(&twice, &[]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("are the same master: its vote would count twice"), "{err}");
}

#[tokio::test]
async fn masters_that_are_away_keep_nothing_from_starting() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder, &[nowhere(), nowhere(), nowhere()].join(","));
    let (status, body) = server.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    let ready: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(ready["locks"]["quorum"], false, "{body}");
    let master = &ready["locks"]["masters"][2];
    assert_eq!(master["trusted"], false, "{body}");
    assert!(master["detail"].as_str().unwrap().contains("refuses connections"), "{body}");
    let (_, metrics) = server.get("/metrics").await;
    for line in ["amends_lock_masters 3", "amends_lock_masters_trusted 0", "amends_lock_quorum 0"] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let log = server.log();
    assert_eq!(log.matches("Redis has no quorum").count(), 1, "{log}");
}

#[tokio::test]
async fn a_master_that_may_drop_guards_is_named_in_the_log() {
    let arguments = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let master = Redis::start_with(&arguments).await.unwrap();
    let folder = TempDir::new().unwrap();
    let log = Server::start(&folder, &master.url()).log();
    assert!(log.contains("maxmemory-policy allkeys-lru"), "{log}");
    assert!(log.contains("set maxmemory-policy to noeviction"), "{log}");
}

#[test]
fn a_demo_runs_on_masters_of_its_own() {
    let folder = TempDir::new().unwrap();
    let demo = ["demo", "--sagas", "40", "--exit", "--redis", "--listen", "127.0.0.1:0"];
    let output = command(&folder, &demo).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.ends_with("0 open, books balance\n"), "{out}");
    assert!(err.contains("a Redis master is paused"), "{err}");
    let seen = out.lines().find(|line| line.contains("Fencing tokens were seen")).unwrap();
    assert!(!seen.contains("of 0 keys"), "{seen}");
}
