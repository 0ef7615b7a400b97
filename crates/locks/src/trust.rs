//! From when on a master's votes count: delayed trust in those that restarted. Pure.
//!
//! A master that restarted may have forgotten guards that were counted on it. Each of them has
//! expired one ttl after the restart, so its votes are ignored until then.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// What is remembered of the servers behind one URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    known: BTreeMap<String, Instant>,
    ever: bool,
}

/// A server that was met.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    /// New with every start of a server.
    pub(crate) run_id: String,
    /// Since its start, at most.
    pub(crate) uptime: Duration,
}

/// How the connection before this one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// There was none, or it broke.
    Closed,
    /// It was given up while commands were unanswered: they may be done yet, after newer ones.
    Abandoned,
}

impl Trust {
    /// Remembers the servers that are there now, and forgets others; answers from when on each
    /// one's votes count.
    pub(crate) fn admit(
        &mut self,
        met: &[Met],
        before: Before,
        now: Instant,
        ttl: Duration,
    ) -> Vec<Instant> {
        let from = |server: &Met| match self.known.get(&server.run_id) {
            Some(&from) if before == Before::Closed => from,
            None if !self.ever => now + ttl.saturating_sub(server.uptime),
            Some(_) | None => now + ttl,
        };
        let from: Vec<Instant> = met.iter().map(from).collect();
        self.known = met.iter().map(|server| server.run_id.clone()).zip(from.clone()).collect();
        self.ever = true;
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn met(run_id: &str, uptime_s: u64) -> Met {
        Met { run_id: run_id.to_owned(), uptime: Duration::from_secs(uptime_s) }
    }

    fn admit(trust: &mut Trust, server: Met, now: Instant) -> Instant {
        trust.admit(&[server], Before::Closed, now, TTL)[0]
    }

    #[test]
    fn at_the_first_contact_its_uptime_tells() {
        let now = Instant::now();
        assert_eq!(admit(&mut Trust::default(), met("a", 3600), now), now);
        assert_eq!(
            admit(&mut Trust::default(), met("a", 4), now),
            now + Duration::from_secs(6),
            "a coordinator may start after the crash"
        );
    }

    #[test]
    fn a_new_run_id_is_ignored_for_one_ttl() {
        let (mut trust, now) = (Trust::default(), Instant::now());
        admit(&mut trust, met("a", 3600), now);
        let later = now + Duration::from_secs(100);
        assert_eq!(admit(&mut trust, met("b", 3600), later), later + TTL);
        let again = later + Duration::from_secs(3);
        assert_eq!(admit(&mut trust, met("b", 3600), again), later + TTL, "not longer for it");
    }

    #[test]
    fn a_known_one_is_trusted_at_once() {
        let (mut trust, now) = (Trust::default(), Instant::now());
        admit(&mut trust, met("a", 3600), now);
        assert_eq!(admit(&mut trust, met("a", 3700), now + TTL), now);
    }

    #[test]
    fn one_that_was_away_meanwhile_is_new() {
        let (mut trust, now) = (Trust::default(), Instant::now());
        for run_id in ["a", "b"] {
            admit(&mut trust, met(run_id, 3600), now);
        }
        assert_eq!(admit(&mut trust, met("a", 3600), now), now + TTL);
    }

    #[test]
    fn commands_that_may_be_done_late_make_it_wait() {
        let (mut trust, now) = (Trust::default(), Instant::now());
        admit(&mut trust, met("a", 3600), now);
        let from = trust.admit(&[met("a", 3600)], Before::Abandoned, now, TTL);
        assert_eq!(from, [now + TTL]);
    }
}
