//! What is handed out has no points at which it can be killed.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Stdio};
use std::time::Duration;

use amends_testbed::{Child, free_port};
use amends_tests::{Client, amends, until};

/// What a build with points holds: where it is told of them, and the name of one.
const TRACES: [&str; 2] = ["AMENDS_FAILPOINT", "sqlite.migrate.before"];

#[test]
fn an_ordinary_build_holds_no_trace_of_them() {
    let binary = std::fs::read(amends().unwrap()).unwrap();
    // Searching a text is the library's work, and quick in a debug build too.
    let binary = String::from_utf8_lossy(&binary);
    let has = |text: &str| binary.contains(text);
    // What is looked for would be found.
    assert!(has("AMENDS_URL"));
    for trace in TRACES {
        assert!(!has(trace), "{trace}: built with the feature failpoints?");
    }
}

#[tokio::test]
async fn an_ordinary_build_does_not_die_when_told_to() {
    let (home, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
    let log = home.path().join("points");
    let mut command = Command::new(amends().unwrap());
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(home.path())
        .current_dir(home.path())
        .env_clear()
        .env("AMENDS_FAILPOINT", "sqlite.migrate.before:1")
        .env("AMENDS_FAILPOINT_LOG", &log)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = Child::spawn(&mut command).unwrap();
    let client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
    let up = until("it to be up", Duration::from_secs(30), async || {
        assert_eq!(server.exit_status().unwrap(), None, "it ended");
        client.get("/readyz").await.ok().filter(|answer| answer.status == 200)
    });
    up.await.unwrap();
    assert!(!log.exists());
}
