//! What a point has shown so far, and the verdict that follows.

use std::cell::RefCell;

use crate::report::Verdict;

/// Notes of one point, in the order of what happened.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Pages>);

#[derive(Debug, Default)]
struct Pages {
    seen: Vec<String>,
    /// What rounds that are over have shown, and how many showed just that.
    rounds: Vec<(String, usize)>,
    wrong: Vec<String>,
    unclear: Vec<String>,
    looked_at_effects: bool,
}

impl Notes {
    /// Something that was seen.
    pub(crate) fn see(&self, what: impl Into<String>) {
        self.0.borrow_mut().seen.push(what.into());
    }

    /// What is seen from here on belongs to another round of the same.
    pub(crate) fn next_round(&self) {
        let mut pages = self.0.borrow_mut();
        let seen = std::mem::take(&mut pages.seen).join(", ");
        match pages.rounds.iter_mut().find(|(text, _)| *text == seen) {
            Some((_, times)) => *times += 1,
            None if seen.is_empty() => {}
            None => pages.rounds.push((seen, 1)),
        }
    }

    /// Whatever else is seen: this is wrong unless it `holds`.
    pub(crate) fn require(&self, holds: bool, otherwise: impl Into<String>) {
        let otherwise = otherwise.into();
        let mut pages = self.0.borrow_mut();
        if !holds && !pages.wrong.contains(&otherwise) {
            pages.wrong.push(otherwise);
        }
    }

    /// The point can't be judged, for this reason, unless something is wrong anyway.
    pub(crate) fn unclear(&self, why: impl Into<String>) {
        self.0.borrow_mut().unclear.push(why.into());
    }

    /// An effect was measured.
    pub(crate) fn looked_at_effects(&self) {
        self.0.borrow_mut().looked_at_effects = true;
    }

    /// Whether nothing is wrong or unclear yet.
    pub(crate) fn is_good(&self) -> bool {
        let pages = self.0.borrow();
        pages.wrong.is_empty() && pages.unclear.is_empty()
    }

    /// The verdict, what was seen, and why it is no pass.
    pub(crate) fn close(self) -> (Verdict, String, Option<String>) {
        self.next_round();
        let pages = self.0.into_inner();
        let (verdict, why) = if !pages.wrong.is_empty() {
            (Verdict::Fail, Some(pages.wrong.join("; ")))
        } else if !pages.unclear.is_empty() {
            (Verdict::Unknown, Some(pages.unclear.join("; ")))
        } else if pages.looked_at_effects {
            (Verdict::Pass, None)
        } else {
            (Verdict::AnswersOnly, None)
        };
        let rounds: Vec<String> = pages
            .rounds
            .into_iter()
            .map(|(seen, times)| if times == 1 { seen } else { format!("{times} times: {seen}") })
            .collect();
        (verdict, rounds.join("; "), why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_show_the_same_are_told_once() {
        let notes = Notes::default();
        for seen in ["201", "201", "500"] {
            notes.see(seen);
            notes.see("effect once");
            notes.next_round();
        }
        let (verdict, seen, why) = notes.close();
        assert_eq!(seen, "2 times: 201, effect once; 500, effect once");
        assert_eq!((verdict, why), (Verdict::AnswersOnly, None));
    }

    #[test]
    fn what_is_wrong_outweighs_what_is_unclear() {
        let notes = Notes::default();
        notes.unclear("dark");
        notes.require(true, "never");
        assert!(!notes.is_good());
        notes.require(false, "bad");
        notes.require(false, "bad");
        let (verdict, _, why) = notes.close();
        assert_eq!((verdict, why.as_deref()), (Verdict::Fail, Some("bad")));
    }
}
