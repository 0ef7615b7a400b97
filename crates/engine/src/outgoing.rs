//! One attempt of a call, from the saga's effect to the saga's input.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::{Completion, OutcomeOverride};
use amends_core::saga::{
    Answer, AttemptFailure, CallId, Input, OutcomeKind, Problem, RequestError, Saga,
};
use amends_core::{ParticipantName, RetryPolicy};
use amends_ports::{CallContext, OutgoingCall};
use tracing::{Instrument, Span};

use crate::engine::Inner;
use crate::ownership::Owned;
use crate::trace;

/// Something that ends in an input for a saga.
pub(crate) type InputFuture = Pin<Box<dyn Future<Output = Input> + Send>>;

impl Inner {
    /// Makes one attempt. The future waits while the leases may have run out, and is dropped when
    /// the partition is lost.
    pub(crate) fn attempt(
        self: &Arc<Self>,
        saga: &Saga,
        call: CallId,
        attempt: u32,
    ) -> InputFuture {
        if let Some(nested) = self.nested_attempt(saga, call, attempt) {
            return Box::pin(nested);
        }
        let prepared = self.prepare(saga, call, attempt);
        let inner = Arc::clone(self);
        let future = async move {
            let answer = match prepared {
                Ok(mut outgoing) => {
                    inner.ownership.wait_valid(|| inner.clock.elapsed()).await;
                    outgoing.context.now = inner.clock.now();
                    let current = inner.tracing.traceparent(&Span::current());
                    outgoing.context.traceparent =
                        current.or_else(|| inner.child_traceparent(outgoing.context.traceparent));
                    inner.measured(outgoing).await
                }
                Err(error) => expression_failed(&error),
            };
            Span::current().record("call.outcome", answer.outcome.as_str());
            Input::Answered { step: call.step, op: call.op, attempt, answer: Box::new(answer) }
        };
        if !self.tracing.records() {
            return Box::pin(future);
        }
        let span = trace::call_span(saga, call, attempt);
        if let Some(traceparent) = &saga.accepted().traceparent {
            self.tracing.adopt(&span, traceparent);
        }
        Box::pin(future.instrument(span))
    }

    async fn measured(&self, outgoing: OutgoingCall) -> Answer {
        let (participant, key, attempt) =
            (outgoing.participant.clone(), outgoing.key.clone(), outgoing.attempt);
        let trace = trace::trace_id_of(outgoing.context.traceparent.as_deref());
        let trace = u128::from_str_radix(trace, 16).unwrap_or_default();
        let has_timeout = outgoing.timeout.is_some();
        let began = self.clock.elapsed();
        let mut answer = self.participants.call(outgoing).await;
        let seconds = self.clock.elapsed().saturating_sub(began).as_secs_f64();
        self.metrics.attempt(participant.as_str(), key.op, answer.outcome, seconds);
        if answer.outcome != OutcomeKind::Succeeded {
            let (timeout, retry) = self.defaults(&participant);
            answer.retry = retry;
            answer.timeout = timeout.filter(|_| !has_timeout);
            if let Some(problem) = &answer.problem {
                // Spans are there only where something records them.
                tracing::info!(
                    saga.id = %key.saga_id,
                    trace.id = format_args!("{trace:032x}"),
                    step.id = %key.step_id,
                    call.op = key.op.as_str(),
                    call.attempt = attempt,
                    %participant,
                    outcome = answer.outcome.as_str(),
                    problem = problem.kind.as_str(),
                    status = problem.status,
                    "an attempt did not succeed"
                );
            }
        }
        answer
    }

    fn defaults(&self, name: &ParticipantName) -> (Option<Duration>, Option<RetryPolicy>) {
        self.participants.defaults(name).unwrap_or_default()
    }

    /// Another span of the same trace, for participants, where nothing records spans.
    fn child_traceparent(&self, saga: Option<String>) -> Option<String> {
        let saga = saga?;
        let trace_id = saga.get(3..35)?;
        Some(trace::traceparent(trace_id, &self.ids.token()))
    }

