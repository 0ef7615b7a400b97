//! `amends demo`: a coordinator in this process, three participants in theirs, many sagas.

use std::path::PathBuf;

use amends_demo::{DemoOptions, Masters, Show, Workload};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::screen::Screen;
use crate::config::{Given, Sources, browsable, load};
use crate::failure::Failure;
use crate::telemetry::Telemetry;
use crate::wiring::Coordinator;

/// How the demo runs.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    #[command(flatten)]
    workload: Workload,
    /// Database of the coordinator; without one, an embedded one that is thrown away
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Address of the coordinator; if it is taken, any free one
    #[arg(long, default_value = "127.0.0.1:7411", value_name = "ADDRESS")]
    listen: String,
    /// Guard lock keys on three Redis masters, which are started for it
    #[arg(long)]
    redis: bool,
    /// Leave at the end; exit status 0 only if all books balance
    #[arg(long)]
    exit: bool,
    /// Which of the coordinator's log lines are written
    #[arg(
        long,
        default_value = "warn,amends_engine=error,amends::lock_service=error",
        value_name = "FILTER"
    )]
    log_filter: String,
}

/// Life of the demo's guards: its masters have just started, so that their votes count only when
/// it has passed.
const GUARD_TTL: &str = "2s";

/// Runs it.
pub(crate) async fn run(arguments: DemoArguments, screen: &mut Screen) -> Result<(), Failure> {
    // The participants' databases and, without --database, the coordinator's.
    let folder = tempfile::Builder::new().prefix("amends-demo-").tempdir()?;
    let masters = if arguments.redis {
        Some(Masters::start().await.map_err(|error| Failure::Demo(format!("{error:#}")))?)
    } else {
        None
    };
    let (coordinator, telemetry) =
        coordinator(&arguments, masters.as_ref(), folder.path().to_owned()).await?;
    let end =
        sagas(&arguments, &coordinator, masters.clone(), folder.path().to_owned(), screen).await;
    coordinator.drain().await;
    telemetry.stop();
    end
}

/// A coordinator on the wanted address, or on a free one.
async fn coordinator(
    arguments: &DemoArguments,
    masters: Option<&Masters>,
    folder: PathBuf,
) -> Result<(Coordinator, Telemetry), Failure> {
    let folder = folder.display().to_string();
    let mut flags = vec![
        Given::flag("server.listen", &arguments.listen, "--listen"),
        Given::flag("server.data-dir", folder, "data folder of the demo"),
        Given::flag("telemetry.log-filter", &arguments.log_filter, "--log-filter"),
    ];
    if let Some(database) = &arguments.database {
        flags.push(Given::flag("database.url", database, "--database"));
    }
    if let Some(masters) = masters {
        flags.push(Given::flag("locks.redis", masters.urls().join(","), "--redis"));
        flags.push(Given::flag("locks.ttl", GUARD_TTL, "--redis"));
    }
    // Nothing of this machine's configuration: a demo is the same everywhere.
    let mut settings = load(&Sources { flags, ..Sources::default() })?.settings;
    let telemetry = Telemetry::start(&settings.telemetry)?;
    if tokio::net::TcpListener::bind(settings.server.listen).await.is_err() {
        settings.server.listen.set_port(0);
    }
    Ok((Coordinator::start(&settings).await?, telemetry))
}

async fn sagas(
    arguments: &DemoArguments,
    coordinator: &Coordinator,
    masters: Option<Masters>,
    data_dir: PathBuf,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let url = browsable(coordinator.address());
    screen.note(&format!("coordinator and console: {url}/"))?;
    if let Some(masters) = &masters {
        let urls = masters.urls().join(" ");
        screen.note(&format!("Redis masters: {urls} (their votes count in {GUARD_TTL})"))?;
    }
    let participant_exe = std::env::current_exe().map_err(Failure::Runtime)?;
    let options = DemoOptions {
        workload: arguments.workload.clone(),
        coordinator_urls: vec![url.clone()],
        participant_exe,
        data_dir,
        page_url: (!arguments.exit).then(|| format!("{url}/")),
        show: Show::Auto,
        masters,
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let report = tokio::select! {
        report = amends_demo::run(options) => {
            report.map_err(|error| Failure::Demo(format!("the demo stopped: {error:#}")))?
        }
        _ = interrupt.recv() => return Err(Failure::Demo("interrupted".to_owned())),
    };
    if !arguments.exit {
        screen.note("the console stays up, and so do the participants; Ctrl-C ends them")?;
    }
    screen.line(&report.summary.to_string())?;
    if !arguments.exit {
        interrupt.recv().await;
    }
    if report.summary.is_balanced() {
        return Ok(());
    }
    Err(Failure::Demo("the books do not balance".to_owned()))
}
