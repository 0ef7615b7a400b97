//! What the system does not let us do.

use std::process::Command;

use anyhow::Context as _;

use crate::program::is_root;

/// The system does not let this process do what a fault needs; whoever wants the fault may do
/// without it. It is the source of an error: `error.is::<NotPermitted>()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPermitted {
    what: String,
}

impl std::fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not permitted: {}", self.what)
    }
}

impl std::error::Error for NotPermitted {}

/// Runs a command that only root may run, to its end, and answers what it printed.
///
/// # Errors
///
/// [`NotPermitted`] if we are not root, or root of a container that may not; else what it said.
pub(crate) fn run_as_root(command: &mut Command) -> anyhow::Result<String> {
    let name = format!("{command:?}");
    if !is_root()? {
        anyhow::bail!(NotPermitted { what: format!("{name} by others than root") });
    }
    // The reasons below are in English.
    let output =
        command.env("LC_ALL", "C").output().with_context(|| format!("cannot run {name}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    let is_barred = ["permission denied", "Permission denied", "Operation not permitted"]
        .iter()
        .any(|reason| why.contains(reason));
    if !output.status.success() && is_barred {
        anyhow::bail!(NotPermitted { what: format!("{name}: {}", why.trim()) });
    }
    anyhow::ensure!(output.status.success(), "{name} failed: {why}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_barred_differs_from_what_fails() {
        let error =
            |script: &str| run_as_root(Command::new("sh").args(["-c", script])).unwrap_err();
        let barred = error("echo 'mount: /x: permission denied.' >&2; exit 32").context("a disk");
        assert!(barred.is::<NotPermitted>(), "{barred:#}");
        let failed = error("echo 'mount: bad option' >&2; exit 32");
        assert_eq!(failed.is::<NotPermitted>(), !is_root().unwrap(), "{failed:#}");
    }
}