    /// What is sent, by the definition and the saga's state.
    pub(crate) fn prepare(
        &self,
        saga: &Saga,
        call: CallId,
        attempt: u32,
    ) -> Result<OutgoingCall, RequestError> {
        let request = saga.request(call)?;
        let step = saga.definition().step(call.step);
        let completion = if call.op.is_forward() { step.completion } else { Completion::Answer };
        let callback_url = (completion == Completion::Callback)
            .then(|| self.callback_url(&saga.call_key(call.step, call.op)));
        Ok(OutgoingCall {
            participant: step.participant.clone(),
            key: saga.call_key(call.step, call.op),
            attempt,
            request,
            timeout: step.operation(call.op).and_then(|own| own.timeout),
            context: CallContext {
                forward_outcome: call.op.is_undo().then(|| saga.forward_outcome(call.step)),
                tokens: saga.tokens(),
                callback_url,
                traceparent: saga.accepted().traceparent.clone(),
                now: amends_core::Timestamp::default(),
            },
            completion,
            outcomes: step.outcomes.iter().map(OutcomeOverride::clone).collect(),
        })
    }

    /// Waits out an attempt that a coordinator before us may still have open, then says that its
    /// outcome is unknown.
    pub(crate) fn drain_attempt(
        self: &Arc<Self>,
        saga: &Saga,
        call: CallId,
        attempt: u32,
    ) -> impl Future<Output = Input> + Send + use<> {
        let step = saga.definition().step(call.step);
        let own = step.operation(call.op).and_then(|operation| operation.timeout);
        let timeout = own.or(self.defaults(&step.participant).0).unwrap_or(CallContext::TIMEOUT);
        // A nested saga decides by itself what came first: nothing of it is on its way for long.
        let timeout = if step.nested.is_some() { Duration::ZERO } else { timeout };
        let inner = Arc::clone(self);
        async move {
            inner.clock.sleep(timeout).await;
            let problem = problem(
                AttemptFailure::Interrupted,
                "its coordinator stopped while the call was in flight, and the saga aborts",
            );
            let answer = Answer::failed(OutcomeKind::Unknown, true, problem);
            Input::Answered { step: call.step, op: call.op, attempt, answer: Box::new(answer) }
        }
    }

    /// Asks again and again whether a pending call has ended.
    pub(crate) fn poll_call(
        self: &Arc<Self>,
        saga: &Saga,
        call: CallId,
        location: String,
    ) -> InputFuture {
        let step = saga.definition().step(call.step);
        let interval = match step.completion {
            Completion::Poll { interval } => interval,
            Completion::Answer | Completion::Callback => Duration::from_secs(1),
        };
        if let Some(nested) = self.nested_poll(saga, call, interval) {
            return Box::pin(nested);
        }
        let attempt = saga.step(call.step).call(call.op).attempts;
        let prepared = self.prepare(saga, call, attempt);
        let inner = Arc::clone(self);
        Box::pin(async move {
            loop {
                inner.clock.sleep(interval).await;
                inner.ownership.wait_valid(|| inner.clock.elapsed()).await;
                let answer = match &prepared {
                    Ok(outgoing) => {
                        let mut outgoing = outgoing.clone();
                        outgoing.context.now = inner.clock.now();
                        inner.participants.poll(outgoing, &location).await
                    }
                    Err(error) => expression_failed(error),
                };
                // Only a definite answer ends the waiting; the call's time-out bounds it.
                match answer.outcome {
                    OutcomeKind::Succeeded | OutcomeKind::Refused => {
                        let (step, op) = (call.step, call.op);
                        return Input::Completed { step, op, answer: Box::new(answer) };
                    }
                    OutcomeKind::Pending | OutcomeKind::Retryable | OutcomeKind::Unknown => {}
                }
            }
        })
    }
}

fn problem(kind: AttemptFailure, detail: &str) -> Problem {
    Problem { kind, status: None, detail: detail.to_owned(), body: None }
}

fn expression_failed(error: &RequestError) -> Answer {
    let detail = format!("the request could not be made: {error}");
    Answer::failed(OutcomeKind::Refused, false, problem(AttemptFailure::Expression, &detail))
}

impl Owned {
    /// Runs `work` until it ends or the lease is lost.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.lost().cancelled() => None,
            done = work => Some(done),
        }
    }
}
