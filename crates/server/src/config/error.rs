//! What is wrong with the configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::origin::Origin;

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not TOML:\n{detail}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// The parser's words, with the line.
        detail: String,
    },
    /// Keys that do not exist, or values that cannot be: all of them.
    #[error("the configuration has {} fault(s):\n{}", .0.len(), lines(.0))]
    Faults(Vec<Fault>),
}

/// One key that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Who set it.
    pub(crate) origin: Origin,
    /// The key as the file spells it.
    pub(crate) key: String,
    /// What is wrong and what to write.
    pub(crate) detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` {}", self.origin, self.key, self.detail)
    }
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n")
}
