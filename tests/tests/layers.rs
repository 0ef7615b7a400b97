//! The architecture, checked: arrows between crates, and what every source file must be like.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crate, and the crates of ours it may use. A new arrow is a change of architecture: it changes
/// this table and ARCHITECTURE.md in one commit. Dev-dependencies are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("amends-api", &["amends-core", "amends-engine", "amends-ports"]),
    ("amends-client", &[]),
    ("amends-conform", &["amends-core"]),
    ("amends-console", &["amends-core", "amends-engine", "amends-ports"]),
    ("amends-core", &[]),
    ("amends-demo", &["amends-client", "amends-testbed"]),
    ("amends-engine", &["amends-core", "amends-ports"]),
    ("amends-locks", &["amends-core", "amends-ports"]),
    ("amends-participants", &["amends-core", "amends-ports"]),
    ("amends-ports", &["amends-core"]),
    (
        "amends-server",
        &[
            "amends-api",
            "amends-client",
            "amends-conform",
            "amends-console",
            "amends-core",
            "amends-demo",
            "amends-engine",
            "amends-locks",
            "amends-participants",
            "amends-ports",
            "amends-store",
            "amends-testbed",
        ],
    ),
    ("amends-store", &["amends-core", "amends-ports"]),
    ("amends-testbed", &[]),
];

/// The packages of tests, which may use any crate.
const TESTS: &[&str] =
    &["amends-faults", "amends-fuzz", "amends-models", "amends-sim", "amends-soak", "amends-tests"];

/// File names that say nothing about what is in them.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "types", "manager"];

/// Lines after which a file must be split; the aim is 250, and 400 asks for a second look.
const FILE_LINES_MAX: usize = 600;

/// Lines after which a file is named in the report.
const FILE_LINES_LONG: usize = 400;

#[test]
fn only_the_allowed_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if TESTS.contains(&name) {
            continue;
        }
        let allowed = allowed.get(name).unwrap_or_else(|| {
            panic!("{name} is not in ARROWS: add it there and to ARCHITECTURE.md")
        });
        for used in ours(package) {
            assert!(
                allowed.contains(&used),
                "{name} uses {used}, but may use only {allowed:?}: see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn every_crate_of_the_table_exists() {
    let metadata = metadata();
    let names: Vec<&str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    for (name, _) in ARROWS {
        assert!(names.contains(name), "ARROWS names {name}, which is no package");
    }
}

#[test]
fn every_source_file_says_its_job_first() {
    let silent: Vec<PathBuf> =
        sources().into_iter().filter(|path| !read(path).starts_with("//!")).collect();
    assert!(silent.is_empty(), "these files do not start with `//!`: {silent:#?}");
}

#[test]
fn no_source_file_is_too_long() {
    let mut long: Vec<(usize, PathBuf)> = sources()
        .into_iter()
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > FILE_LINES_LONG)
        .collect();
    long.sort();
    for (lines, path) in &long {
        eprintln!("look twice: {lines} lines in {}", path.display());
    }
    long.retain(|(lines, _)| *lines > FILE_LINES_MAX);
    assert!(long.is_empty(), "more than {FILE_LINES_MAX} lines; split by concept: {long:#?}");
}

#[test]
fn every_source_file_is_named_by_its_concept() {
    let says_nothing = |path: &PathBuf| {
        path.iter()
            .filter_map(|part| part.to_str())
            .any(|part| EMPTY_NAMES.contains(&part.strip_suffix(".rs").unwrap_or(part)))
    };
    let root = root();
    let empty: Vec<PathBuf> = sources()
        .into_iter()
        .filter_map(|path| path.strip_prefix(&root).map(Path::to_owned).ok())
        .filter(says_nothing)
        .collect();
    assert!(empty.is_empty(), "name these by the concept in them: {empty:#?}");
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Our crates among the package's normal and build dependencies.
fn ours(package: &Value) -> Vec<&str> {
    package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev")
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the project.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "tests"] {
        collect(&root().join(folder), &mut found);
    }
    assert!(found.len() > 20, "only {} source files: is the folder right?", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
