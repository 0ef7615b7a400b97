//! From times to places on an axis on which long silences are short.
//!
//! Attempts that lie minutes apart would be invisible on an even axis. A span in which no call was
//! in flight takes at most a third of what the busy spans take together.

use std::time::Duration;

use amends_core::Timestamp;

/// Widths are in ten-thousandths of the axis.
pub(crate) const WHOLE: u64 = 10_000;
/// A silence longer than this share (1/n) of the busy time is cut to it.
const SILENCE_SHARE: i64 = 3;
/// No silence is cut to less than this.
const SILENCE_MICROS_MIN: i64 = 2_000;

/// An axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Spans of real time with the length each has on the axis, in order and without gaps.
    spans: Vec<Span>,
    drawn: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    from: i64,
    to: i64,
    /// Where it starts on the axis.
    at: i64,
    /// How long it is on the axis.
    drawn: i64,
}

impl Span {
    fn is_cut(&self) -> bool {
        self.drawn < self.to - self.from
    }
}

impl Scale {
    /// An axis from `from` to `to` on which everything but `busy` may be cut.
    pub(crate) fn new(from: Timestamp, to: Timestamp, busy: &[(Timestamp, Timestamp)]) -> Self {
        let (from, to) = (from.0, to.0.max(from.0 + 1));
        let busy = joined(busy, from, to);
        let busy_total: i64 = busy.iter().map(|(start, end)| end - start).sum();
        let longest = (busy_total / SILENCE_SHARE).max(SILENCE_MICROS_MIN);
        let mut scale = Self { spans: Vec::new(), drawn: 0 };
        let mut at = from;
        for (start, end) in busy {
            scale.push(at, start, longest);
            scale.push(start, end, i64::MAX);
            at = end;
        }
        scale.push(at, to, longest);
        scale
    }

    fn push(&mut self, from: i64, to: i64, longest: i64) {
        if to > from {
            let drawn = (to - from).min(longest);
            self.spans.push(Span { from, to, at: self.drawn, drawn });
            self.drawn += drawn;
        }
    }

    /// Where `time` stands, in ten-thousandths of the axis.
    pub(crate) fn place(&self, time: Timestamp) -> u64 {
        let after = self.spans.iter().find(|span| time.0 < span.to);
        let drawn = after.map_or(self.drawn, |span| {
            let into = (time.0 - span.from).max(0);
            let share = i128::from(into) * i128::from(span.drawn) / i128::from(span.to - span.from);
            span.at + i64::try_from(share).unwrap_or(0)
        });
        let place = i128::from(drawn) * i128::from(WHOLE) / i128::from(self.drawn.max(1));
        u64::try_from(place).unwrap_or(0)
    }

    /// The spans that were cut: place, width and real length of each.
    pub(crate) fn cuts(&self) -> Vec<(u64, u64, Duration)> {
        let cuts = self.spans.iter().filter(|span| span.is_cut()).map(|span| {
            let start = self.place(Timestamp(span.from));
            let end = self.place(Timestamp(span.to));
            (start, end - start, Timestamp(span.to).since(Timestamp(span.from)))
        });
        cuts.collect()
    }

    /// Round times since the start of the axis with their places, none within a cut and none
    /// closer than `apart` to the one before.
    pub(crate) fn ticks(&self, apart: u64) -> Vec<(u64, Duration)> {
        let Some((first, last)) = self.spans.first().zip(self.spans.last()) else {
            return Vec::new();
        };
        let step = round_up((self.drawn / 8).max(1));
        let mut ticks: Vec<(u64, Duration)> = Vec::new();
        for span in self.spans.iter().filter(|span| !span.is_cut()) {
            let mut offset = (span.from - first.from + step - 1) / step * step;
            while first.from + offset <= span.to && first.from + offset <= last.to {
                let place = self.place(Timestamp(first.from + offset));
                if ticks.last().is_none_or(|(before, _)| place >= before + apart) {
                    ticks.push((place, Duration::from_micros(offset.unsigned_abs())));
                }
                offset += step;
            }
        }
        ticks
    }
}

/// Sorted, overlapping ones joined, within the axis.
fn joined(busy: &[(Timestamp, Timestamp)], from: i64, to: i64) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> = busy
        .iter()
        .map(|(start, end)| (start.0.clamp(from, to), end.0.clamp(from, to)))
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// The next 1, 2 or 5 times a power of ten microseconds; above a second, the next round unit.
fn round_up(micros: i64) -> i64 {
    const LARGE: [i64; 16] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];
    if micros > 500_000 {
        let seconds = LARGE.iter().map(|seconds| seconds * 1_000_000);
        let days = micros / 86_400_000_000 + 1;
        return seconds.into_iter().find(|step| *step >= micros).unwrap_or(days * 86_400_000_000);
    }
    let mut power = 1;
    while power * 10 <= micros {
        power *= 10;
    }
    [1, 2, 5, 10].into_iter().map(|n| n * power).find(|step| *step >= micros).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(to: i64, busy: &[(i64, i64)]) -> Scale {
        let busy: Vec<_> = busy.iter().map(|(a, b)| (Timestamp(*a), Timestamp(*b))).collect();
        Scale::new(Timestamp(0), Timestamp(to), &busy)
    }

    #[test]
    fn busy_time_is_even() {
        let scale = scale(1_000_000, &[(0, 600_000), (500_000, 1_000_000)]);
        assert_eq!(scale.place(Timestamp(250_000)), 2_500);
        assert_eq!(scale.place(Timestamp(2_000_000)), WHOLE);
        assert!(scale.cuts().is_empty());
    }

    #[test]
    fn a_day_of_silence_does_not_squash_the_attempts() {
        let day = 86_400_000_000;
        let scale = scale(day, &[(0, 100_000), (day - 100_000, day)]);
        let cuts = scale.cuts();
        assert_eq!(cuts.len(), 1);
        assert!(scale.place(Timestamp(100_000)) > 3_500);
        assert!(scale.place(Timestamp(day - 100_000)) < 6_500);
        assert_eq!(cuts[0].2.as_micros(), 86_399_800_000);
    }

    #[test]
    fn places_never_go_back() {
        let scale =
            scale(9_000_000, &[(10, 2_000), (5_000_000, 5_000_100), (7_000_000, 9_000_000)]);
        let places: Vec<_> = (0..900).map(|n| scale.place(Timestamp(n * 10_000))).collect();
        assert!(places.is_sorted());
        assert!(scale.ticks(600).windows(2).all(|pair| pair[1].0 >= pair[0].0 + 600));
        assert!(!scale.ticks(600).is_empty());
    }

    #[test]
    fn an_empty_axis_is_one() {
        let scale = scale(0, &[]);
        assert_eq!(scale.place(Timestamp(0)), 0);
        assert_eq!(scale.place(Timestamp(5)), WHOLE);
    }
}
