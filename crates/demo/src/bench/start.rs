//! Starting the processes of a bench, each by the program that is measured.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use amends_testbed::{Child, on_free_port};
use anyhow::Context as _;

use super::server::ServerOptions;
use crate::fleet::{start, wait_for};

/// Longest wait for a coordinator that can't start to say so.
const START_MAX: Duration = Duration::from_secs(40);

/// A coordinator over a database, configured by `settings` such as `engine.lease-ttl=5s`.
pub(super) async fn coordinator(
    exe: &Path,
    database: &str,
    log: &Path,
    settings: &[String],
) -> anyhow::Result<(Child, String)> {
    on_free_port(async |port| {
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(exe);
        command.args(["serve", "--listen", &address, "--database", database]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        let mut coordinator = spawn(command, log)?;
        // If somebody else took the port, this one ends, and an answer is not its own.
        let url = format!("http://{address}");
        let ready = tokio::select! {
            ready = wait_for(&url, "/readyz") => ready,
            ended = coordinator.wait(START_MAX) => Err(anyhow::anyhow!("it ended: {ended:?}")),
        };
        let runs = ready.and_then(|()| {
            anyhow::ensure!(coordinator.exit_status()?.is_none(), "it ended, another answers");
            Ok(())
        });
        let said = || std::fs::read_to_string(log).unwrap_or_default();
        runs.with_context(|| format!("the coordinator doesn't start:\n{}", said()))?;
        Ok((coordinator, address))
    })
    .await
}

fn spawn(mut command: Command, log: &Path) -> anyhow::Result<Child> {
    // Nothing of a configuration that lies around: a bench is the same everywhere.
    command.current_dir(log.parent().context("a log lies in a folder")?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    let log = std::fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Child::spawn(&mut command)
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("AMENDS_")
}

pub(super) async fn participant(
    exe: &Path,
    server: &ServerOptions,
) -> anyhow::Result<(Child, String)> {
    let mut command = Command::new(exe);
    command.args(["bench-participant", "--latency-ms", &server.participant_latency_ms.to_string()]);
    if let Some(listen) = server.participant_listen {
        command.args(["--listen", &listen.to_string()]);
    }
    let (child, url) = start(&mut command).await?;
    let address = url.strip_prefix("http://").unwrap_or(&url).replace("0.0.0.0", "127.0.0.1");
    Ok((child, address))
}

pub(super) async fn stand_in(
    exe: &Path,
    participant: &str,
    database: Option<&str>,
) -> anyhow::Result<(Child, String)> {
    let mut command = Command::new(exe);
    command.args(["bench-stand-in", "--participant", participant]);
    if let Some(database) = database {
        command.args(["--database", database]);
    }
    let (child, url) = start(&mut command).await?;
    Ok((child, url.trim_start_matches("http://").to_owned()))
}
