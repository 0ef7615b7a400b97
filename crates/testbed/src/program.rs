//! The programs of a database server: where they are, as whom they run, and a run to the end.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

/// Longest time a start, a stop or a statement of the testbed itself may take.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
/// Time between two looks at a server that starts.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(10);

/// Where the programs of a server are and how they are run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    dirs: Vec<PathBuf>,
    /// User and group that files must belong to and programs must run as: set if we are root, whom
    /// database servers refuse to serve.
    owner: Option<(u32, u32)>,
}

impl Programs {
    /// Those in these folders. If we are root they are run as `user`.
    ///
    /// # Errors
    ///
    /// If we are root and there is no such user.
    pub(crate) fn new(dirs: Vec<PathBuf>, user: &str) -> anyhow::Result<Self> {
        let owner = if is_root()? { Some((id_of("-u", user)?, id_of("-g", user)?)) } else { None };
        Ok(Self { dirs, owner })
    }

    /// User and group that files must belong to, if not ours.
    pub(crate) fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    /// A new folder that the programs may write in.
    pub(crate) fn make_home(&self, prefix: &str) -> anyhow::Result<TempDir> {
        let home = tempfile::Builder::new().prefix(prefix).tempdir()?;
        if let Some((user, group)) = self.owner {
            chown(home.path(), Some(user), Some(group))?;
        }
        Ok(home)
    }

    /// Where a program is.
    pub(crate) fn of(&self, program: &str) -> PathBuf {
        let mut places = self.dirs.iter().map(|dir| dir.join(program));
        places.find(|place| place.exists()).unwrap_or_else(|| PathBuf::from(program))
    }

    /// A command for the program, as its owner. `setpriv` becomes the program: same process id.
    pub(crate) fn command(&self, program: &str) -> Command {
        let program = self.of(program);
        let Some((user, group)) = self.owner else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={user}"), format!("--regid={group}")])
            .args(["--init-groups", "--"])
            .arg(program);
        command
    }
}

/// Whether we may do everything.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// The folder of a server's data in its home.
pub(crate) fn data_of(home: &TempDir) -> PathBuf {
    home.path().join("data")
}

/// The user's or group's number of a user.
fn id_of(flag: &str, user: &str) -> anyhow::Result<u32> {
    let output = Command::new("id").args([flag, user]).output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| {
        format!("the server refuses to run as root, and there is no user `{user}`")
    })
}

/// Runs a command to its end and answers what it printed.
pub(crate) async fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null());
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("")));
    let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output())
        .await
        .with_context(|| format!("{name} still runs after {LIMIT:?}"))?
        .with_context(|| format!("cannot run {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name} failed: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
