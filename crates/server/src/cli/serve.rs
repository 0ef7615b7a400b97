//! `amends serve`: a coordinator until SIGTERM or SIGINT.

use tokio::signal::unix::{SignalKind, signal};

use super::configuration::ConfigArguments;
use super::screen::Screen;
use crate::config::Settings;
use crate::failure::Failure;
use crate::telemetry::Telemetry;
use crate::wiring::Coordinator;

/// Runs it.
pub(crate) async fn run(arguments: &ConfigArguments, screen: &mut Screen) -> Result<(), Failure> {
    let settings = arguments.load()?.settings;
    let telemetry = Telemetry::start(&settings.telemetry)?;
    let end = until_signal(&settings, screen).await;
    telemetry.stop();
    end
}

async fn until_signal(settings: &Settings, screen: &mut Screen) -> Result<(), Failure> {
    // Taken before anything is started, so that no signal finds the default handler.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;

    let coordinator = Coordinator::start(settings).await?;
    let url = crate::config::browsable(coordinator.address());
    if screen.is_json() {
        screen.line(&serde_json::json!({ "listening": url }).to_string())?;
    } else {
        screen.line(&format!("amends listens on {}", coordinator.address()))?;
        screen.line(&format!("console: {url}/"))?;
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining; once more to leave at once"),
    }
    tokio::select! {
        () = coordinator.drain() => Ok(()),
        _ = interrupt.recv() => {
            Err(Failure::Server("left before the drain was over; what was in flight counts as unknown".to_owned()))
        }
    }
}
