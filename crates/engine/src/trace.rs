//! Trace context between spans and the wire. The engine opens spans; who exports them is wiring.

use std::fmt;

use amends_core::saga::{CallId, Saga};
use tracing::{Level, Span, field};

/// Connects spans with W3C trace context.
pub trait Tracing: fmt::Debug + Send + Sync {
    /// Whether spans go anywhere. Where they don't none is opened: each costs several microseconds,
    /// and what logs need stands in the events themselves.
    fn records(&self) -> bool;

    /// Makes `span` a child of the remote span that `traceparent` names.
    fn adopt(&self, span: &Span, traceparent: &str);

    /// The `traceparent` that names `span`, if it is recorded anywhere.
    fn traceparent(&self, span: &Span) -> Option<String>;
}

/// Connects nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoTracing;

impl Tracing for NoTracing {
    fn records(&self) -> bool {
        false
    }

    fn adopt(&self, _: &Span, _: &str) {}

    fn traceparent(&self, _: &Span) -> Option<String> {
        None
    }
}

/// The span of one attempt of a call: `saga.id`, `trace.id`, `step.id`, `call.op`,
/// `call.attempt` (from 1), `participant` and, when it is over, `call.outcome`. No payload, no
/// URL.
pub(crate) fn call_span(saga: &Saga, call: CallId, attempt: u32) -> Span {
    let step = saga.definition().step(call.step);
    tracing::span!(
        Level::INFO,
        "call.attempt",
        saga.id = %saga.id(),
        trace.id = trace_id(saga),
        step.id = %step.id,
        call.op = call.op.as_str(),
        call.attempt = attempt,
        call.outcome = field::Empty,
        participant = %step.participant,
        otel.kind = "client",
    )
}

/// The trace that a saga belongs to; empty if none was given.
fn trace_id(saga: &Saga) -> &str {
    trace_id_of(saga.accepted().traceparent.as_deref())
}

/// A `traceparent` in this trace; its span is named by a random token.
pub(crate) fn traceparent(trace_id: &str, token: &str) -> String {
    ["00-", trace_id, "-", token.get(..16).unwrap_or("0000000000000001"), "-01"].concat()
}

/// The trace that a `traceparent` names; empty without one.
pub(crate) fn trace_id_of(traceparent: Option<&str>) -> &str {
    traceparent.and_then(|text| text.get(3..35)).unwrap_or_default()
}
