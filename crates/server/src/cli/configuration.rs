//! The flags that set configuration, and `amends config print`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::screen::Screen;
use crate::config::{Effective, Given, Sources, load};
use crate::failure::Failure;

/// Flags over file and environment.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigArguments {
    /// Configuration file (TOML); without one, amends.toml in this folder if it is there
    #[arg(long, env = "AMENDS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address and port of the API and the console (server.listen)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Base URL under which participants and browsers reach this server (server.public-url)
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Folder of the embedded database (server.data-dir)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<String>,
    /// sqlite://FILE or postgres://… (database.url)
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Redis masters that guard lock keys, one URL each, separated by commas (locks.redis)
    #[arg(long, value_name = "URLS")]
    pub(crate) redis: Option<String>,
    /// text or json (telemetry.log-format)
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Such as info,amends_engine=debug (telemetry.log-filter)
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
    /// Any key, as often as needed, such as --set engine.lease-ttl=5s
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::saga::pair)]
    pub(crate) set: Vec<(String, String)>,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print what counts, and where each value came from; secrets are not shown
    Print(ConfigArguments),
}

impl ConfigArguments {
    /// Reads and merges all layers.
    pub(crate) fn load(&self) -> Result<Effective, Failure> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let (file, flags) = (self.config.clone(), self.flags());
        let sources = Sources { file, working_folder: true, environment, flags };
        Ok(load(&sources)?)
    }

    fn flags(&self) -> Vec<Given> {
        let named = [
            ("server.listen", &self.listen, "--listen"),
            ("server.public-url", &self.public_url, "--public-url"),
            ("server.data-dir", &self.data_dir, "--data-dir"),
            ("database.url", &self.database, "--database"),
            ("locks.redis", &self.redis, "--redis"),
            ("telemetry.log-format", &self.log_format, "--log-format"),
            ("telemetry.log-filter", &self.log_filter, "--log-filter"),
        ];
        let any = self.set.iter().map(|(key, value)| Given::flag(key, value, "--set"));
        let named = named
            .into_iter()
            .filter_map(|(key, value, flag)| Some(Given::flag(key, value.clone()?, flag)));
        any.chain(named).collect()
    }
}

/// Runs it.
pub(crate) fn run(command: ConfigCommand, screen: &mut Screen) -> Result<(), Failure> {
    let ConfigCommand::Print(arguments) = command;
    let effective = arguments.load()?;
    screen.show(&effective.to_json(), |screen| screen.line(effective.to_toml().trim_end()))
}
