//! What a saga may cost: the table, and what is said when it costs more.

use std::fmt;

use self::Store::{Memory, Postgres, Sqlite};
use self::What::{AllocatedBytes, Allocations, Bytes, Commits, Rows};

/// What a saga may cost, by store, case of the bench and sagas in flight together.
#[rustfmt::skip]
pub(crate) const LINES: &[Line] = &[
    line(Memory, "chain3", 1, &[cost(Allocations, 189.25, 199.0), cost(AllocatedBytes, 39_309.0, 41_300.0)]),
    line(Memory, "wide3", 1, &[cost(Allocations, 165.313, 174.0), cost(AllocatedBytes, 36_573.0, 38_500.0)]),
    line(Memory, "undo3", 1, &[cost(Allocations, 280.313, 295.0), cost(AllocatedBytes, 51_193.0, 53_800.0)]),
    line(Memory, "tcc3", 1, &[cost(Allocations, 265.281, 279.0), cost(AllocatedBytes, 52_638.0, 55_300.0)]),
    line(Postgres, "chain3", 1, &[cost(Commits, 4.0, 4.0), cost(Rows, 6.0, 6.0), cost(Bytes, 3_803.0, 4_260.0)]),
    line(Postgres, "undo3", 1, &[cost(Commits, 6.0, 6.0), cost(Rows, 9.0, 9.0), cost(Bytes, 6_014.0, 6_740.0)]),
    line(Postgres, "tcc3", 1, &[cost(Commits, 5.0, 5.0), cost(Rows, 8.0, 8.0), cost(Bytes, 5_482.0, 6_140.0)]),
    line(Postgres, "chain3-spread", 1, &[cost(Commits, 4.0, 4.0), cost(Rows, 13.0, 13.0), cost(Bytes, 5_592.0, 6_270.0)]),
    line(Postgres, "chain3", 64, &[cost(Commits, 0.063, 0.1), cost(Rows, 6.0, 6.3), cost(Bytes, 3_690.0, 4_140.0)]),
    line(Postgres, "undo3", 64, &[cost(Commits, 0.094, 0.15), cost(Rows, 9.0, 9.45), cost(Bytes, 5_861.0, 6_570.0)]),
    line(Postgres, "tcc3", 64, &[cost(Commits, 0.078, 0.12), cost(Rows, 8.0, 8.4), cost(Bytes, 5_370.0, 6_020.0)]),
    line(Postgres, "chain3-spread", 64, &[cost(Commits, 0.063, 0.1), cost(Rows, 13.0, 13.7), cost(Bytes, 5_320.0, 5_960.0)]),
    line(Sqlite, "chain3", 1, &[cost(Commits, 4.0, 4.0), cost(Rows, 6.0, 6.0), cost(Bytes, 79_568.0, 83_600.0)]),
    line(Sqlite, "undo3", 1, &[cost(Commits, 6.0, 6.0), cost(Rows, 9.0, 9.0), cost(Bytes, 108_665.0, 114_100.0)]),
    line(Sqlite, "tcc3", 1, &[cost(Commits, 5.0, 5.0), cost(Rows, 8.0, 8.0), cost(Bytes, 104_545.0, 109_800.0)]),
    line(Sqlite, "chain3-spread", 1, &[cost(Commits, 4.0, 4.0), cost(Rows, 14.0, 14.0), cost(Bytes, 120_510.0, 126_600.0)]),
    line(Sqlite, "chain3", 64, &[cost(Commits, 0.063, 0.1), cost(Rows, 6.0, 6.3), cost(Bytes, 5_150.0, 5_410.0)]),
    line(Sqlite, "undo3", 64, &[cost(Commits, 0.094, 0.15), cost(Rows, 9.0, 9.45), cost(Bytes, 7_274.0, 7_640.0)]),
    line(Sqlite, "tcc3", 64, &[cost(Commits, 0.078, 0.12), cost(Rows, 8.0, 8.4), cost(Bytes, 6_824.0, 7_170.0)]),
    line(Sqlite, "chain3-spread", 64, &[cost(Commits, 0.063, 0.1), cost(Rows, 12.031, 12.7), cost(Bytes, 6_244.0, 6_560.0)]),
];

/// A figure below this part of its ceiling fails as well: then the ceiling guards nothing, or the
/// test measures nothing.
const FLOOR: f64 = 0.25;

/// So much of a commit or a row a saga may come from elsewhere: a lease that was being renewed when
/// the counting began.
const NOISE: f64 = 0.011;

/// What whoever makes the test fail is told.
pub(crate) const ADVICE: &str = "\
Find what costs more and take it out. If it is worth that, raise the ceiling in \
tests/tests/costs/ceilings.rs in the same commit, and say why in its message. What has become far \
cheaper gets a lower ceiling. See \"The guard in CI\" in docs/performance.md.";

/// What sagas of a case may cost.
pub(crate) struct Line {
    pub(crate) store: Store,
    pub(crate) case: &'static str,
    /// Sagas in flight together.
    pub(crate) at_once: usize,
    costs: &'static [Cost],
}

/// Where sagas are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Postgres,
    Sqlite,
}

/// One figure, for each saga.
struct Cost {
    what: What,
    /// When the ceiling was set.
    measured: f64,
    ceiling: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Allocations,
    AllocatedBytes,
    Commits,
    Rows,
    Bytes,
}

const fn line(store: Store, case: &'static str, at_once: usize, costs: &'static [Cost]) -> Line {
    Line { store, case, at_once, costs }
}

