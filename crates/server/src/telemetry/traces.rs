//! Spans to an OpenTelemetry collector: OTLP over gRPC, W3C trace context.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::config;
use crate::failure::Failure;

/// Longest wait for the collector: for one batch, and for the last ones at the end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Crates whose spans are about the export itself, or far too many: an exporter that exports its
/// own calls never comes to rest.
const SILENCED: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];

/// The provider, kept for its shutdown.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts the exporter, if there is a collector. It connects when the first spans leave, so a
    /// collector that is away keeps nothing from starting.
    pub(super) fn start(settings: &config::Telemetry) -> Result<Option<Self>, Failure> {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        if settings.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.otlp_endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| Failure::Server(format!("telemetry.otlp-endpoint: {error}")))?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        Ok(Some(Self { provider }))
    }

    /// The layer that turns spans into the collector's.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let filter = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_targets(SILENCED.map(|name| (name, LevelFilter::OFF)));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("amends"))
            .with_location(false)
            .with_threads(false)
            .with_filter(filter)
    }

    /// Sends what is left.
    pub(super) fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(EXPORT_TIMEOUT) {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}
