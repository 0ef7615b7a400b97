//! Redlock: guards on a majority of independent masters.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use amends_core::LockKey;
use amends_ports::{Guard, GuardError, LockMaster, Locks, LocksHealth};
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::{Config, Error};
use crate::counts::{Counters, LockCounts};
use crate::endpoint;
use crate::keeper;
use crate::node::{Common, Node, Report};
use crate::open::Manner;
use crate::script::{Act, Question};
use crate::session::Purpose;
use crate::validity;
use crate::vote::{Ballots, Verdict, Vote, quorum};

/// Guards on N independent Redis masters, held when more than half of them have them.
///
/// All masters are asked at once, and what a majority says is the answer: one that is paused, dead
/// or far away costs nothing. What the others answer later is waited for in the background, never
/// longer than the time-out for one master.
pub struct Redlock {
    nodes: Vec<Arc<Node>>,
    common: Arc<Common>,
    prefix: String,
    ttl: Duration,
    connect_timeout: Duration,
    counters: Counters,
    stop: CancellationToken,
    _stop_at_drop: DropGuard,
}

impl fmt::Debug for Redlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.nodes.iter().map(|node| &node.endpoint.address).collect();
        f.debug_struct("Redlock")
            .field("masters", &addresses)
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl Redlock {
    /// Begins to connect to the masters and returns at once, whether or not they can be reached;
    /// lost connections are made again as long as this lives. Has to be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// Settings that can't be, among them two URLs that name one server. Whether two URLs *reach*
    /// one server is known only later: see [`Redlock::contact`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        config.check()?;
        let endpoints = endpoint::all(config)?;
        if endpoints.len() % 2 == 0 {
            tracing::warn!(
                masters = endpoints.len(),
                "an even number of Redis masters bears no more failures than one less; name an \
                 odd number"
            );
        }
        let common = Arc::new(Common {
            tasks: TaskTracker::new(),
            changed: watch::Sender::new(()),
            claims: Mutex::new(BTreeMap::new()),
        });
        let stop = CancellationToken::new();
        let node = |(index, endpoint)| Arc::new(node(index, endpoint, config));
        let nodes: Vec<_> = endpoints.into_iter().enumerate().map(node).collect();
        for node in &nodes {
            let keeping = keeper::keep(Arc::clone(node), Arc::clone(&common));
            common.tasks.spawn(stop.clone().run_until_cancelled_owned(keeping));
        }
        Ok(Self {
            nodes,
            common,
            prefix: config.prefix.clone(),
            ttl: config.ttl,
            connect_timeout: config.connect_timeout,
            counters: Counters::default(),
            _stop_at_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Waits until every master has been reached or found unreachable, or the time-out for
    /// connections has passed. For a start that refuses what can't work; nothing else needs it.
    ///
    /// # Errors
    ///
    /// [`Error::SameMaster`] if two URLs reach one server.
    pub async fn contact(&self) -> Result<(), Error> {
        self.until(|| !self.nodes.iter().any(|node| node.is_new())).await;
        let claims = self.common.claims.lock().clone();
        for node in &self.nodes {
            for run_id in node.run_ids() {
                match claims.get(&run_id) {
                    Some((owner, first)) if *owner != node.index => {
                        let second = node.endpoint.address.clone();
                        return Err(Error::SameMaster { first: first.clone(), second });
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    }

    /// What became of guards since the start.
    pub fn counts(&self) -> LockCounts {
        self.counters.read()
    }

    /// Ends all connections, after what is under way; nothing can be asked afterwards. Takes no
    /// longer than the time-out for connections. Without it, dropping does the same unwaited.
    pub async fn close(&self) {
        self.stop.cancel();
        self.common.tasks.close();
        // What is not done by then is given up.
        let _ = timeout(self.connect_timeout, self.common.tasks.wait()).await;
    }

    /// Waits for something about the masters, as long as a connection may take to make.
    async fn until(&self, is_so: impl Fn() -> bool) {
        if is_so() {
            return;
        }
        let mut changed = self.common.changed.subscribe();
        let waiting = async { while !is_so() && changed.changed().await.is_ok() {} };
        // Whoever asks finds out what is missing.
        let _ = timeout(self.connect_timeout, waiting).await;
    }

    /// At the start, waits for as many masters as may still make a quorum.
    async fn until_begun(&self) {
        let quorum = quorum(self.nodes.len());
        let count = |is_so: fn(&Node) -> bool| self.nodes.iter().filter(|node| is_so(node)).count();
        self.until(|| {
            let new = count(Node::is_new);
            new == 0 || {
                let voting = count(Node::has_a_vote);
                voting >= quorum || voting + new < quorum
            }
        })
        .await;
    }

    fn questions(&self, act: Act, guards: &[Guard]) -> Vec<Question> {
        let about = |guard: &Guard| {
            let (prefix, token) = (guard.holder.saga_prefix(), guard.holder.token.0);
            let question = |key: &LockKey| {
                Question::new(act, &format!("{}{key}", self.prefix), &prefix, token, self.ttl)
            };
            guard.keys.iter().map(question).collect::<Vec<_>>()
        };
        guards.iter().flat_map(about).collect()
    }

    /// Asks all masters at once; each reports once.
    fn ask(&self, questions: &[Question], purpose: Purpose) -> mpsc::Receiver<Report> {
        let (to, reports) = mpsc::channel(self.nodes.len().max(1));
        for node in &self.nodes {
            node.ask(questions, purpose, to.clone(), &self.common);
        }
        reports
    }

    async fn try_to_acquire(&self, guard: &Guard) -> Result<Duration, GuardError> {
        let started = Instant::now();
        let questions = self.questions(Act::Acquire, std::slice::from_ref(guard));
        let mut reports = self.ask(&questions, Purpose::Vote);
        let mut ballots = Ballots::new(self.nodes.len(), guard.keys.len());
        let mut answered = Vec::new();
        while let Some(Report { node, votes }) = reports.recv().await {
            if votes.iter().any(|vote| *vote != Vote::Unknown) {
                answered.push(node);
            }
            ballots.count(votes);
            if ballots.verdict(0..guard.keys.len()).is_some() {
                break;
            }
        }
        let result = match ballots.verdict(0..guard.keys.len()) {
            Some(Verdict::Held) => self.validity(started),
            Some(Verdict::Refused { index, holder }) => {
                let key = guard.keys.get(index).cloned();
                key.map_or_else(
                    || Err(self.no_quorum()),
                    |key| Err(GuardError::Busy { key, holder }),
                )
            }
            Some(Verdict::Unknown) | None => Err(self.no_quorum()),
        };
        if result.is_err() {
            self.take_back(guard, &answered).await;
        }
        result
    }

    fn validity(&self, started: Instant) -> Result<Duration, GuardError> {
        validity::left(self.ttl, started.elapsed()).ok_or_else(|| {
            GuardError::NoQuorum(format!(
                "its answers took {:?}, so that nothing is left of the guard's life of {:?}",
                started.elapsed(),
                self.ttl
            ))
        })
    }

    /// Releases after a failure, on all masters; those that had answered are waited for.
    async fn take_back(&self, guard: &Guard, answered: &[usize]) {
        let questions = self.questions(Act::Release, std::slice::from_ref(guard));
        let mut reports = self.ask(&questions, Purpose::Tidy);
        let mut missing = answered.len();
        while missing > 0 {
            let Some(report) = reports.recv().await else { return };
            if answered.contains(&report.node) {
                missing -= 1;
            }
        }
    }

    async fn try_to_extend(&self, guards: &[Guard]) -> Vec<Result<Duration, GuardError>> {
        let started = Instant::now();
        let mut places: Vec<Range<usize>> = Vec::new();
        for guard in guards {
            let from = places.last().map_or(0, |place| place.end);
            places.push(from..from + guard.keys.len());
        }
        let questions = self.questions(Act::Extend, guards);
        let mut reports = self.ask(&questions, Purpose::Vote);
        let mut ballots = Ballots::new(self.nodes.len(), questions.len());
        while let Some(report) = reports.recv().await {
            ballots.count(report.votes);
            if places.iter().all(|place| ballots.verdict(place.clone()).is_some()) {
                break;
            }
        }
        let result = |(guard, place): (&Guard, Range<usize>)| {
            let first = place.start;
            match ballots.verdict(place) {
                Some(Verdict::Held) => self.validity(started),
                Some(Verdict::Refused { index, .. }) => {
                    let key = guard.keys.get(index - first).cloned();
                    key.map_or_else(|| Err(self.no_quorum()), |key| Err(GuardError::Lost { key }))
                }
                Some(Verdict::Unknown) | None => Err(self.no_quorum()),
            }
        };
        guards.iter().zip(places).map(result).collect()
    }

    /// What is wrong with the masters, for people.
    fn no_quorum(&self) -> GuardError {
        let quorum = quorum(self.nodes.len());
        let states: Vec<LockMaster> = self.nodes.iter().map(|node| node.status()).collect();
        let voting = states.iter().filter(|state| state.trusted).count();
        let wrong: Vec<String> = states
            .into_iter()
            .filter(|state| !state.trusted)
            .map(|state| format!("{} {}", state.address, state.detail.unwrap_or_default()))
            .collect();
        GuardError::NoQuorum(if wrong.is_empty() {
            format!("{voting} masters can vote, but fewer than {quorum} agreed in time")
        } else {
            format!("{voting} masters can vote and {quorum} are needed: {}", wrong.join("; "))
        })
    }
}

fn node(index: usize, endpoint: endpoint::Endpoint, config: &Config) -> Node {
    // Control characters can't be in anybody's lock key.
    let mut hasher = DefaultHasher::new();
    (std::process::id(), index, &endpoint.address).hash(&mut hasher);
    let manner = Manner {
        connect_timeout: config.connect_timeout,
        trial_key: format!("{}\u{1}trial/{:016x}/", config.prefix, hasher.finish()),
        cluster: endpoint.cluster,
    };
    Node::new(index, endpoint, manner, config.node_timeout, config.ttl)
}

#[async_trait]
impl Locks for Redlock {
    async fn acquire(&self, guard: &Guard) -> Result<Duration, GuardError> {
        self.until_begun().await;
        let started = Instant::now();
        let result = self.try_to_acquire(guard).await;
        self.counters.acquisition(&result, started.elapsed());
        result
    }

    async fn extend(&self, guards: &[Guard]) -> Vec<Result<Duration, GuardError>> {
        self.until_begun().await;
        let results = self.try_to_extend(guards).await;
        for result in &results {
            self.counters.extension(result);
        }
        results
    }

    async fn release(&self, guards: &[Guard]) {
        self.until_begun().await;
        let mut reports = self.ask(&self.questions(Act::Release, guards), Purpose::Tidy);
        let mut missing = quorum(self.nodes.len());
        while missing > 0 {
            let Some(report) = reports.recv().await else { return };
            if report.votes.iter().all(|vote| *vote != Vote::Unknown) {
                missing -= 1;
            }
        }
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    async fn health(&self) -> LocksHealth {
        let masters: Vec<LockMaster> = self.nodes.iter().map(|node| node.status()).collect();
        let voting = masters.iter().filter(|master| master.trusted).count();
        LocksHealth { quorum: voting >= quorum(masters.len()), masters }
    }
}
