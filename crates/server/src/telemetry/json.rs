//! Log lines as JSON: one flat object a line, with the ids of the saga and of the trace.
//!
//! Fields of the spans around an event come first and those of the event last, so that the nearest
//! one counts. `saga.id` is written as `saga_id`, the name that the API has for it.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Formats events as JSON lines; the fields of spans must be formatted as JSON too.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        line.insert("timestamp".to_owned(), Value::String(now));
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        if let Some(span) = context.lookup_current() {
            line.insert("span".to_owned(), span.name().into());
            if let Some(trace_id) = trace_id(&span.id()) {
                line.insert("trace_id".to_owned(), trace_id.into());
            }
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields)
            {
                line.extend(fields.into_iter().map(|(name, value)| (renamed(&name), value)));
            }
        }
        event.record(&mut Members(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The trace of a span, where spans go to a collector.
fn trace_id(span: &tracing::span::Id) -> Option<String> {
    let context = tracing::dispatcher::get_default(|dispatch| {
        tracing_opentelemetry::get_otel_context(span, dispatch)
    })?;
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

fn renamed(name: &str) -> String {
    match name {
        "saga.id" => "saga_id".to_owned(),
        "trace.id" => "trace_id".to_owned(),
        name => name.to_owned(),
    }
}

/// Writes an event's fields into the line.
struct Members<'a>(&'a mut Map<String, Value>);

impl Members<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(renamed(field.name()), value);
    }
}

impl Visit for Members<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Kept {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_is_one_object_with_the_ids_of_the_spans_around_it() {
        let kept = Kept::default();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .event_format(JsonLines)
            .with_writer(kept.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let saga = tracing::info_span!("saga", saga.id = "order-1", call.attempt = 1);
            let _saga = saga.enter();
            let call = tracing::info_span!("call", call.attempt = 2);
            let _call = call.enter();
            tracing::warn!(late = true, "a \"quoted\" text\nof two lines");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["saga_id"], "order-1");
        assert_eq!(line["call.attempt"], 2);
        assert_eq!(line["span"], "call");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["late"], true);
        assert_eq!(line["message"], "a \"quoted\" text\nof two lines");
        assert!(line["timestamp"].is_string());
    }
}
