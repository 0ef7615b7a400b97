//! Running the load generator in a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;

use super::{Case, LoadResult, wire};

/// How long a load generator may take on top of the time it was given.
const GRACE: Duration = Duration::from_mins(1);

/// What a load generator is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    /// Of whom, as `host:port`.
    pub(super) address: &'a str,
    pub(super) case: Case,
    /// Definition of the sagas, where it is not the case's own.
    pub(super) definition: Option<&'a str>,
    pub(super) in_flight: u32,
    pub(super) seconds: u32,
    pub(super) warm_up_seconds: u32,
    /// Header of every request.
    pub(super) header: Option<&'a str>,
}

impl Load<'_> {
    /// Runs it by `exe bench-load …`.
    pub(super) async fn run(self, exe: &Path) -> anyhow::Result<LoadResult> {
        let mut command = Command::new(exe);
        command
            .args(["bench-load", "--address", self.address, "--case", &self.case.to_string()])
            .args(self.definition.into_iter().flat_map(|name| ["--definition", name]))
            .args(["--in-flight", &self.in_flight.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--warm-up-seconds", &self.warm_up_seconds.to_string()])
            .env_remove(wire::HEADER_VARIABLE)
            // Not on the command line, which everybody may read: it may hold a token.
            .envs(self.header.map(|header| (wire::HEADER_VARIABLE, header)))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let most = Duration::from_secs(u64::from(self.seconds) + u64::from(self.warm_up_seconds));
        let most = most + GRACE;
        let output = tokio::time::timeout(most, command.output())
            .await
            .with_context(|| format!("the load generator still runs after {most:?}"))??;
        let text = String::from_utf8_lossy(&output.stdout);
        let status = output.status;
        anyhow::ensure!(status.success(), "the load generator failed ({status}): {text}");
        serde_json::from_str(&text).with_context(|| format!("the load generator said {text:?}"))
    }
}
