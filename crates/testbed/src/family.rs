//! A process with its children, stopped, resumed or killed as one.
//!
//! A server of several processes, such as PostgreSQL, goes on for a while in its children when only
//! the first is stopped or killed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::Child;

/// Time between two looks at processes that are expected to end.
const POLL_EVERY: Duration = Duration::from_millis(5);
/// Longest time until killed processes are gone.
const LIMIT: Duration = Duration::from_secs(10);

/// Stops the process and its children (SIGSTOP); answers when all stand still.
pub(crate) async fn pause(first: &mut Child) -> anyhow::Result<()> {
    // First, so that it has no further children; it can't bury them either, so that their ids stay.
    first.signal("STOP")?;
    let all = [vec![first.id()], children_of(first.id())?].concat();
    signal(&all, "STOP")?;
    until(&all, "stopped", |state| matches!(state, None | Some('T' | 't' | 'Z'))).await
}

/// Lets them go on.
pub(crate) fn resume(first: &mut Child) -> anyhow::Result<()> {
    signal(&children_of(first.id())?, "CONT")?;
    first.signal("CONT")
}

/// Kills the process and its children (SIGKILL); answers when all are gone.
pub(crate) async fn kill(first: &mut Child) -> anyhow::Result<()> {
    first.signal("STOP")?;
    let children = children_of(first.id())?;
    signal(&children, "KILL")?;
    first.kill()?;
    until(&children, "gone", |state| matches!(state, None | Some('Z'))).await
}

/// Sends a signal to processes of which some may have ended.
fn signal(ids: &[u32], name: &str) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut kill = Command::new("kill");
    kill.args(["-s", name]).args(ids.iter().map(u32::to_string));
    kill.stderr(Stdio::null()).status().context("cannot run kill")?;
    Ok(())
}

/// Waits until all processes are in a wanted state.
async fn until(
    ids: &[u32],
    wanted: &str,
    is_wanted: impl Fn(Option<char>) -> bool,
) -> anyhow::Result<()> {
    let all = async {
        while !ids.iter().all(|id| is_wanted(state_of(*id).map(|(state, _)| state))) {
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    let in_time = tokio::time::timeout(LIMIT, all).await;
    in_time.with_context(|| format!("not all of {ids:?} are {wanted} after {LIMIT:?}"))
}

fn children_of(parent: u32) -> anyhow::Result<Vec<u32>> {
    let processes = fs::read_dir("/proc").context("no /proc")?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(ids.filter(|id| state_of(*id).is_some_and(|(_, of)| of == parent)).collect())
}

/// A process's state, as `ps` names it, and its parent; none if there is no such process.
fn state_of(id: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Its name stands in brackets and may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process, and a child that it has had by the time this answers.
    async fn parent() -> (Child, u32) {
        let mut shell = Command::new("sh");
        let mut first = Child::spawn(shell.args(["-c", "sleep 600 & wait"])).unwrap();
        loop {
            assert!(first.exit_status().unwrap().is_none());
            if let [child] = children_of(first.id()).unwrap().as_slice() {
                return (first, *child);
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    #[tokio::test]
    async fn children_stop_go_on_and_die_with_the_first() {
        let (mut first, child) = parent().await;
        pause(&mut first).await.unwrap();
        assert_eq!(state_of(first.id()).unwrap().0, 'T');
        assert_eq!(state_of(child).unwrap().0, 'T');
        resume(&mut first).unwrap();
        let both = [first.id(), child];
        until(&both, "going on", |state| state == Some('S')).await.unwrap();
        pause(&mut first).await.unwrap();
        kill(&mut first).await.unwrap();
        assert!(state_of(first.id()).is_none());
        assert!(matches!(state_of(child), None | Some(('Z', _))));
        assert!(kill(&mut first).await.is_err(), "it is gone");
    }
}
