//! Logs and traces of the process: what is written where, and how it ends.

mod context;
mod json;
mod traces;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{self, LogFormat};
use crate::failure::Failure;

pub(crate) use context::W3cContext;

/// The running telemetry; [`Telemetry::stop`] sends what is left.
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: Option<traces::Traces>,
}

impl Telemetry {
    /// Sets up logs on standard error, and traces where there is a collector. Once a process.
    pub(crate) fn start(settings: &config::Telemetry) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::error::Error| {
            let filter = &settings.log_filter;
            Failure::Usage(format!("telemetry.log-filter {filter:?}: {error}"))
        };
        let filter = EnvFilter::try_new(&settings.log_filter).map_err(|error| wrong(&error))?;
        let logs = match settings.log_format {
            LogFormat::Text => {
                fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
            }
            LogFormat::Json => {
                fmt::layer().json().event_format(json::JsonLines).with_writer(io::stderr).boxed()
            }
        };
        let traces = traces::Traces::start(settings)?;
        let spans = traces.as_ref().map(traces::Traces::layer);
        tracing_subscriber::registry()
            .with(logs.with_filter(filter))
            .with(spans)
            .try_init()
            .map_err(|error| Failure::Server(error.to_string()))?;
        Ok(Self { traces })
    }

    /// Sends what is left of the traces, within a bound.
    pub(crate) fn stop(self) {
        if let Some(traces) = self.traces {
            traces.stop();
        }
    }
}
