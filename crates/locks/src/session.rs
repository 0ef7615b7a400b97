//! One connection to a master, from its first question who is there to its end. A cluster has one
//! connection to each of its masters, and all end together.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use tokio::time::Instant;

use crate::judge::Info;
use crate::script::{Question, vote};
use crate::slot;
use crate::trust::Met;
use crate::vote::Vote;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// The server, or the masters of the cluster.
    pub(crate) members: Vec<Member>,
    /// Which slots, from and to, are whose, by place in `members`.
    pub(crate) ranges: Vec<SlotRange>,
    /// It is of no use any more.
    pub(crate) dead: AtomicBool,
}

/// First slot, last slot, and the place of who has them.
pub(crate) type SlotRange = (u16, u16, usize);

/// One server of a session.
#[derive(Debug)]
pub(crate) struct Member {
    /// Without credentials.
    pub(crate) address: String,
    pub(crate) connection: MultiplexedConnection,
    /// A key of its to try commands with.
    pub(crate) trial_key: String,
    /// Who it was when the connection was made.
    pub(crate) met: Met,
    /// From when on its votes count.
    pub(crate) trusted_from: Instant,
    pub(crate) standing: Mutex<Standing>,
    /// It let a time-out pass and has not answered since.
    pub(crate) silent: AtomicBool,
    /// It refused a command: it has to show that it can still do its work.
    pub(crate) suspected: AtomicBool,
}

/// What was found out about a server at the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Why it can't be a master of guards, and what to do.
    pub(crate) refusal: Option<String>,
    /// A word to its operator.
    pub(crate) warning: Option<String>,
}

/// What commands are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Votes: only those who may vote, and answer, are asked.
    Vote,
    /// Tidying up: everybody is asked, and whoever answers counts.
    Tidy,
}

/// Answers to some of the questions, by their places.
type Part = Pin<Box<dyn Future<Output = RedisResult<Vec<RedisResult<Value>>>> + Send>>;

/// Questions on their way.
pub(crate) struct Sent {
    parts: Vec<SentPart>,
    total: usize,
}

struct SentPart {
    member: usize,
    places: Vec<usize>,
    counted: bool,
    answers: Part,
    early: Option<RedisResult<Vec<RedisResult<Value>>>>,
}

