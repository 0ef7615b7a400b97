//! Counting votes: what the masters' answers mean for a guard. Pure.

use std::ops::Range;

/// What one master says about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// The key is this guard's.
    Yes,
    /// It is not; who has it, or nothing if it is free.
    No(String),
    /// The master was not asked, did not answer, could not do it, or is not trusted.
    Unknown,
}

/// What all votes together say about a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Each of its keys has a quorum.
    Held,
    /// So many masters have said no to this key that no quorum is left for it.
    Refused {
        /// The key, by its place in the ballots.
        index: usize,
        /// The first holder that was named.
        holder: String,
    },
    /// Everybody has voted, and neither is so.
    Unknown,
}

/// How many of `masters` are a quorum: more than half.
pub(crate) const fn quorum(masters: usize) -> usize {
    masters / 2 + 1
}

/// The votes about several keys.
#[derive(Clone, Debug)]
pub(crate) struct Ballots {
    masters: usize,
    reported: usize,
    keys: Vec<Count>,
}

#[derive(Clone, Debug, Default)]
struct Count {
    yes: usize,
    no: usize,
    holder: Option<String>,
}

impl Ballots {
    /// Of `masters` masters about `keys` keys; nobody has voted.
    pub(crate) fn new(masters: usize, keys: usize) -> Self {
        Self { masters, reported: 0, keys: vec![Count::default(); keys] }
    }

    /// Counts one master's votes, one for each key. Votes that are missing are unknown.
    pub(crate) fn count(&mut self, votes: Vec<Vote>) {
        self.reported += 1;
        for (count, vote) in self.keys.iter_mut().zip(votes) {
            match vote {
                Vote::Yes => count.yes += 1,
                Vote::No(holder) => {
                    count.no += 1;
                    count.holder.get_or_insert(holder);
                }
                Vote::Unknown => {}
            }
        }
    }

    /// What is certain about a guard with these keys whatever the others will say; none as long as
    /// nothing is.
    pub(crate) fn verdict(&self, keys: Range<usize>) -> Option<Verdict> {
        let quorum = quorum(self.masters);
        let counts = || self.keys.iter().enumerate().skip(keys.start).take(keys.len());
        if let Some((index, count)) = counts().find(|(_, count)| self.masters < quorum + count.no) {
            let holder = count.holder.clone().unwrap_or_default();
            return Some(Verdict::Refused { index, holder });
        }
        if counts().all(|(_, count)| count.yes >= quorum) {
            return Some(Verdict::Held);
        }
        (self.reported >= self.masters).then_some(Verdict::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn no() -> Vote {
        Vote::No("other".to_owned())
    }

    fn verdict(masters: usize, votes: &[Vote]) -> Option<Verdict> {
        let mut ballots = Ballots::new(masters, 1);
        for vote in votes {
            ballots.count(vec![vote.clone()]);
        }
        ballots.verdict(0..1)
    }

    fn refused(index: usize) -> Verdict {
        Verdict::Refused { index, holder: "other".to_owned() }
    }

    #[test]
    fn a_quorum_is_more_than_half() {
        assert_eq!([1, 2, 3, 4, 5].map(quorum), [1, 2, 2, 3, 3]);
    }

    #[test]
    fn it_is_decided_at_the_quorum_without_the_slow_ones() {
        assert_eq!(verdict(3, &[Vote::Yes]), None);
        assert_eq!(verdict(3, &[Vote::Yes, Vote::Yes]), Some(Verdict::Held));
        assert_eq!(verdict(3, &[no(), no()]), Some(refused(0)));
        assert_eq!(verdict(3, &[no(), Vote::Yes]), None);
        assert_eq!(verdict(4, &[no(), no()]), Some(refused(0)), "three of four are needed");
        assert_eq!(verdict(1, &[no()]), Some(refused(0)));
    }

    #[test]
    fn silence_is_neither_free_nor_taken() {
        assert_eq!(verdict(3, &[Vote::Unknown, no()]), None);
        assert_eq!(verdict(3, &[Vote::Unknown, no(), Vote::Yes]), Some(Verdict::Unknown));
        assert_eq!(verdict(3, &[Vote::Unknown, Vote::Unknown, no()]), Some(Verdict::Unknown));
        assert_eq!(verdict(3, &[Vote::Unknown, no(), no()]), Some(refused(0)));
    }

    #[test]
    fn every_key_needs_its_quorum_and_one_refused_is_enough() {
        let mut ballots = Ballots::new(3, 3);
        ballots.count(vec![Vote::Yes, Vote::Yes, no()]);
        ballots.count(vec![Vote::Yes, Vote::Unknown, no()]);
        assert_eq!(ballots.verdict(0..1), Some(Verdict::Held));
        assert_eq!(ballots.verdict(0..2), None);
        assert_eq!(ballots.verdict(0..3), Some(refused(2)));
        ballots.count(vec![no(), Vote::Unknown, Vote::Unknown]);
        assert_eq!(ballots.verdict(0..2), Some(Verdict::Unknown));
    }

    fn any_vote() -> impl Strategy<Value = Vote> {
        prop_oneof![Just(Vote::Yes), Just(no()), Just(Vote::Unknown)]
    }

    proptest! {
        #[test]
        fn two_sagas_never_both_hold(masters in 1_usize..8, seed in any::<u64>()) {
            // Each master says yes to at most one of two rivals.
            let mut rivals = [Ballots::new(masters, 1), Ballots::new(masters, 1)];
            for master in 0..masters {
                let chosen = usize::from(seed >> master & 1 == 1);
                rivals[chosen].count(vec![Vote::Yes]);
                rivals[1 - chosen].count(vec![no()]);
            }
            let held = rivals.iter().filter(|r| r.verdict(0..1) == Some(Verdict::Held)).count();
            prop_assert!(held <= 1);
        }

        #[test]
        fn what_is_certain_early_is_not_changed_by_later_votes(
            votes in proptest::collection::vec(any_vote(), 1..8),
        ) {
            let masters = votes.len();
            let last = verdict(masters, &votes);
            prop_assert!(last.is_some());
            for seen in 0..masters {
                if let Some(early) = verdict(masters, &votes[..seen]) {
                    prop_assert_eq!(Some(early), last.clone());
                }
            }
        }
    }
}
