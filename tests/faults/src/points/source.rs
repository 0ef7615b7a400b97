//! The points that stand in the source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Points to which nothing leads here, each with the reason.
pub(super) const UNREACHABLE: &[(&str, &str)] = &[
    ("postgres.unclaim.before", CLAIM),
    ("postgres.unclaim.after", CLAIM),
    ("postgres.format.before-commit", FORMAT),
    ("postgres.format.after-commit", FORMAT),
    ("sqlite.raise.before-commit", RAISE),
    ("sqlite.raise.after-commit", RAISE),
];

const CLAIM: &str = "comes after a claim whose answer was lost, which takes a fault of the network";
const FORMAT: &str = "comes when the last coordinator of an older release has left";
const RAISE: &str = "comes after a commit whose answer was lost, which takes a fault of the disk";

/// Every point, with the file that it stands in.
///
/// # Errors
///
/// The source can't be read, or one name stands in two places.
pub(super) fn points() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates"), &mut found)?;
    anyhow::ensure!(found.len() > 20, "only {} points: is the folder right?", found.len());
    Ok(found)
}

fn collect(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for name in names(&fs::read_to_string(&path)?) {
                let other = found.insert(name.to_owned(), path.clone());
                anyhow::ensure!(
                    other.is_none(),
                    "{name} stands in {} twice, or elsewhere too",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

/// The names in one file.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_says_where_it_is() {
        let points = points().unwrap();
        for (name, path) in &points {
            let (first, rest) = name.split_once('.').unwrap();
            assert!(!rest.is_empty() && !name.contains(['_', ' ']), "{name}");
            let folder = match first {
                "postgres" => "store/src/postgres",
                "sqlite" => "store/src/sqlite",
                "engine" => "engine/src",
                "call" => "participants/src",
                other => panic!("{name}: what is {other}?"),
            };
            assert!(path.to_str().unwrap().contains(folder), "{name} stands in {path:?}");
        }
        for (name, reason) in UNREACHABLE {
            assert!(points.contains_key(*name) && !reason.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_commit_stands_between_two_points() {
        for folder in ["postgres", "sqlite"] {
            let folder =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/store/src").join(folder);
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap();
                let own = text.split("#[cfg(test)]").next().unwrap();
                let commits = ["transaction.commit().await", "execute(\"COMMIT\")", "execute(end)"];
                for (index, line) in own.lines().enumerate() {
                    if !commits.iter().any(|commit| line.contains(commit)) {
                        continue;
                    }
                    let near = |offset: usize| own.lines().nth(offset).unwrap_or_default();
                    let is_between = near(index - 1).contains("failpoint!")
                        && near(index + 1).contains("failpoint!");
                    let file = path.file_name().unwrap();
                    let is_exempt = file == "checks.rs";
                    assert!(is_between || is_exempt, "{file:?}:{}: {line}", index + 1);
                }
            }
        }
    }
}
