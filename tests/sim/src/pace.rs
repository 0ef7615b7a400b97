//! How much processor time a batch took.

use std::time::Instant;

/// Ticks a second in `/proc/*/stat`: `USER_HZ`, which is 100 on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// Measures from its making on.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    began: Instant,
    used: Option<f64>,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the real time, for the pace")]
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), used: used() }
    }

    /// Real seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Seconds of processor time; real ones where nobody tells.
    pub(crate) fn processor_seconds(&self) -> f64 {
        match (self.used, used()) {
            (Some(before), Some(now)) => now - before,
            _ => self.seconds(),
        }
    }
}

/// What this process has used, in seconds; see proc(5): the name, second, may hold anything.
#[expect(clippy::cast_precision_loss, reason = "ticks of a batch are few")]
fn used() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_A_SECOND)
}
