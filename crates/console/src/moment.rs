//! Times and durations as people read them.

use std::time::Duration;

use amends_core::Timestamp;

/// One point in time on a page: exact for machines and on hover, relative for the eye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339 in UTC, to the millisecond.
    pub(crate) exact: String,
    /// `12 s ago`, `in 3 min`.
    pub(crate) relative: String,
    /// Microseconds since 1970, for the script that keeps `relative` true.
    pub(crate) micros: i64,
}

impl Moment {
    /// `at`, seen at the time `now`.
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let relative = if at > now {
            format!("in {}", rough(at.since(now)))
        } else {
            format!("{} ago", rough(now.since(at)))
        };
        Self { exact: exact(at), relative, micros: at.0 }
    }
}

/// `2026-11-22 13:06:00.250 UTC`.
pub(crate) fn exact(at: Timestamp) -> String {
    let text = Timestamp(at.0.div_euclid(1000) * 1000).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, "00:00:00Z"));
    let time = time.trim_end_matches('Z');
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{date} {seconds}.{fraction:0<3} UTC")
}

/// One unit, rounded down: `0 s`, `59 s`, `3 min`, `5 h`, `12 d`.
pub(crate) fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Two units at most, fine enough to compare attempts: `0.4 ms`, `12 ms`, `1.25 s`, `3 min 20 s`.
pub(crate) fn fine(duration: Duration) -> String {
    let micros = duration.as_micros();
    let seconds = duration.as_secs();
    match micros {
        0 => "0 ms".to_owned(),
        1..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{}.{:02} s", seconds, micros % 1_000_000 / 10_000),
        _ if seconds < 3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if seconds < 172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let at = Timestamp::parse("2026-11-22T13:06:00.25Z").unwrap();
        assert_eq!(exact(at), "2026-11-22 13:06:00.250 UTC");
        assert_eq!(exact(Timestamp(0)), "1970-01-01 00:00:00.000 UTC");
        let later = at.after(Duration::from_secs(200));
        assert_eq!(Moment::new(at, later).relative, "3 min ago");
        assert_eq!(Moment::new(later, at).relative, "in 3 min");
    }

    #[test]
    fn durations_read_well() {
        for (micros, text) in [
            (0, "0 ms"),
            (400, "0.4 ms"),
            (12_000, "12 ms"),
            (1_250_000, "1.25 s"),
            (200_000_000, "3 min 20 s"),
            (7_500_000_000, "2 h 5 min"),
            (200_000_000_000, "2 d 7 h"),
        ] {
            assert_eq!(fine(Duration::from_micros(micros)), text);
        }
    }
}
