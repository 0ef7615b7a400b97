//! What befalls commits on their way to PostgreSQL, and which of them.

use std::sync::Arc;
use std::time::Duration;

use crate::port::random;

/// A fault for some commits.
///
/// A commit is the statement `COMMIT` or `END`, by the simple or the extended protocol, or a
/// statement that writes (`INSERT`, `UPDATE`, `DELETE`, `MERGE`, DDL) outside of a transaction.
/// Functions that write behind a `SELECT` are not known as such.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitTrap {
    /// What befalls them.
    pub fault: CommitFault,
    /// Which of them, counted over all connections from when the trap was set.
    pub when: When,
    /// Only transactions with a statement that has this text in its first 8 KiB, in this case;
    /// others are not counted.
    pub touching: Option<String>,
}

impl CommitTrap {
    /// A trap for the next commit.
    pub fn next(fault: CommitFault) -> Self {
        Self { fault, when: When::Nth(1), touching: None }
    }

    /// Narrowed to transactions with a statement that holds this text.
    #[must_use]
    pub fn touching(mut self, text: &str) -> Self {
        self.touching = Some(text.to_owned());
        self
    }

    /// Whether it is about a transaction of these statements.
    pub(super) fn is_about(&self, statements: &[Arc<str>]) -> bool {
        let Some(text) = &self.touching else { return true };
        statements.iter().any(|statement| statement.contains(text.as_str()))
    }
}

/// What befalls a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The connection is reset just before the server gets it: not applied.
    LoseCommit,
    /// The server gets it and answers; then the connection is reset, and the client never hears the
    /// answer: applied.
    LoseAnswer,
    /// The server gets it; the client hears nothing more on this connection for so long, or until
    /// the faults are set anew without a trap. A client that gives up meanwhile does not know what
    /// happened.
    HoldAnswer(Duration),
    /// The server gets it so much later, or once the faults are set anew without a trap, even if
    /// the client has closed the connection by then: it comes out of the blue.
    HoldCommit(Duration),
}

/// Which commits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The so-manieth, counted from 1, and no other.
    Nth(u64),
    /// Each so-manieth.
    Every(u64),
    /// Each with this probability, 0 to 1.
    Chance(f64),
}

impl When {
    /// Whether it is the turn of the commit with this number, counted from 1.
    pub(super) fn is_now(self, number: u64) -> bool {
        match self {
            Self::Nth(nth) => number == nth,
            Self::Every(every) => every != 0 && number.is_multiple_of(every),
            Self::Chance(chance) => fraction() < chance,
        }
    }
}

/// A random number from 0 to just below 1.
pub(super) fn fraction() -> f64 {
    u32::try_from(random(1 << 31)).map_or(0.0, f64::from) / f64::from(1_u32 << 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_turn_it_is() {
        let turns = |when: When| (1..=6).filter(|n| when.is_now(*n)).collect::<Vec<_>>();
        assert_eq!(turns(When::Nth(2)), [2]);
        assert_eq!(turns(When::Every(3)), [3, 6]);
        assert_eq!(turns(When::Every(0)), [0; 0]);
        assert_eq!(turns(When::Chance(0.0)), [0; 0]);
        assert_eq!(turns(When::Chance(1.0)).len(), 6);
    }

    #[test]
    fn chance_is_even() {
        let low = (0..10_000).filter(|_| fraction() < 0.5).count();
        assert!((4_500..5_500).contains(&low), "{low} of 10,000");
    }

    #[test]
    fn a_trap_is_about_what_its_text_says() {
        let trap = CommitTrap::next(CommitFault::LoseAnswer).touching("INTO event");
        assert!(trap.is_about(&["SELECT 1".into(), "INSERT INTO event VALUES (1)".into()]));
        assert!(!trap.is_about(&["INSERT INTO saga VALUES (1)".into()]));
        assert!(!trap.is_about(&[]));
    }
}
