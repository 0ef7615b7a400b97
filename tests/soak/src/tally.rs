//! What was answered, and what should not have been.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::Mutex;

/// Most wrong answers that are kept.
const WRONG_MAX: usize = 20;

/// Counts answers by status and code.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    answers: BTreeMap<(u16, String), u64>,
    broken: u64,
    wrong: Vec<String>,
}

impl Tally {
    /// One answer. A 5xx must be the 503 that says that a bound is reached, and when to come back.
    pub(crate) fn answer(&self, what: &str, status: u16, code: &str, retry_after: Option<&str>) {
        let mut inner = self.0.lock();
        *inner.answers.entry((status, code.to_owned())).or_default() += 1;
        let by_design = (status, code) == (503, "overloaded") && retry_after.is_some();
        if status >= 500 && !by_design {
            inner.note(format!("{what}: {status} {code}, Retry-After {retry_after:?}"));
        }
    }

    /// A request that got no answer, since either side left.
    pub(crate) fn broken(&self) {
        self.0.lock().broken += 1;
    }

    /// Anything else that is not as it should be.
    pub(crate) fn note(&self, what: String) {
        self.0.lock().note(what);
    }

    /// All requests.
    pub(crate) fn requests(&self) -> u64 {
        let inner = self.0.lock();
        inner.answers.values().sum::<u64>() + inner.broken
    }

    /// What was wrong; also that a bound was never reached, since then the run proves nothing.
    pub(crate) fn wrong(&self) -> Vec<String> {
        const REACHED: [(u16, &str); 8] = [
            (200, ""),
            (201, ""),
            (204, ""),
            (400, "json-syntax"),
            (409, "callback-late"),
            (413, "body-too-large"),
            (422, "too-many-branches"),
            (503, "overloaded"),
        ];
        let inner = self.0.lock();
        let is_missing =
            |own: &&(u16, &str)| !inner.answers.contains_key(&(own.0, own.1.to_owned()));
        let missing = REACHED.iter().filter(is_missing);
        let missing = missing.map(|(status, code)| format!("never answered: {status} {code}"));
        inner.wrong.iter().cloned().chain(missing).collect()
    }
}

impl Inner {
    fn note(&mut self, what: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.0.lock();
        for ((status, code), count) in &inner.answers {
            writeln!(f, "{count:>9}  {status} {code}")?;
        }
        write!(f, "{:>9}  left before an answer", inner.broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_designed_503_is_let_pass() {
        let tally = Tally::default();
        tally.answer("a start", 503, "overloaded", Some("1"));
        tally.answer("a start", 404, "saga-not-found", None);
        assert!(!tally.wrong().iter().any(|what| what.starts_with("a start")));
        for (status, code, after) in
            [(503, "overloaded", None), (503, "timed-out", Some("1")), (500, "internal", None)]
        {
            let tally = Tally::default();
            tally.answer("a start", status, code, after);
            assert!(tally.wrong().iter().any(|what| what.starts_with("a start")), "{code}");
        }
    }
}