impl Session {
    /// Sends the questions: when this returns, they are in the connection's queue, behind all that
    /// was sent before and before all that will be.
    pub(crate) fn send(&self, questions: &[Question], purpose: Purpose) -> Sent {
        let now = Instant::now();
        let mut groups: Vec<(usize, Vec<usize>, Pipeline)> = Vec::new();
        for (place, question) in questions.iter().enumerate() {
            let Some(member) = self.member_of(question.slot) else { continue };
            if purpose == Purpose::Vote && !self.members[member].answers() {
                continue;
            }
            let index = groups.iter().position(|(at, ..)| *at == member).unwrap_or_else(|| {
                groups.push((member, Vec::new(), Pipeline::new()));
                groups.len() - 1
            });
            groups[index].1.push(place);
            groups[index].2.add_command(question.command.clone());
        }
        let parts = groups.into_iter().map(|(member, places, pipeline)| {
            let to = &self.members[member];
            let counted = purpose == Purpose::Tidy || now >= to.trusted_from;
            let mut answers = start(to.connection.clone(), pipeline);
            // Its first poll puts the commands into the queue.
            let early = match answers.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                std::task::Poll::Ready(answers) => Some(answers),
                std::task::Poll::Pending => None,
            };
            SentPart { member, places, counted, answers, early }
        });
        Sent { parts: parts.collect(), total: questions.len() }
    }

    fn member_of(&self, slot: u16) -> Option<usize> {
        let range = self.ranges.iter().find(|(from, to, _)| (*from..=*to).contains(&slot));
        range.map(|(_, _, member)| *member)
    }

    /// Waits for the answers. Those that don't come by `deadline` are unknown, and who owes them
    /// is held for silent. True if the session deserves a look.
    pub(crate) async fn votes(&self, sent: Sent, deadline: Instant) -> (Vec<Vote>, bool) {
        let mut votes = vec![Vote::Unknown; sent.total];
        let mut look = false;
        let waiting = sent.parts.into_iter().map(|part| async move {
            let answers = match part.early {
                Some(answers) => Ok(answers),
                None => tokio::time::timeout_at(deadline, part.answers).await,
            };
            (part.member, part.places, part.counted, answers)
        });
        for (member, places, counted, answers) in join_all(waiting).await {
            let member = &self.members[member];
            match answers {
                Ok(Ok(answers)) => {
                    for (place, answer) in places.into_iter().zip(answers) {
                        look |= self.note(member, answer.as_ref().err());
                        if counted {
                            votes[place] = vote(&answer);
                        }
                    }
                }
                Ok(Err(_)) => {
                    self.dead.store(true, Ordering::Relaxed);
                    look = true;
                }
                Err(_) => {
                    member.silent.store(true, Ordering::Relaxed);
                    look = true;
                }
            }
        }
        (votes, look)
    }

    /// Draws the conclusion from a refused command.
    fn note(&self, member: &Member, error: Option<&RedisError>) -> bool {
        let Some(error) = error else { return false };
        if error.is_cluster_error() && error.redirect_node().is_some() {
            self.dead.store(true, Ordering::Relaxed);
        }
        member.suspected.store(true, Ordering::Relaxed);
        true
    }

    /// Whether every slot is somebody's.
    pub(crate) fn is_complete(&self) -> bool {
        let covered: u32 = self.ranges.iter().map(|(from, to, _)| u32::from(to - from) + 1).sum();
        covered == u32::from(slot::SLOTS)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

impl Member {
    /// Whether it is worth asking.
    fn answers(&self) -> bool {
        !self.silent.load(Ordering::Relaxed) && self.standing.lock().refusal.is_none()
    }

    /// Whether its votes count now.
    pub(crate) fn votes(&self, now: Instant) -> bool {
        self.answers() && now >= self.trusted_from
    }
}

fn start(mut connection: MultiplexedConnection, mut pipeline: Pipeline) -> Part {
    pipeline.ignore_errors();
    // Not to be put off by tokio's budget: the first poll has to send.
    Box::pin(tokio::task::unconstrained(async move { pipeline.query_async(&mut connection).await }))
}

/// The text of `INFO`, read; the error says what to do.
pub(crate) fn info(answer: RedisResult<Value>) -> Result<Info, String> {
    let text: String = answer
        .and_then(|value| redis::from_redis_value(value).map_err(RedisError::from))
        .map_err(|error| format!("does not let this user ask who it is: {error}; allow INFO"))?;
    Info::read(&text).ok_or_else(|| {
        "does not say who it is: its INFO lacks run_id, role or uptime; is it a Redis?".to_owned()
    })
}

/// Some commands in one go, each with its answer. An error is the connection's.
pub(crate) async fn ask(
    connection: &MultiplexedConnection,
    commands: Vec<Cmd>,
) -> RedisResult<Vec<RedisResult<Value>>> {
    let mut pipeline = Pipeline::new();
    for command in commands {
        pipeline.add_command(command);
    }
    start(connection.clone(), pipeline).await
}

/// An error of a connection, for people.
pub(crate) fn describe(error: &RedisError, limit: Duration) -> String {
    if error.kind() == redis::ErrorKind::AuthenticationFailed {
        format!("refuses the user or the password ({error}); check its URL")
    } else if error.is_connection_refusal() {
        "refuses connections; is it running, and the port right?".to_owned()
    } else if error.is_timeout() {
        format!("can't be reached within {limit:?}; is the host right, and the way to it open?")
    } else {
        format!("can't be reached: {error}")
    }
}
