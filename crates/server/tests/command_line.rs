//! The command line as people and scripts meet it: the real binary, its output and exit status.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// One run of the binary in an empty folder, with nothing of this shell's environment.
struct Run {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What came of a run.
#[derive(Debug)]
struct End {
    status: i32,
    out: String,
    err: String,
}

impl Run {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), environment: Vec::new() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn amends(&self, arguments: &[&str]) -> End {
        amends(self.folder.path(), &self.environment, arguments)
    }
}

fn amends(folder: &Path, environment: &[(String, String)], arguments: &[&str]) -> End {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    End {
        status: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// A base URL at which nobody listens: the port was free a moment ago and is held by no one.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

const GOOD: &str = "
name: book-trip
lock: { keys: ['trip:${input.trip}'] }
defaults: { timeout: 2s }
steps:
  - id: hotel
    participant: hotels
    action: { path: /bookings, body: { trip: '${input.trip}' } }
    compensation: { path: '/bookings/${saga.id}/cancel' }
  - id: flight
    participant: flights
    action: { path: /bookings, body: { trip: '${input.trip}' } }
    pivot: true
";

const FAULTY: &str = "
name: book-trip
steps:
  - id: hotel
    participant: hotels
    acton: { path: /bookings }
  - id: hotel
    participant: flights
    after: [nowhere]
    action: { path: /bookings }
";

#[test]
fn config_print_shows_every_layer_and_no_secret() {
    let run = Run::new()
        .file("amends.toml", "[engine]\nlease-ttl = \"15s\"\n[database]\nurl = \"sqlite://x\"\n")
        .variable("AMENDS_DATABASE__URL", "postgres://amends:hunter2@db/amends")
        .variable("AMENDS_URL", "http://elsewhere");
    let end = run.amends(&["config", "print", "--listen", "127.0.0.1:9000"]);
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(
        &end.out,
        &[
            "listen = \"127.0.0.1:9000\"  # flag --listen",
            "lease-ttl = \"15s\"  # amends.toml:2",
            "url = \"postgres://amends:***@db/amends\"  # environment AMENDS_DATABASE__URL",
            "log-format = \"text\"  # default",
        ],
    );
    assert!(!end.out.contains("hunter2"));

    let again = Run::new().file("amends.toml", &end.out).amends(&["config", "print", "--json"]);
    let values: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(values["engine"]["lease-ttl"]["value"], "15s");
    assert_eq!(values["server"]["listen"]["value"], "127.0.0.1:9000");
}

#[test]
fn an_unknown_key_is_refused_in_every_layer() {
    let run = Run::new()
        .file("amends.toml", "[server]\nlissten = \"x\"\n")
        .variable("AMENDS_TELEMETRY__LOG_FORMATT", "json");
    for command in [&["config", "print"][..], &["serve"]] {
        let end = run.amends(&[command, &["--set", "engine.lease=1s"]].concat());
        assert_eq!(end.status, 2, "{end:?}");
        assert_has(
            &end.err,
            &[
                "amends.toml:2: `server.lissten` is not a key; did you mean `server.listen`?",
                "environment AMENDS_TELEMETRY__LOG_FORMATT: `telemetry.log-formatt`",
                "flag --set: `engine.lease` is not a key",
            ],
        );
    }
}

#[test]
fn a_named_file_must_be_there() {
    let end = Run::new().amends(&["config", "print", "--config", "nowhere.toml"]);
    assert_eq!(end.status, 2, "{end:?}");
    assert_has(&end.err, &["cannot read the configuration file nowhere.toml"]);
}

#[test]
fn definition_check_tells_all_faults_without_a_server() {
    let run = Run::new().file("trip.yaml", FAULTY).variable("AMENDS_URL", &nobody());
    let end = run.amends(&["definition", "check", "trip.yaml"]);
    assert_eq!(end.status, 3, "{end:?}");
    assert_has(
        &end.out,
        &[
            "trip.yaml: error[unknown-field] /steps/0/acton",
            "trip.yaml: error[duplicate-id] /steps/1/id",
            "trip.yaml: error[unknown-step] /steps/1/after/0",
        ],
    );
    assert_has(&end.err, &["trip.yaml has "]);

    let end = run.amends(&["definition", "check", "trip.yaml", "--json"]);
    assert_eq!(end.status, 3, "{end:?}");
    let report: Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!(report["valid"], false);
    assert!(report["faults"].as_array().unwrap().len() >= 3);
}

#[test]
fn a_valid_definition_is_checked_and_explored_without_a_server() {
    let run = Run::new().file("trip.yaml", GOOD).variable("AMENDS_URL", &nobody());
    let end = run.amends(&["definition", "check", "trip.yaml"]);
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(&end.out, &["trip.yaml: valid"]);

    let end = run.amends(&["explore", "trip.yaml"]);
    assert_eq!(end.status, 0, "{end:?}");
    assert_has(
        &end.out,
        &["all goes well", "hotel.action is refused", "hotel.compensation", "compensated"],
    );

    let end = run.amends(&["explore", "nowhere.yaml"]);
    assert_eq!(end.status, 2, "{end:?}");
    assert_has(&end.err, &["there is no file nowhere.yaml"]);
}

#[test]
fn completions_are_a_script_for_the_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let end = Run::new().amends(&["completions", shell]);
        assert_eq!(end.status, 0, "{end:?}");
        assert_has(&end.out, &["amends", "definition", "resolve"]);
    }
}

#[test]
fn a_refused_connection_says_how_to_start_a_server() {
    let url = nobody();
    let commands: [&[&str]; 4] = [
        &["saga", "list"],
        &["saga", "watch", "order-1"],
        &["participant", "list"],
        &["saga", "start", "place-order", "--wait"],
    ];
    for command in commands {
        let end = Run::new().amends(&[command, &["--url", &url]].concat());
        assert_eq!(end.status, 1, "{end:?}");
        assert_has(&end.err, &["no amends server answers at", &url, "amends serve", "--url"]);
        assert_eq!(end.out, "");
    }
}

#[test]
fn wrong_arguments_are_usage() {
    let commands: [&[&str]; 6] = [
        &[],
        &["sagga"],
        &["saga", "start"],
        &["saga", "start", "x", "--input", "{"],
        &["saga", "list", "--url", "ftp://x"],
        &["participant", "add", "payment"],
    ];
    for command in commands {
        let end = Run::new().amends(command);
        assert_eq!(end.status, 2, "{command:?}: {end:?}");
        assert!(!end.err.is_empty());
    }
}
