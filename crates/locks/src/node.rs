//! One master as the others see it: asked for votes, and asked how it is. Its connection is kept
//! by [`crate::keeper`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amends_ports::LockMaster;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::endpoint::Endpoint;
use crate::open::Manner;
use crate::script::Question;
use crate::session::{Purpose, Session};
use crate::trust::Trust;
use crate::vote::Vote;

/// Votes of one master that may be waited for at a time; more are unknown at once.
const IN_FLIGHT_MAX: usize = 4096;

/// One master.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) endpoint: Endpoint,
    pub(crate) manner: Manner,
    pub(crate) vote_timeout: Duration,
    pub(crate) ttl: Duration,
    pub(crate) state: Mutex<State>,
    /// Wakes the keeper for a look.
    pub(crate) look: Notify,
    in_flight: Arc<Semaphore>,
}

/// What changes about a master.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) link: Link,
    pub(crate) trust: Trust,
}

/// The connection.
#[derive(Debug)]
pub(crate) enum Link {
    /// Never tried to the end.
    New,
    /// There is none, and why.
    Down(String),
    /// There is one.
    Up(Arc<Session>),
}

/// What all masters have in common.
#[derive(Debug)]
pub(crate) struct Common {
    /// Who runs what is not waited for.
    pub(crate) tasks: TaskTracker,
    /// Tells that some master's state changed.
    pub(crate) changed: watch::Sender<()>,
    /// Which server is which master's, by `run_id`, with the master's address.
    pub(crate) claims: Mutex<BTreeMap<String, (usize, String)>>,
}

/// One master's votes.
pub(crate) struct Report {
    pub(crate) node: usize,
    pub(crate) votes: Vec<Vote>,
}

impl Node {
    pub(crate) fn new(
        index: usize,
        endpoint: Endpoint,
        manner: Manner,
        vote_timeout: Duration,
        ttl: Duration,
    ) -> Self {
        Self {
            index,
            endpoint,
            manner,
            vote_timeout,
            ttl,
            state: Mutex::new(State { link: Link::New, trust: Trust::default() }),
            look: Notify::new(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        }
    }

    /// Sends questions, in order with all others; the votes come through `to`, once, by the
    /// time-out for one master.
    pub(crate) fn ask(
        self: &Arc<Self>,
        questions: &[Question],
        purpose: Purpose,
        to: mpsc::Sender<Report>,
        common: &Common,
    ) {
        let deadline = Instant::now() + self.vote_timeout;
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().ok();
        let session = self.session().filter(|_| purpose == Purpose::Tidy || permit.is_some());
        let node = self.index;
        let Some(session) = session else {
            // There is a place for every master's report.
            let _ = to.try_send(Report { node, votes: vec![Vote::Unknown; questions.len()] });
            return;
        };
        let sent = session.send(questions, purpose);
        let this = Arc::clone(self);
        common.tasks.spawn(async move {
            let (votes, look) = session.votes(sent, deadline).await;
            if look {
                this.look.notify_one();
            }
            drop(permit);
            // Nobody may be waiting any more.
            let _ = to.try_send(Report { node, votes });
        });
    }

    fn session(&self) -> Option<Arc<Session>> {
        match &self.state.lock().link {
            Link::Up(session) if !session.is_dead() => Some(Arc::clone(session)),
            Link::Up(_) | Link::New | Link::Down(_) => None,
        }
    }

    /// Whether it has ever been reached, or found unreachable.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.state.lock().link, Link::New)
    }

    /// Whether its votes count now.
    pub(crate) fn has_a_vote(&self) -> bool {
        let now = Instant::now();
        self.session().is_some_and(|session| {
            session.is_complete() && session.members.iter().all(|member| member.votes(now))
        })
    }

    /// Who answers there now.
    pub(crate) fn run_ids(&self) -> Vec<String> {
        let members = |session: Arc<Session>| -> Vec<String> {
            session.members.iter().map(|member| member.met.run_id.clone()).collect()
        };
        self.session().map(members).unwrap_or_default()
    }

    /// How it is.
    pub(crate) fn status(&self) -> LockMaster {
        let detail = match &self.state.lock().link {
            Link::New => Some("has not been reached yet".to_owned()),
            Link::Down(detail) => Some(detail.clone()),
            Link::Up(session) if session.is_dead() => {
                Some("closed the connection; it is being made again".to_owned())
            }
            Link::Up(session) => self.shortcoming(session).or_else(|| self.warning(session)),
        };
        LockMaster {
            address: self.endpoint.address.clone(),
            trusted: self.has_a_vote(),
            detail: detail.map(|detail| detail.trim().to_owned()),
        }
    }

    fn shortcoming(&self, session: &Session) -> Option<String> {
        let now = Instant::now();
        for member in &session.members {
            let name = self.name(&member.address);
            if let Some(refusal) = &member.standing.lock().refusal {
                return Some(format!("{name}{refusal}"));
            }
            if member.silent.load(Ordering::Relaxed) {
                return Some(format!(
                    "{name}does not answer within {:?}; is it paused or overloaded?",
                    self.vote_timeout
                ));
            }
            if now < member.trusted_from {
                return Some(format!(
                    "{name}has started anew and may have forgotten guards; its votes count in \
                     {:.1} s, when those have expired",
                    (member.trusted_from - now).as_secs_f64()
                ));
            }
        }
        let incomplete = !session.is_complete();
        incomplete.then(|| "not all slots of the cluster have a master that answers".to_owned())
    }

    fn warning(&self, session: &Session) -> Option<String> {
        let warning = |address: &str, warning: &str| format!("{}{warning}", self.name(address));
        session.members.iter().find_map(|member| {
            let standing = member.standing.lock();
            standing.warning.as_deref().map(|text| warning(&member.address, text))
        })
    }

    /// Which server of a cluster is meant; of a single one that is plain.
    fn name(&self, address: &str) -> String {
        if self.endpoint.cluster { format!("{address} ") } else { String::new() }
    }
}
