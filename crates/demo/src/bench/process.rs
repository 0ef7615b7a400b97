//! What processes cost, from `/proc`: CPU time, memory, bytes written to disk.

use anyhow::Context as _;

/// Ticks a second in `/proc/*/stat`: `USER_HZ`, which is 100 on every Linux.
const TICKS_A_SECOND: f64 = 100.0;
const KIB: u64 = 1_024;

/// What one process, or one with its children, has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// CPU seconds since its start.
    pub(super) cpu_seconds: f64,
    /// Memory that it has now; what processes share is counted once.
    pub(super) memory_bytes: u64,
    /// The most memory it has had; not known of several processes.
    pub(super) memory_peak_bytes: Option<u64>,
}

/// What one process uses, without its children.
///
/// # Errors
///
/// It is gone, or this is no Linux.
pub(super) fn of_process(process: u32) -> anyhow::Result<Usage> {
    of(&process.to_string())
}

/// What this process uses.
///
/// # Errors
///
/// This is no Linux.
pub(super) fn of_self() -> anyhow::Result<Usage> {
    of("self")
}

fn of(process: &str) -> anyhow::Result<Usage> {
    let path = format!("/proc/{process}/status");
    let status = read(&path)?;
    let bytes = |name| kib(&status, name).with_context(|| format!("no {name} in {path}"));
    Ok(Usage {
        cpu_seconds: seconds(Stat::read(process)?.own),
        memory_bytes: bytes("VmRSS:")?,
        memory_peak_bytes: Some(bytes("VmHWM:")?),
    })
}

/// What a process and its children use; the CPU time of children that have ended included.
///
/// # Errors
///
/// It is gone, or this is no Linux.
pub(super) fn of_family(process: u32) -> anyhow::Result<Usage> {
    let first = Stat::read(&process.to_string())?;
    let mut ticks = first.own + first.of_ended_children;
    let mut memory_bytes = share_of_memory(&process.to_string());
    for entry in std::fs::read_dir("/proc").context("reading /proc")?.flatten() {
        let name = entry.file_name();
        let Some(child) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        // What ends while we look is counted with its parent next time.
        if let Ok(stat) = Stat::read(child)
            && stat.parent == process
        {
            ticks += stat.own;
            memory_bytes += share_of_memory(child);
        }
    }
    Ok(Usage { cpu_seconds: seconds(ticks), memory_bytes, memory_peak_bytes: None })
}

/// Lets the most memory that a process has had begin anew, where the system lets us.
pub(super) fn forget_peak(process: u32) {
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// Bytes that a process has written towards a disk; none where the files lie on no disk.
pub(super) fn written_bytes(process: u32) -> Option<u64> {
    let text = read(&format!("/proc/{process}/io")).ok()?;
    let bytes = |line: &str| line.strip_prefix("write_bytes:")?.trim().parse().ok();
    text.lines().find_map(bytes).filter(|bytes| *bytes > 0)
}

/// Memory of one process of several, of what it shares only its share; 0 if it just went.
fn share_of_memory(process: &str) -> u64 {
    let text = read(&format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    kib(&text, "Pss:").unwrap_or_default()
}

/// A line of `Name:  123 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * KIB)
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

struct Stat {
    parent: u32,
    own: u64,
    of_ended_children: u64,
}

impl Stat {
    fn read(process: &str) -> anyhow::Result<Self> {
        let path = format!("/proc/{process}/stat");
        Self::parse(&read(&path)?).with_context(|| format!("{path} is not as proc(5) says"))
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
        let process = std::process::id();
        let head = of_process(process).unwrap();
        let family = of_family(process).unwrap();
        assert!(family.cpu_seconds >= head.cpu_seconds);
        assert!(family.memory_bytes > KIB);
        assert!(of_self().unwrap().memory_peak_bytes >= Some(head.memory_bytes));
    }

    #[test]
    fn sizes_are_read_in_kib() {
        let text = "Name:\tVmRSS\nVmHWM:\t    20 kB\nVmRSS:\t    10 kB\n";
        assert_eq!(kib(text, "VmRSS:"), Some(10_240));
        assert_eq!(kib(text, "VmSwap:"), None);
    }
}
