//! Trace context between our spans and the wire, by OpenTelemetry and W3C `traceparent`.

use std::collections::HashMap;

use amends_engine::Tracing;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header's name.
const TRACEPARENT: &str = "traceparent";

/// Connects spans through the exporter; without one, nothing is connected.
#[derive(Debug)]
pub(crate) struct W3cContext;

impl Tracing for W3cContext {
    fn records(&self) -> bool {
        true
    }

    fn adopt(&self, span: &Span, traceparent: &str) {
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        let context = TraceContextPropagator::new().extract(&carrier);
        // Fails where the span has begun already, or where nothing exports it.
        let _ = span.set_parent(context);
    }

    fn traceparent(&self, span: &Span) -> Option<String> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
        carrier.remove(TRACEPARENT)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_span_joins_the_callers_trace_and_names_itself_to_the_next() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let span = tracing::info_span!("saga");
            W3cContext.adopt(&span, given);
            let sent = W3cContext.traceparent(&span).unwrap();
            assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{sent}");
            assert_ne!(sent, given);
            W3cContext.adopt(&tracing::info_span!("other"), "not a traceparent");
        });
        assert_eq!(W3cContext.traceparent(&Span::none()), None);
    }
}
