//! `amends saga`: start, look, watch, command.

mod command;
mod journal;
mod list;
mod show;
mod start;
mod watch;

use clap::Subcommand;

pub(super) use command::Said;

use super::screen::Screen;
use crate::client::Client;
use crate::failure::Failure;

/// What can be done with sagas.
#[derive(Debug, Subcommand)]
pub(crate) enum SagaCommand {
    /// Start a saga
    Start(start::StartArguments),
    /// Show where a saga stands, step by step
    Show {
        /// Its id
        id: String,
    },
    /// List sagas, newest first
    List(list::ListArguments),
    /// Follow a saga until it has ended, or all sagas
    Watch {
        /// Its id; without one, all sagas
        id: Option<String>,
    },
    /// Show everything that happened to a saga
    Journal(journal::JournalArguments),
    /// Stop a saga and undo what it did; refused once its pivot has succeeded
    Cancel(command::OnSaga),
    /// Commit an interactive transaction
    Commit(command::OnSaga),
    /// Roll an interactive transaction back
    Rollback(command::OnSaga),
    /// Give the client of an interactive transaction more time
    Extend(command::Extend),
    /// Let nothing new start; what is in flight is heard out
    Pause(command::OnSaga),
    /// Go on after a pause
    Resume(command::OnSaga),
    /// Try again at once what waits or is stuck
    Retry(command::Retry),
    /// End a suspended saga as it stands; nothing more is done or undone
    Abandon(command::OnSaga),
    /// Go on without a step
    Skip(command::OnStep),
    /// Say what became of a step's call, when you know and the engine cannot
    Resolve(command::Resolve),
}

/// Runs it.
pub(crate) async fn run(
    command: SagaCommand,
    client: &Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    match command {
        SagaCommand::Start(arguments) => start::run(&arguments, client, screen).await,
        SagaCommand::Show { id } => show::run(&id, client, screen).await,
        SagaCommand::List(arguments) => list::run(&arguments, client, screen).await,
        SagaCommand::Watch { id: Some(id) } => watch::one(&id, client, screen).await,
        SagaCommand::Watch { id: None } => watch::all(client, screen).await,
        SagaCommand::Journal(arguments) => journal::run(&arguments, client, screen).await,
        SagaCommand::Cancel(on) => command::on_saga("cancel", &on, client, screen).await,
        SagaCommand::Commit(on) => command::on_saga("commit", &on, client, screen).await,
        SagaCommand::Rollback(on) => command::on_saga("rollback", &on, client, screen).await,
        SagaCommand::Extend(on) => command::extend(&on, client, screen).await,
        SagaCommand::Pause(on) => command::on_saga("pause", &on, client, screen).await,
        SagaCommand::Resume(on) => command::on_saga("resume", &on, client, screen).await,
        SagaCommand::Retry(on) => command::retry(&on, client, screen).await,
        SagaCommand::Abandon(on) => command::on_saga("abandon", &on, client, screen).await,
        SagaCommand::Skip(on) => command::skip(&on, client, screen).await,
        SagaCommand::Resolve(on) => command::resolve(&on, client, screen).await,
    }
}

/// `name=value` or `name:value`, as labels and keys of the configuration are given.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .or_else(|| text.split_once(':'))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))
}
