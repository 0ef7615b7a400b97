//! The commands, and which file runs which.

use amends_demo::{
    BenchOptions, BenchParticipantOptions, LoadOptions, ParticipantOptions, StandInOptions,
};
use clap::{Parser, Subcommand};

use super::configuration::{ConfigArguments, ConfigCommand};
use super::conform::ConformArguments;
use super::definition::DefinitionCommand;
use super::demo::DemoArguments;
use super::explore::ExploreArguments;
use super::lock::LocksArguments;
use super::participant::ParticipantCommand;
use super::saga::SagaCommand;
use super::screen::Screen;
use super::{
    completions, configuration, conform, definition, demo, explore, lock, participant, processes,
    saga, serve,
};
use crate::client::Client;
use crate::failure::Failure;

/// Coordinator for sagas and TCC across services: every step finishes, or is made good again.
#[derive(Debug, Parser)]
#[command(
    name = "amends",
    version,
    after_help = "Exit status: 0 done; 1 failed; 2 wrong command line or configuration; 3 not found or refused."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Keeps the options that every command takes apart from its own in the help.
const ANYWHERE: &str = "Options of all commands";

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Global {
    /// Server that the client commands talk to
    #[arg(
        long,
        global = true,
        env = "AMENDS_URL",
        default_value = "http://127.0.0.1:7411",
        help_heading = ANYWHERE
    )]
    pub(crate) url: String,
    /// Print JSON, as the API answers it, instead of tables
    #[arg(long, global = true, help_heading = ANYWHERE)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a coordinator
    Serve(ConfigArguments),
    /// Run sagas across three HTTP services, some of which fail, and check their books
    Demo(DemoArguments),
    /// Measure sagas per second and latency on this machine
    Bench(Box<BenchOptions>),
    /// Check, store and look at definitions
    #[command(subcommand, alias = "definitions")]
    Definition(DefinitionCommand),
    /// Show what would happen at every failure point of a definition, without a call made
    Explore(ExploreArguments),
    /// Probe whether a participant keeps the contract: repeated, reversed, lost and stale calls
    Conform(Box<ConformArguments>),
    /// Register and look at participants
    #[command(subcommand, alias = "participants")]
    Participant(ParticipantCommand),
    /// Start, watch and command sagas
    #[command(subcommand, alias = "sagas")]
    Saga(SagaCommand),
    /// Show who holds lock keys and who waits for them, and take them away
    #[command(alias = "lock")]
    Locks(LocksArguments),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// One participant of the demo
    #[command(hide = true)]
    DemoParticipant(ParticipantOptions),
    /// The participant of the bench
    #[command(hide = true)]
    BenchParticipant(BenchParticipantOptions),
    /// What stands in for a coordinator when the bench measures the limit
    #[command(hide = true)]
    BenchStandIn(StandInOptions),
    /// The load generator of the bench
    #[command(hide = true)]
    BenchLoad(LoadOptions),
}

/// Runs one command to its end.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { global, command } = arguments;
    let mut screen = Screen::new(global.json);
    let client = || Client::new(&global.url);
    match command {
        Command::Serve(arguments) => serve::run(&arguments, &mut screen).await,
        Command::Definition(command) => definition::run(command, client, &mut screen).await,
        Command::Explore(arguments) => explore::run(&arguments, client, &mut screen).await,
        Command::Conform(arguments) => conform::run(*arguments, &mut screen).await,
        Command::Participant(command) => participant::run(command, &client()?, &mut screen).await,
        Command::Saga(command) => saga::run(command, &client()?, &mut screen).await,
        Command::Locks(arguments) => lock::run(arguments, &client()?, &mut screen).await,
        Command::Config(command) => configuration::run(command, &mut screen),
        Command::Completions { shell } => completions::run(shell, &mut screen),
        Command::Demo(arguments) => demo::run(arguments, &mut screen).await,
        Command::Bench(options) => processes::bench(*options, &mut screen).await,
        Command::DemoParticipant(options) => processes::demo_participant(options).await,
        Command::BenchParticipant(options) => processes::bench_participant(options).await,
        Command::BenchStandIn(options) => processes::bench_stand_in(options).await,
        Command::BenchLoad(options) => processes::bench_load(options, &mut screen).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