const fn cost(what: What, measured: f64, ceiling: f64) -> Cost {
    Cost { what, measured, ceiling }
}

impl Line {
    /// So many sagas give the figures.
    pub(crate) const fn sagas(&self) -> usize {
        match self.store {
            // Each waits for the disk by itself.
            Sqlite if self.at_once == 1 => 16,
            Memory | Postgres | Sqlite => 64,
        }
    }

    /// One text for each figure that is not as it may be.
    pub(crate) fn faults(&self, measured: &[f64]) -> Vec<String> {
        assert_eq!(measured.len(), self.costs.len(), "a figure for each cost of the line");
        let costs = self.costs.iter().zip(measured);
        costs.filter_map(|(cost, measured)| self.fault(cost, *measured)).collect()
    }

    fn fault(&self, cost: &Cost, measured: f64) -> Option<String> {
        let Self { store, case, at_once, .. } = self;
        let Cost { what, measured: before, ceiling } = cost;
        let (verdict, meaning) = if measured > ceiling + NOISE {
            ("more than the ceiling", what.meaning(*at_once))
        } else if measured < ceiling * FLOOR {
            ("less than a quarter of the ceiling", "nothing is measured, or the ceiling is stale")
        } else {
            return None;
        };
        Some(format!(
            "{case} over {store:?}, {at_once} at once: {measured:.2} {what} a saga, {verdict} of \
             {ceiling} ({before} when that was set).\n    It means that {meaning}."
        ))
    }

    /// The line of the table as it would be set now.
    pub(crate) fn renewed(&self, measured: &[f64]) -> String {
        let Self { store, case, at_once, costs } = self;
        let cost = |(cost, measured): (&Cost, &f64)| {
            let (what, ceiling) = (cost.what, cost.what.ceiling(*store, *measured, *at_once));
            format!("cost({what:?}, {}, {})", literal(*measured), literal(ceiling))
        };
        let costs: Vec<String> = costs.iter().zip(measured).map(cost).collect();
        format!("    line({store:?}, {case:?}, {at_once}, &[{}]),", costs.join(", "))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Allocations => "allocations",
            AllocatedBytes => "allocated bytes",
            Commits => "commits",
            Rows => "rows",
            Bytes => "bytes of the log of changes",
        })
    }
}

impl What {
    fn meaning(self, at_once: usize) -> &'static str {
        match self {
            Allocations | AllocatedBytes => {
                "core or engine ask for memory more often, or for more: a clone, a text or a box \
                 that was not there, or a larger future"
            }
            Commits if at_once > 1 => "sagas that are in flight together share fewer commits",
            Commits => "a saga waits for the store more often than semantics.md asks for",
            Rows => "a saga writes rows that it did not write, or the same one more often",
            Bytes => "rows are wider, more of their indexes change, or facts are longer",
        }
    }

    /// Up to this a figure that was just measured may grow.
    fn ceiling(self, store: Store, measured: f64, at_once: usize) -> f64 {
        match self {
            // It is the same in every run.
            Commits | Rows if at_once == 1 => rounded_up(measured),
            // That commits are shared is what counts; how many share one depends on who is first.
            Commits => rounded_up(measured * 1.5),
            // Two runs differ by up to three hundredths,
            Allocations | AllocatedBytes | Rows => rounded_up(measured * 1.05),
            Bytes if store == Sqlite => rounded_up(measured * 1.05),
            // and by 7 hundredths here: when the server tidies up its pages is a matter of time.
            Bytes => rounded_up(measured * 1.12),
        }
    }
}

/// Three digits, or two behind the point.
fn rounded_up(figure: f64) -> f64 {
    let unit = match figure {
        ..10.0 => 0.01,
        ..100.0 => 0.1,
        ..1_000.0 => 1.0,
        ..10_000.0 => 10.0,
        _ => 100.0,
    };
    // What can't be told from a whole number of units is one.
    ((figure / unit - 1e-6).ceil() * unit * 100.0).round() / 100.0
}

/// As Rust has it, with an underscore for the thousands.
fn literal(figure: f64) -> String {
    if figure < 1_000.0 {
        return format!("{:?}", (figure * 1_000.0).round() / 1_000.0);
    }
    let whole = format!("{figure:.0}");
    let (thousands, rest) = whole.split_at(whole.len() - 3);
    format!("{thousands}_{rest}.0")
}

#[test]
fn a_figure_fails_above_its_ceiling_and_far_below_it() {
    const LINE: Line = line(Sqlite, "chain3", 1, &[cost(Commits, 4.0, 4.0), cost(Rows, 5.0, 5.5)]);
    assert!(LINE.faults(&[4.0, 5.2]).is_empty());
    let faults = LINE.faults(&[5.0, 0.1]);
    assert!(faults[0].contains("5.00 commits a saga, more than the ceiling of 4 "), "{faults:?}");
    assert!(faults[1].contains("0.10 rows a saga, less than a quarter"), "{faults:?}");
    assert_eq!(faults.len(), 2);
}

#[test]
fn a_line_is_printed_as_it_stands_in_the_table() {
    const LINE: Line =
        line(Memory, "tcc3", 1, &[cost(Allocations, 0.0, 0.0), cost(Commits, 0.0, 0.0)]);
    let text = r#"    line(Memory, "tcc3", 1, &[cost(Allocations, 12_346.0, 13_000.0), cost(Commits, 4.0, 4.0)]),"#;
    assert_eq!(LINE.renewed(&[12_345.6, 4.0]), text);
}
