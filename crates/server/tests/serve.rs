//! `amends serve` as operators meet it: first lines, signals, ports that are taken.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A running server; killed when dropped.
struct Server {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_amends"))
            .arg("serve")
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        Self { process, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
    }

    fn end(&mut self) -> (i32, String) {
        let mut err = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.process.wait().unwrap().code().unwrap(), err)
    }
}

#[test]
fn a_server_says_where_it_is_and_drains_on_sigterm() {
    let folder = TempDir::new().unwrap();
    let mut server =
        Server::start(folder.path(), &["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let address = server.line();
    let address = address.strip_prefix("amends listens on ").unwrap();
    assert_eq!(server.line(), format!("console: http://{address}/"));
    assert!(folder.path().join("amends-data/amends.db").exists());

    let list = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["saga", "list", "--url", &format!("http://{address}")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(list.stdout).unwrap(), "no sagas\n");

    server.signal("TERM");
    let (status, err) = server.end();
    assert_eq!(status, 0, "{err}");
    for line in err.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(
        err.contains("SIGTERM: draining") && err.contains("the coordinator has stopped"),
        "{err}"
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_advice() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, err) = Server::start(folder.path(), &["--listen", &address]).end();
    assert_eq!(status, 1, "{err}");
    assert!(
        err.contains(&format!("cannot listen on {address}")) && err.contains("--listen"),
        "{err}"
    );
}

#[test]
fn a_database_that_is_away_is_told_without_its_password() {
    let folder = TempDir::new().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let database = format!("postgres://amends:hunter2@{nobody}/amends");
    let arguments = ["--listen", "127.0.0.1:0", "--database", &database];
    let (status, err) = Server::start(folder.path(), &arguments).end();
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("error: database postgres://amends:***@"), "{err}");
    assert!(!err.contains("hunter2"), "{err}");
}

#[test]
fn a_server_that_others_reach_registers_no_private_target() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path(), &["--listen", "0.0.0.0:0"]);
    let _address = server.line();
    let console = server.line();
    let url = console.strip_prefix("console: ").unwrap();
    let add = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["participant", "add", "inner", "http://127.0.0.1:9001", "--url", url])
        .output()
        .unwrap();
    assert_eq!(add.status.code(), Some(3), "{add:?}");
    assert!(String::from_utf8_lossy(&add.stderr).contains("private or loopback"), "{add:?}");
}
