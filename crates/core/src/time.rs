//! Points in time and durations as definitions and answers write them.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::FaultCode;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, by whichever clock the field names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This much later, at most the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads an RFC 3339 timestamp.
    ///
    /// # Errors
    ///
    /// A sentence for the one who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|time| Self(time.as_microsecond()))
            .map_err(|_| format!("{text:?} is not an RFC 3339 time such as 2026-11-22T13:06:00Z"))
    }
}

/// RFC 3339, in UTC, with as many digits as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        write!(f, "{time}")
    }
}

/// Units of a written duration, longest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longest duration that may be written: 3,660 days.
const DURATION_MS_MAX: u64 = 3_660 * 86_400_000;

/// Reads `250ms`, `2s`, `5m`, `1h30m`, `7d`: whole numbers with units, longest unit first.
///
/// # Errors
///
/// [`DurationError`]: a sentence for the one who wrote it.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError::Form(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (mut rest, mut total_ms, mut next_unit) = (text, 0_u64, 0);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        // Nothing but too many digits can be wrong with digits.
        let number = rest[..digits].parse::<u64>();
        let number = number.map_err(|_| if digits == 0 { wrong() } else { too_long() })?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (index, ms) = UNITS
            .iter()
            .enumerate()
            .skip(next_unit)
            .find(|(_, (unit, _))| *unit == &rest[..letters])
            .map(|(index, (_, ms))| (index, *ms))
            .ok_or_else(wrong)?;
        next_unit = index + 1;
        rest = &rest[letters..];
        total_ms = number
            .checked_mul(ms)
            .and_then(|part| part.checked_add(total_ms))
            .filter(|total| *total <= DURATION_MS_MAX)
            .ok_or_else(too_long)?;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not written as one.
    #[error("{0:?} is not a duration; write for example 250ms, 2s, 5m, 1h30m or 7d")]
    Form(String),
    /// Longer than anything that is allowed somewhere.
    #[error("{0:?} is longer than 3660d")]
    TooLong(String),
}

impl DurationError {
    /// What it is as a fault of a document.
    pub const fn fault_code(&self) -> FaultCode {
        match self {
            Self::Form(_) => FaultCode::WrongType,
            Self::TooLong(_) => FaultCode::OutOfRange,
        }
    }
}

/// Writes a duration the way [`parse_duration`] reads it, in whole milliseconds.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, unit_ms) in UNITS {
        if ms >= unit_ms {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{}{unit}", ms / unit_ms);
            ms %= unit_ms;
        }
    }
    if text.is_empty() { "0ms".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_the_same() {
        for text in ["250ms", "2s", "5m", "1h30m", "7d", "0ms", "1d2h3m4s5ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["", "5", "s", "1m1h", "-1s", "1.5s", "1s 2ms", "99999999999d", "1x"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        for text in ["3661d", "1000000000000s", "99999999999999999999999ms"] {
            let error = parse_duration(text).unwrap_err();
            assert_eq!(error.fault_code(), FaultCode::OutOfRange, "{text}: {error}");
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let time = Timestamp::parse("2026-11-22T13:06:00.25Z").unwrap();
        assert_eq!(time.to_string(), "2026-11-22T13:06:00.25Z");
        assert!(Timestamp::parse("yesterday").is_err());
    }
}
