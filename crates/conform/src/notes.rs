//! What a point has shown so far, and the verdict that follows.

use std::cell::RefCell;

use crate::report::Verdict;

/// Notes of one point, in the order of what happened.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Pages>);

#[derive(Debug, Default)]
struct Pages {
    seen: Vec<String>,
    wrong: Vec<String>,
    unclear: Vec<String>,
    looked_at_effects: bool,
}

impl Notes {
    /// Something that was seen.
    pub(crate) fn see(&self, what: impl Into<String>) {
        self.0.borrow_mut().seen.push(what.into());
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
        (verdict, pages.seen.join(", "), why)
    }
}
