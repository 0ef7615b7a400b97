//! Participants that answer by a script and remember what they were asked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use amends_core::participant::ParticipantSpec;
use amends_core::saga::{Answer, AttemptFailure, Op, OutcomeKind, Problem};
use amends_core::{ParticipantName, RetryPolicy};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{CallContext, Health, OutgoingCall, Participants};

/// One answer of a script.
#[derive(Clone, Debug)]
pub struct ScriptedAnswer {
    answer: Option<Answer>,
    delay: Duration,
}

impl ScriptedAnswer {
    /// `answer`, at once.
    pub const fn now(answer: Answer) -> Self {
        Self { answer: Some(answer), delay: Duration::ZERO }
    }

    /// `answer`, after `delay` of tokio's time. A delay beyond the attempt's time-out is a
    /// time-out.
    pub const fn after(delay: Duration, answer: Answer) -> Self {
        Self { answer: Some(answer), delay }
    }

    /// No answer: the attempt ends by its time-out, with an unknown outcome.
    pub const fn never() -> Self {
        Self { answer: None, delay: Duration::ZERO }
    }
}

impl From<Answer> for ScriptedAnswer {
    fn from(answer: Answer) -> Self {
        Self::now(answer)
    }
}

type Respond = dyn Fn(&OutgoingCall) -> ScriptedAnswer + Send + Sync;
type Line = (ParticipantName, String, Op);

/// [`Participants`] for tests: answers from a script of one (participant, step, operation) as long
/// as it lasts, and then by a function of the call. Records every call when it leaves.
pub struct ScriptedParticipants {
    respond: Box<Respond>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scripts: HashMap<Line, VecDeque<ScriptedAnswer>>,
    calls: Vec<OutgoingCall>,
    polls: Vec<(OutgoingCall, String)>,
    in_flight: usize,
    in_flight_most: usize,
    registered: BTreeMap<ParticipantName, ParticipantSpec>,
    defaults: HashMap<ParticipantName, (Option<Duration>, Option<RetryPolicy>)>,
    unhealthy: BTreeMap<ParticipantName, String>,
}

impl ScriptedParticipants {
    /// Participants whose every call succeeds with no output.
    pub fn new() -> Self {
        Self::answering(|_| Answer::succeeded(None))
    }

    /// Participants that answer by `respond` at once, where no script says otherwise.
    pub fn answering(respond: impl Fn(&OutgoingCall) -> Answer + Send + Sync + 'static) -> Self {
        Self::scripted(move |call| ScriptedAnswer::now(respond(call)))
    }

    /// Participants that answer by `respond`, late or never if it says so.
    pub fn scripted(
        respond: impl Fn(&OutgoingCall) -> ScriptedAnswer + Send + Sync + 'static,
    ) -> Self {
        Self { respond: Box::new(respond), state: Mutex::default() }
    }

    /// Adds answers to the script of one operation of one step of any saga: one answer an attempt
    /// or poll, in order.
    pub fn script(
        &self,
        participant: &ParticipantName,
        step: &str,
        op: Op,
        answers: impl IntoIterator<Item = ScriptedAnswer>,
    ) {
        let line = (participant.clone(), step.to_owned(), op);
        self.state.lock().scripts.entry(line).or_default().extend(answers);
    }

    /// Sets what [`Participants::defaults`] answers for `name`.
    pub fn set_defaults(
        &self,
        name: &ParticipantName,
        timeout: Option<Duration>,
        retry: Option<RetryPolicy>,
    ) {
        self.state.lock().defaults.insert(name.clone(), (timeout, retry));
    }

    /// Makes health checks of `name` fail with `problem`.
    pub fn set_unhealthy(&self, name: &ParticipantName, problem: &str) {
        self.state.lock().unhealthy.insert(name.clone(), problem.to_owned());
    }

    /// Every attempt so far, in the order in which they left.
    pub fn calls(&self) -> Vec<OutgoingCall> {
        self.state.lock().calls.clone()
    }

    /// Every attempt so far as `{saga}/{step}/{op}#{attempt}`, in the order in which they left.
    pub fn call_log(&self) -> Vec<String> {
        let state = self.state.lock();
        state.calls.iter().map(|call| format!("{}#{}", call.key, call.attempt)).collect()
    }

    /// Every poll so far with its location, in order.
    pub fn polls(&self) -> Vec<(OutgoingCall, String)> {
        self.state.lock().polls.clone()
    }

    /// How many calls and polls are open now.
    pub fn in_flight(&self) -> usize {
        self.state.lock().in_flight
    }

    /// How many were ever open at once.
    pub fn in_flight_most(&self) -> usize {
        self.state.lock().in_flight_most
    }

    /// What was registered last.
    pub fn registered(&self) -> Vec<ParticipantSpec> {
        self.state.lock().registered.values().cloned().collect()
    }

    fn next_answer(&self, call: &OutgoingCall) -> ScriptedAnswer {
        let line = (call.participant.clone(), call.key.step_id.as_str().to_owned(), call.key.op);
        let scripted = self.state.lock().scripts.get_mut(&line).and_then(VecDeque::pop_front);
        scripted.unwrap_or_else(|| (self.respond)(call))
    }

    async fn answer(&self, call: &OutgoingCall) -> Answer {
        let _open = Open::new(self);
        let ScriptedAnswer { answer, delay } = self.next_answer(call);
        let timeout = call.timeout.unwrap_or(CallContext::TIMEOUT);
        if let Some(answer) = answer.filter(|_| delay <= timeout) {
            tokio::task::yield_now().await;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            return answer;
        }
        tokio::time::sleep(timeout).await;
        timed_out(timeout)
    }
}

impl Default for ScriptedParticipants {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScriptedParticipants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedParticipants").finish_non_exhaustive()
    }
}

/// Counts a call as open until it is answered or dropped.
struct Open<'a>(&'a ScriptedParticipants);

impl<'a> Open<'a> {
    fn new(participants: &'a ScriptedParticipants) -> Self {
        let mut state = participants.state.lock();
        state.in_flight += 1;
        state.in_flight_most = state.in_flight_most.max(state.in_flight);
        drop(state);
        Self(participants)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.state.lock().in_flight -= 1;
    }
}

fn timed_out(timeout: Duration) -> Answer {
    Answer::failed(
        OutcomeKind::Unknown,
        true,
        Problem {
            kind: AttemptFailure::Timeout,
            status: None,
            detail: format!("no answer within {} ms", timeout.as_millis()),
            body: None,
        },
    )
}

#[async_trait]
impl Participants for ScriptedParticipants {
    async fn call(&self, call: OutgoingCall) -> Answer {
        self.state.lock().calls.push(call.clone());
        self.answer(&call).await
    }

    async fn poll(&self, call: OutgoingCall, location: &str) -> Answer {
        self.state.lock().polls.push((call.clone(), location.to_owned()));
        self.answer(&call).await
    }

    async fn check(&self, name: &ParticipantName) -> Option<Health> {
        let state = self.state.lock();
        state.registered.get(name)?;
        let answer = state
            .unhealthy
            .get(name)
            .map_or(Ok(Duration::from_millis(1)), |problem| Err(problem.clone()));
        Some(Health {
            healthy: answer.is_ok(),
            endpoints: vec![(format!("http://{name}.test"), answer)],
        })
    }

    fn replace(&self, participants: Vec<ParticipantSpec>) {
        self.state.lock().registered =
            participants.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
    }

    fn defaults(&self, name: &ParticipantName) -> Option<(Option<Duration>, Option<RetryPolicy>)> {
        self.state.lock().defaults.get(name).copied()
    }
}
