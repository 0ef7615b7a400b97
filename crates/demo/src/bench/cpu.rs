//! CPU time of processes, from `/proc`.

use anyhow::Context;

/// Ticks a second in `/proc/*/stat`: `USER_HZ`, which is 100 on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU seconds that one process has used, without its children.
///
/// # Errors
///
/// It is gone, or this is no Linux.
pub(super) fn of_process(pid: u32) -> anyhow::Result<f64> {
    let stat = Stat::read(&pid.to_string())?;
    Ok(seconds(stat.own))
}

/// CPU seconds that a process and its children have used, those that have ended included.
///
/// # Errors
///
/// It is gone, or this is no Linux.
pub(super) fn of_family(pid: u32) -> anyhow::Result<f64> {
    let parent = Stat::read(&pid.to_string())?;
    let mut ticks = parent.own + parent.of_ended_children;
    for entry in std::fs::read_dir("/proc").context("reading /proc")?.flatten() {
        let name = entry.file_name();
        // What ends while we look is counted with its parent next time.
        let stat = name.to_str().filter(|name| name.parse::<u32>().is_ok()).map(Stat::read);
        if let Some(Ok(stat)) = stat
            && stat.parent == pid
        {
            ticks += stat.own;
        }
    }
    Ok(seconds(ticks))
}

/// CPU seconds that this process has used.
///
/// # Errors
///
/// This is no Linux.
pub(super) fn of_self() -> anyhow::Result<f64> {
    Ok(seconds(Stat::read("self")?.own))
}

struct Stat {
    parent: u32,
    own: u64,
    of_ended_children: u64,
}

impl Stat {
    fn read(process: &str) -> anyhow::Result<Self> {
        let path = format!("/proc/{process}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        Self::parse(&text).with_context(|| format!("{path} is not as proc(5) says"))
    }

    /// See proc(5): the name, second, stands in parentheses and may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            of_ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "ticks of a bench are few")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_A_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let text = "42 (a) b) S 7 42 42 0 -1 4194304 95 0 0 0 11 22 33 44 20 0 1 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.of_ended_children), (7, 33, 77));
    }

    #[test]
    fn a_family_has_used_at_least_what_its_head_has() {
        let pid = std::process::id();
        let head = of_process(pid).unwrap();
        assert!(of_family(pid).unwrap() >= head);
        assert!(of_self().is_ok());
    }
}
