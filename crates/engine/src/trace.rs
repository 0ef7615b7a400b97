//! Trace context between spans and the wire. The engine opens spans; who exports them is wiring.

use std::fmt;

use amends_core::saga::Op;
use amends_core::{ParticipantName, SagaId, StepId};
use tracing::{Level, Span, field};

/// Connects spans with W3C trace context.
pub trait Tracing: fmt::Debug + Send + Sync {
    /// Makes `span` a child of the remote span that `traceparent` names.
    fn adopt(&self, span: &Span, traceparent: &str);

    /// The `traceparent` that names `span`, if it is recorded anywhere.
    fn traceparent(&self, span: &Span) -> Option<String>;
}

/// Connects nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoTracing;

impl Tracing for NoTracing {
    fn adopt(&self, _: &Span, _: &str) {}

    fn traceparent(&self, _: &Span) -> Option<String> {
        None
    }
}

/// The span of one attempt of a call: `saga.id`, `trace.id`, `step.id`, `call.op`,
/// `call.attempt` (from 1), `participant` and, when it is over, `call.outcome`. No payload, no
/// URL.
pub(crate) fn call_span(
    saga_id: &SagaId,
    trace_id: &str,
    step_id: &StepId,
    op: Op,
    attempt: u32,
    participant: &ParticipantName,
) -> Span {
    tracing::span!(
        Level::INFO,
        "call.attempt",
        saga.id = %saga_id,
        trace.id = trace_id,
        step.id = %step_id,
        call.op = op.as_str(),
        call.attempt = attempt,
        call.outcome = field::Empty,
        %participant,
        otel.kind = "client",
    )
}
