//! Why a command failed, as it is told to people, and the exit status that goes with it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config;
use crate::problem::Problem;

/// Something failed: 1.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong: 2.
const USAGE: u8 = 2;
/// What was asked for does not exist or was refused: 3.
const REFUSED: u8 = 3;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments that clap cannot judge.
    #[error("{0}")]
    Usage(String),
    /// No usable configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The server answered with a problem document.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// A definition with errors; they are printed already.
    #[error("{0}")]
    Faulty(String),
    /// No server answers.
    #[error(
        "no amends server answers at {url}: {reason}\n  \
         hint: start one with `amends serve`, or name another with --url or AMENDS_URL"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The server answered something else than the API says.
    #[error("{url} answered {what}\n  hint: is this an amends server of the same release?")]
    Strange {
        /// Who answered.
        url: String,
        /// What.
        what: String,
    },
    /// A file given as an argument.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A saga that was waited for stands or ended otherwise than completed.
    #[error("{0}")]
    NotCompleted(String),
    /// A participant does not keep the contract, or that could not be judged.
    #[error("{0}")]
    NotConforming(String),
    /// The server cannot start or run.
    #[error("{0}")]
    Server(String),
    /// The demo or the bench failed.
    #[error("{0}")]
    Demo(String),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// There are no threads to be had.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl Failure {
    /// Tells it on standard error and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // The reader has seen enough, as in `amends saga list | head`.
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {self}");
        ExitCode::from(self.exit_status())
    }

    fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => USAGE,
            Self::Problem(problem) if problem.is_refusal() => REFUSED,
            Self::Faulty(_) => REFUSED,
            Self::Problem(_)
            | Self::Unreachable { .. }
            | Self::Strange { .. }
            | Self::File { .. }
            | Self::NotCompleted(_)
            | Self::NotConforming(_)
            | Self::Server(_)
            | Self::Demo(_)
            | Self::Output(_)
            | Self::Runtime(_) => FAILED,
        }
    }
}
